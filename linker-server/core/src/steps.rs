//! The words of transactions: commands, steps, actions, events, outcomes.

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// A look found threads inside; [`crate::Transaction::blockers`] names them.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
