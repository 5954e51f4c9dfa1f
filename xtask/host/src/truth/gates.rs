//! Linker-owned text as a run has executed it: where its gates are.
//!
//! The plugin tells each word when it is translated, and so a stale word is told anew before it is executed. Words that
//! are not executed are not known, and may be those of somebody who had this place before: a gate counts only where the
//! word that is asked about is that gate's own.

use std::collections::BTreeMap;
use std::ops::Range;

use linker_core::Va;
use linker_core::text::{GATE_CALL_WORD, GATE_NOP_WORD, gate};
use linker_unwind::Place;

/// Where linker-owned text lies.
pub(super) const LINKER_TEXT: Range<u64> = 0x1200_0000..0x1300_0000;
/// The first words of a gate, which nothing else in this text begins with.
const BEGINNING: usize = 3;

/// The words of linker-owned text.
#[derive(Debug, Default)]
pub(super) struct Gates {
    words: BTreeMap<u64, u32>,
}

/// Whether a word is a branch, with or without link.
pub(super) const fn is_branch(word: u32) -> bool {
    word >> 26 & 0b1_1111 == 0b0_0101
}

impl Gates {
    /// A word is translated.
    pub(super) fn see(&mut self, at: u64, word: u32) {
        self.words.insert(at, word);
    }

    /// What stands at an address: a word of a gate, or of something that returns where its caller does.
    pub(super) fn place(&self, at: u64) -> Place<'static> {
        let Ok(pattern) = gate(Va(LINKER_TEXT.start), Va(LINKER_TEXT.start)) else { return Place::Thunk };
        let is = |start: u64, index: usize| {
            let word = self.words.get(&(start + index as u64 * 4)).copied();
            word.is_some_and(|word| match index {
                GATE_CALL_WORD => is_branch(word),
                GATE_NOP_WORD => is_branch(word) || word == pattern[index],
                _ => word == pattern[index],
            })
        };
        let holds = |index: &usize| {
            let start = at - *index as u64 * 4;
            (0..BEGINNING).all(|first| is(start, first)) && is(start, *index)
        };
        (0..pattern.len()).find(holds).map_or(Place::Thunk, Place::Gate)
    }
}

#[cfg(test)]
mod tests {
    //! Goal: a gate is known by its words as long as it stands, and no longer. Method: the words that linker-core writes.
    use super::*;
    use linker_core::Branch;
    use linker_core::text::{exit_branch, slot};

    const FIRST: u64 = LINKER_TEXT.start + 0x40;
    const SECOND: u64 = FIRST + 0x30;
    const FUNCTION: Va = Va(0x1300_0000);

    fn see(gates: &mut Gates, at: u64, words: &[u32]) {
        for (index, word) in words.iter().enumerate() {
            gates.see(at + index as u64 * 4, *word);
        }
    }

    fn two_gates() -> Gates {
        let mut gates = Gates::default();
        for at in [FIRST, SECOND] {
            see(&mut gates, at, &gate(Va(at), FUNCTION).unwrap());
        }
        gates
    }

    fn word(gates: &Gates, at: u64) -> Option<usize> {
        if let Place::Gate(word) = gates.place(at) { Some(word) } else { None }
    }

    #[test]
    fn every_word_of_a_gate_is_told() {
        let gates = two_gates();
        for at in [FIRST, SECOND] {
            for index in 0..12 {
                assert_eq!(word(&gates, at + index as u64 * 4), Some(index));
            }
        }
        assert_eq!(word(&gates, SECOND + 0x30), None);
    }

    #[test]
    fn gates_stay_known_when_one_gets_its_exit_branch() {
        let mut gates = two_gates();
        let branch = exit_branch(Va(SECOND), Va(LINKER_TEXT.start)).unwrap();
        gates.see(SECOND + GATE_NOP_WORD as u64 * 4, branch.bits());
        assert_eq!(word(&gates, FIRST + 9 * 4), Some(9));
        assert_eq!(word(&gates, SECOND + 5 * 4), Some(5));
        assert_eq!(word(&gates, SECOND + GATE_NOP_WORD as u64 * 4), Some(GATE_NOP_WORD));
    }

    #[test]
    fn what_has_come_to_the_place_of_a_gate_is_no_gate() {
        let mut gates = two_gates();
        // Slots, of which one word is executed; the gate's beginning is still remembered.
        for place in [1, 2] {
            let at = FIRST + place * 16;
            gates.see(at, slot(Branch::encode(Va(at), FUNCTION, false).unwrap())[0]);
            assert_eq!(word(&gates, at), None);
        }
    }
}
