//! What the exception-handling layer remembers: errors of threads, and regions that fault too often.
//!
//! An error is kept for each pair of thread and region until the thread asks for it; only the thread itself reads and
//! writes its row, so nothing is shared on the way of an access. A region is one device, by its number.

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use crate::windows::WINDOWS_MAX;

/// Threads that have a row; those with higher numbers share the last.
pub const THREADS_MAX: usize = 20;
/// Regions that are told apart; handles outside every device share the last.
pub const REGIONS_MAX: usize = WINDOWS_MAX + 1;
/// Retries of one access at most, whatever is asked for.
pub const RETRIES_MAX: u32 = 16;
/// Retries of one access at the start.
pub const RETRIES: u32 = 2;
/// Faults after which a region is quarantined at the start; 0 is never.
pub const QUARANTINE_AFTER: u32 = 8;

/// What CONTROL's first word asks of the layer.
pub mod control {
    /// Retries a faulting single access word 1 times.
    pub const RETRIES: u64 = 1;
    /// Quarantines a region after word 1 faults; 0 is never.
    pub const QUARANTINE_AFTER: u64 = 2;
    /// Takes region word 1 out of quarantine and forgets its faults.
    pub const LIFT: u64 = 3;
    /// Word 1 non-zero: waits for each write to be complete, so that its error belongs to it.
    pub const SYNCHRONISE: u64 = 4;
}

/// One device's record.
#[derive(Debug)]
struct Region {
    /// Faults since the last lift, after retries.
    faults: AtomicU32,
    quarantined: AtomicU32,
}

/// The layer's memory.
#[derive(Debug)]
pub struct Exceptions {
    errors: [[AtomicI32; REGIONS_MAX]; THREADS_MAX],
    regions: [Region; REGIONS_MAX],
    retries: AtomicU32,
    quarantine_after: AtomicU32,
    /// Regions in quarantine: an access looks at its region only if there is one.
    quarantined: AtomicU32,
    faults: AtomicU64,
    retried: AtomicU64,
    refused: AtomicU64,
}

/// Counters of the layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Accesses that failed after their retries.
    pub faults: u64,
    /// Retries.
    pub retried: u64,
    /// Accesses to a quarantined region that were not carried out.
    pub refused: u64,
    /// Regions in quarantine.
    pub quarantined: u32,
}

impl Exceptions {
    /// Nothing remembered.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            errors: [const { [const { AtomicI32::new(0) }; REGIONS_MAX] }; THREADS_MAX],
            regions: [const { Region { faults: AtomicU32::new(0), quarantined: AtomicU32::new(0) } };
                REGIONS_MAX],
            retries: AtomicU32::new(RETRIES),
            quarantine_after: AtomicU32::new(QUARANTINE_AFTER),
            quarantined: AtomicU32::new(0),
            faults: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Whether any region is in quarantine: the one question on the way of every access.
    #[inline]
    #[must_use]
    pub fn any_quarantined(&self) -> bool {
        self.quarantined.load(Ordering::Relaxed) != 0
    }

    /// Whether an access to `device` must not be carried out; counts it if so and keeps its error.
    pub fn refuses(&self, thread: u32, device: u32, error: i32) -> bool {
        let region = region_of(device);
        if self.regions[region].quarantined.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.errors[row_of(thread)][region].store(error, Ordering::Relaxed);
        true
    }

    /// How often a faulting access is repeated.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Counts one repetition.
    pub fn count_retry(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps the error of an access that failed for good; quarantines its region if that was one too many.
    pub fn keep(&self, thread: u32, device: u32, error: i32) {
        let index = region_of(device);
        self.errors[row_of(thread)][index].store(error, Ordering::Relaxed);
        self.faults.fetch_add(1, Ordering::Relaxed);
        let region = &self.regions[index];
        let faults = region.faults.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let after = self.quarantine_after.load(Ordering::Relaxed);
        if after != 0 && faults >= after && region.quarantined.swap(1, Ordering::Relaxed) == 0 {
            self.quarantined.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The last error of `thread` on `device`, and forgets it.
    pub fn take(&self, thread: u32, device: u32) -> i32 {
        self.errors[row_of(thread)][region_of(device)].swap(0, Ordering::Relaxed)
    }

    /// Sets how often a faulting access is repeated, at most [`RETRIES_MAX`] times.
    pub fn set_retries(&self, retries: u32) {
        self.retries.store(retries.min(RETRIES_MAX), Ordering::Relaxed);
    }

    /// Sets after how many faults a region is quarantined; 0 is never.
    pub fn set_quarantine_after(&self, faults: u32) {
        self.quarantine_after.store(faults, Ordering::Relaxed);
    }

    /// Takes a device out of quarantine and forgets its faults.
    pub fn lift(&self, device: u32) {
        let region = &self.regions[region_of(device)];
        region.faults.store(0, Ordering::Relaxed);
        if region.quarantined.swap(0, Ordering::Relaxed) == 1 {
            self.quarantined.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            faults: self.faults.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            quarantined: self.quarantined.load(Ordering::Relaxed),
        }
    }
}

impl Default for Exceptions {
    fn default() -> Self {
        Self::new()
    }
}

fn region_of(device: u32) -> usize {
    usize::try_from(device).unwrap_or(usize::MAX).min(REGIONS_MAX - 1)
}

fn row_of(thread: u32) -> usize {
    usize::try_from(thread).unwrap_or(usize::MAX).min(THREADS_MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::{Exceptions, QUARANTINE_AFTER, REGIONS_MAX};

    #[test]
    fn an_error_belongs_to_one_thread_and_region_and_is_read_once() {
        let exceptions = Exceptions::new();
        exceptions.keep(1, 2, 14);
        assert_eq!((exceptions.take(1, 3), exceptions.take(2, 2)), (0, 0));
        assert_eq!((exceptions.take(1, 2), exceptions.take(1, 2)), (14, 0));
    }

    #[test]
    fn a_region_that_faults_too_often_is_left_alone_until_it_is_lifted() {
        let exceptions = Exceptions::new();
        for _ in 1..QUARANTINE_AFTER {
            exceptions.keep(0, 2, 14);
        }
        assert!(!exceptions.any_quarantined() && !exceptions.refuses(0, 2, 14));
        exceptions.keep(5, 2, 14);
        assert!(
            exceptions.any_quarantined() && exceptions.refuses(0, 2, 14) && !exceptions.refuses(0, 1, 14)
        );
        assert_eq!((exceptions.counters().refused, exceptions.counters().quarantined), (1, 1));
        exceptions.lift(2);
        assert!(!exceptions.any_quarantined() && !exceptions.refuses(0, 2, 14));
        exceptions.set_quarantine_after(0);
        (0..100).for_each(|_| exceptions.keep(0, 2, 14));
        assert!(!exceptions.any_quarantined());
    }

    #[test]
    fn numbers_that_are_too_high_share_the_last_row() {
        let exceptions = Exceptions::new();
        exceptions.keep(u32::MAX, u32::MAX, 5);
        assert_eq!(exceptions.take(99, u32::try_from(REGIONS_MAX).unwrap()), 5);
    }
}
