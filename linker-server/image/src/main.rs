//! The linker server.
#![no_std]
#![no_main]
