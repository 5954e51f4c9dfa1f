//! The one assembly statement: `svc #0` with the registers of the calling convention.
use crate::{seL4_IPCBuffer, seL4_Word};
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

/// Enters the kernel, which may read and write the thread's IPC buffer.
///
/// `buffer` is that buffer when the caller holds it by `&mut`, else null. The kernel finds it by itself; the pointer
/// is passed for the compiler, which may assume that assembly does not reach memory behind an exclusive reference
/// unless it is given a pointer to it, and would otherwise move stores past the system call.
#[inline(always)]
pub(crate) fn svc(number: i64, mut r: Registers, buffer: *mut seL4_IPCBuffer) -> Registers {
    // SAFETY: the kernel preserves every register but x0 to x5, which are declared as outputs. It may write the
    // caller's IPC buffer, which the caller holds by `&mut` and hands in, or does not use.
    unsafe {
        asm!(
            "svc #0",
            in("x7") number,
            in("x6") buffer,
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
