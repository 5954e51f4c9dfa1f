//! The QEMU virt machine.
#![no_std]
#![forbid(unsafe_code)]
