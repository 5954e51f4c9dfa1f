//! Direct bindings: the drain of a module that is called by a plain `BL`, by registers and unwinding.
//!
//! Two threads call a symbol while the linker takes a layer out. The layer calls the one below, whose function blocks
//! in a message and has a frame of code without unwind tables under it. The linker looks at each thread in one moment
//! (it holds the thread on its own core, above it in priority) and counts program counter, link register and every
//! return address on the stack.

use crate::explore::Model;
use crate::mutant::Mutant;

/// Where a thread executes, and so what its registers and stack hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pc {
    /// Not created yet.
    Unborn,
    /// In the caller.
    Outside,
    /// In a veneer that leads to the module.
    Veneer,
    /// In the module.
    Module,
    /// In the prologue of the layer below: the return address into the module is in x30 only.
    Prologue,
    /// In the layer below behind its prologue: the return address is on the stack.
    Below,
    /// In a function without tables that the layer below has called.
    WithoutTables,
    /// Blocked in a message that the function without tables has sent.
    Blocked,
    /// In the epilogue of the layer below: x30 is loaded, the frame is gone.
    Epilogue,
}

impl Pc {
    /// The return address into the module is in x30.
    const fn link_register_inside(self) -> bool {
        matches!(self, Self::Prologue | Self::Epilogue)
    }

    /// The return address into the module is on the stack.
    const fn stack_inside(self) -> bool {
        matches!(self, Self::Below | Self::WithoutTables | Self::Blocked)
    }

    /// Frames must be passed over that have no tables.
    const fn without_tables(self) -> bool {
        matches!(self, Self::WithoutTables | Self::Blocked)
    }

    const fn is_inside(self) -> bool {
        matches!(self, Self::Veneer | Self::Module) || self.link_register_inside() || self.stack_inside()
    }
}

/// A thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Thread {
    pc: Pc,
    /// Messages that were sent for the call under way.
    sent: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Linker {
    Start,
    Relinked,
    /// Looks at a thread. `registers` were read before, by a design that reads registers and stack at two moments.
    Look {
        thread: usize,
        registers: Option<Pc>,
    },
    Drained,
    Freed,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    relinked: bool,
    /// Cores that may still hold the old instruction; thread n runs on core n.
    stale: [bool; 2],
    threads: [Thread; 2],
    list: Option<[bool; 2]>,
    linker: Linker,
}

/// The model, as designed or with one mutation.
#[derive(Clone, Copy, Debug)]
pub struct Direct(pub Option<Mutant>);

impl Direct {
    fn is(self, mutant: Mutant) -> bool {
        self.0 == Some(mutant)
    }

    /// Whether a look sees the thread inside, from registers of one moment and the stack of another (or the same).
    fn sees(self, registers: Pc, stack: Pc) -> bool {
        if self.is(Mutant::BlockedIsSkipped) && registers == Pc::Blocked {
            return false;
        }
        let pc = match registers {
            Pc::Module => true,
            Pc::Veneer => !self.is(Mutant::VeneerIsOutside),
            _ => false,
        };
        let x30 = registers.link_register_inside() && !self.is(Mutant::LinkRegisterIgnored);
        let unwound =
            stack.stack_inside() && !(stack.without_tables() && self.is(Mutant::FrameWithoutTablesSkipped));
        pc || x30 || unwound
    }

    fn thread_steps(self, state: &State, number: usize, out: &mut Vec<(String, State)>) {
        let thread = state.threads[number];
        let mut go = |what: &str, change: &dyn Fn(&mut State)| {
            let mut after = state.clone();
            change(&mut after);
            out.push((format!("thread {number} {what}"), after));
        };
        let to = |pc: Pc| move |after: &mut State| after.threads[number].pc = pc;
        match thread.pc {
            Pc::Unborn => go("is created", &to(Pc::Outside)),
            Pc::Outside => {
                if !state.relinked || state.stale[number] {
                    go("calls: branches to the veneer", &to(Pc::Veneer));
                }
                if state.relinked && state.stale[number] {
                    go("'s core refetches", &|after| after.stale[number] = false);
                }
            }
            Pc::Veneer => go("enters the module", &to(Pc::Module)),
            Pc::Module => {
                go("calls super", &to(Pc::Prologue));
                go("returns", &|after| {
                    after.threads[number] = Thread { pc: Pc::Outside, sent: 0 };
                });
            }
            Pc::Prologue => go("saves x30", &to(Pc::Below)),
            Pc::Below => {
                if thread.sent == 0 {
                    go("calls a function without tables", &to(Pc::WithoutTables));
                }
                go("restores x30", &to(Pc::Epilogue));
            }
            Pc::WithoutTables if thread.sent == 0 => go("sends a message and blocks", &|after| {
                after.threads[number] = Thread { pc: Pc::Blocked, sent: 1 };
            }),
            Pc::WithoutTables => go("returns to the layer below", &to(Pc::Below)),
            Pc::Blocked => go("is answered", &to(Pc::WithoutTables)),
            Pc::Epilogue => go("returns to the module", &to(Pc::Module)),
        }
    }

    fn alive(state: &State) -> [bool; 2] {
        state.threads.map(|thread| thread.pc != Pc::Unborn)
    }

    fn begin_look(state: &mut State) {
        let list = *state.list.get_or_insert(Self::alive(state));
        state.linker = (0..2)
            .find(|thread| list[*thread])
            .map_or(Linker::Drained, |thread| Linker::Look { thread, registers: None });
    }

    fn relink(state: &mut State) {
        state.relinked = true;
        state.stale = [true; 2];
        state.linker = Linker::Relinked;
    }

    /// One look, held in one moment.
    fn look(self, state: &mut State, thread: usize, registers: Pc) {
        let stack = state.threads[thread].pc;
        if self.is(Mutant::SuspendAndResume) && stack == Pc::Blocked {
            // The kernel cancels the message; the thread, resumed, executes its system call again.
            state.threads[thread].sent += 1;
        }
        if self.sees(registers, stack) {
            return Self::begin_look(state);
        }
        let list = state.list.unwrap_or_default();
        state.linker = (thread + 1..2)
            .find(|next| list[*next])
            .map_or(Linker::Drained, |thread| Linker::Look { thread, registers: None });
    }

    fn linker_steps(self, state: &State, out: &mut Vec<(String, State)>) {
        let mut go = |what: &str, change: &dyn Fn(&mut State)| {
            let mut after = state.clone();
            change(&mut after);
            out.push((format!("linker {what}"), after));
        };
        match state.linker {
            Linker::Start if self.is(Mutant::LookBeforeRelink) => go("looks at once", &Self::begin_look),
            Linker::Start if self.is(Mutant::ListBeforeRelink) && state.list.is_none() => {
                go("takes its list of threads", &|after| after.list = Some(Self::alive(after)));
            }
            Linker::Start => go("re-points the call site", &Self::relink),
            Linker::Relinked => go("waits for the grace", &|after| {
                after.stale = [false, after.stale[1] && self.is(Mutant::OneCoreNotSynchronised)];
                Self::begin_look(after);
            }),
            Linker::Look { thread, registers: None } if self.is(Mutant::TwoMoments) => {
                go(&format!("reads the registers of thread {thread}"), &|after| {
                    let registers = Some(after.threads[thread].pc);
                    after.linker = Linker::Look { thread, registers };
                });
            }
            Linker::Look { thread, registers } => {
                let registers = registers.unwrap_or(state.threads[thread].pc);
                go(&format!("looks at thread {thread}"), &|after| self.look(after, thread, registers));
            }
            Linker::Drained if !state.relinked => go("re-points the call site after the look", &|after| {
                Self::relink(after);
                after.stale = [false; 2];
                after.linker = Linker::Drained;
            }),
            Linker::Drained => go("frees the module", &|after| after.linker = Linker::Freed),
            Linker::Freed => {}
        }
    }
}

impl Model for Direct {
    type State = State;

    fn initial(&self) -> State {
        let thread = Thread { pc: Pc::Outside, sent: 0 };
        State {
            relinked: false,
            stale: [false; 2],
            threads: [thread, Thread { pc: Pc::Unborn, sent: 0 }],
            list: None,
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
        if state.threads.iter().any(|thread| thread.sent > 1) {
            return Some("a message is sent twice");
        }
        (state.linker == Linker::Freed && state.threads.iter().any(|thread| thread.pc.is_inside()))
            .then_some("a thread is inside of freed memory, or will return there")
    }

    fn is_end(&self, state: &State) -> bool {
        state.linker == Linker::Freed
    }
}
