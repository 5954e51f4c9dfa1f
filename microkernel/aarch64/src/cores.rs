//! Cores that wait outside of the kernel: the firmware's, at a spin table, and those that came with the first one.
use crate::cache::{address, clean};
use core::arch::asm;
use core::sync::atomic::AtomicU64;
#[cfg(feature = "smp")]
use core::sync::atomic::Ordering;
use microkernel_core::cores::CORES_MAX;
use microkernel_core::machine::to_kernel;

/// Where a core that came to the image's start with the first one waits for an address to go to, by the last field of its
/// affinity: as at a spin table, for a loader that holds no core. `start` reads it.
#[unsafe(no_mangle)]
pub(crate) static START_PEN: [AtomicU64; CORES_MAX] = [const { AtomicU64::new(0) }; CORES_MAX];

/// Sends the core that waits at this word of [`START_PEN`], if one does, to `entry` (physical). It comes with the MMU off.
///
/// # Safety
/// `entry` is code for a core as the loader leaves it.
#[cfg(feature = "smp")]
pub(crate) unsafe fn call(pen: &'static AtomicU64, entry: u64) {
    pen.store(entry, Ordering::Relaxed);
    wake(core::ptr::from_ref(pen).addr() as u64);
}

/// Sends a core that waits at a spin table's address to `entry` (physical). It comes with the MMU off.
///
/// # Safety
/// The word at `release` is the firmware's for this purpose, and mapped as memory in the direct map; `entry` is code
/// for a core that comes from the firmware.
pub unsafe fn release(release: u64, entry: u64) {
    let at = to_kernel(release);
    // SAFETY: the caller's promise.
    unsafe { core::ptr::with_exposed_provenance_mut::<u64>(address(at)).write_volatile(entry) };
    wake(at);
}

/// Wakes cores that wait for the word at `at`, which has been written.
fn wake(at: u64) {
    // The waiting core reads past the caches: the word must be in memory before it is woken. `clean` ends with a DSB,
    // which SEV needs in front of it (Arm ARM D1.6.1).
    clean(at, 8);
    // SAFETY: wakes cores that wait for an event, each of which looks for a word of its own.
    unsafe { asm!("sev", options(nostack, preserves_flags)) };
}
