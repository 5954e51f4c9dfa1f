//! The reorder and delay layer.
#![no_std]
#![no_main]
