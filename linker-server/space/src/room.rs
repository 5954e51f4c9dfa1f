//! The door to a large static: it opens once.
//!
//! The linker's tables are hundreds of KiB and live for ever. A [`Room`] keeps one in the image's zeroed
//! memory and hands out the only reference to it, once.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A static value that is taken once.
pub struct Room<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through the reference that `take` hands out, and it hands out one.
unsafe impl<T: Send> Sync for Room<T> {}

impl<T> Room<T> {
    /// A room with a value in it.
    pub const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value, the first time; none after.
    #[expect(clippy::mut_from_ref, reason = "the reference is made once: `taken` sees to it")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: `taken` was false until now and never becomes false again, so that this is the only
        // reference that is ever made.
        Some(unsafe { &mut *self.value.get() })
    }
}
