//! The one assembly statement: `svc #0` with the registers of the calling convention.
use crate::seL4_Word;
use core::arch::asm;

/// Registers that go into a system call and come out of it.
#[derive(Clone, Copy)]
pub(crate) struct Registers {
    /// x0: capability in, badge out.
    pub(crate) x0: seL4_Word,
    /// x1: tag.
    pub(crate) x1: seL4_Word,
    /// x2 to x5: message words.
    pub(crate) mrs: [seL4_Word; 4],
}

/// Enters the kernel.
#[inline(always)]
pub(crate) fn svc(number: i64, mut r: Registers) -> Registers {
    // SAFETY: the kernel preserves every register but x0 to x5, which are declared as outputs. It may write the
    // caller's IPC buffer, which callers hold by `&mut` or do not use; memory is not marked preserved, so the
    // compiler assumes it changed.
    unsafe {
        asm!(
            "svc #0",
            in("x7") number,
            inlateout("x0") r.x0,
            inlateout("x1") r.x1,
            inlateout("x2") r.mrs[0],
            inlateout("x3") r.mrs[1],
            inlateout("x4") r.mrs[2],
            inlateout("x5") r.mrs[3],
            options(nostack),
        );
    }
    r
}
