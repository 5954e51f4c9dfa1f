//! Several cores: where threads run, what is seen of a thread that runs meanwhile, and what an unload waits for.

use strata_protocol::start::CONTROL_CORE;
use strata_protocol::{Errno, ModuleName};
use strata_runtime::Ipc;

use crate::agent::Agent;
use crate::case::{CORES, Outcome, case, ensure, ensure_eq, fail};
use crate::device::Device;
use crate::report::note;
use crate::soak::{CALLERS, ROUNDS, Soak};
use crate::threads::Shared;

case!(
    /// Driver servers run on other cores than the linker server and its workers, as the boot plan says.
    20, CORES, fn smp_threads_are_where_the_boot_plan_puts_them(agent) {
        for row in agent.threads()? {
            let is_worker = row.name.as_str().starts_with("worker");
            ensure_eq!(row.core == CONTROL_CORE, is_worker, "{} is on core {}", row.name.as_str(), row.core);
        }
        let mut used = 0_u64;
        for name in CALLERS {
            let row = agent.threads()?.into_iter().find(|row| row.name.as_str() == name);
            used |= row.map_or(0, |row| 1 << row.core);
        }
        ensure_eq!(used, 0b1110, "the cores of those that call, bit by bit");
        Ok(())
    }
);

/// Has a server call for so many rounds, once: its endpoint and the rounds in; at 2 the trail, at 3 that it has come.
fn calling_once(shared: &'static Shared, ipc: &mut Ipc) {
    let trail = Device::at(shared.get(0)).take_note(ipc, shared.get(1)).unwrap_or(u64::MAX);
    shared.set(2, trail);
    shared.set(3, 1);
    while !shared.stopping() {
        sel4_sys::seL4_Yield();
    }
}

/// Starts a server on another core on a request that lasts, and waits until it is inside of the hammer.
fn busy_elsewhere(agent: &mut Agent, rounds: u64) -> Outcome<&'static Shared> {
    let server = agent.open("demo")?.endpoint();
    let client = agent.spawn_on(1, calling_once, &[server, rounds])?;
    for _ in 0..100 {
        if inside(agent)?.is_some_and(|name| !name.is_empty()) {
            return Ok(client);
        }
        agent.sleep_us(100)?;
    }
    fail!("demo was never seen inside")
}

/// The module that the demo server is inside of.
fn inside(agent: &mut Agent) -> Outcome<Option<ModuleName>> {
    Ok(agent.threads()?.into_iter().find(|row| row.name.as_str() == "demo").map(|row| row.inside))
}

/// Rounds that last for some milliseconds of machine time.
const LONG: u64 = 30_000;
/// Looks at a thread that runs.
const LOOKS: u64 = 60;

case!(
    /// A thread that runs on another core is looked at where it is: registers and stack of one moment, both methods agree,
    /// and it goes on as if nothing had been.
    60, CORES, fn smp_a_thread_that_runs_on_another_core_is_seen_inside(agent) {
        for module in ["soak_tally", "soak_hammer", "soak_a", "soak_b"] {
            agent.load(module)?;
        }
        let client = busy_elsewhere(agent, LONG)?;
        let (mut in_layers, mut in_hammer) = (0, 0);
        for look in 0..LOOKS {
            match inside(agent)?.as_deref() {
                Some("soak_a" | "soak_b") => in_layers += 1,
                Some("soak_hammer") => in_hammer += 1,
                other => fail!("look {look}: {other:?}, and the call has{} returned", if client.get(3) == 1 { "" } else { " not" }),
            }
            if look % 8 == 0 {
                agent.audit()?;
            }
        }
        note!("{in_layers} looks found it in a layer, {in_hammer} in the hammer");
        ensure!(in_layers > 0, "no look found it in a layer");
        await_end(agent, client)?;
        // The layers' digits, the top first, plus one: the only stack there was.
        ensure_eq!(client.get(2), 2 * 4 + 1 + 1, "the trail");
        let [issued, returned, ..] = agent.stat("soak_hammer")?;
        ensure_eq!((issued, returned), (2 * LONG + LONG.div_ceil(4), issued), "calls issued and returned");
        agent.join(client)?;
        for module in ["soak_b", "soak_a", "soak_hammer", "soak_tally"] {
            agent.unload(module)?;
        }
        agent.expect_empty()
    }
);

fn await_end(agent: &mut Agent, client: &'static Shared) -> Outcome {
    for _ in 0..5_000 {
        if client.get(3) == 1 {
            return Ok(());
        }
        agent.sleep_us(1_000)?;
    }
    fail!("the call did not return")
}

case!(
    /// R13, R16: an unload waits for a thread that executes inside on another core: at a deadline that is too short
    /// everything is back and the thread is named, else it is over when the thread is out.
    60, CORES, fn smp_an_unload_waits_for_a_thread_that_executes_inside_on_another_core(agent) {
        agent.load("soak_tally")?;
        agent.load("soak_hammer")?;
        let before = agent.snapshot()?;
        let client = busy_elsewhere(agent, 16 * LONG)?;
        let refused = agent.unload_refused("soak_hammer", 2, Errno::ETIMEDOUT)?;
        let Some(blocker) = refused.blockers.iter().flatten().next() else { fail!("no blocker is named") };
        ensure_eq!((blocker.thread.as_str(), blocker.entry.as_str()), ("demo", "demo_note"), "the blocker");
        agent.expect_as_before(&before, "a drain that timed out")?;
        ensure_eq!(client.get(3), 0, "the call has returned too early for what follows");
        agent.unload("soak_hammer")?;
        // Whoever is answered after the drain was inside until then, and has not been disturbed.
        await_end(agent, client)?;
        ensure_eq!(client.get(2), 1, "the trail: no layer");
        agent.join(client)?;
        agent.unload("soak_tally")?;
        agent.expect_empty()
    }
);

case!(
    /// R8, R11: a core that stays at user level, between two kernel entries of its own, executes what a load has put there
    /// and not what it fetched before. The cache lint flags a branch to text that this core has not synchronised with.
    60, CORES, fn smp_a_core_that_does_not_enter_the_kernel_executes_what_was_loaded(agent) {
        // Requests that last longer than a load: nothing of the callers' own makes their cores synchronise.
        let mut soak = Soak::begin(agent, 8 * ROUNDS)?;
        for digit in [1, 2, 1, 3, 2, 3, 2, 1] {
            soak.change(agent, digit, crate::soak::LAYERS[usize::try_from(digit - 1).unwrap_or(0)])?;
            agent.sleep_us(200)?;
        }
        let seen = soak.seen();
        soak.expect_lawful()?;
        ensure!(seen.straddled > 0, "no request saw a change");
        soak.end(agent)?;
        agent.expect_empty()
    }
);

/// What each caller of `endless_calls` has had answered: by the default, by the layer.
fn answered(agent: &mut Agent) -> Outcome<[[u64; 2]; CALLERS.len()]> {
    let [a, b, c, d, e, f, by_nobody, returned] = agent.stat("endless_calls")?;
    ensure_eq!(
        (by_nobody, returned),
        (0, 0),
        "calls that nobody has answered as he should, callers that have returned"
    );
    Ok([[a, b], [c, d], [e, f]])
}

/// Fails unless each caller goes on, and whoever answers to it is this one and nobody else.
fn expect_answers_of(agent: &mut Agent, index: usize, when: &str) -> Outcome {
    let before = answered(agent)?;
    let mut after = before;
    for _ in 0..100 {
        agent.sleep_us(20)?;
        after = answered(agent)?;
        if before.iter().zip(&after).all(|(before, after)| after[index] > before[index]) {
            break;
        }
    }
    for (caller, (before, after)) in CALLERS.iter().zip(before.iter().zip(&after)) {
        ensure!(after[index] > before[index], "{caller} {when}: {after:?} after {before:?}");
        ensure_eq!(
            after[1 - index],
            before[1 - index],
            "{caller} {when}: calls that the other one has answered"
        );
    }
    Ok(())
}

/// Loads and unloads in one endless request.
const CHANGES: u32 = 4;

case!(
    /// S13, S15: core 0 patches while the other three call in a loop without a system call and without a fault: each call
    /// is answered by what was or by what is, and when a load or an unload is over, by what is, on each core.
    60, CORES, fn s15_patch_on_one_core_while_the_others_call_without_entering_the_kernel(agent) {
        agent.load("endless_calls")?;
        let mut clients = heapless::Vec::<_, { CALLERS.len() }>::new();
        for (caller, core) in CALLERS.iter().zip(1..) {
            let server = agent.open(caller)?.endpoint();
            let _ = clients.push(agent.spawn_on(core, calling_once, &[server, u64::from(core) - 1])?);
        }
        expect_answers_of(agent, 0, "before any load")?;
        for _ in 0..CHANGES {
            agent.load("pass_a")?;
            expect_answers_of(agent, 1, "after a load")?;
            agent.unload("pass_a")?;
            expect_answers_of(agent, 0, "after an unload")?;
        }
        let counts = answered(agent)?;
        note!("calls by the default and by the layer: {counts:?}");
        agent.control("endless_calls", [0; 4])?;
        for (client, at) in clients.iter().zip(0..) {
            await_end(agent, client)?;
            let [a, b, c, d, e, f, ..] = agent.stat("endless_calls")?;
            let issued: u64 = [a + b, c + d, e + f][at];
            ensure_eq!(client.get(2), issued, "calls of caller {at}, and those that were answered");
        }
        ensure_eq!(agent.stat("endless_calls")?[6], 0, "calls that nobody has answered as he should");
        for client in clients {
            agent.join(client)?;
        }
        agent.unload("endless_calls")?;
        agent.audit()?;
        agent.expect_empty()
    }
);
