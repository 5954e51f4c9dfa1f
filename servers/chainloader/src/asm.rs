//! The first instructions, and the last. Assembly.
//!
//! The MMU stays off: data goes straight to memory, and of the caches only the instructions' is used. The kernel is
//! started as this image was: at the same exception level, exceptions masked, the device tree's address in x0.
use core::arch::{asm, global_asm};

global_asm!(
    r#"
    .section .head, "ax"
    .global _start
_start:
    msr     daifset, #0xf
    mov     x19, x0
    // One core only; others that come this way sleep.
    mrs     x1, mpidr_el1
    and     x1, x1, #0xff
    cbnz    x1, 9f
    // From where we are to where we belong. Both are multiples of 16, and the end is one of 4096.
    adr     x1, _start
    ldr     x2, =__image_start
    ldr     x3, =__image_end
    cmp     x1, x2
    b.eq    2f
1:  ldp     x4, x5, [x1], #16
    stp     x4, x5, [x2], #16
    cmp     x2, x3
    b.lo    1b
    // What was written is fetched from here on (Arm ARM B2.7.4.2; the stores have gone past the data caches).
    dsb     sy
2:  ic      iallu
    dsb     sy
    isb
    ldr     x1, =3f
    br      x1
    // The instruction cache on (SCTLR_ELx.I): the CRC of an image is long work without.
3:  mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    b.lo    4f
    b.eq    5f
    mrs     x1, sctlr_el3
    orr     x1, x1, #(1 << 12)
    msr     sctlr_el3, x1
    b       6f
4:  mrs     x1, sctlr_el1
    orr     x1, x1, #(1 << 12)
    msr     sctlr_el1, x1
    b       6f
5:  mrs     x1, sctlr_el2
    orr     x1, x1, #(1 << 12)
    msr     sctlr_el2, x1
6:  isb
    ldr     x1, =__stack_top
    mov     sp, x1
    mov     x0, x19
    mov     x29, xzr
    mov     x30, xzr
    bl      chainloader_main
9:  wfe
    b       9b
"#
);

/// Goes to a kernel.
///
/// # Safety
/// At `kernel` is the image of a kernel for this board, and at `tree` a device tree or nothing that looks like one.
/// Nothing of this image is needed again.
pub(crate) unsafe fn start(kernel: u64, tree: u64) -> ! {
    // SAFETY: the caller's promise. What was stored is in memory before it is fetched, and fetched anew: DSB, the
    // instruction cache's invalidation, DSB, ISB (Arm ARM B2.7.4.2).
    unsafe {
        asm!(
            "dsb sy",
            "ic iallu",
            "dsb sy",
            "isb",
            "br {kernel}",
            kernel = in(reg) kernel,
            in("x0") tree,
            in("x1") 0,
            in("x2") 0,
            in("x3") 0,
            options(noreturn)
        )
    }
}

/// Ticks since the board was switched on.
pub(crate) fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads a counter. The ISB keeps it from being read early (Arm ARM D12.1.2).
    unsafe { asm!("isb", "mrs {}, cntpct_el0", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

/// Ticks of a second, as the firmware has said.
pub(crate) fn ticks_a_second() -> u64 {
    let frequency: u64;
    // SAFETY: reads a number.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack, preserves_flags)) };
    frequency
}

/// Drops what the data caches may hold of this range from before: it was written past them.
///
/// # Safety
/// Nothing of the range was written through the caches since this image was entered.
pub(crate) unsafe fn invalidate(start: u64, size: u64) {
    /// No cache has smaller lines than this (CTR_EL0.DminLine counts words).
    const LINE_MIN: u64 = 16;
    let ctr: u64;
    // SAFETY: reads a number.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack, preserves_flags)) };
    let line = (4 << (ctr >> 16 & 0xf)).max(LINE_MIN);
    let mut at = start / line * line;
    while at < start + size {
        // SAFETY: the caller's promise: what memory holds is newer than what any cache does.
        unsafe { asm!("dc ivac, {}", in(reg) at, options(nostack, preserves_flags)) };
        at += line;
    }
    // SAFETY: orders only.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}
