//! A lock for layers that keep shared state.
//!
//! Threads of a link domain have different priorities, so a lock that spins would let a driver spin for ever against a
//! worker that it has pre-empted. This one blocks: a count says whether anybody waits, and an event of the base image
//! hands the lock over. It costs two atomic additions when nobody competes. A lock is held for a bounded time only and
//! never across a call that may block.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::symbols::{strata_event_signal, strata_event_wait};

/// A value that one thread at a time reaches.
///
/// A module that has one imports `strata_event_wait` and `strata_event_signal`, and every lock has an event of its own.
pub struct Lock<T> {
    /// Threads that hold or want the lock.
    interested: AtomicU32,
    event: u32,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one thread at a time reach the value.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A free lock that hands over by `event`.
    #[must_use]
    pub const fn new(event: u32, value: T) -> Self {
        Self { interested: AtomicU32::new(0), event, value: UnsafeCell::new(value) }
    }

    /// Runs `body` with the value. Must not be nested in itself.
    pub fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        if self.interested.fetch_add(1, Ordering::Acquire) > 0 {
            // SAFETY: the base image's export takes any number.
            unsafe { strata_event_wait(self.event) };
        }
        let result = {
            // SAFETY: the count was 0, or the holder before handed over by the event; so nobody else is in here.
            let value = unsafe { &mut *self.value.get() };
            body(value)
        };
        if self.interested.fetch_sub(1, Ordering::Release) > 1 {
            // SAFETY: as for the wait.
            unsafe { strata_event_signal(self.event) };
        }
        result
    }
}
