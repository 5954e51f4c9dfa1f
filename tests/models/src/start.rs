//! START and CATCH: a module with two symbols that belong together goes into service and out of it.
//!
//! A call is *handled* if it reaches the module while the module is enabled; else it is passed through. Two call sites
//! are patched one after the other, and cores see a patch when they synchronise or earlier. Going in: once a call was
//! handled, every call that begins later is handled too, whatever its symbol. Going out: once a call was passed on,
//! every later one is. The module buffers what it handles; when it leaves, nothing may be left in the buffer.

use crate::explore::Model;
use crate::mutant::Mutant;

/// What the transaction does, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// Re-points the call sites of a symbol.
    Patch(usize),
    /// Every core synchronises its context.
    Grace,
    /// START.
    Enable,
    /// CATCH: sets the flag.
    Disable,
    /// CATCH, or FINI: hands on what is buffered.
    Flush,
    /// Both in one, under the lock that writers take.
    DisableAndFlush,
    /// Waits until nobody is inside.
    Drain,
    /// FINI has succeeded; the module is gone.
    Gone,
}

/// A thread in the middle of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    None,
    /// In the module, before it looks at the flag. `owed` says what the property demands of this call.
    Entered {
        owed: bool,
    },
    /// It has seen that the module is enabled and has not written to the buffer yet.
    Passed,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    next: usize,
    /// What the memory says of each symbol's site: it leads to the module.
    patched: [bool; 2],
    /// What each core may still execute: it has not synchronised since the patch.
    stale: [[bool; 2]; 2],
    enabled: bool,
    /// Items in the buffer.
    buffered: u8,
    calls: [Call; 2],
    /// A call has been handled (going in), or passed on (going out).
    turned: bool,
    broken: bool,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A load.
    In,
    /// An unload.
    Out,
}

/// The model, as designed or with one mutation.
#[derive(Clone, Copy, Debug)]
pub struct Start(pub Way, pub Option<Mutant>);

impl Start {
    fn program(self) -> Vec<Step> {
        let (a, b) = (Step::Patch(0), Step::Patch(1));
        match (self.0, self.1) {
            (Way::In, Some(Mutant::StartBeforeRelink)) => vec![Step::Enable, a, b, Step::Grace],
            (Way::In, Some(Mutant::StartBetweenPatches)) => vec![a, Step::Enable, b, Step::Grace],
            (Way::In, Some(Mutant::StartBeforeGrace)) => vec![a, b, Step::Enable, Step::Grace],
            (Way::In, _) => vec![a, b, Step::Grace, Step::Enable],
            (Way::Out, Some(Mutant::RelinkBeforeCatch)) => {
                vec![a, b, Step::DisableAndFlush, Step::Grace, Step::Drain, Step::Gone]
            }
            (Way::Out, Some(Mutant::FlagAndFlushApart)) => {
                vec![Step::Disable, Step::Flush, a, b, Step::Grace, Step::Drain, Step::Gone]
            }
            (Way::Out, Some(Mutant::FiniBeforeDrain)) => {
                vec![Step::Disable, a, b, Step::Grace, Step::Flush, Step::Gone]
            }
            // One lock, or another flush when nobody is inside: both are designs that hold.
            (Way::Out, _) => {
                vec![Step::Disable, Step::Flush, a, b, Step::Grace, Step::Drain, Step::Flush, Step::Gone]
            }
        }
    }

    fn transaction_step(self, state: &State) -> Option<(String, State)> {
        let step = *self.program().get(state.next)?;
        let mut after = state.clone();
        after.next += 1;
        match step {
            Step::Patch(symbol) => {
                after.patched[symbol] = self.0 == Way::In;
                after.stale[0][symbol] = true;
                after.stale[1][symbol] = true;
            }
            Step::Grace => after.stale = [[false; 2]; 2],
            Step::Enable => after.enabled = true,
            Step::Disable => after.enabled = false,
            Step::Flush => after.buffered = 0,
            // The lock keeps out whoever is between the flag and the buffer.
            Step::DisableAndFlush if state.calls.contains(&Call::Passed) => return None,
            Step::DisableAndFlush => (after.enabled, after.buffered) = (false, 0),
            Step::Drain if state.calls != [Call::None; 2] => return None,
            Step::Drain => {}
            Step::Gone => after.broken |= state.buffered != 0,
        }
        Some((format!("transaction {step:?}"), after))
    }

    /// A call is handled or not; `owed` is whether the property demands that it is as all before it.
    fn judge(self, after: &mut State, handled: bool, owed: bool) {
        let as_turned = handled == (self.0 == Way::In);
        if owed && !as_turned {
            after.broken = true;
        }
        after.turned |= as_turned;
    }

    fn thread_steps(self, state: &State, thread: usize, out: &mut Vec<(String, State)>) {
        let mut go = |what: String, change: &dyn Fn(&mut State)| {
            let mut after = state.clone();
            change(&mut after);
            out.push((format!("thread {thread} {what}"), after));
        };
        match state.calls[thread] {
            Call::None => {
                for symbol in 0..2 {
                    let now = state.patched[symbol];
                    let may_be = [Some(now), state.stale[thread][symbol].then_some(!now)];
                    for to_module in may_be.into_iter().flatten() {
                        let owed = state.turned;
                        if to_module {
                            go(format!("calls symbol {symbol}: into the module"), &|after| {
                                after.calls[thread] = Call::Entered { owed };
                            });
                        } else {
                            go(format!("calls symbol {symbol}: below"), &|after| {
                                self.judge(after, false, owed);
                            });
                        }
                    }
                }
            }
            Call::Entered { owed } if state.enabled => go("finds the module enabled".into(), &|after| {
                after.calls[thread] = Call::Passed;
                self.judge(after, true, owed);
            }),
            Call::Entered { owed } => go("is passed through".into(), &|after| {
                after.calls[thread] = Call::None;
                self.judge(after, false, owed);
            }),
            Call::Passed => go("writes to the buffer and returns".into(), &|after| {
                after.calls[thread] = Call::None;
                after.buffered = (after.buffered + 1).min(2);
            }),
        }
    }
}

impl Model for Start {
    type State = State;

    fn initial(&self) -> State {
        let out = self.0 == Way::Out;
        State {
            next: 0,
            patched: [out; 2],
            stale: [[false; 2]; 2],
            enabled: out,
            buffered: 0,
            calls: [Call::None; 2],
            turned: false,
            broken: false,
        }
    }

    fn steps(&self, state: &State) -> Vec<(String, State)> {
        let mut out: Vec<_> = self.transaction_step(state).into_iter().collect();
        for thread in 0..2 {
            self.thread_steps(state, thread, &mut out);
        }
        out
    }

    fn wrong(&self, state: &State) -> Option<&'static str> {
        state.broken.then_some(match self.0 {
            Way::In => "a call passes the module by after another was handled",
            Way::Out => "a call is handled after another was passed on, or what it left is lost",
        })
    }

    fn is_end(&self, state: &State) -> bool {
        state.next == self.program().len()
    }
}
