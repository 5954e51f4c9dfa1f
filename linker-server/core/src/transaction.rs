//! The steps of a load, an unload and a pop, and the way back from each of them, as a pure state machine.
//!
//! The server carries out an [`Action`], and tells [`Transaction::step`] what came of it; the answer is the next
//! action. The machine never waits: [`Action::Wait`] means that the next event comes from outside.
//!
//! ```text
//! LOAD      Copy ─► Plan ─► Map ─► Init ─► Relink ─► Grace ─► Start ─► live
//!           │       │       │      │       │         │        │
//!  back     │       │       │      │       └───┐     └────────┴─► Revert
//!           ▼       ▼       ▼      ▼           ▼                  │
//!        undone ◄─ Reclaim ◄─ Unmap ◄─ Check ◄─ Fini ◄─ Drain ◄─ GraceBack
//!
//! UNLOAD    Plan ─► Query ─► Catch ─► Relink ─► Grace ─► Drain ─► Fini ─► Check ─► Unmap ─► Reclaim ─► gone
//!           │       │        │        │         │        │        │
//!  back     │       │        │        └───┐     └────────┴────────┴─► Revert
//!           ▼       ▼        ▼            ▼                           │
//!        undone ◄──────── Uncatch ◄─── GraceBack ◄────────────────────┘
//!
//! POP       Relink ─► Grace ─► Revoke ─► wedged
//!
//! any command that does not come back:  Abandon ─► Revoke ─► wedged
//! ```
//!
//! Every edge, the function that takes it, and when. A test (`the_drawing_is_the_machine`) holds the table and the
//! machine together.
//!
//! | # | transaction | from | to | function | when |
//! |---|---|---|---|---|---|
//! | 1 | load | Copy | Plan | `done` | the image is copied |
//! | 2 | load | Plan | Map | `done` | nothing speaks against it |
//! | 3 | load | Map | Init | `done` | mapped, relocated, affixed |
//! | 4 | load | Init | Relink | `returned` | INIT has succeeded |
//! | 5 | load | Relink | Grace | `done` | every patch is made |
//! | 6 | load | Grace | Start | `done` | every core has synchronised |
//! | 7 | load | Start | live | `returned` | the module is enabled |
//! | 8 | load | Copy | undone | `refused` | nothing is held |
//! | 9 | load | Copy | Reclaim | `back` | cancelled |
//! | 10 | load | Plan | Reclaim | `refused` | a rule is broken; or cancelled |
//! | 11 | load | Map | Reclaim | `refused` | no memory, or a refused write |
//! | 12 | load | Map | Unmap | `back` | cancelled; INIT has not run |
//! | 13 | load | Init | Unmap | `returned` | INIT refuses |
//! | 14 | load | Init | Fini | `back` | cancelled while INIT ran |
//! | 15 | load | Relink | GraceBack | `refused` | text is as it was, but somebody may have come in |
//! | 16 | load | Relink | Revert | `back` | cancelled |
//! | 17 | load | Grace | Revert | `back` | cancelled |
//! | 18 | load | Start | Revert | `returned` | START refuses or overruns, or the text faults |
//! | 19 | load | Revert | GraceBack | `done` | text is as it was |
//! | 20 | load | GraceBack | Drain | `done` | nobody can come in any more |
//! | 21 | load | Drain | Fini | `nobody_inside` | nobody is inside |
//! | 22 | load | Fini | Check | `returned` | FINI has succeeded |
//! | 23 | load | Check | Unmap | `done` | its registrations are revoked |
//! | 24 | load | Unmap | Reclaim | `done` | nothing leads there |
//! | 25 | load | Reclaim | undone | `done` | memory is as it was |
//! | 26 | load | Init | Abandon | `overrun` | INIT does not come back |
//! | 27 | load | GraceBack | Abandon | `done` | START did not come back |
//! | 28 | load | Drain | Revoke | `back` | somebody stays inside, or the text faults |
//! | 29 | load | Fini | Abandon | `overrun` | FINI does not come back |
//! | 30 | load | Fini | Revoke | `returned` | FINI refuses: it can neither stay nor leave |
//! | 31 | load | Abandon | Revoke | `done` | the worker is replaced |
//! | 32 | load | Revoke | wedged | `done` | its registrations are revoked |
//! | 33 | unload | Plan | Query | `done` | nobody depends on it |
//! | 34 | unload | Query | Catch | `returned` | no veto |
//! | 35 | unload | Catch | Relink | `returned` | it passes through; or, popped, the text faults |
//! | 36 | unload | Relink | Grace | `done` | every patch is made |
//! | 37 | unload | Grace | Drain | `done` | nobody can come in any more |
//! | 38 | unload | Drain | Fini | `nobody_inside` | nobody is inside |
//! | 39 | unload | Fini | Check | `returned` | FINI has succeeded; from here it completes |
//! | 40 | unload | Check | Unmap | `done` | its registrations are revoked |
//! | 41 | unload | Unmap | Reclaim | `done` | nothing leads there |
//! | 42 | unload | Reclaim | gone | `done` | memory is given back |
//! | 43 | unload | Plan | undone | `refused` | somebody depends on it; or cancelled |
//! | 44 | unload | Query | undone | `returned` | it vetoes; or cancelled |
//! | 45 | unload | Catch | undone | `returned` | CATCH refuses: nothing is re-linked yet |
//! | 46 | unload | Catch | Uncatch | `back` | cancelled |
//! | 47 | unload | Relink | GraceBack | `refused` | a refused write; text is as it was |
//! | 48 | unload | Relink | Revert | `back` | cancelled |
//! | 49 | unload | Grace | Revert | `back` | cancelled |
//! | 50 | unload | Drain | Revert | `back` | the deadline, or cancelled |
//! | 51 | unload | Fini | Revert | `returned` | FINI refuses |
//! | 52 | unload | Revert | GraceBack | `done` | same index, same words |
//! | 53 | unload | GraceBack | Uncatch | `done` | every core has synchronised |
//! | 54 | unload | Uncatch | undone | `returned` | it resumes |
//! | 55 | unload | Query | Abandon | `overrun` | QUERY does not come back; it stays linked |
//! | 56 | unload | Catch | Abandon | `overrun` | CATCH does not come back; it stays linked |
//! | 57 | unload | Fini | Abandon | `overrun` | FINI does not come back; it stays unlinked |
//! | 58 | unload | Uncatch | Abandon | `overrun` | UNCATCH does not come back; it stays linked |
//! | 59 | unload | Drain | Revoke | `module_faulted` | the text faults; it stays unlinked |
//! | 60 | unload | Query | Relink | `module_faulted` | the text faults: popped |
//! | 61 | unload | Uncatch | Relink | `module_faulted` | the text faults: popped |
//! | 62 | unload | Grace | Abandon | `done` | popped |
//! | 63 | unload | Relink | Abandon | `refused` | it could not be popped |
//! | 64 | unload | Abandon | Revoke | `done` | the worker is replaced |
//! | 65 | unload | Revoke | wedged | `done` | its registrations are revoked |
//! | 66 | pop | Relink | Grace | `done` | every patch is made |
//! | 67 | pop | Relink | Revoke | `refused` | it could not be popped |
//! | 68 | pop | Grace | Revoke | `done` | every core has synchronised |
//! | 69 | pop | Revoke | wedged | `done` | its registrations are revoked |
//!
//! A command that the module does not have is skipped: its step is entered and left at once.
//!
//! From `Revert` on, and in `Uncatch`, nothing allocates; the only thing that can go wrong there is a command that
//! faults or overruns, and that wedges the module.

use heapless::Vec;

use crate::BLOCKERS_MAX;
use crate::errno::Errno;
pub use crate::steps::{Action, Blocker, Cause, Command, Event, Outcome, Step, Why};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
///
/// It can be copied and compared so that a checker can visit every state of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
