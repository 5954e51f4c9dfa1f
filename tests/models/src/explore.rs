//! The checker: every state that a model can reach, breadth first, so that a counterexample is a shortest one.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

/// States of one model, more than any has; beyond it the model is not explored and that is an error.
pub const STATES_MAX: usize = 4_000_000;

/// What can happen, and what must not.
pub trait Model {
    /// Everything that matters at one moment.
    type State: Clone + Eq + Hash + Debug;

    /// Where it begins.
    fn initial(&self) -> Self::State;

    /// Every step that anybody can take next, with its name.
    fn steps(&self, state: &Self::State) -> Vec<(String, Self::State)>;

    /// What is wrong in this state, if something is.
    fn wrong(&self, state: &Self::State) -> Option<&'static str>;

    /// Whether a state without further steps is a proper end. Anything else is a deadlock.
    fn is_end(&self, state: &Self::State) -> bool;
}

/// What came of an exploration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong in any of so many states, and at least one is a proper end.
    Holds {
        /// States explored.
        states: usize,
    },
    /// Something is wrong at the end of these steps.
    Fails {
        /// States explored until then.
        states: usize,
        /// What is wrong.
        why: String,
        /// The steps that lead there: as few as any.
        steps: Vec<String>,
    },
}

impl Verdict {
    /// States explored.
    #[must_use]
    pub const fn states(&self) -> usize {
        match self {
            Self::Holds { states } | Self::Fails { states, .. } => *states,
        }
    }
}

/// Explores every state of a model.
///
/// # Panics
/// Where a model has more than [`STATES_MAX`] states: it was meant to be small.
pub fn explore<M: Model>(model: &M) -> Verdict {
    let first = model.initial();
    let mut index = HashMap::from([(first.clone(), 0)]);
    let mut states = vec![first];
    let mut came_from: Vec<(usize, String)> = vec![(0, String::new())];
    let mut ends = 0_usize;
    let mut next = 0;
    while let Some(state) = states.get(next).cloned() {
        let fails = |why: &str| {
            let (mut at, mut steps) = (next, Vec::new());
            while at != 0 {
                steps.push(came_from[at].1.clone());
                at = came_from[at].0;
            }
            steps.reverse();
            Verdict::Fails { states: states.len(), why: why.into(), steps }
        };
        if let Some(why) = model.wrong(&state) {
            return fails(why);
        }
        let steps = model.steps(&state);
        ends += usize::from(model.is_end(&state));
        if steps.is_empty() && !model.is_end(&state) {
            return fails("nobody can take a step");
        }
        for (name, after) in steps {
            if !index.contains_key(&after) {
                index.insert(after.clone(), states.len());
                states.push(after);
                came_from.push((next, name));
            }
        }
        assert!(states.len() <= STATES_MAX, "a model has more than {STATES_MAX} states");
        next += 1;
    }
    if ends == 0 {
        let why = "no run comes to its end".into();
        return Verdict::Fails { states: states.len(), why, steps: Vec::new() };
    }
    Verdict::Holds { states: states.len() }
}
