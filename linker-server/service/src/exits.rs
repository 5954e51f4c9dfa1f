//! The last exit from a leaving module tells of itself: its gates signal the linker server.
//!
//! A gate's epilogue holds a NOP from birth, behind the pop of its record. While the module is out of its stacks that
//! word is a branch to the exit tail, which signals and returns; so threads that were inside before signal, too. Both
//! words may be stored over each other while they are executed (Arm ARM B2.2.5). A thread in the tail is outside: the
//! tail belongs to nobody.

use crate::linker::{Linker, text};
use linker_core::text::{GATE_NOP_WORD, NOP, exit_branch};
use linker_core::{Event, ModuleId, Step, TextSpace, Va};
use linker_space::domain::EXIT_TAIL_AT;

impl Linker<'_> {
    /// Has the gates of a module signal each exit if it is out of its stacks, and be quiet if it is in them.
    pub fn tell_exits(&mut self, module: ModuleId) {
        if self.link.gates(module).next().is_none() {
            return;
        }
        let tell = self.link.module(module).is_ok_and(|module| !module.linked());
        let mut text = text!(self);
        for gate in self.link.gates(module) {
            let branch = exit_branch(gate, Va(EXIT_TAIL_AT)).map_or(NOP, |branch| branch.bits());
            let (at, word) = (gate.plus(GATE_NOP_WORD as u64 * 4), if tell { branch } else { NOP });
            // Without it the timer finds the exit a little later.
            if text.read(at) != Some(word) && text.write(at, word).is_err() {
                defmt::error!("a gate at {=u64:#x} cannot be changed", gate.0);
            }
        }
        text.publish();
    }

    /// Somebody may have left: looks again if that is waited for.
    pub fn exited(&mut self) {
        if self.transaction.current() == Some(Step::Drain) {
            self.tell(Event::LookAgain);
        }
    }
}
