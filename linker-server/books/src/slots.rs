//! Which capability slots are taken: one bit for each slot of the linker server's CNode.

use crate::SLOTS_MAX;

const WORDS: usize = SLOTS_MAX / 64;

/// No run of free slots of this length is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfSlots(pub usize);

/// The book of slots. Slots below `first` belong to the root task's part and are never given out.
pub struct Slots {
    first: usize,
    hint: usize,
    taken: [u64; WORDS],
    count: usize,
}

impl Slots {
    /// A book in which every slot from `first` on is free.
    #[must_use]
    pub const fn new(first: usize) -> Self {
        Self { first, hint: first, taken: [0; WORDS], count: 0 }
    }

    /// Whether a slot is taken, as far as the book knows.
    #[must_use]
    pub const fn is_taken(&self, slot: usize) -> bool {
        slot < SLOTS_MAX && self.taken[slot / 64] & (1 << (slot % 64)) != 0
    }

    /// How many slots are taken.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Takes `count` neighbouring slots and returns the first. First fit, from where the last
    /// search ended.
    ///
    /// # Errors
    /// [`OutOfSlots`] when no such run is left.
    pub fn take_run(&mut self, count: usize) -> Result<usize, OutOfSlots> {
        let found = self
            .find(self.hint, SLOTS_MAX, count)
            .or_else(|| self.find(self.first, SLOTS_MAX, count))
            .ok_or(OutOfSlots(count))?;
        for slot in found..found + count {
            self.taken[slot / 64] |= 1 << (slot % 64);
        }
        self.count += count;
        self.hint = found + count;
        Ok(found)
    }

    /// Takes one slot.
    ///
    /// # Errors
    /// [`OutOfSlots`] when none is left.
    pub fn take(&mut self) -> Result<usize, OutOfSlots> {
        self.take_run(1)
    }

    /// Gives back `count` slots from `slot` on. Their capabilities are deleted.
    pub fn give_back(&mut self, slot: usize, count: usize) {
        for at in slot..slot + count {
            debug_assert!(self.is_taken(at), "the slot was taken");
            self.taken[at / 64] &= !(1 << (at % 64));
        }
        self.count -= count;
        self.hint = self.hint.min(slot);
    }

    fn find(&self, from: usize, to: usize, count: usize) -> Option<usize> {
        let mut run = 0;
        let mut slot = from;
        while slot < to {
            if slot.is_multiple_of(64) && self.taken[slot / 64] == u64::MAX {
                run = 0;
                slot += 64;
                continue;
            }
            run = if self.is_taken(slot) { 0 } else { run + 1 };
            slot += 1;
            if run == count {
                return Some(slot - count);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    //! Goal: a slot is never given out twice, and every slot comes back.
    use super::*;

    #[test]
    fn runs_do_not_overlap_and_come_back() {
        let mut slots = Slots::new(100);
        let a = slots.take_run(70).unwrap();
        let b = slots.take_run(2).unwrap();
        let c = slots.take().unwrap();
        assert_eq!((a, b, c), (100, 170, 172));
        assert_eq!(slots.count(), 73);
        slots.give_back(b, 2);
        assert_eq!(slots.take_run(3).unwrap(), 173, "the hole is too small");
        slots.give_back(a, 70);
        assert_eq!(slots.take_run(72).unwrap(), 100, "neighbouring holes are one");
        slots.give_back(100, 72);
        slots.give_back(c, 1);
        slots.give_back(173, 3);
        assert_eq!(slots.count(), 0);
    }

    #[test]
    fn all_slots_and_no_more() {
        let mut slots = Slots::new(16);
        for _ in 16..SLOTS_MAX {
            slots.take().unwrap();
        }
        assert_eq!(slots.take(), Err(OutOfSlots(1)));
        slots.give_back(SLOTS_MAX - 1, 1);
        assert_eq!(slots.take_run(2), Err(OutOfSlots(2)));
        assert_eq!(slots.take(), Ok(SLOTS_MAX - 1));
    }
}
