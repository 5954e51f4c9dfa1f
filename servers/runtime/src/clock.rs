//! The counter: time since boot, readable by every process.

use core::arch::asm;

pub use strata_protocol::timer::{to_microseconds, to_ticks};

/// Ticks of CNTVCT_EL0.
#[must_use]
#[inline]
pub fn ticks() -> u64 {
    let ticks;
    // SAFETY: reads a register; the barrier keeps the read from being taken early. The ABI profile lets EL0 read
    // the counter.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}

/// Ticks a second.
#[must_use]
#[inline]
pub fn frequency() -> u64 {
    let frequency: u64;
    // SAFETY: reads a constant register that the ABI profile lets EL0 read.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack, preserves_flags)) };
    // A board whose firmware forgot the register must not make us divide by zero.
    frequency.max(1)
}

/// Microseconds since the counter started.
#[must_use]
pub fn microseconds() -> u64 {
    to_microseconds(ticks(), frequency())
}
