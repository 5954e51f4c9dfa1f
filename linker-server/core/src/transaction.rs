//! The steps of a load, an unload and a pop, and the way back from each of them, as a pure state machine.
//!
//! The server carries out an [`Action`], and tells [`Transaction::step`] what came of it; the answer is the next
//! action. The machine never waits: [`Action::Wait`] means that the next event comes from outside.
//!
//! ```text
//! LOAD    COPY ─1─► PLAN ─2─► MAP ─3─► INIT ─4─► RELINK ─5─► GRACE ─6─► START ─7─► live
//!          │20       │21       │21      │22 │23    │25         │26        │26  │27
//!          ▼         ▼         ▼        │   ▼      ▼           ▼          ▼    │
//!        undone    RECLAIM ◄────────────┼─ UNMAP   │         REVERT ──────┘    │
//!                    │                  │   ▲24    │           │28             │
//!                    ▼                  │   │      └────► GRACE-BACK           │
//!                  undone               │ CHECK ◄─30─ FINI ◄─29─ DRAIN         │
//!                                       ▼                        (GRACE-BACK)  ▼
//!                                     wedged ◄──────────────── (REVERT, GRACE-BACK, ABANDON, REVOKE)
//!
//! UNLOAD  PLAN ─8─► QUERY ─9─► CATCH ─10─► RELINK ─11─► GRACE ─12─► DRAIN ─13─► FINI ─14─► CHECK ─15─► UNMAP
//!          │40       │40        │40  │41     │42                      │43         │43        ─16─► RECLAIM ─17─► gone
//!          ▼         ▼          ▼    │       │                        ▼           ▼
//!        undone    undone    undone  │       │                      REVERT ◄──────┘
//!                                    │       │                        │44
//!                                    ▼       ▼                        ▼
//!                       undone ◄─46─ UNCATCH ◄──────────45─────── GRACE-BACK
//!
//! POP     RELINK ─50─► GRACE ─51─► REVOKE ─52─► wedged
//! ```
//!
//! | edges | function |
//! |---|---|
//! | 1–3, 5–6, 8, 11–12, 14–17, 24, 28, 44, 50–52 | `done` |
//! | 4, 7, 9, 10, 13 → FINI's answer, 22, 30, 46 | `returned` |
//! | 20, 21, 25, 40 (a refused plan), 42 | `refused` |
//! | 13, 29 | `nobody_inside` |
//! | 26, 41, 43, 23 (cancelled, deadline, refused FINI) | `back` |
//! | any command that faults or overruns (27 and its like): ABANDON, REVOKE, wedged | `overrun`, `wedge` |
//!
//! Every step from REVERT on, and UNCATCH's own, is allocation-free; the only thing that can go wrong there is a
//! command that faults or overruns, and that wedges the module.

use heapless::Vec;

use crate::BLOCKERS_MAX;
use crate::branch::Va;
use crate::errno::Errno;
use crate::name::Name;

/// A module command (requirements section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Command {
    /// Can you be unloaded now?
    Query = 1,
    /// Allocate; stay in pass-through.
    Init = 2,
    /// Leave pass-through.
    Start = 3,
    /// Pass through, flush, wake sleepers.
    Catch = 4,
    /// Resume as before CATCH.
    Uncatch = 5,
    /// Release everything.
    Fini = 6,
    /// Give your counters.
    Stat = 7,
    /// Module-specific.
    Control = 8,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "drawn and explained at the head of the file")]
pub enum Step {
    Copy,
    Plan,
    Map,
    Init,
    Query,
    Catch,
    Relink,
    Grace,
    Start,
    Drain,
    Fini,
    Check,
    Unmap,
    Reclaim,
    Revert,
    GraceBack,
    Uncatch,
    Abandon,
    Revoke,
}

/// What the server does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Copy the image into memory of one's own. Answer: `Done` or `Refused` (nothing is held then).
    Copy,
    /// Parse, lay out and `plan_load`; or `plan_unload`, and see that the caller is not inside. Answer: `Done` or
    /// `Refused`.
    Plan,
    /// Allocate, relocate, `affix`, map. Answer: `Done`, or `Refused` with all of it undone but the copy.
    Map,
    /// Start a command of the module on a worker, and the command deadline with this ticket. Answer: `Returned`,
    /// `WorkerFaulted` or `Deadline`, with the ticket. Never blocks: answer later.
    Command {
        /// Which.
        command: Command,
        /// Names this wait.
        ticket: u32,
    },
    /// `commit` the plan; for a pop, `plan_pop` first. Answer: `Done` or `Refused`.
    Relink,
    /// See to it that every core has synchronised since the last patch. Answer: `Done`.
    Grace,
    /// Start the drain deadline with this ticket and look who is inside. Answer: `NobodyInside` or `SomebodyInside`.
    Drain {
        /// Names this wait.
        ticket: u32,
    },
    /// Look again who is inside. Answer: `NobodyInside` or `SomebodyInside`.
    Look,
    /// `revert` the plan. Answer: `Done`.
    Revert,
    /// Revoke what the module still has registered after its FINI, and report it as its defect. Answer: `Done`.
    Check,
    /// Unmap the module and `forget` it. Answer: `Done`.
    Unmap,
    /// Give its memory back. Answer: `Done`.
    Reclaim,
    /// Give up the worker that did not come back and replace it from the reserve. Answer: `Done`.
    Abandon,
    /// Revoke what a module beyond help has registered, and `wedge` it. Answer: `Done`.
    Revoke,
    /// Nothing: the next event comes from outside.
    Wait,
    /// The transaction is over; the next one may start.
    Finish(Outcome),
}

/// What came of an action, or came from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The action was carried out.
    Done,
    /// The action could not be carried out, and nothing of it was.
    Refused(Errno),
    /// A worker came back from a command with 0 or an errno number.
    Returned {
        /// The wait that this ends.
        ticket: u32,
        /// What the module said.
        result: i32,
    },
    /// A worker faulted in a command.
    WorkerFaulted {
        /// The wait that this ends.
        ticket: u32,
    },
    /// A deadline passed.
    Deadline {
        /// The wait that this ends.
        ticket: u32,
    },
    /// A look found no thread inside.
    NobodyInside,
    /// A look found threads inside; [`Transaction::blockers`] names them.
    SomebodyInside,
    /// A gate's tail or a timer says that somebody may have left.
    LookAgain,
    /// Somebody wants the transaction to end without effect: the user (ECANCELED), or a fault in another module
    /// (EINTR). Ignored when it is too late.
    Cancel(Errno),
    /// A thread faulted in the text of the module that the transaction is about.
    ModuleFaulted,
}

/// Why a transaction did not go forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// A step was refused, with this errno number.
    Refused(i32),
    /// Somebody was still inside at the deadline.
    StillInside,
    /// A command did not come back in time.
    Overran,
    /// A command, or the module's text, faulted.
    Faulted,
    /// It was cancelled, with this errno number.
    Canceled(i32),
}

impl Why {
    /// The errno number that the caller gets.
    #[must_use]
    pub const fn errno(self) -> i32 {
        match self {
            Self::Refused(errno) | Self::Canceled(errno) => errno,
            Self::StillInside | Self::Overran => Errno::ETIMEDOUT.number(),
            Self::Faulted => Errno::EFAULT.number(),
        }
    }
}

/// At which step, and why, a transaction turned back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cause {
    /// The step that did not succeed.
    pub step: Step,
    /// Why.
    pub why: Why,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The module is loaded and live.
    Live,
    /// The module is unloaded.
    Gone,
    /// Everything is as it was before.
    Undone(Cause),
    /// The module is wedged: linked as it was before, or, once its FINI has begun or its text has faulted, unlinked.
    Wedged(Cause),
}

/// A thread that a drain found inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// The thread's number in its link domain.
    pub thread: u32,
    /// Where it is.
    pub pc: Va,
    /// The symbol through which it entered; empty if it is not known.
    pub entry: Name,
    /// Since when it is known to be inside, in timer ticks.
    pub since: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Idle,
    Load,
    Unload,
    Pop,
}

/// Another transaction is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// The one transaction of a link domain.
pub struct Transaction {
    kind: Kind,
    step: Step,
    /// Bit n is set if the module understands command n.
    commands: u32,
    ticket: u32,
    /// Why the transaction turned back, once it has.
    cause: Option<Cause>,
    /// A cancel that waits for a command to come back.
    cancel: Option<Errno>,
    /// The module's aliases answer calls now.
    linked: bool,
    /// The way back ends in a wedged module.
    wedging: bool,
    /// A worker is busy with a command of the module.
    working: bool,
    blockers: Vec<Blocker, BLOCKERS_MAX>,
}

impl Transaction {
    /// No transaction.
    pub const IDLE: Self = Self {
        kind: Kind::Idle,
        step: Step::Copy,
        commands: 0,
        ticket: 0,
        cause: None,
        cancel: None,
        linked: false,
        wedging: false,
        working: false,
        blockers: Vec::new(),
    };

    /// Starts a load.
    pub fn start_load(&mut self) -> Result<Action, Busy> {
        self.start(Kind::Load, 0, false)?;
        Ok(self.go(Step::Copy))
    }

    /// Starts the unload of a live module that understands these commands.
    pub fn start_unload(&mut self, commands: u32) -> Result<Action, Busy> {
        self.start(Kind::Unload, commands, true)?;
        Ok(self.go(Step::Plan))
    }

    /// Starts the pop of a module whose text faulted.
    pub fn start_pop(&mut self) -> Result<Action, Busy> {
        self.start(Kind::Pop, 0, true)?;
        self.cause = Some(Cause { step: Step::Relink, why: Why::Faulted });
        self.wedging = true;
        Ok(self.go(Step::Relink))
    }

    fn start(&mut self, kind: Kind, commands: u32, linked: bool) -> Result<(), Busy> {
        if self.kind != Kind::Idle {
            return Err(Busy);
        }
        self.kind = kind;
        self.commands = commands;
        self.cause = None;
        self.cancel = None;
        self.linked = linked;
        self.wedging = false;
        self.working = false;
        self.blockers.clear();
        Ok(())
    }

    /// Tells which commands the module understands, once a load has parsed it: before `Done` of [`Action::Plan`].
    pub fn set_commands(&mut self, commands: u32) {
        self.commands = commands;
    }

    /// The step that is under way; none if there is no transaction.
    #[must_use]
    pub fn current(&self) -> Option<Step> {
        (self.kind != Kind::Idle).then_some(self.step)
    }

    /// Whether the transaction is on its way back, and why.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Who was inside at the last look. It stays readable after the end, until the next transaction starts.
    #[must_use]
    pub fn blockers(&self) -> &[Blocker] {
        &self.blockers
    }

    /// Begins the list of a new look.
    pub fn clear_blockers(&mut self) {
        self.blockers.clear();
    }

    /// Names a thread that is inside. Beyond [`BLOCKERS_MAX`] they are not listed.
    pub fn add_blocker(&mut self, blocker: Blocker) {
        let _ = self.blockers.push(blocker);
    }

    /// Takes one event and says what to do next.
    pub fn step(&mut self, event: Event) -> Action {
        if self.kind == Kind::Idle {
            return Action::Wait;
        }
        match event {
            Event::Done => self.done(),
            Event::Refused(errno) => self.refused(errno),
            Event::Returned { ticket, result } if self.awaits(ticket) => self.returned(result),
            Event::WorkerFaulted { ticket } if self.awaits(ticket) => self.overrun(Why::Faulted),
            Event::Deadline { ticket } if self.awaits(ticket) => self.overrun(Why::Overran),
            Event::Deadline { ticket } if self.step == Step::Drain && ticket == self.ticket => {
                self.back(Why::StillInside)
            }
            // A late answer to a wait that is over.
            Event::Returned { .. } | Event::WorkerFaulted { .. } | Event::Deadline { .. } => Action::Wait,
            Event::NobodyInside => self.nobody_inside(),
            Event::SomebodyInside => Action::Wait,
            Event::LookAgain if self.step == Step::Drain => Action::Look,
            Event::LookAgain => Action::Wait,
            Event::Cancel(errno) => self.cancel(errno),
            Event::ModuleFaulted => self.module_faulted(),
        }
    }

    fn awaits(&self, ticket: u32) -> bool {
        self.working && ticket == self.ticket
    }

    const fn understands(&self, command: Command) -> bool {
        self.commands & 1 << command as u32 != 0
    }

    /// Enters a step; a command that the module does not understand succeeds at once.
    fn go(&mut self, step: Step) -> Action {
        self.step = step;
        match step {
            Step::Copy => Action::Copy,
            Step::Plan => Action::Plan,
            Step::Map => Action::Map,
            Step::Init => self.command(Command::Init),
            Step::Query => self.command(Command::Query),
            Step::Catch => self.command(Command::Catch),
            Step::Start => self.command(Command::Start),
            Step::Fini => self.command(Command::Fini),
            Step::Uncatch => self.command(Command::Uncatch),
            Step::Relink => Action::Relink,
            Step::Grace | Step::GraceBack => Action::Grace,
            Step::Drain => {
                self.ticket = self.ticket.wrapping_add(1);
                Action::Drain { ticket: self.ticket }
            }
            Step::Check => Action::Check,
            Step::Unmap => Action::Unmap,
            Step::Reclaim => Action::Reclaim,
            Step::Revert => Action::Revert,
            Step::Abandon => Action::Abandon,
            Step::Revoke => Action::Revoke,
        }
    }

    fn command(&mut self, command: Command) -> Action {
        if !self.understands(command) {
            return self.returned(0);
        }
        self.working = true;
        self.ticket = self.ticket.wrapping_add(1);
        Action::Command { command, ticket: self.ticket }
    }

    fn finish(&mut self, outcome: Outcome) -> Action {
        self.kind = Kind::Idle;
        Action::Finish(outcome)
    }

    fn done(&mut self) -> Action {
        // A cancel that came while the server was busy with this very action.
        let cancelled = self.cancel.take().map(|errno| Why::Canceled(errno.number()));
        match (self.step, self.kind) {
            (Step::Copy, _) => self.forward(cancelled, Step::Plan),
            (Step::Plan, Kind::Load) => self.forward(cancelled, Step::Map),
            (Step::Plan, _) => self.forward(cancelled, Step::Query),
            (Step::Map, _) => self.forward(cancelled, Step::Init),
            (Step::Relink, kind) => {
                self.linked = kind == Kind::Load;
                self.forward(cancelled, Step::Grace)
            }
            (Step::Grace, Kind::Load) => self.forward(cancelled, Step::Start),
            (Step::Grace, Kind::Unload) => self.forward(cancelled, Step::Drain),
            (Step::Grace, _) => self.wedge(),
            (Step::Revert, _) => {
                self.linked = !self.linked;
                self.go(Step::GraceBack)
            }
            (Step::GraceBack, _) if self.wedging => self.wedge(),
            (Step::GraceBack, Kind::Load) => self.go(Step::Drain),
            (Step::GraceBack, _) => self.go(Step::Uncatch),
            (Step::Check, _) => self.go(Step::Unmap),
            (Step::Unmap, _) => self.go(Step::Reclaim),
            (Step::Reclaim, _) => self.over(Outcome::Gone),
            (Step::Abandon, _) => {
                self.working = false;
                self.go(Step::Revoke)
            }
            (Step::Revoke, _) => {
                let cause = self.cause.expect("a module is wedged for a reason");
                self.finish(Outcome::Wedged(cause))
            }
            (
                Step::Init
                | Step::Query
                | Step::Catch
                | Step::Start
                | Step::Fini
                | Step::Uncatch
                | Step::Drain,
                _,
            ) => {
                panic!("a command is answered by Returned, a look by NobodyInside")
            }
        }
    }

    /// Ends as said, or as undone if the transaction has turned back.
    fn over(&mut self, forward: Outcome) -> Action {
        let outcome = self.cause.map_or(forward, Outcome::Undone);
        self.finish(outcome)
    }

    fn forward(&mut self, cancelled: Option<Why>, next: Step) -> Action {
        match cancelled {
            None => self.go(next),
            Some(why) => self.back(why),
        }
    }

    fn refused(&mut self, errno: Errno) -> Action {
        self.cause = Some(Cause { step: self.step, why: Why::Refused(errno.number()) });
        match (self.step, self.kind) {
            (Step::Plan | Step::Map, Kind::Load) => self.go(Step::Reclaim),
            // The text was put back word by word, but somebody may have come in meanwhile.
            (Step::Relink, Kind::Load | Kind::Unload) => self.go(Step::GraceBack),
            (Step::Relink, _) => self.wedge(),
            _ => self.over(Outcome::Gone),
        }
    }

    fn returned(&mut self, result: i32) -> Action {
        self.working = false;
        let cancelled = self.cancel.take().map(|errno| Why::Canceled(errno.number()));
        let refused = (result != 0).then_some(Why::Refused(result));
        let turned_back = self.cause.is_some();
        match (self.step, refused) {
            (Step::Init, None) => self.forward(cancelled, Step::Relink),
            (Step::Query, None) => self.forward(cancelled, Step::Catch),
            (Step::Catch, None) => self.forward(cancelled, Step::Relink),
            (Step::Start, None) => self.finish(Outcome::Live),
            // After FINI has succeeded an unload always completes.
            (Step::Fini, None) => self.go(Step::Check),
            (Step::Uncatch, _) => self.over(Outcome::Gone),
            // A module that does not let go while its load is undone can neither stay nor leave.
            (Step::Fini, Some(why)) if turned_back => {
                self.cause = Some(Cause { step: Step::Fini, why });
                self.wedge()
            }
            (Step::Init, Some(why)) => {
                self.cause = Some(Cause { step: Step::Init, why });
                self.go(Step::Unmap)
            }
            (Step::Query | Step::Catch, Some(why)) => {
                self.cause = Some(Cause { step: self.step, why });
                self.over(Outcome::Gone)
            }
            (_, Some(why)) => self.back(why),
            (_, None) => panic!("only a command returns"),
        }
    }

    /// Turns back from the present step, for which nothing is under way any more.
    fn back(&mut self, why: Why) -> Action {
        let already = self.cause.is_some();
        self.cause = Some(Cause { step: self.step, why });
        if already {
            // A load is undone and somebody stays inside: it can neither stay nor leave.
            return self.wedge();
        }
        match (self.step, self.kind) {
            (Step::Copy | Step::Plan, Kind::Load) => self.go(Step::Reclaim),
            (Step::Map, _) => self.go(Step::Unmap),
            (Step::Init, _) => self.go(Step::Fini),
            (Step::Relink | Step::Grace | Step::Start | Step::Drain | Step::Fini, _) => self.go(Step::Revert),
            (Step::Catch, _) => self.go(Step::Uncatch),
            _ => self.over(Outcome::Gone),
        }
    }

    /// A command did not come back. The module's help is not asked for any more.
    fn overrun(&mut self, why: Why) -> Action {
        self.cause = Some(Cause { step: self.step, why });
        self.wedging = true;
        // A load that was linked is unlinked again; an unload that was unlinked has begun FINI and stays so.
        if self.kind == Kind::Load && self.linked { self.go(Step::Revert) } else { self.wedge() }
    }

    fn wedge(&mut self) -> Action {
        self.wedging = true;
        let next = if self.working { Step::Abandon } else { Step::Revoke };
        self.go(next)
    }

    fn nobody_inside(&mut self) -> Action {
        assert!(self.step == Step::Drain, "a look is answered while draining");
        self.go(Step::Fini)
    }

    fn cancel(&mut self, errno: Errno) -> Action {
        let too_late = matches!(self.step, Step::Fini | Step::Check | Step::Unmap | Step::Reclaim);
        if self.cause.is_some() || too_late {
            return Action::Wait;
        }
        if self.step == Step::Drain {
            return self.back(Why::Canceled(errno.number()));
        }
        self.cancel = Some(errno);
        Action::Wait
    }

    fn module_faulted(&mut self) -> Action {
        let too_late = matches!(self.step, Step::Fini | Step::Check | Step::Unmap | Step::Reclaim);
        if self.wedging || self.kind == Kind::Unload && too_late {
            return Action::Wait;
        }
        self.cause = Some(Cause { step: self.step, why: Why::Faulted });
        self.wedging = true;
        if !self.linked {
            return self.wedge();
        }
        if self.kind == Kind::Load {
            return self.go(Step::Revert);
        }
        self.kind = Kind::Pop;
        self.go(Step::Relink)
    }
}
