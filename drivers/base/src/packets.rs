//! bpf(4) without a tap: attachments are recorded, and no packet is looked at.

use core::sync::atomic::{AtomicU64, Ordering};

use bpf::registry::{ATTACHMENT_WORDS, ATTACHMENTS_MAX, AttachError};
use bpf::{Attachment, Registry};
use kmod_api::Errno;
use kmod_api::lock::Lock;

/// The event by which the registry's lock is handed over.
const LOCK_EVENT: u32 = 2;

static REGISTRY: Lock<Registry> = Lock::new(LOCK_EVENT, Registry::new());
/// The registry's generation, for who only asks whether something has changed.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Runs with the registry. The lock is never held across a call, so that it cannot be this thread's own already.
fn with<T>(body: impl FnOnce(&mut Registry) -> T) -> Option<T> {
    REGISTRY.with(|registry| {
        let result = body(registry);
        GENERATION.store(registry.generation(), Ordering::Release);
        result
    })
}

/// The default of `bpf_attach`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _bpf_attach(
    interface: u32,
    link_type: u32,
    header: u32,
    listeners: *mut u64,
) -> i32 {
    if listeners.is_null() || !listeners.is_aligned() {
        return Errno::EINVAL.number();
    }
    let listeners = listeners.expose_provenance() as u64;
    match with(|registry| registry.attach(interface, link_type, header, listeners)) {
        Some(Ok(())) => 0,
        Some(Err(AttachError::Full)) => Errno::ENOMEM.number(),
        Some(Err(AttachError::Exists)) => Errno::EEXIST.number(),
        None => Errno::EDEADLK.number(),
    }
}

/// The default of `bpf_detach`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _bpf_detach(interface: u32) {
    let _ = with(|registry| registry.detach(interface));
}

/// The default of `bpf_change_type`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _bpf_change_type(interface: u32, link_type: u32, header: u32) -> i32 {
    match with(|registry| registry.change_type(interface, link_type, header)) {
        Some(true) => 0,
        Some(false) => Errno::ENODEV.number(),
        None => Errno::EDEADLK.number(),
    }
}

/// The default of `bpf_mtap`: a driver that has seen a listener which has gone since may come here.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _bpf_mtap(_attachment: u64, _packet: *const u8, _length: u64, _direction: u32) {}

/// The default of `bpf_mtap2`: likewise.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _bpf_mtap2(
    _attachment: u64,
    _header: *const u8,
    _header_length: u64,
    _packet: *const u8,
    _length: u64,
    _direction: u32,
) {
}

/// The default of `bpf_peers_present`: nobody listens.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _bpf_peers_present(_attachment: u64) -> u32 {
    0
}

/// The export `bpf_attachments`.
///
/// # Safety
/// As its declaration says: `list` has room for so many attachments, and `count` may be written unless that is none.
pub(crate) unsafe extern "C" fn attachments(list: *mut u64, room: u32, count: *mut u32) -> u64 {
    if room == 0 {
        return GENERATION.load(Ordering::Acquire);
    }
    let mut copy = [[0; ATTACHMENT_WORDS]; ATTACHMENTS_MAX];
    let copied = with(|registry| {
        let found = registry.attachments().iter().map(Attachment::words);
        let copied = copy.iter_mut().zip(found).map(|(to, words)| *to = words).count();
        (copied, registry.generation())
    });
    let Some((copied, generation)) = copied else { return 0 };
    let copied = copied.min(usize::try_from(room).unwrap_or(0));
    let words = copy[..copied].as_flattened();
    // SAFETY: the caller has room for so many attachments, in memory of its own.
    unsafe { core::ptr::copy_nonoverlapping(words.as_ptr(), list, words.len()) };
    // SAFETY: the caller's promise.
    unsafe { count.write(u32::try_from(copied).unwrap_or(0)) };
    generation
}
