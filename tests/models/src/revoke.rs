//! Revoke: a right is taken back while its holders call, while a holder has handed it on, and while a load is planned.
//!
//! Two modules call a symbol by a right: the one that was given it, and one that the first has handed it to; a third
//! is being loaded on the strength of it. Revoking re-points every call site that depended on the right to the stub
//! that returns the error, waits for the grace, and answers. Behind the answer no call begins that relied on the right,
//! and every call goes somewhere.

use crate::explore::Model;
use crate::mutant::Mutant;

/// What a call site leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Leads {
    /// Nowhere yet: its module is not loaded.
    NotThere,
    /// To the function, by the right.
    ByRight,
    /// To the stub.
    Stub,
    /// To nothing.
    Unbound,
}

/// How far the revoke is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Revoke {
    Before,
    /// The right is gone from the books.
    Marked,
    /// So many sites are re-pointed.
    Patched(usize),
    Graced,
    Answered,
}

/// How far the load is that relies on the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Load {
    Before,
    /// Planned while the right was there, at this generation.
    Planned(u8),
    Over,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    right: bool,
    generation: u8,
    sites: [Leads; 3],
    /// The cores that run the holders may still execute the old branch.
    stale: [bool; 3],
    revoke: Revoke,
    load: Load,
    /// A call began behind the answer and used the right; or a call went nowhere.
    used: bool,
    nowhere: bool,
}

/// The model, as designed or with one mutation.
#[derive(Clone, Copy, Debug)]
pub struct Revocation(pub Option<Mutant>);

impl Revocation {
    fn is(self, mutant: Mutant) -> bool {
        self.0 == Some(mutant)
    }

    /// The sites that the revoke re-points: all that depend on the right now.
    fn dependents(self, state: &State) -> Vec<usize> {
        let depends = |site: &usize| state.sites[*site] == Leads::ByRight;
        let followed = |site: &usize| !(self.is(Mutant::HandedOnIsForgotten) && *site == 1);
        (0..3).filter(depends).filter(followed).collect()
    }

    fn revoke_step(self, state: &State) -> Option<(String, State)> {
        let mut after = state.clone();
        let what = match state.revoke {
            Revoke::Before => {
                after.right = false;
                after.revoke = Revoke::Marked;
                // The plan's generation is compared when it is used: whoever changes something counts it up.
                if !self.is(Mutant::NoGenerationCheck) {
                    after.generation += 1;
                }
                "takes the right out of the books".to_string()
            }
            Revoke::Marked if self.is(Mutant::AnswerWithoutRelink) => {
                after.revoke = Revoke::Answered;
                "answers".into()
            }
            Revoke::Marked => {
                after.revoke = Revoke::Patched(0);
                "plans its patches".into()
            }
            Revoke::Patched(_) => match self.dependents(state).first() {
                Some(site) => {
                    let unbound = self.is(Mutant::NoStub);
                    after.sites[*site] = if unbound { Leads::Unbound } else { Leads::Stub };
                    after.stale[*site] = true;
                    format!("re-points the site of module {site}")
                }
                None if self.is(Mutant::AnswerBeforeGrace) => {
                    after.revoke = Revoke::Answered;
                    "answers".into()
                }
                None => {
                    after.stale = [false; 3];
                    after.revoke = Revoke::Graced;
                    "waits for the grace".into()
                }
            },
            Revoke::Graced => {
                after.revoke = Revoke::Answered;
                "answers".into()
            }
            Revoke::Answered => return None,
        };
        Some((format!("revoke {what}"), after))
    }

    fn load_step(self, state: &State) -> Option<(String, State)> {
        let mut after = state.clone();
        let what = match state.load {
            Load::Before => {
                after.load = if state.right { Load::Planned(state.generation) } else { Load::Over };
                if state.right { "is planned by the right" } else { "is refused: no right" }
            }
            // One transaction at a time: a load does not commit in the middle of a revoke's patches.
            Load::Planned(_)
                if matches!(state.revoke, Revoke::Marked | Revoke::Patched(_) | Revoke::Graced) =>
            {
                return None;
            }
            Load::Planned(generation) => {
                after.load = Load::Over;
                if generation == state.generation {
                    after.sites[2] = Leads::ByRight;
                    after.generation += 1;
                    "is committed"
                } else {
                    "is refused: the plan is stale"
                }
            }
            Load::Over => return None,
        };
        Some((format!("load {what}"), after))
    }

    fn call_steps(state: &State, module: usize, out: &mut Vec<(String, State)>) {
        let mut may_be = vec![state.sites[module]];
        if state.stale[module] {
            may_be.push(Leads::ByRight);
        }
        for leads in may_be {
            let mut after = state.clone();
            match leads {
                Leads::NotThere | Leads::Stub => continue,
                Leads::ByRight => after.used |= state.revoke == Revoke::Answered,
                Leads::Unbound => after.nowhere = true,
            }
            if after != *state {
                out.push((format!("module {module} calls"), after));
            }
        }
    }
}

impl Model for Revocation {
    type State = State;

    fn initial(&self) -> State {
        State {
            right: true,
            generation: 0,
            sites: [Leads::ByRight, Leads::ByRight, Leads::NotThere],
            stale: [false; 3],
            revoke: Revoke::Before,
            load: Load::Before,
            used: false,
            nowhere: false,
        }
    }

    fn steps(&self, state: &State) -> Vec<(String, State)> {
        let mut out: Vec<_> = self.revoke_step(state).into_iter().chain(self.load_step(state)).collect();
        for module in 0..3 {
            Self::call_steps(state, module, &mut out);
        }
        out
    }

    fn wrong(&self, state: &State) -> Option<&'static str> {
        if state.nowhere {
            return Some("a call goes nowhere");
        }
        state.used.then_some("a call uses the right behind the answer")
    }

    fn is_end(&self, state: &State) -> bool {
        state.revoke == Revoke::Answered && state.load == Load::Over
    }
}
