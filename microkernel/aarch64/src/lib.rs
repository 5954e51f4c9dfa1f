//! The kernel on AArch64: exceptions, translation tables, interrupts, boot.
//!
//! `start` brings a core from reset to Rust in the upper half; `tables` makes the kernel's own
//! translation tables; `vectors` is the way in and out of the kernel; `entry` connects it to
//! `microkernel-core`; `hardware` is the core's `Machine`; `lock` keeps cores apart; `interrupts` is the interrupt
//! controller, whichever the board has. Assembly is in `start`, `vectors` and in single instructions of `registers`,
//! `cache` and `fpu`.
#![no_std]
#![cfg(target_arch = "aarch64")]

mod bcm2836;
mod cache;
pub mod cores;
mod entry;
mod fpu;
mod gicv2;
mod gicv3;
mod hardware;
mod interrupts;
mod lock;
mod mmio;
mod psci;
mod registers;
mod restart;
#[cfg(feature = "smp")]
pub mod secondary;
mod start;
pub mod tables;
mod uart;
mod vectors;

pub use entry::{fatal, run, set_console, stop};
pub use hardware::Hardware;
pub use interrupts::Interrupts;
pub use mmio::change_register;
pub use restart::{Restart, set_restart};
pub use uart::{Speed, Uart};
