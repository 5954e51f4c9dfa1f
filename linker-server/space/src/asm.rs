//! The instructions that Rust has no word for: counters and cache maintenance at EL0.

use core::arch::asm;

/// The smallest cache line of any AArch64 implementation that this system supports, in bytes.
///
/// Cleaning by smaller steps than the real line is only slower, so that no board has to be asked.
pub const LINE_SIZE: u64 = 64;

/// Ticks of the virtual counter (`CNTVCT_EL0`, open to EL0 in the ABI profile).
#[must_use]
pub fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads a counter; the ISB keeps the read from moving up over earlier instructions.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

/// Ticks a second.
#[must_use]
pub fn ticks_a_second() -> u64 {
    let frequency: u64;
    // SAFETY: reads a constant that firmware has set.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack, preserves_flags)) };
    frequency
}

/// Cleans the lines of `start..end` to the point of unification and waits until that is done.
///
/// # Safety
/// The addresses are mapped readable in this address space.
pub unsafe fn clean_to_unification(start: u64, end: u64) {
    let mut line = start & !(LINE_SIZE - 1);
    while line < end {
        // SAFETY: the address is mapped (contract); DC CVAU at EL0 is enabled in the ABI profile
        // (SCTLR_EL1.UCI) and changes no memory.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags)) };
        line += LINE_SIZE;
    }
    // SAFETY: a barrier. It completes the cleans, for every observer of the inner shareable domain,
    // before the instruction invalidation that the kernel does next.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
}
