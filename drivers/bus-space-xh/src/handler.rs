//! What happens around an access: quarantine, retry, the error that is kept.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bus_space::exceptions::Exceptions;
use bus_space::{BusHandle, BusTag};
use kmod_api::symbols::{bus_space_device, bus_space_trace};
use kmod_api::{Errno, thread};

/// The one handler of this module.
pub(crate) static HANDLER: Handler = Handler {
    exceptions: Exceptions::new(),
    passing: AtomicBool::new(true),
    synchronising: AtomicBool::new(false),
    calls: AtomicU64::new(0),
};

/// This layer's name in traces.
const NAME: u64 = u64::from_le_bytes(*b"xh\0\0\0\0\0\0");

pub(crate) struct Handler {
    pub(crate) exceptions: Exceptions,
    passing: AtomicBool,
    synchronising: AtomicBool,
    calls: AtomicU64,
}

impl Handler {
    pub(crate) fn set_passing(&self, passing: bool) {
        self.passing.store(passing, Ordering::Release);
    }

    pub(crate) fn set_synchronising(&self, on: bool) {
        self.synchronising.store(on, Ordering::Relaxed);
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Carries out one access that may be repeated. `ones` is the value of an access that is not carried out.
    ///
    /// A fault shows as a rise of the thread's error count: the fix-up has already made the value all ones.
    #[inline]
    pub(crate) fn single<T: Copy>(
        &self,
        (tag, handle, offset): (BusTag, BusHandle, u64),
        ones: T,
        access: impl Fn() -> T,
    ) -> T {
        if !self.enter(tag, handle, offset) {
            return access();
        }
        if self.is_refused(tag, handle) {
            return ones;
        }
        let mut before = thread::bus_error_count();
        let mut value = access();
        let mut left = self.exceptions.retries();
        while thread::bus_error_count() != before {
            if left == 0 {
                self.keep(tag, handle);
                return value;
            }
            left -= 1;
            self.exceptions.count_retry();
            thread::set_bus_status(0);
            before = thread::bus_error_count();
            value = access();
        }
        value
    }

    /// Carries out a write: as `single`, but complete before its error is looked for, if that is asked for.
    #[inline]
    pub(crate) fn write(&self, place: (BusTag, BusHandle, u64), access: impl Fn()) {
        self.single(place, (), || {
            access();
            if self.synchronising.load(Ordering::Relaxed) {
                thread::synchronise();
            }
        });
    }

    /// Carries out an access of several elements, which is never repeated: some of them may have been done.
    #[inline]
    pub(crate) fn several(
        &self,
        (tag, handle, offset): (BusTag, BusHandle, u64),
        refused: impl FnOnce(),
        access: impl FnOnce(),
    ) {
        if !self.enter(tag, handle, offset) {
            return access();
        }
        if self.is_refused(tag, handle) {
            return refused();
        }
        let before = thread::bus_error_count();
        access();
        if thread::bus_error_count() != before {
            self.keep(tag, handle);
        }
    }

    /// Carries out a peek or poke: the layer below says by its result whether the access was answered.
    #[inline]
    pub(crate) fn probe(
        &self,
        (tag, handle, offset): (BusTag, BusHandle, u64),
        access: impl FnOnce() -> i32,
    ) -> i32 {
        if !self.enter(tag, handle, offset) {
            return access();
        }
        if self.is_refused(tag, handle) {
            return Errno::EFAULT.number();
        }
        let status = access();
        // The driver asked whether something is there: a "no" is an answer, not an error to keep.
        thread::set_bus_status(0);
        status
    }

    /// Counts the call and shows it in the trace; `false` in pass-through.
    #[inline]
    fn enter(&self, tag: BusTag, handle: BusHandle, offset: u64) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.passing.load(Ordering::Relaxed) {
            return false;
        }
        // SAFETY: the symbol takes any arguments.
        unsafe { bus_space_trace(tag, handle, offset, NAME) };
        true
    }

    #[inline]
    fn is_refused(&self, tag: BusTag, handle: BusHandle) -> bool {
        if !self.exceptions.any_quarantined() {
            return false;
        }
        let refused = self.exceptions.refuses(thread::id(), device(tag, handle), Errno::EIO.number());
        if refused {
            thread::set_bus_status(Errno::EIO.number());
        }
        refused
    }

    #[cold]
    fn keep(&self, tag: BusTag, handle: BusHandle) {
        self.exceptions.keep(thread::id(), device(tag, handle), thread::bus_status());
    }
}

/// The device that a handle lies in.
pub(crate) fn device(tag: BusTag, handle: BusHandle) -> u32 {
    // SAFETY: the base image's export takes any handle.
    unsafe { bus_space_device(tag, handle) }
}
