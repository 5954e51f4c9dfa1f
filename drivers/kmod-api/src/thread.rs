//! The block of the thread that runs now.
//!
//! `TPIDR_EL0` points to a [`ThreadBlock`] that the linker server made. The thread itself changes only the shadow stack
//! (in gates) and the caller (at entrances) and clears what it has read; the linker server writes the bus-error fields while the thread stands at a
//! fault.

use core::sync::atomic::Ordering::Relaxed;

pub use strata_protocol::domain::{CALLER_OFFSET, ThreadBlock};

/// The current thread's block.
#[inline(always)]
#[must_use]
pub fn block() -> &'static ThreadBlock {
    #[cfg(target_arch = "aarch64")]
    {
        let block: *const ThreadBlock;
        // SAFETY: reading the thread pointer has no effect.
        unsafe {
            core::arch::asm!("mrs {block}, tpidr_el0", block = out(reg) block, options(nomem, nostack, preserves_flags, pure));
        }
        // SAFETY: every thread of a link domain starts with its thread pointer at a block that stays mapped as long as
        // the thread runs, and all fields are atomic.
        unsafe { &*block }
    }
    #[cfg(not(target_arch = "aarch64"))]
    unreachable!("threads of a link domain exist on the target only")
}

/// The current thread's number; numbers are small and not reused while the thread lives.
#[inline]
#[must_use]
pub fn id() -> u32 {
    block().thread_id.load(Relaxed)
}

/// Whether an accessor's fix-up was taken since the last [`set_bus_status`]: the errno number, or 0.
#[inline]
#[must_use]
pub fn bus_status() -> i32 {
    block().bus_status.load(Relaxed)
}

/// Sets what [`bus_status`] answers; 0 forgets the last bus error, so that the next one can be told from it.
#[inline]
pub fn set_bus_status(status: i32) {
    block().bus_status.store(status, Relaxed);
}

/// Runs an access that may be a bus error: where it is one it takes its fix-up, whatever layers are loaded.
#[inline]
pub fn bearing_bus_errors<T>(access: impl FnOnce() -> T) -> T {
    let bears = &block().bears_bus_errors;
    bears.store(1, Relaxed);
    let result = access();
    bears.store(0, Relaxed);
    result
}

/// Bus errors of the current thread that took a fix-up, ever.
#[inline]
#[must_use]
pub fn bus_error_count() -> u64 {
    block().bus_error_count.load(Relaxed)
}

/// The address of the last access that was fixed up.
#[inline]
#[must_use]
pub fn bus_fault_address() -> u64 {
    block().bus_fault_address.load(Relaxed)
}

/// Returns when every access so far is complete, so that a late error belongs to what came before.
#[inline]
pub fn synchronise() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier changes no memory.
    unsafe {
        core::arch::asm!("dsb sy", options(nostack, preserves_flags));
    }
}

/// The generic counter: time for traces, not for deadlines.
#[inline(always)]
#[must_use]
pub fn counter() -> u64 {
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: reading the counter has no effect; EL0 may read it in this profile.
        unsafe {
            core::arch::asm!("mrs {ticks}, cntvct_el0", ticks = out(reg) ticks, options(nomem, nostack, preserves_flags));
        }
        ticks
    }
    #[cfg(not(target_arch = "aarch64"))]
    0
}

/// The generic counter's frequency in Hz.
#[inline]
#[must_use]
pub fn counter_frequency() -> u64 {
    #[cfg(target_arch = "aarch64")]
    {
        let hertz: u64;
        // SAFETY: reading the frequency register has no effect.
        unsafe {
            core::arch::asm!("mrs {hertz}, cntfrq_el0", hertz = out(reg) hertz, options(nomem, nostack, preserves_flags, pure));
        }
        hertz
    }
    #[cfg(not(target_arch = "aarch64"))]
    1
}

/// Which run of the current thread this is: another number after each time that the linker server has started it again,
/// so that what an earlier run has left open can be told from what this one has.
#[inline]
#[must_use]
pub fn run() -> u32 {
    block().run.load(Relaxed)
}

/// Where the innermost call returns to that came in through an [`entrance!`](crate::entrance).
#[inline]
#[must_use]
pub fn caller() -> u64 {
    block().caller.load(Relaxed)
}
