//! What whoever asked is told when a transaction has not come to its end.

use crate::deadlines::microseconds_since;
use crate::explain;
use crate::linker::Linker;
use linker_core::Step;
use linker_core::transaction::{Cause, Why};
use strata_protocol::linker::{self as protocol, BLOCKERS_MAX, Reply};
use strata_protocol::{Errno, ModuleName, Refusal, SymbolName};

impl Linker<'_> {
    /// Everything is as before, and why.
    pub(crate) fn undone(&mut self, cause: Cause) -> Reply {
        let name = self.turn_name();
        let word = explain::errno(cause.why.errno());
        if let Some(refusal) = self.turn.as_mut().and_then(|turn| turn.refusal.take()) {
            return Reply::Refused(refusal);
        }
        let denied = self.turn.as_mut().and_then(|turn| turn.denied.take());
        let refusal = match cause.why {
            Why::StillInside => {
                Refusal::new(word, &name, "threads are still inside at the deadline; everything is as before")
            }
            Why::Canceled(_) if word == Errno::EINTR => {
                Refusal::new(word, &name, "a module faulted meanwhile; everything is as before")
            }
            Why::Canceled(_) => Refusal::new(word, &name, "cancelled; everything is as before"),
            Why::Refused(_) => denied.filter(|denied| denied.errno == word).unwrap_or_else(|| {
                let step = Shouted(cause.step);
                Refusal::format(word, &name, format_args!("its {step} refuses; everything is as before"))
            }),
            Why::Overran | Why::Faulted => Refusal::new(word, &name, "undone; everything is as before"),
        };
        let draining = matches!(cause.why, Why::StillInside) || cause.step == Step::Drain;
        if draining { Reply::Blocked { refusal, blockers: self.blockers() } } else { Reply::Refused(refusal) }
    }

    /// The module is neither in service nor gone, and why.
    pub(crate) fn wedged(&self, cause: Cause) -> Reply {
        let name = self.turn_name();
        let what = match cause.why {
            Why::Faulted => "faulted",
            Why::Overran => "overran its deadline",
            Why::StillInside => "threads stayed inside",
            Why::Refused(_) | Why::Canceled(_) => "did not let go",
        };
        let word = explain::errno(cause.why.errno());
        let step = Shouted(cause.step);
        Reply::Refused(Refusal::format(word, &name, format_args!("{step}: {what}; the module is wedged")))
    }

    fn blockers(&self) -> [Option<protocol::Blocker>; BLOCKERS_MAX] {
        let mut blockers = [const { None }; BLOCKERS_MAX];
        for (to, from) in blockers.iter_mut().zip(self.transaction.blockers()) {
            let thread = self.space.threads.get(from.thread as usize);
            *to = Some(protocol::Blocker {
                thread: thread.map_or_else(ModuleName::default, |thread| thread.name.clone()),
                pc: from.pc.0,
                entry: SymbolName::cut(from.entry.text()),
                since_us: microseconds_since(from.since),
            });
        }
        blockers
    }
}

/// A step by the name of its command, as the requirements write it.
struct Shouted(Step);

impl core::fmt::Display for Shouted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self.0 {
            Step::Copy => "COPY",
            Step::Plan => "PLAN",
            Step::Map => "MAP",
            Step::Init => "INIT",
            Step::Query => "QUERY",
            Step::Catch => "CATCH",
            Step::Relink => "RELINK",
            Step::Grace => "GRACE",
            Step::Start => "START",
            Step::Drain => "DRAIN",
            Step::Fini => "FINI",
            Step::Check => "CHECK",
            Step::Unmap => "UNMAP",
            Step::Reclaim => "RECLAIM",
            Step::Revert => "REVERT",
            Step::GraceBack => "GRACE-BACK",
            Step::Uncatch => "UNCATCH",
            Step::Abandon => "ABANDON",
            Step::Revoke => "REVOKE",
        })
    }
}
