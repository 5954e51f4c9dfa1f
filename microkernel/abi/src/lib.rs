//! Numbers and layouts of the seL4 ABI profile, for both sides of the system call.
#![no_std]
#![forbid(unsafe_code)]
