//! The patch and cache protocol: one word of a call site and a veneer that must be complete before it is reachable.
//!
//! The linker writes through a data cache; a core executes from its pipeline, which is filled from its instruction
//! cache, which is filled from the point of unification. Lines may be written back and fetched at any time without
//! anybody asking. Cache operations complete at some later moment unless a barrier waits for them. QEMU shows none of
//! this, so the order of operations is checked here.

use crate::explore::Model;
use crate::mutant::Mutant;

/// Which word, in an order in which it may become visible: the veneer belongs to the new branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Word {
    Old,
    New,
}

/// Both words of one place in the memory system: the veneer and the branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Line {
    veneer: Word,
    branch: Word,
}

const OLD: Line = Line { veneer: Word::Old, branch: Word::Old };

/// What a core has of a word: nothing, or a copy.
type Copied = Option<Word>;

/// A core that executes the call site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Core {
    cached: [Copied; 2],
    pipeline: [Copied; 2],
    /// An invalidation is on its way.
    invalidating: [bool; 2],
}

/// What the linker does, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    /// Stores the new word: veneer 0, branch 1.
    Store(usize),
    /// DC CVAU of the word's line.
    Clean(usize),
    /// IC IVAU of the word's line.
    Invalidate(usize),
    /// DSB ISH: waits until cleans and invalidations are complete.
    Barrier,
    /// Context synchronisation of a core.
    Synchronise(usize),
    /// The grace is over.
    GraceOver,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The linker's data cache.
    data: Line,
    /// The point of unification.
    unified: Line,
    cleaning: [bool; 2],
    cores: [Core; 2],
    next: usize,
    /// A core has executed the old branch behind the grace.
    late: bool,
    /// A core has executed the new branch and found no veneer.
    lost: bool,
}

/// The model, as designed or with one mutation.
#[derive(Clone, Copy, Debug)]
pub struct Cache(pub Option<Mutant>);

impl Cache {
    fn is(self, mutant: Mutant) -> bool {
        self.0 == Some(mutant)
    }

    /// One word, published.
    fn publish(self, word: usize) -> Vec<Operation> {
        let mut operations = vec![Operation::Store(word)];
        if !self.is(Mutant::NoClean) {
            operations.push(Operation::Clean(word));
        }
        if !self.is(Mutant::NoBarrierBehindClean) {
            operations.push(Operation::Barrier);
        }
        if !self.is(Mutant::NoInvalidate) {
            operations.push(Operation::Invalidate(word));
        }
        if !self.is(Mutant::NoBarrierBehindInvalidate) {
            operations.push(Operation::Barrier);
        }
        operations
    }

    fn program(self) -> Vec<Operation> {
        let (veneer, branch) = (self.publish(0), self.publish(1));
        let synchronise = |cores: usize| (0..cores).map(Operation::Synchronise);
        let mut program = Vec::new();
        match self.0 {
            Some(Mutant::VeneerAfterBranch) => {
                program.extend(branch.into_iter().chain(synchronise(2)).chain(veneer));
            }
            // Both stored, then both made visible: the branch may be seen first.
            Some(Mutant::VeneerPublishedWithBranch) => {
                program.extend([&veneer[..1], &branch[..1], &veneer[1..], &branch[1..]].concat());
            }
            Some(Mutant::NoGraceBehindVeneer) => program.extend(veneer.into_iter().chain(branch)),
            _ => program.extend(veneer.into_iter().chain(synchronise(2)).chain(branch)),
        }
        let cores = if self.is(Mutant::OneCoreNotSynchronised) { 1 } else { 2 };
        program.extend(synchronise(cores));
        program.push(Operation::GraceOver);
        program
    }

    fn linker_step(self, state: &State) -> Option<(String, State)> {
        let operation = *self.program().get(state.next)?;
        let mut after = state.clone();
        after.next += 1;
        match operation {
            Operation::Store(0) => after.data.veneer = Word::New,
            Operation::Store(_) => after.data.branch = Word::New,
            Operation::Clean(word) => after.cleaning[word] = true,
            Operation::Invalidate(word) => {
                for (number, core) in after.cores.iter_mut().enumerate() {
                    // Through another virtual address a virtually indexed cache keeps the line that executes.
                    let elsewhere = self.is(Mutant::InvalidateByOtherAddress);
                    let reaches = !(elsewhere || self.is(Mutant::InvalidateLocally) && number == 1);
                    core.invalidating[word] = reaches;
                }
            }
            Operation::Barrier => {
                let pending = |core: &Core| core.invalidating != [false; 2];
                if state.cleaning != [false; 2] || state.cores.iter().any(pending) {
                    return None;
                }
            }
            Operation::Synchronise(core) => after.cores[core].pipeline = [None; 2],
            Operation::GraceOver => {}
        }
        Some((format!("linker {operation:?}"), after))
    }

    fn memory_steps(state: &State, out: &mut Vec<(String, State)>) {
        for word in 0..2 {
            let name = ["veneer", "branch"][word];
            // A cleaning completes; or the line is written back because its place is needed.
            let mut after = state.clone();
            after.cleaning[word] = false;
            if word == 0 {
                after.unified.veneer = state.data.veneer;
            } else {
                after.unified.branch = state.data.branch;
            }
            if after != *state {
                out.push((format!("the {name}'s line is written back"), after));
            }
            for core in 0..2 {
                if state.cores[core].invalidating[word] {
                    let mut after = state.clone();
                    after.cores[core].invalidating[word] = false;
                    after.cores[core].cached[word] = None;
                    out.push((format!("core {core} drops the {name}'s line"), after));
                }
            }
        }
    }

    fn fetch(state: &mut State, core: usize, word: usize) -> Word {
        let unified = if word == 0 { state.unified.veneer } else { state.unified.branch };
        let core = &mut state.cores[core];
        let cached = *core.cached[word].get_or_insert(unified);
        *core.pipeline[word].get_or_insert(cached)
    }

    fn core_steps(self, state: &State, core: usize, out: &mut Vec<(String, State)>) {
        for (word, name) in ["veneer", "branch"].into_iter().enumerate() {
            let mut after = state.clone();
            Self::fetch(&mut after, core, word);
            if after != *state {
                out.push((format!("core {core} fetches the {name} ahead"), after));
            }
        }
        let mut after = state.clone();
        if Self::fetch(&mut after, core, 1) == Word::Old {
            after.late = state.next == self.program().len();
        } else {
            // What nobody could reach may have been fetched ahead all the same.
            after.lost = Self::fetch(&mut after, core, 0) == Word::Old;
        }
        after.cores[core].pipeline[1] = None;
        if after != *state {
            out.push((format!("core {core} executes the call"), after));
        }
    }
}

impl Model for Cache {
    type State = State;

    fn initial(&self) -> State {
        // Everybody has executed the old branch; nobody could reach the veneer.
        let core = Core { cached: [None, Some(Word::Old)], pipeline: [None; 2], invalidating: [false; 2] };
        State {
            data: OLD,
            unified: OLD,
            cleaning: [false; 2],
            cores: [core; 2],
            next: 0,
            late: false,
            lost: false,
        }
    }

    fn steps(&self, state: &State) -> Vec<(String, State)> {
        let mut out: Vec<_> = self.linker_step(state).into_iter().collect();
        Self::memory_steps(state, &mut out);
        for core in 0..2 {
            self.core_steps(state, core, &mut out);
        }
        out
    }

    fn wrong(&self, state: &State) -> Option<&'static str> {
        if state.late {
            return Some("a core executes the old branch behind the grace");
        }
        state.lost.then_some("a core executes the new branch and finds no veneer")
    }

    fn is_end(&self, state: &State) -> bool {
        state.next == self.program().len()
    }
}
