//! The thread block: what TPIDR_EL0 points to.

use core::arch::asm;
use core::sync::atomic::Ordering;

use strata_protocol::domain::ThreadBlock;

use crate::Ipc;

/// The block of the thread that asks.
#[must_use]
#[inline]
pub fn block() -> &'static ThreadBlock {
    let address: u64;
    // SAFETY: reads a register that EL0 owns.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) address, options(nomem, nostack, preserves_flags)) };
    let block = address as *const ThreadBlock;
    // SAFETY: whoever makes a thread of Strata (root task, linker server, an image's own start code) maps a block
    // for the thread's whole life and puts its address into TPIDR_EL0 before the first instruction. All its fields
    // are atomic, so sharing it is sound.
    unsafe { &*block }
}

/// The IPC buffer of the thread that asks.
///
/// # Safety
/// The caller becomes its owner: nobody else may hold a reference to it. That is so once, at the start of a thread.
#[must_use]
pub unsafe fn take_ipc() -> &'static mut Ipc {
    let address = block().ipc_buffer.load(Ordering::Relaxed) as *mut Ipc;
    // SAFETY: the maker of the thread mapped its IPC buffer at this address for the thread's life; the caller
    // vouches that there is no other reference.
    unsafe { &mut *address }
}
