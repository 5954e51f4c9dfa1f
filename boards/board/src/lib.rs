//! What a board is: memory, interrupts, console and devices as data.
#![no_std]
#![forbid(unsafe_code)]
