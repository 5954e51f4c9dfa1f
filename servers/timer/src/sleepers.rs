//! Who sleeps until when.

use heapless::Vec;
use strata_protocol::timer::SLEEPERS_MAX;
use strata_runtime::slots::Slots;

/// A client that waits for its answer.
#[derive(Clone, Copy)]
struct Sleeper {
    reply_slot: u64,
    until: u64,
}

/// The sleeping clients, and slots for the reply capabilities of as many more as there may be.
pub(crate) struct Sleepers {
    sleeping: Vec<Sleeper, SLEEPERS_MAX>,
    free: Vec<u64, SLEEPERS_MAX>,
}

impl Sleepers {
    /// Nobody sleeps yet.
    pub(crate) fn new(slots: &mut Slots) -> Self {
        let free = core::iter::from_fn(|| slots.take()).take(SLEEPERS_MAX).collect();
        Self { sleeping: Vec::new(), free }
    }

    /// An empty slot for the next sleeper.
    pub(crate) fn place(&self) -> Option<u64> {
        self.free.last().copied()
    }

    /// The client whose reply capability went into [`Self::place`]'s slot sleeps until then.
    pub(crate) fn add(&mut self, reply_slot: u64, until: u64) {
        let place = self.free.pop();
        assert!(place == Some(reply_slot), "the slot is the one that `place` named");
        let added = self.sleeping.push(Sleeper { reply_slot, until });
        assert!(added.is_ok(), "there are as many places as slots");
    }

    /// Takes out somebody who has slept long enough.
    pub(crate) fn due(&mut self, now: u64) -> Option<u64> {
        let index = self.sleeping.iter().position(|sleeper| sleeper.until <= now)?;
        let sleeper = self.sleeping.swap_remove(index);
        let returned = self.free.push(sleeper.reply_slot);
        assert!(returned.is_ok(), "there are as many places as slots");
        Some(sleeper.reply_slot)
    }

    /// When the next one wakes, 0 for never.
    pub(crate) fn earliest(&self) -> u64 {
        self.sleeping.iter().map(|sleeper| sleeper.until).min().unwrap_or(0)
    }
}
