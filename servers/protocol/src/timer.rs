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
/// The linker server stores a time and signals the timer server, unless that one looks at the page before that time
/// anyway; when the counter has passed it, the timer server clears the slot and signals the linker server's notification. A
/// slot's time is in ticks; 0 is none.
///
/// No deadline is overlooked: the linker server stores it and then reads when the timer server wakes; the timer server says
/// that it does not know, reads the deadlines, and then says when it wakes. All of these are of one order (sequentially
/// consistent), so that either the deadline is read, or the linker server has seen "does not know" or the time that follows.
#[repr(C)]
#[derive(Debug, Default)]
pub struct DeadlinePage {
    slots: [AtomicU64; DEADLINES_MAX],
    /// When the timer server looks at the slots next, 0 while it may not.
    wakes: AtomicU64,
}

impl DeadlinePage {
    /// Sets a deadline. Called by the linker server, which signals the timer server if this says that it must.
    #[must_use]
    pub fn set(&self, slot: usize, ticks: u64) -> bool {
        self.slots[slot].store(ticks, Ordering::SeqCst);
        let wakes = self.wakes.load(Ordering::SeqCst);
        wakes == 0 || wakes > ticks
    }

    /// Takes a deadline away. The timer server may still signal for it once.
    pub fn clear(&self, slot: usize) {
        self.slots[slot].store(0, Ordering::SeqCst);
    }

    /// Says when the timer server looks next. Called by the timer server: with 0 before it reads the deadlines, and with the
    /// time that its timer is set to (0 for none) afterwards.
    pub fn wakes_at(&self, ticks: u64) {
        self.wakes.store(ticks, Ordering::SeqCst);
    }

    /// The time in a slot, 0 for none.
    #[must_use]
    pub fn get(&self, slot: usize) -> u64 {
        self.slots[slot].load(Ordering::SeqCst)
    }

    /// Clears every deadline that has passed at `now`; whether there was one. Called by the timer server.
    pub fn expire(&self, now: u64) -> bool {
        let mut expired = false;
        for slot in &self.slots {
            let ticks = slot.load(Ordering::SeqCst);
            // A deadline that changes in between stays: it is a new one.
            if ticks != 0 && ticks <= now {
                expired |= slot.compare_exchange(ticks, 0, Ordering::SeqCst, Ordering::Relaxed).is_ok();
            }
        }
        expired
    }

    /// The earliest deadline, 0 for none.
    #[must_use]
    pub fn earliest(&self) -> u64 {
        self.slots
            .iter()
            .map(|slot| slot.load(Ordering::SeqCst))
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
        assert!(page.set(0, 50) && page.set(7, 40), "nobody knows when the timer server looks");
        assert_eq!(page.earliest(), 40);
        assert!(page.expire(45));
        assert_eq!((page.get(7), page.earliest()), (0, 50));
        assert!(!page.expire(49) && page.expire(50) && page.earliest() == 0);
    }

    /// The steps of both sides in every order: the deadline is read, or signalled, or the timer server wakes before it.
    #[test]
    fn no_deadline_is_overlooked() {
        // The bits of an order say whose step is next: three of the timer server, two of the linker server.
        for order in (0..32_u32).filter(|order| order.count_ones() == 2) {
            for (deadline, other, before) in
                [(50, 0, 0), (50, 40, 0), (50, 60, 0), (50, 40, 70), (50, 60, 30)]
            {
                let page = DeadlinePage::default();
                page.slots[1].store(other, Ordering::SeqCst);
                page.wakes_at(before);
                let (mut asked, mut looked, mut next, mut signalled) = (0, 0, 0, false);
                for step in 0..5 {
                    if order & 1 << step != 0 {
                        match asked {
                            0 => page.slots[0].store(deadline, Ordering::SeqCst),
                            _ => {
                                let wakes = page.wakes.load(Ordering::SeqCst);
                                signalled = wakes == 0 || wakes > deadline;
                            }
                        }
                        asked += 1;
                    } else {
                        match looked {
                            0 => page.wakes_at(0),
                            1 => next = page.earliest(),
                            _ => page.wakes_at(next),
                        }
                        looked += 1;
                    }
                }
                assert!(
                    signalled || (next != 0 && next <= deadline),
                    "{order:05b}: {deadline} {other} {before}"
                );
            }
        }
        let page = DeadlinePage::default();
        page.wakes_at(40);
        assert!(!page.set(0, 40) && !page.set(1, 50) && page.set(2, 39));
    }
}
