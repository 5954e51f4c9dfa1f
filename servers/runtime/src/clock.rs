//! The counter: time since boot, readable by every process.

use core::arch::asm;

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

/// Converts without overflow for as long as the counter runs.
#[must_use]
pub const fn to_microseconds(ticks: u64, frequency: u64) -> u64 {
    let seconds = ticks / frequency;
    let rest = ticks % frequency;
    seconds * 1_000_000 + rest * 1_000_000 / frequency
}

/// Ticks in this many microseconds, rounded up: a sleep is never too short.
#[must_use]
pub const fn to_ticks(microseconds: u64, frequency: u64) -> u64 {
    let seconds = microseconds / 1_000_000;
    let rest = microseconds % 1_000_000;
    seconds * frequency + (rest * frequency).div_ceil(1_000_000)
}
