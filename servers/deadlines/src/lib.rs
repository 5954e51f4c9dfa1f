//! Who sleeps until when.
//!
//! The timer server answers a sleeping client through a saved reply capability. This crate keeps the slots of those
//! capabilities and the times; it knows neither a clock nor the kernel.
#![no_std]
#![forbid(unsafe_code)]

use heapless::Vec;
use strata_protocol::timer::SLEEPERS_MAX;

/// A client that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Sleeper {
    reply_slot: u64,
    until: u64,
}

/// The sleeping clients, and slots for the reply capabilities of as many more as there may be.
#[derive(Debug)]
pub struct Sleepers {
    sleeping: Vec<Sleeper, SLEEPERS_MAX>,
    free: Vec<u64, SLEEPERS_MAX>,
}

impl Sleepers {
    /// Nobody sleeps yet; there are as many places as slots, at most [`SLEEPERS_MAX`].
    #[must_use]
    pub fn new(slots: impl Iterator<Item = u64>) -> Self {
        Self { sleeping: Vec::new(), free: slots.take(SLEEPERS_MAX).collect() }
    }

    /// An empty slot for the reply capability of the next sleeper.
    #[must_use]
    pub fn place(&self) -> Option<u64> {
        self.free.last().copied()
    }

    /// The client whose reply capability went into the slot that [`Self::place`] named sleeps until then.
    pub fn add(&mut self, reply_slot: u64, until: u64) {
        let place = self.free.pop();
        assert!(place == Some(reply_slot), "the slot is the one that `place` named");
        let added = self.sleeping.push(Sleeper { reply_slot, until });
        assert!(added.is_ok(), "there are as many places as slots");
    }

    /// Takes out who has slept longest beyond its time; the caller uses up its reply capability.
    pub fn due(&mut self, now: u64) -> Option<u64> {
        let (index, first) = self.sleeping.iter().enumerate().min_by_key(|(_, sleeper)| sleeper.until)?;
        if first.until > now {
            return None;
        }
        let sleeper = self.sleeping.swap_remove(index);
        let returned = self.free.push(sleeper.reply_slot);
        assert!(returned.is_ok(), "there are as many places as slots");
        Some(sleeper.reply_slot)
    }

    /// When the next one wakes, 0 for never.
    #[must_use]
    pub fn earliest(&self) -> u64 {
        self.sleeping.iter().map(|sleeper| sleeper.until).min().unwrap_or(0)
    }
}

/// The earlier of two times where 0 means none.
#[must_use]
pub const fn earlier(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, time) | (time, 0) => time,
        (one, other) if one < other => one,
        (_, other) => other,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec as StdVec;

    #[test]
    fn sleepers_wake_in_the_order_of_their_times() {
        let mut sleepers = Sleepers::new(100..);
        for until in [300, 100, 200] {
            let place = sleepers.place().unwrap();
            sleepers.add(place, until);
        }
        assert_eq!((sleepers.earliest(), sleepers.due(99)), (100, None));
        let woken: StdVec<_> = core::iter::from_fn(|| sleepers.due(250)).collect();
        // Places are taken from the end: 115, 114, 113.
        assert_eq!((woken, sleepers.earliest()), (std::vec![114, 113], 300));
    }

    #[test]
    fn one_too_many_has_no_place_until_somebody_wakes() {
        let mut sleepers = Sleepers::new(100..);
        let mut slots = std::collections::BTreeSet::new();
        while let Some(place) = sleepers.place() {
            assert!(slots.insert(place), "a slot is given once");
            sleepers.add(place, 7);
        }
        assert_eq!(slots.len(), SLEEPERS_MAX);
        let woken = sleepers.due(7).unwrap();
        assert_eq!(sleepers.place(), Some(woken));
    }

    #[test]
    #[should_panic(expected = "the slot is the one")]
    fn a_slot_that_was_not_named_is_a_defect() {
        Sleepers::new(100..).add(1, 1);
    }

    #[test]
    fn none_is_later_than_any_time() {
        assert_eq!(
            [earlier(0, 0), earlier(0, 5), earlier(5, 0), earlier(5, 6), earlier(6, 5)],
            [0, 5, 5, 5, 5]
        );
    }
}
