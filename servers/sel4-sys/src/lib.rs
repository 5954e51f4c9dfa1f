//! Raw binding of the seL4 ABI for AArch64; names follow rust-sel4.
#![no_std]
