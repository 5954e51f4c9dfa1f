//! The instructions that Rust has no word for: counters, cache maintenance at EL0, and reading what others write.

use core::arch::asm;
use core::sync::atomic::AtomicU64;

/// The smallest cache line of any AArch64 implementation that this system supports, in bytes.
///
/// What was written is told the kernel by such lines; it goes by the real ones.
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

/// Completes the stores of this thread, for every observer of the inner shareable domain: before the kernel cleans the
/// lines that they went to.
pub fn complete_stores() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
}

/// Words that [`any_within`] looks at at a time.
pub const LOOK_WORDS: usize = 8;

/// Whether one of these words, which others may write meanwhile, is `start` or one of the `size` numbers behind it.
///
/// A look at a thread consists of this. A word takes a subtraction and a comparison, and a pair of them a load, each half of
/// which sees one value (Arm ARM B2.2.1); of the comparisons each counts only where those before it have found nothing, and
/// one branch tells of all eight. The compiler makes a branch of each.
#[must_use]
pub fn any_within(blocks: &[[AtomicU64; LOOK_WORDS]], start: u64, size: u64) -> bool {
    if blocks.is_empty() {
        return false;
    }
    let left: usize;
    // SAFETY: the loads are of the words of `blocks`, from the first block to the last; nothing is written.
    unsafe {
        asm!(
            "2: ldp {a}, {b}, [{from}]",
            "ldp {c}, {d}, [{from}, #16]",
            "ldp {e}, {f}, [{from}, #32]",
            "ldp {g}, {h}, [{from}, #48]",
            "add {from}, {from}, #64",
            "sub {a}, {a}, {start}",
            "sub {b}, {b}, {start}",
            "sub {c}, {c}, {start}",
            "sub {d}, {d}, {start}",
            "sub {e}, {e}, {start}",
            "sub {f}, {f}, {start}",
            "sub {g}, {g}, {start}",
            "sub {h}, {h}, {start}",
            "cmp {a}, {size}",
            "ccmp {b}, {size}, #0, hi",
            "ccmp {c}, {size}, #0, hi",
            "ccmp {d}, {size}, #0, hi",
            "ccmp {e}, {size}, #0, hi",
            "ccmp {f}, {size}, #0, hi",
            "ccmp {g}, {size}, #0, hi",
            "ccmp {h}, {size}, #0, hi",
            // Flags of 0 are those of "lower": found.
            "b.ls 3f",
            "subs {left}, {left}, #1",
            "b.ne 2b",
            "3:",
            from = inout(reg) blocks.as_ptr() => _,
            left = inout(reg) blocks.len() => left,
            start = in(reg) start,
            size = in(reg) size,
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            e = out(reg) _, f = out(reg) _, g = out(reg) _, h = out(reg) _,
            options(nostack, readonly),
        );
    }
    left != 0
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
