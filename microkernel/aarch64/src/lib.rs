//! The kernel on AArch64: exceptions, translation tables, interrupts, boot.
//!
//! `start` brings a core from reset to Rust in the upper half; `tables` makes the kernel's own
//! translation tables; `vectors` is the way in and out of the kernel; `entry` connects it to
//! `microkernel-core`; `hardware` is the core's `Machine`; `lock` keeps cores apart. Assembly is in `start`, `vectors` and in
//! single instructions of `registers`, `cache` and `fpu`.
#![no_std]
#![cfg(target_arch = "aarch64")]

mod cache;
mod entry;
mod fpu;
mod gic;
mod hardware;
mod lock;
mod registers;
mod start;
pub mod tables;
mod uart;
mod vectors;

pub use entry::{fatal, run, set_console};
pub use gic::Gic;
pub use hardware::Hardware;
pub use uart::Uart;
