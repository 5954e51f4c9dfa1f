//! The instructions that Rust has no word for: counters, cache maintenance at EL0, and reading what others write.

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

/// Words that [`copy_shared`] copies at a time.
pub const BLOCK_WORDS: usize = 16;

/// Copies words that others may write meanwhile. Each is loaded once: a pair is two loads of eight aligned bytes, each of
/// which sees one value (Arm ARM B2.2.1). Rust's atomic loads say the same, but never go in pairs.
///
/// # Safety
/// As many bytes as `to` has are mapped readable at `from`, which is a multiple of eight.
pub unsafe fn copy_shared(from: u64, to: &mut [[u64; BLOCK_WORDS]]) {
    if to.is_empty() {
        return;
    }
    // SAFETY: the loads are of mapped memory (contract), the stores fill `to` from its first block to its last.
    unsafe {
        asm!(
            "2: ldp {a}, {b}, [{from}]",
            "ldp {c}, {d}, [{from}, #16]",
            "ldp {e}, {f}, [{from}, #32]",
            "ldp {g}, {h}, [{from}, #48]",
            "stp {a}, {b}, [{to}]",
            "stp {c}, {d}, [{to}, #16]",
            "stp {e}, {f}, [{to}, #32]",
            "stp {g}, {h}, [{to}, #48]",
            "ldp {a}, {b}, [{from}, #64]",
            "ldp {c}, {d}, [{from}, #80]",
            "ldp {e}, {f}, [{from}, #96]",
            "ldp {g}, {h}, [{from}, #112]",
            "add {from}, {from}, #128",
            "stp {a}, {b}, [{to}, #64]",
            "stp {c}, {d}, [{to}, #80]",
            "stp {e}, {f}, [{to}, #96]",
            "stp {g}, {h}, [{to}, #112]",
            "add {to}, {to}, #128",
            "subs {count}, {count}, #1",
            "b.ne 2b",
            from = inout(reg) from => _,
            to = inout(reg) to.as_mut_ptr() => _,
            count = inout(reg) to.len() => _,
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            e = out(reg) _, f = out(reg) _, g = out(reg) _, h = out(reg) _,
            options(nostack),
        );
    }
}
