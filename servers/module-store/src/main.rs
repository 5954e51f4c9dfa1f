//! Keeps module images by name.
#![no_std]
#![no_main]
