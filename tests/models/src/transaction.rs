//! Transactions with their way back: the machine of the linker's core itself, driven in every way there is.
//!
//! The machine is the real one. What is modelled is the server that carries out its actions, and everything that can
//! come of each: it works, it is refused, the module faults, a command overruns, somebody cancels, a late answer to an
//! earlier wait arrives. What the module is asked, and what becomes of its memory, must make sense in every state. The
//! mutants are servers that do not keep to the machine's contract.

use linker_core::{Action, Command, Errno, Event, Outcome, Transaction};

use crate::explore::Model;
use crate::mutant::Mutant;

/// What the module has been through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    Fresh,
    Ready,
    Running,
    Caught,
    Released,
    Lost,
}

/// Which transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A load.
    Load,
    /// An unload.
    Unload,
    /// The pop of a module whose text faulted.
    Pop,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    machine: Transaction,
    /// What the server carries out next.
    action: Action,
    life: Life,
    mapped: bool,
    linked: bool,
    /// Somebody may be inside.
    inside: bool,
    /// A worker is busy with a command.
    busy: bool,
    cancelled: bool,
    broken: Option<&'static str>,
}

/// The model, with the server as designed or with one mutation.
#[derive(Clone, Copy, Debug)]
pub struct Transacted(pub Kind, pub Option<Mutant>);

impl Transacted {
    fn is(self, mutant: Mutant) -> bool {
        self.1 == Some(mutant)
    }

    /// Tells the machine, and notes what it asks for next.
    fn tell(state: &State, event: Event, change: impl Fn(&mut State)) -> State {
        let mut after = state.clone();
        change(&mut after);
        let action = after.machine.step(event);
        // A wait goes on with what is waited for.
        if action != Action::Wait {
            after.action = action;
            Self::ask(&mut after);
        }
        after
    }

    /// What must hold when an action begins.
    fn ask(state: &mut State) {
        let wrong = |broken: bool, why| broken.then_some(why);
        let broken = match state.action {
            Action::Command { command, .. } => {
                let lives: &[Life] = match command {
                    Command::Init => &[Life::Fresh],
                    Command::Start => &[Life::Ready],
                    Command::Catch | Command::Query => &[Life::Running],
                    Command::Uncatch => &[Life::Caught],
                    Command::Fini => &[Life::Ready, Life::Caught],
                    _ => &[],
                };
                let early = command == Command::Fini && (state.linked || state.inside);
                wrong(!lives.contains(&state.life), "a command comes at the wrong time")
                    .or(wrong(state.busy, "two commands at a time"))
                    .or(wrong(early, "FINI comes while somebody may be inside"))
            }
            Action::Unmap => wrong(
                state.linked || state.inside || state.busy,
                "memory is unmapped that somebody may still use",
            ),
            Action::Reclaim => wrong(state.mapped, "memory is reclaimed that is mapped"),
            Action::Abandon => wrong(!state.busy, "an idle worker is abandoned"),
            Action::Finish(outcome) => Self::judge(state, outcome),
            _ => None,
        };
        state.broken = state.broken.or(broken);
        if let Action::Command { .. } = state.action {
            state.busy = true;
        }
    }

    /// What must hold at the end.
    fn judge(state: &State, outcome: Outcome) -> Option<&'static str> {
        let State { life, mapped, linked, busy, .. } = *state;
        let right = match outcome {
            Outcome::Live => mapped && linked && life == Life::Running,
            Outcome::Gone => !mapped && !linked,
            // As before: a load has left nothing, an unload has changed nothing.
            Outcome::Undone(_) => !mapped && !linked || mapped && linked && life == Life::Running,
            Outcome::Wedged(_) => mapped && life == Life::Lost,
        };
        (!right || busy)
            .then_some("the transaction ends in a state that is neither before nor after nor wedged")
    }

    fn command_steps(self, state: &State, command: Command, ticket: u32, out: &mut Vec<(String, State)>) {
        let idle = |after: &mut State| after.busy = false;
        let lives = |after: &mut State| {
            after.life = match command {
                Command::Init => Life::Ready,
                Command::Start | Command::Uncatch => Life::Running,
                Command::Catch => Life::Caught,
                Command::Fini => Life::Released,
                _ => after.life,
            };
            after.busy = false;
        };
        let returned = |result| Event::Returned { ticket, result };
        out.push((format!("{command:?} succeeds"), Self::tell(state, returned(0), lives)));
        // UNCATCH and START return no errors: the format says so.
        if !matches!(command, Command::Uncatch | Command::Start) {
            out.push((format!("{command:?} refuses"), Self::tell(state, returned(5), idle)));
        }
        let faulted = Event::WorkerFaulted { ticket };
        out.push((format!("{command:?} faults"), Self::tell(state, faulted, |_| {})));
        let overran = Event::Deadline { ticket };
        out.push((format!("{command:?} overruns"), Self::tell(state, overran, |_| {})));
        let late = ticket.wrapping_sub(1);
        let late = if self.is(Mutant::TicketsAreIgnored) { ticket } else { late };
        let answer = Event::Returned { ticket: late, result: 0 };
        out.push(("a late answer arrives".into(), Self::tell(state, answer, |_| {})));
    }

    fn action_steps(self, state: &State, out: &mut Vec<(String, State)>) {
        let mut tell = |what: &str, event, change: &dyn Fn(&mut State)| {
            out.push((what.to_string(), Self::tell(state, event, change)));
        };
        let nothing = |_: &mut State| {};
        let refused = Event::Refused(Errno::ENOMEM);
        match state.action {
            Action::Copy => {
                tell("the image is copied", Event::Done, &nothing);
                tell("the copy is refused", refused, &nothing);
            }
            Action::Plan => {
                tell("the plan is made", Event::Done, &|after| after.machine.set_commands(ALL_COMMANDS));
                tell("the plan is refused", refused, &nothing);
            }
            Action::Map => {
                tell("the module is mapped", Event::Done, &|after| after.mapped = true);
                tell("the mapping is refused", refused, &nothing);
            }
            Action::Relink => {
                let links = self.0 == Kind::Load;
                tell("every site is re-pointed", Event::Done, &|after| {
                    after.linked = links;
                    after.inside = true;
                });
                tell("a patch is refused, and those before it are taken back", refused, &|after| {
                    // Somebody may have come in meanwhile.
                    after.inside = true;
                    if self.is(Mutant::RefusedPatchIsNotTakenBack) {
                        after.linked = links;
                    }
                });
            }
            Action::Grace => tell("the grace is over", Event::Done, &nothing),
            Action::Revert => tell("every site is as before", Event::Done, &|after| {
                if !self.is(Mutant::RevertIsSkipped) {
                    after.linked = self.0 != Kind::Load;
                }
            }),
            Action::Drain { ticket } => {
                tell("nobody is inside", Event::NobodyInside, &|after| after.inside = false);
                tell("the drain's deadline passes", Event::Deadline { ticket }, &nothing);
                if self.is(Mutant::NotKnowingIsNobody) {
                    tell("the look fails", Event::NobodyInside, &nothing);
                } else {
                    tell("the look fails", Event::SomebodyInside, &nothing);
                }
            }
            Action::Check => tell("its registrations are revoked", Event::Done, &nothing),
            Action::Unmap => tell("its pages are unmapped", Event::Done, &|after| after.mapped = false),
            Action::Reclaim => tell("its memory is reclaimed", Event::Done, &nothing),
            Action::Abandon => tell("its worker is replaced", Event::Done, &|after| after.busy = false),
            Action::Revoke => tell("it is wedged", Event::Done, &|after| after.life = Life::Lost),
            Action::Command { command, ticket } => self.command_steps(state, command, ticket, out),
            Action::Look | Action::Wait | Action::Finish(_) => {}
        }
    }
}

/// QUERY to UNCATCH and FINI: bits 1 to 6.
const ALL_COMMANDS: u32 = 0b111_1110;

impl Model for Transacted {
    type State = State;

    fn initial(&self) -> State {
        let mut machine = Transaction::IDLE;
        let (action, there) = match self.0 {
            Kind::Load => (machine.start_load(), false),
            Kind::Unload => (machine.start_unload(ALL_COMMANDS), true),
            Kind::Pop => (machine.start_pop(), true),
        };
        State {
            machine,
            action: action.unwrap_or(Action::Wait),
            life: if there { Life::Running } else { Life::Fresh },
            mapped: there,
            linked: there,
            inside: there,
            busy: false,
            cancelled: false,
            broken: None,
        }
    }

    fn steps(&self, state: &State) -> Vec<(String, State)> {
        let mut out = Vec::new();
        if self.is_end(state) {
            return out;
        }
        self.action_steps(state, &mut out);
        if !state.cancelled {
            let cancel = Event::Cancel(Errno::ECANCELED);
            out.push(("somebody cancels".into(), Self::tell(state, cancel, |after| after.cancelled = true)));
        }
        if state.linked {
            out.push(("its text faults".into(), Self::tell(state, Event::ModuleFaulted, |_| {})));
        }
        out
    }

    fn wrong(&self, state: &State) -> Option<&'static str> {
        state.broken
    }

    fn is_end(&self, state: &State) -> bool {
        matches!(state.action, Action::Finish(_))
    }
}
