//! Goal: every model holds in every state, and every mutant of it is rejected with a counterexample.
//!
//! Method: all states, breadth first.

use strata_models::ALL;
use strata_models::explore::Verdict;

#[test]
fn every_model_holds() {
    for entry in ALL {
        match (entry.run)(None) {
            Verdict::Holds { states } => assert!(states > 10, "{}: {states} states", entry.name),
            Verdict::Fails { why, steps, .. } => panic!("{}: {why}\n{}", entry.name, steps.join("\n")),
        }
    }
}

#[test]
fn every_mutant_is_rejected() {
    let mut rejected = 0;
    for entry in ALL {
        for mutant in entry.mutants {
            let verdict = (entry.run)(Some(*mutant));
            assert!(matches!(verdict, Verdict::Fails { .. }), "{} accepts {mutant:?}", entry.name);
            rejected += 1;
        }
    }
    assert!(rejected >= 20, "{rejected} mutants");
}
