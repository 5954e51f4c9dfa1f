//! Cores that the firmware holds.
use crate::cache::{address, clean};
use core::arch::asm;
use microkernel_core::machine::to_kernel;

/// Sends a core that waits at a spin table's address to `entry` (physical). It comes with the MMU off.
///
/// # Safety
/// The word at `release` is the firmware's for this purpose, and mapped as memory in the direct map; `entry` is code
/// for a core that comes from the firmware.
pub unsafe fn release(release: u64, entry: u64) {
    let at = to_kernel(release);
    // SAFETY: the caller's promise.
    unsafe { core::ptr::with_exposed_provenance_mut::<u64>(address(at)).write_volatile(entry) };
    // The waiting core reads past the caches: the word must be in memory before it is woken. `clean` ends with a DSB,
    // which SEV needs in front of it (Arm ARM D1.6.1).
    clean(at, 8);
    // SAFETY: wakes cores that wait for an event; those of ours that sleep wait for interrupts.
    unsafe { asm!("sev", options(nostack, preserves_flags)) };
}
