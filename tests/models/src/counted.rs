//! Counted bindings: the drain of a module whose entries are gates that keep records on shadow stacks.
//!
//! Two threads on two cores call a symbol again and again while the linker takes a layer out: it re-points the call
//! site, waits for the grace, and then reads registers, shadow stack and registers again of each thread, which runs
//! on meanwhile. Nothing may be freed under a thread that executes in the module, in its gate or in a veneer to it, or
//! that will return there.

use crate::explore::Model;
use crate::mutant::Mutant;

/// Where a thread executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Pc {
    /// Not created yet.
    Unborn,
    /// In the caller, before its call.
    Outside,
    /// In a veneer that leads to the gate.
    Veneer,
    /// In the gate, before the record is pushed.
    GateIn,
    /// In the gate of a design that counts for each core: the count has been loaded and not yet stored.
    GateCounts,
    /// In the module's text.
    Module,
    /// In the layer below, called by the module.
    Below,
    /// Back in the gate, record still there.
    GateOut,
    /// In the gate behind the pop, before `ret`.
    GateTail,
}

/// A thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Thread {
    pc: Pc,
    /// Its shadow stack names the gate.
    record: bool,
    /// It came in by a call that went past the gate.
    past_gate: bool,
    core: usize,
    /// A core's count on its way from load to store: the core and the value.
    loaded: (usize, i8),
}

/// How far the linker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Linker {
    Start,
    Relinked,
    /// Looks at a thread: the number, and which of the reads comes next.
    Look {
        thread: usize,
        read: usize,
    },
    Drained,
    Freed,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The call site leads to the layer below.
    relinked: bool,
    /// The call site leads through the gate (and not past it).
    gated: bool,
    /// Cores that may still hold the old instruction.
    stale: [bool; 2],
    threads: [Thread; 2],
    /// Threads that the linker will look at.
    list: Option<[bool; 2]>,
    counts: [i8; 2],
    linker: Linker,
}

/// The model, as designed or with one mutation.
#[derive(Clone, Copy, Debug)]
pub struct Counted(pub Option<Mutant>);

impl Counted {
    fn is(self, mutant: Mutant) -> bool {
        self.0 == Some(mutant)
    }

    /// What one read of the linker tells: whether it sees the thread inside.
    fn sees(self, state: &State, thread: Thread, read: Read) -> bool {
        match read {
            Read::Registers => match thread.pc {
                Pc::Module => !self.is(Mutant::CountInsideModule),
                Pc::Veneer => !self.is(Mutant::VeneerIsOutside),
                Pc::GateIn | Pc::GateCounts | Pc::GateOut | Pc::GateTail => !self.is(Mutant::GateIsOutside),
                Pc::Unborn | Pc::Outside | Pc::Below => false,
            },
            Read::Records if self.is(Mutant::CountForEachCore) => state.counts.iter().any(|count| *count > 0),
            Read::Records => thread.record,
        }
    }

    fn reads(self) -> &'static [Read] {
        match self.0 {
            Some(Mutant::RegistersOnceBefore) => &[Read::Registers, Read::Records],
            Some(Mutant::RegistersOnceAfter) => &[Read::Records, Read::Registers],
            Some(Mutant::RecordsOnly | Mutant::CountForEachCore) => &[Read::Records],
            _ => &[Read::Registers, Read::Records, Read::Registers],
        }
    }

    fn thread_steps(self, state: &State, number: usize, out: &mut Vec<(String, State)>) {
        let thread = state.threads[number];
        let mut go = |what: &str, change: &dyn Fn(&mut State)| {
            let mut after = state.clone();
            change(&mut after);
            out.push((format!("thread {number} {what}"), after));
        };
        let to = |pc: Pc| move |after: &mut State| after.threads[number].pc = pc;
        let push = |after: &mut State| {
            after.threads[number].record = true;
            after.threads[number].pc = Pc::Module;
        };
        let pop = |after: &mut State| {
            let core = after.threads[number].core;
            after.threads[number].record = false;
            after.threads[number].pc = Pc::GateTail;
            if self.is(Mutant::CountForEachCore) {
                after.counts[core] = (after.counts[core] - 1).max(-2);
            }
        };
        match thread.pc {
            Pc::Unborn => go("is created", &to(Pc::Outside)),
            Pc::Outside => {
                // A core that has not synchronised may execute what it fetched before the patch.
                if !state.relinked || state.stale[thread.core] {
                    if state.gated {
                        go("calls: branches to the veneer", &to(Pc::Veneer));
                    } else {
                        go("calls past the gate", &|after| {
                            after.threads[number].pc = Pc::Module;
                            after.threads[number].past_gate = true;
                        });
                    }
                }
                if state.relinked && state.stale[thread.core] {
                    go("'s core refetches", &|after| after.stale[thread.core] = false);
                }
            }
            Pc::Veneer => go("enters the gate", &to(Pc::GateIn)),
            Pc::GateIn if self.is(Mutant::CountForEachCore) => go("loads its core's count", &|after| {
                after.threads[number].pc = Pc::GateCounts;
                after.threads[number].loaded = (thread.core, after.counts[thread.core]);
            }),
            Pc::GateCounts => go("stores its core's count", &|after| {
                let (core, count) = thread.loaded;
                after.counts[core] = (count + 1).min(2);
                push(after);
            }),
            Pc::GateIn if self.is(Mutant::CountInsideModule) => go("enters the module", &to(Pc::Module)),
            Pc::GateIn => go("pushes its record and enters", &push),
            Pc::Module => {
                if self.is(Mutant::CountInsideModule) && !thread.record {
                    go("counts itself", &push);
                } else {
                    go("calls the layer below", &to(Pc::Below));
                    if thread.past_gate {
                        go("returns", &|after| {
                            after.threads[number].pc = Pc::Outside;
                            after.threads[number].past_gate = false;
                        });
                    } else {
                        go("returns to the gate", &to(Pc::GateOut));
                    }
                }
            }
            Pc::Below => go("returns from the layer below", &to(Pc::Module)),
            Pc::GateOut => go("pops its record", &pop),
            Pc::GateTail => go("returns to its caller", &to(Pc::Outside)),
        }
        if self.is(Mutant::CountForEachCore) && thread.pc != Pc::Unborn {
            go("migrates", &|after| after.threads[number].core = 1 - thread.core);
        }
    }

    /// The threads that exist now.
    fn alive(state: &State) -> [bool; 2] {
        state.threads.map(|thread| thread.pc != Pc::Unborn)
    }

    /// Goes on behind a thread that was seen outside.
    fn after_thread(list: [bool; 2], thread: usize) -> Linker {
        match (thread + 1..2).find(|next| list[*next]) {
            Some(next) => Linker::Look { thread: next, read: 0 },
            None => Linker::Drained,
        }
    }

    fn begin_look(state: &mut State) {
        let list = *state.list.get_or_insert(Self::alive(state));
        state.linker = (0..2)
            .find(|thread| list[*thread])
            .map_or(Linker::Drained, |thread| Linker::Look { thread, read: 0 });
    }

    fn relink(self, state: &mut State) {
        state.relinked = true;
        state.gated = true;
        for stale in &mut state.stale {
            *stale = true;
        }
        state.linker = Linker::Relinked;
    }

    fn linker_steps(self, state: &State, out: &mut Vec<(String, State)>) {
        let mut go = |what: &str, change: &dyn Fn(&mut State)| {
            let mut after = state.clone();
            change(&mut after);
            out.push((format!("linker {what}"), after));
        };
        match state.linker {
            Linker::Start if self.is(Mutant::LookBeforeRelink) => go("looks at once", &Self::begin_look),
            Linker::Start => {
                if self.is(Mutant::ListBeforeRelink) && state.list.is_none() {
                    go("takes its list of threads", &|after| after.list = Some(Self::alive(after)));
                } else {
                    go("re-points the call site", &|after| self.relink(after));
                }
                if !state.gated {
                    go("puts the gate in at CATCH", &|after| after.gated = true);
                }
            }
            Linker::Relinked => go("waits for the grace", &|after| {
                after.stale = [false, after.stale[1] && self.is(Mutant::OneCoreNotSynchronised)];
                Self::begin_look(after);
            }),
            Linker::Look { thread, read } => {
                let reads = self.reads();
                let what = format!("reads {:?} of thread {thread}", reads[read]);
                let inside = self.sees(state, state.threads[thread], reads[read]);
                go(&what, &|after| {
                    if inside {
                        // Somebody is inside: the whole look again, later.
                        Self::begin_look(after);
                    } else if read + 1 < reads.len() {
                        after.linker = Linker::Look { thread, read: read + 1 };
                    } else {
                        after.linker = Self::after_thread(after.list.unwrap_or_default(), thread);
                    }
                });
            }
            Linker::Drained if !state.relinked => {
                go("re-points the call site after the look", &|after| {
                    self.relink(after);
                    after.stale = [false; 2];
                    after.linker = Linker::Drained;
                });
            }
            Linker::Drained => go("frees the module", &|after| after.linker = Linker::Freed),
            Linker::Freed => {}
        }
    }
}

/// One read of the linker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Registers,
    Records,
}

impl Model for Counted {
    type State = State;

    fn initial(&self) -> State {
        let thread = Thread { pc: Pc::Outside, record: false, past_gate: false, core: 0, loaded: (0, 0) };
        // The second thread may be created at any time.
        let second = Thread { pc: Pc::Unborn, core: 1, ..thread };
        State {
            relinked: false,
            gated: !self.is(Mutant::GateOnlyAtCatch),
            stale: [false; 2],
            threads: [thread, second],
            list: None,
            counts: [0; 2],
            linker: Linker::Start,
        }
    }

    fn steps(&self, state: &State) -> Vec<(String, State)> {
        let mut out = Vec::new();
        self.linker_steps(state, &mut out);
        for number in 0..2 {
            self.thread_steps(state, number, &mut out);
        }
        out
    }

    fn wrong(&self, state: &State) -> Option<&'static str> {
        let inside = |thread: &Thread| {
            thread.record || thread.past_gate || !matches!(thread.pc, Pc::Unborn | Pc::Outside | Pc::Below)
        };
        (state.linker == Linker::Freed && state.threads.iter().any(inside))
            .then_some("a thread is inside of freed memory, or will return there")
    }

    fn is_end(&self, state: &State) -> bool {
        state.linker == Linker::Freed
    }
}
