//! The soak: layers come and go while every core calls.

use strata_runtime::clock;

use crate::agent::Agent;
use crate::case::{CORES, Outcome, SOAK, case, ensure, ensure_eq, fail};
use crate::report::{figure, note};
use crate::soak::{ROUNDS, Soak};

/// Cycles of a run that nobody gave a number.
const CYCLES: u64 = 60;
/// How often a long run says how far it is.
const NOTES: u64 = 20;

/// A cycle is a load and an unload, of one layer or of two.
fn soak(agent: &mut Agent, cycles: u64) -> Outcome {
    let before = agent.snapshot()?;
    let ledger = agent.ledger()?;
    let start = clock::microseconds();
    let mut soak = Soak::begin(agent, ROUNDS)?;
    for cycle in 0..cycles {
        soak.step(agent)?;
        soak.step(agent)?;
        if (cycle + 1).is_multiple_of(cycles.div_ceil(NOTES)) {
            let seen = soak.seen();
            note!("{} cycles: {} requests kept the law, {} broke it", cycle + 1, seen.right, seen.wrong);
        }
    }
    let seen = soak.seen();
    soak.expect_lawful()?;
    let calls = soak.end(agent)?;
    let microseconds = clock::microseconds() - start;
    ensure!(seen.straddled > 0, "no request saw a change");
    ensure_eq!(agent.ledger()?, ledger, "the ledger at the end");
    agent.expect_as_before(&before, "the soak")?;
    agent.audit()?;
    agent.expect_empty()?;
    for (name, value, unit) in [
        ("soak.cycles", cycles, "cycles"),
        ("soak.calls", calls, "calls"),
        ("soak.requests", seen.right, "requests"),
        ("soak.straddled", seen.straddled, "requests"),
        ("soak.broken", seen.wrong, "requests"),
        ("soak.time", microseconds, "µs"),
        ("soak.cores", agent.cores.into(), "cores"),
    ] {
        figure(name, value * 1000, unit);
    }
    Ok(())
}

case!(
    /// S12, S15: sixty cycles of three layers while three cores call: each call is answered by a stack that was, all calls
    /// return, each layer answers as many as were marked by it, and the ledger is as before.
    120, CORES, fn soak_layers_come_and_go_while_every_core_calls(agent) { soak(agent, CYCLES) }
);

case!(
    /// What `./x soak` runs: as many cycles as it is told.
    0, SOAK, fn soak_for_long(agent) {
        let cycles = agent.cycles.into();
        soak(agent, cycles)
    }
);

/// Cycles in which the control must be caught.
const CONTROL_CYCLES: u64 = 400;

case!(
    /// R10, S16: a layer that answers before it is started breaks the law; so a caller notices symbols that do not switch
    /// together.
    240, CORES, fn r10_control_a_layer_without_pass_through_is_noticed(agent) {
        let mut soak = Soak::begin(agent, ROUNDS)?;
        for cycle in 0..CONTROL_CYCLES {
            soak.change(agent, 1, "soak_eager")?;
            soak.change(agent, 1, "soak_eager")?;
            if soak.seen().wrong > 0 {
                note!("noticed in cycle {cycle}");
                soak.end(agent)?;
                return agent.expect_empty();
            }
        }
        fail!("{CONTROL_CYCLES} cycles, and nobody saw a half")
    }
);
