//! The exception-handling layer.
#![no_std]
#![no_main]
