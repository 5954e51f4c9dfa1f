//! Module commands that go wrong: refusals, faults, overruns.

use strata_protocol::Errno;
use strata_protocol::linker::{COMMAND_MS_MAX, ModuleState};
use strata_runtime::clock;

use crate::agent::{Agent, DRAIN_MS};
use crate::case::{Outcome, SPINS, case, ensure, ensure_eq};
use crate::names::{BASE, PING};

/// Fails unless the module is listed as wedged, who answers is `stack`, and the rest of the system is well.
fn expect_wedged_under(agent: &mut Agent, module: &str, stack: &[&str], answer: u64) -> Outcome {
    let row = agent.module(module)?;
    ensure!(
        row.as_ref().is_some_and(|row| row.state == ModuleState::Wedged),
        "{module} is not wedged: {row:?}"
    );
    agent.expect_stack(PING, stack)?;
    let demo = agent.open("demo")?;
    ensure_eq!(demo.ping(agent.ipc, 41)?, answer, "a call after {module}");
    agent.close(demo)?;
    let kept = agent.ledger_of(module)?;
    ensure!(
        kept.as_ref().is_some_and(|row| row.frames > 0),
        "the wedged module's memory is not charged: {kept:?}"
    );
    agent.audit()?;
    // It stays until its link domain goes, whatever anybody asks.
    agent.unload_refused(module, DRAIN_MS, Errno::EBUSY)?;
    // The workers that are left do their work: another module goes through all its commands.
    agent.load("hello")?;
    agent.unload("hello")?;
    agent.expect_devices_well()
}

/// The same for a module that is out of all stacks.
fn expect_wedged(agent: &mut Agent, module: &str) -> Outcome {
    expect_wedged_under(agent, module, &[BASE], 42)
}

/// Fails unless a load with a bad INIT is refused within the command's deadline, and the module is wedged.
fn bad_init(agent: &mut Agent, module: &str, errnos: &[Errno]) -> Outcome {
    let start = clock::microseconds();
    let decision = agent.try_load(module)?;
    ensure!(
        matches!(&decision, Err(refused) if errnos.contains(&refused.errno)),
        "load of {module}: {decision:?}, not {errnos:?}"
    );
    agent.took_ms(start, 0, 5 * u64::from(COMMAND_MS_MAX), module)?;
    expect_wedged(agent, module)
}

case!(
    /// A refused INIT undoes the load: nobody has seen the module.
    20, fn r25_refused_init_undoes_the_load(agent) {
        let before = agent.snapshot()?;
        for _ in 0..20 {
            agent.load_refused("init_refuses", Errno::ENODEV)?;
        }
        agent.expect_as_before(&before, "20 refused INITs")?;
        agent.audit()?;
        agent.expect_empty()
    }
);

case!(
    20, fn wedged_init_that_faults_leaves_the_stacks_alone(agent) {
        bad_init(agent, "fault_in_init", &[Errno::EFAULT])
    }
);

case!(
    20, SPINS, fn wedged_init_that_never_ends_is_given_up_at_its_deadline(agent) {
        bad_init(agent, "endless_init", &[Errno::ETIMEDOUT])
    }
);

case!(
    /// A CATCH that overruns: the stacks go back to what they were, without the module's help; nothing was relinked.
    20, SPINS, fn wedged_catch_that_never_ends_is_given_up_at_its_deadline(agent) {
        let demo = agent.open("demo")?;
        agent.load("endless_catch")?;
        ensure_eq!(demo.ping(agent.ipc, 0)?, 1_001, "the layer before its unload");
        let start = clock::microseconds();
        let decision = agent.try_unload("endless_catch", DRAIN_MS)?;
        agent.took_ms(start, u64::from(COMMAND_MS_MAX) / 2, 3_000, "the unload")?;
        ensure!(decision.is_err(), "the unload of a module that never caught succeeded");
        expect_wedged_under(agent, "endless_catch", &["endless_catch", BASE], 1_042)
    }
);

case!(
    /// A FINI that faults: the module stays unlinked, its memory stays charged.
    20, fn wedged_fini_that_faults_leaves_the_module_unlinked(agent) {
        agent.load("fault_in_fini")?;
        // Either answer tells the truth: it is out of the stacks, and it is not gone.
        let _ = agent.try_unload("fault_in_fini", DRAIN_MS)?;
        expect_wedged(agent, "fault_in_fini")
    }
);

case!(
    /// A module that faults or panics in a call is popped: the caller gets an answer, the layer below the next call.
    30, fn faulting_layer_is_popped_and_the_layer_below_serves(agent) {
        let demo = agent.open("demo")?;
        for module in ["fault_in_call", "panics"] {
            agent.load(module)?;
            ensure_eq!(demo.ping(agent.ipc, 0)?, 1_001, "the layer while it behaves");
            let answer = demo.call(agent.ipc, strata_protocol::driver::DEMO_PING, &[13]);
            // The call returned to its caller with the declared fault value: the server was not started again.
            ensure!(!answer.is_fault() && answer.words[0] == 0xdead, "the call that faulted: {answer:x?}");
            agent.sleep_us(2_000)?;
            expect_wedged(agent, module)?;
        }
        Ok(())
    }
);

case!(
    /// A command that overruns as often as there are workers in reserve: the system still answers.
    30, SPINS, fn workers_in_reserve_run_out_with_an_error_and_no_hang(agent) {
        let mut wedged = 0;
        for round in 0..8 {
            let alias = strata_protocol::Text::<31>::format(format_args!("endless_{round}"));
            match agent.try_load_as("endless_init", &alias)? {
                Ok(()) => ensure!(false, "an INIT that never ends was answered with success"),
                Err(refused) if refused.errno == Errno::ETIMEDOUT => wedged += 1,
                // No worker is left: refused before anything was mapped.
                Err(_) => break,
            }
        }
        ensure!(wedged >= 2, "only {wedged} commands could overrun");
        ensure!(wedged < 8, "workers without end");
        agent.expect_stack(PING, &[BASE])?;
        agent.audit()?;
        agent.expect_devices_well()
    }
);
