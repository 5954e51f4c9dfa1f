//! Caches and translation caches: the maintenance sequences of the Arm ARM (DDI 0487).
use crate::registers::{ctr_el0, dczid_el0};
use core::arch::asm;
use microkernel_core::CacheOp;

/// Bytes of the smallest data cache line, by CTR_EL0.
const fn data_line(ctr: u64) -> u64 {
    4 << (ctr >> 16 & 0xf)
}

/// Bytes of the smallest instruction cache line, by CTR_EL0.
const fn instruction_line(ctr: u64) -> u64 {
    4 << (ctr & 0xf)
}

/// Runs one maintenance instruction on each line of a range that is not empty.
macro_rules! by_line {
    ($instruction:literal, $line:expr, $start:expr, $end:expr) => {{
        let line: u64 = $line;
        let mut at: u64 = $start & !(line - 1);
        loop {
            // SAFETY: cache maintenance changes no value that Rust can see: kernel data is coherent, user memory
            // is reached by raw words only. Callers pass mapped, readable addresses.
            unsafe { asm!(concat!($instruction, ", {}"), in(reg) at, options(nostack, preserves_flags)) };
            at += line;
            if at >= $end {
                break;
            }
        }
    }};
}

/// DSB ISH: maintenance and table stores before it are complete for the inner-shareable domain.
#[inline(always)]
fn dsb_ish() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
}

/// Zeroes a range of the direct map, which is not empty, by cache blocks where it can.
pub(crate) fn zero(start: u64, bytes: u64) {
    let dczid = dczid_el0();
    let block = 4 << (dczid & 0xf);
    // DCZID_EL0.DZP: the instruction is prohibited. Blocks must cover the range exactly.
    if dczid & 0x10 == 0 && (start | bytes).is_multiple_of(block) {
        let (mut at, end) = (start, start + bytes);
        loop {
            // SAFETY: the range is memory of an object being made, in the direct map, normal memory; `at` is a
            // whole block inside it.
            unsafe { asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags)) };
            at += block;
            if at >= end {
                break;
            }
        }
    } else {
        let mut at = start;
        while at < start + bytes {
            // SAFETY: as above; words of the range, aligned.
            unsafe { core::ptr::with_exposed_provenance_mut::<u64>(address(at)).write(0) };
            at += 8;
        }
    }
}

/// An address as the pointer functions want it.
#[inline(always)]
pub(crate) fn address(word: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "AArch64: usize has 64 bits")]
    {
        word as usize
    }
}

/// Writes a range back to the point of coherency: uncached mappings of these frames must find the zeroes
/// (Arm ARM B2.8: mismatched attributes).
pub(crate) fn clean(start: u64, bytes: u64) {
    by_line!("dc cvac", data_line(ctr_el0()), start, start + bytes);
    // Complete before anything maps the frame.
    dsb_ish();
}

/// Maintenance on addresses of the current lower half.
pub(crate) fn user(op: CacheOp, start: u64, end: u64) {
    let ctr = ctr_el0();
    let line = data_line(ctr);
    // What is asked for most comes first.
    if op == CacheOp::Unify {
        // Arm ARM B2.2.5 and D7.5.9: clean to the point of unification, wait, invalidate instruction lines at the
        // address they execute at (the A53's instruction cache is virtually indexed), wait, synchronise. Data caches
        // behave as physically indexed ones: the clean finds what was stored by another address of the line, too.
        by_line!("dc cvau", line, start, end);
        dsb_ish();
        by_line!("ic ivau", instruction_line(ctr), start, end);
    } else if op == CacheOp::Clean {
        by_line!("dc cvac", line, start, end);
    } else if op == CacheOp::Invalidate {
        by_line!("dc ivac", line, start, end);
    } else {
        by_line!("dc civac", line, start, end);
    }
    // Maintenance is complete when a DSB by the same core completes (Arm ARM D7.5.9).
    dsb_ish();
    crate::registers::isb();
}

/// After entries became valid: the stores must be seen by table walks before the next access that needs them
/// (Arm ARM D8.2.6: a DSB orders the store before walks; the exception return synchronises the context). No TLB
/// entry is ever made from an invalid descriptor, so nothing has to be forgotten.
pub(crate) fn tables_written() {
    // SAFETY: a barrier; ISHST: only stores are waited for.
    unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
    crate::registers::isb();
}

/// Arm ARM D8.17.1: the invalid entry is visible to walks (DSB ISHST), the translation is invalidated for every
/// core of the domain, and that is complete (DSB ISH) before the frame is used for anything else.
pub(crate) fn forget_page(asid: u64, va: u64) {
    let operand = asid << 48 | va >> 12 & 0xfff_ffff_ffff;
    // SAFETY: TLB maintenance for the lower half; the kernel runs from the upper one.
    unsafe {
        asm!("dsb ishst", "tlbi vae1is, {}", "dsb ish", "isb", in(reg) operand, options(nostack, preserves_flags));
    }
}

/// As [`forget_page`], for all translations and walk-cache entries of an ASID. The first ISB ends walks of a root that
/// this entry has left for user mode only ([`microkernel_core::Machine::set_next_user_root`]).
pub(crate) fn forget_asid(asid: u64) {
    // SAFETY: as in `forget_page`.
    unsafe {
        asm!("dsb ishst", "isb", "tlbi aside1is, {}", "dsb ish", "isb", in(reg) asid << 48, options(nostack, preserves_flags));
    }
}
