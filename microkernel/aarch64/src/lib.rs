//! The kernel on AArch64: exceptions, translation tables, interrupts, boot.
#![no_std]
