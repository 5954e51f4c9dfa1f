//! A lock for layers that keep shared state.
//!
//! Threads of a link domain have different priorities, so a lock that spins would let a driver spin for ever against a
//! worker that it has pre-empted. This one blocks: a count says whether anybody waits, and an event of the base image
//! hands the lock over. It costs two atomic additions when nobody competes. A lock is held for a bounded time only and
//! never across a call that may block.
//!
//! Two things happen in a link domain that other locks need not know. A layer that holds its lock calls the layer below,
//! which may call the top of the stack again: [`Lock::with`] then answers `None`, and the nested call passes through.
//! And a server that faults while it holds the lock is started again from its entry: it then *inherits* the lock.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::symbols::{strata_event_signal, strata_event_wait};
use crate::thread;

/// A value that one thread at a time reaches.
///
/// A module that has one imports `strata_event_wait` and `strata_event_signal`, and every lock has an event of its own.
pub struct Lock<T> {
    door: Door,
    value: UnsafeCell<T>,
}

/// The lock without its value.
struct Door {
    /// Threads that hold or want the lock.
    interested: AtomicU32,
    /// The holder's thread number plus one, or 0.
    owner: AtomicU32,
    event: u32,
    /// The run of the holder's thread in which it took the lock.
    run: AtomicU32,
}

// SAFETY: `with` lets one thread at a time reach the value.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A free lock that hands over by `event`.
    #[must_use]
    pub const fn new(event: u32, value: T) -> Self {
        Self {
            door: Door {
                interested: AtomicU32::new(0),
                owner: AtomicU32::new(0),
                event,
                run: AtomicU32::new(0),
            },
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `body` with the value; `None` if this thread is in a `with` of this lock already.
    #[inline]
    pub fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> Option<R> {
        if !self.door.take() {
            return None;
        }
        let result = {
            // SAFETY: the door is taken, so nobody else is in here until it is given back.
            let value = unsafe { &mut *self.value.get() };
            body(value)
        };
        self.door.give_back();
        Some(result)
    }
}

impl Door {
    /// Waits until nobody is inside; `false` if this thread is.
    #[inline(never)]
    fn take(&self) -> bool {
        let me = thread::id() + 1;
        if self.owner.load(Ordering::Relaxed) == me {
            if self.run.load(Ordering::Relaxed) == thread::run() {
                return false;
            }
            // This thread was started again while it held the lock: the count still includes it.
        } else if self.interested.fetch_add(1, Ordering::Acquire) > 0 {
            // SAFETY: the base image's export takes any number.
            unsafe { strata_event_wait(self.event) };
        }
        // The count was 0, or the holder before handed over by the event, or this thread inherited: it is the owner.
        self.owner.store(me, Ordering::Relaxed);
        self.run.store(thread::run(), Ordering::Relaxed);
        true
    }

    #[inline(never)]
    fn give_back(&self) {
        self.owner.store(0, Ordering::Relaxed);
        if self.interested.fetch_sub(1, Ordering::Release) > 1 {
            // SAFETY: as for the wait.
            unsafe { strata_event_signal(self.event) };
        }
    }
}
