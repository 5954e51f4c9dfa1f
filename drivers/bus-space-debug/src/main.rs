//! The debug ring layer.
#![no_std]
#![no_main]
