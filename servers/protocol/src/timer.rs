//! The timer server: clocks and deadlines.

use core::sync::atomic::{AtomicU64, Ordering};

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// A request to the timer server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request {
    /// The time since boot.
    Now,
    /// Answer after this many microseconds; at most [`SLEEP_US_MAX`].
    Sleep {
        /// How long.
        microseconds: u64,
    },
}

/// The longest sleep: one hour.
pub const SLEEP_US_MAX: u64 = 3_600_000_000;
/// Sleepers at once; one more is refused with EBUSY.
pub const SLEEPERS_MAX: usize = 16;

/// An answer of the timer server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Reply {
    /// The time: now, or at the end of the sleep.
    Time {
        /// Ticks of the counter (CNTVCT_EL0).
        ticks: u64,
        /// Ticks a second (CNTFRQ_EL0).
        frequency: u64,
    },
    /// No.
    Refused(crate::Refusal),
}

/// Microseconds in this many ticks, without overflow for as long as the counter runs.
#[must_use]
pub const fn to_microseconds(ticks: u64, frequency: u64) -> u64 {
    let (seconds, rest) = (ticks / frequency, ticks % frequency);
    seconds * 1_000_000 + rest * 1_000_000 / frequency
}

/// Ticks in this many microseconds, rounded up: a sleep is never too short.
#[must_use]
pub const fn to_ticks(microseconds: u64, frequency: u64) -> u64 {
    let (seconds, rest) = (microseconds / 1_000_000, microseconds % 1_000_000);
    seconds * frequency + (rest * frequency).div_ceil(1_000_000)
}

/// Deadlines of the linker server at once.
pub const DEADLINES_MAX: usize = 8;

/// The page through which the linker server sets deadlines without ever waiting for the timer server.
///
/// The linker server stores a time and signals the timer server; when the counter has passed it, the timer server
/// clears the slot and signals the linker server's notification. A slot's time is in ticks; 0 is none.
#[repr(C)]
#[derive(Debug, Default)]
pub struct DeadlinePage {
    slots: [AtomicU64; DEADLINES_MAX],
}

impl DeadlinePage {
    /// Sets or (with 0) clears a deadline. Called by the linker server, which then signals the timer server.
    pub fn set(&self, slot: usize, ticks: u64) {
        self.slots[slot].store(ticks, Ordering::Release);
    }

    /// The time in a slot, 0 for none.
    #[must_use]
    pub fn get(&self, slot: usize) -> u64 {
        self.slots[slot].load(Ordering::Acquire)
    }

    /// Clears every deadline that has passed at `now`; whether there was one. Called by the timer server.
    pub fn expire(&self, now: u64) -> bool {
        let mut expired = false;
        for slot in &self.slots {
            let ticks = slot.load(Ordering::Acquire);
            // A deadline that changes in between stays: it is a new one.
            if ticks != 0 && ticks <= now {
                expired |= slot.compare_exchange(ticks, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            }
        }
        expired
    }

    /// The earliest deadline, 0 for none.
    #[must_use]
    pub fn earliest(&self) -> u64 {
        self.slots
            .iter()
            .map(|slot| slot.load(Ordering::Acquire))
            .filter(|ticks| *ticks != 0)
            .min()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_never_too_short() {
        for frequency in [19_200_000, 54_000_000, 62_500_000, 1_000_000_000, 32_768] {
            for microseconds in [0, 1, 7, 999_999, 1_000_001, SLEEP_US_MAX] {
                let ticks = to_ticks(microseconds, frequency);
                assert!(to_microseconds(ticks, frequency) >= microseconds);
                assert!(ticks == 0 || to_microseconds(ticks - 1, frequency) < microseconds.max(1));
            }
        }
    }

    #[test]
    fn deadlines_pass_one_by_one() {
        let page = DeadlinePage::default();
        assert_eq!((page.earliest(), page.expire(100)), (0, false));
        page.set(0, 50);
        page.set(7, 40);
        assert_eq!(page.earliest(), 40);
        assert!(page.expire(45));
        assert_eq!((page.get(7), page.earliest()), (0, 50));
        assert!(!page.expire(49) && page.expire(50) && page.earliest() == 0);
    }
}
