//! What modules register with the linker server, and how their threads receive and answer.
//!
//! All of it is in registers, as in [`crate::asking`]: it does without the IPC buffer, and may be done in the middle of
//! serving somebody.

use core::sync::atomic::{AtomicU64, Ordering};

use kmod_api::thread;
use sel4_sys::seL4_MessageInfo;
use strata_protocol::domain::slot::{fault_endpoint, notification};
use strata_protocol::linker::thread_request::{
    DEREGISTER, INTERRUPT_DONE, REGISTER, THREAD_START, TIMER_SET,
};

/// Asks the linker server; its errno number and the first two words of the answer.
fn ask(label: u64, words: [u64; 4]) -> (i32, [u64; 2]) {
    let tag = seL4_MessageInfo::new(label, 0, 0, 4);
    let endpoint = fault_endpoint(thread::id());
    let (answer, [handle, value, ..]) = sel4_sys::seL4_CallWithMRsWithoutIPCBuffer(endpoint, tag, words);
    (i32::try_from(answer.get_label()).unwrap_or(i32::MAX), [handle, value])
}

/// The export `strata_register`.
///
/// # Safety
/// `registered` points to two words that the caller may write.
pub unsafe extern "C" fn register(
    kind: u64,
    name0: u64,
    name1: u64,
    first: u64,
    second: u64,
    registered: *mut u64,
) -> i32 {
    let (errno, words) = ask(REGISTER.saturating_add(kind), [name0, name1, first, second]);
    if errno == 0 {
        // SAFETY: the caller passes room for two words.
        unsafe { registered.cast::<[u64; 2]>().write_unaligned(words) };
    }
    errno
}

/// The export `strata_deregister`.
pub extern "C" fn deregister(handle: u64) -> i32 {
    ask(DEREGISTER, [handle, 0, 0, 0]).0
}

/// The export `strata_timer_set`.
pub extern "C" fn timer_set(handle: u64, microseconds: u64) -> i32 {
    ask(TIMER_SET, [handle, microseconds, 0, 0]).0
}

/// The export `strata_thread_start`.
pub extern "C" fn thread_start(handle: u64) -> i32 {
    ask(THREAD_START, [handle, 0, 0, 0]).0
}

/// The export `strata_interrupt_done`.
pub extern "C" fn interrupt_done(handle: u64) -> i32 {
    ask(INTERRUPT_DONE, [handle, 0, 0, 0]).0
}

/// The export `strata_wake`.
pub extern "C" fn wake(slot: u64) {
    sel4_sys::seL4_Signal(slot);
}

/// The export `strata_receive`.
///
/// # Safety
/// `message` points to six words that the caller may write.
pub unsafe extern "C" fn receive(endpoint: u64, message: *mut u64) -> u64 {
    let from = if endpoint == 0 { notification(thread::id()) } else { endpoint };
    let (info, badge, [a, b, c, d]) = sel4_sys::seL4_RecvWithMRsWithoutIPCBuffer(from);
    let words = [info.get_label(), info.get_length(), a, b, c, d];
    // SAFETY: the caller passes room for six words.
    unsafe { message.cast::<[u64; 6]>().write_unaligned(words) };
    badge
}

/// The export `strata_reply`.
///
/// # Safety
/// `words` points to four words.
pub unsafe extern "C" fn reply(label: u64, length: u64, words: *const u64) {
    // SAFETY: the caller passes four words.
    let words = unsafe { words.cast::<[u64; 4]>().read_unaligned() };
    sel4_sys::seL4_ReplyWithMRsWithoutIPCBuffer(seL4_MessageInfo::new(label, 0, 0, length.min(4)), words);
}

/// The address that the demo servers keep, 0 for none.
static KEPT: AtomicU64 = AtomicU64::new(0);

/// The export `demo_keep`.
pub extern "C" fn keep(callback: u64) -> u64 {
    KEPT.swap(callback, Ordering::AcqRel)
}

/// Calls the address that is kept; `None` if there is none.
pub(crate) fn call_kept(value: u64) -> Option<u64> {
    let address = usize::try_from(KEPT.load(Ordering::Acquire)).ok().filter(|address| *address != 0)?;
    let kept = core::ptr::with_exposed_provenance::<()>(address);
    // SAFETY: whoever gave it keeps to `demo_keep`'s signature: the address of a callback, which answers for ever.
    let kept = unsafe { core::mem::transmute::<*const (), extern "C" fn(u64) -> u64>(kept) };
    Some(kept(value))
}
