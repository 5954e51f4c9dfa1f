//! Unload: the order of its steps, what may stop it, and what it leaves when it is stopped.

use sel4_sys::seL4_CPtr;
use strata_protocol::caps::slot;
use strata_protocol::linker::{Reply, Request};
use strata_protocol::store::Reply as StoreReply;
use strata_protocol::{Errno, ModuleName};
use strata_runtime::ipc::call;
use strata_runtime::{Ipc, clock};

use crate::agent::{Agent, DRAIN_MS, Decision, decision, name};
use crate::case::{Outcome, case, ensure, ensure_eq, fail};
use crate::device::Device;
use crate::names::{BASE, PING, WAIT};
use crate::threads::Shared;

/// The second client's way to the linker server.
const OTHER_CLIENT: seL4_CPtr = slot::LINKER_2;

/// The second client unloads `wait_inside` with the deadline in word 0; word 1 is the errno number, or 0, and word 2
/// becomes 1 when the answer has come.
fn unloading(shared: &'static Shared, ipc: &mut Ipc) {
    let drain_ms = u32::try_from(shared.get(0)).unwrap_or(0);
    let name = ModuleName::cut("wait_inside");
    let errno = match call(ipc, OTHER_CLIENT, &Request::Unload { name, drain_ms }) {
        Ok(reply) => match decision(&reply) {
            Ok(Ok(())) => 0,
            Ok(Err(refused)) => u64::from(refused.errno.number().unsigned_abs()),
            Err(_) => u64::MAX,
        },
        Err(_) => u64::MAX,
    };
    shared.set(1, errno);
    shared.set(2, 1);
    while !shared.stopping() {
        sel4_sys::seL4_Yield();
    }
}

/// Waits until a word of a client is 1.
fn await_word(agent: &mut Agent, shared: &'static Shared, at: usize, what: &str) -> Outcome {
    for _ in 0..5_000 {
        if shared.get(at) == 1 {
            return Ok(());
        }
        agent.sleep_us(1_000)?;
    }
    fail!("{what} did not come")
}

/// The step that is under way, and of which module.
fn step(agent: &mut Agent) -> Outcome<Option<ModuleName>> {
    match agent.linker(&Request::Status)? {
        Reply::Status { module, .. } => Ok(module),
        other => fail!("STATUS: {other:?}"),
    }
}

/// Puts the demo server inside `wait_inside`; `other` is the demo server that stays free.
fn block_inside(agent: &mut Agent) -> Outcome<(Device, Device)> {
    let (blocked, other) = (agent.open("demo")?, agent.open("demo2")?);
    agent.load("wait_inside")?;
    agent.expect_stack(WAIT, &["wait_inside", BASE])?;
    blocked.wait(agent.ipc, 7)?;
    ensure_eq!(other.waits(agent.ipc)?, (1, 0, 0), "waits begun, ended, last value");
    let row = agent.threads()?.into_iter().find(|row| row.name.as_str() == "demo");
    ensure!(
        row.as_ref().is_some_and(|row| row.inside.as_str() == "wait_inside" && row.entry.as_str() == WAIT),
        "threads does not show who is inside: {row:?}"
    );
    Ok((blocked, other))
}

case!(
    /// R13: entry is closed before anybody looks inside: the set inside only shrinks.
    30, fn r13_entry_is_closed_before_the_drain(agent) {
        let (_blocked, other) = block_inside(agent)?;
        let client = agent.spawn(unloading, &[5_000])?;
        agent.sleep_us(20_000)?;
        ensure_eq!(step(agent)?.as_deref(), Some("wait_inside"), "the module of the transaction under way");
        ensure_eq!(client.get(2), 0, "the unload was answered with somebody inside");
        // Closed: the stack has the default alone, and a new call does not enter.
        agent.expect_stack(WAIT, &[BASE])?;
        other.wait(agent.ipc, 9)?;
        ensure_eq!(other.waits(agent.ipc)?, (2, 1, 9), "a new call passes the leaving module by");
        // The exit of the last one inside ends the drain long before its deadline.
        let released = clock::microseconds();
        other.release(agent.ipc)?;
        await_word(agent, client, 2, "the end of the unload")?;
        agent.took_ms(released, 0, 1_000, "the unload after the exit")?;
        ensure_eq!(client.get(1), 0, "the errno of the unload");
        // The call that was inside went on to the layer below, with the module's mark on the value.
        ensure_eq!(other.waits(agent.ipc)?, (2, 2, 107), "the value of the call that was inside");
        agent.join(client)?;
        agent.expect_empty()
    }
);

case!(
    /// R16: a thread blocked inside: ETIMEDOUT at the deadline, the blocker named, everything back, calls flow again;
    /// after the release the unload succeeds.
    30, fn r16_blocked_inside_times_out_names_the_blocker_and_puts_everything_back(agent) {
        let ledger = agent.ledger()?;
        let (blocked, other) = block_inside(agent)?;
        let before = agent.snapshot()?;
        let start = clock::microseconds();
        agent.sleep_us(10_000)?;
        let refused = agent.unload_refused("wait_inside", 300, Errno::ETIMEDOUT)?;
        agent.took_ms(start, 300, 3_000, "the unload with a deadline of 300 ms")?;
        let Some(blocker) = refused.blockers.iter().flatten().next() else { fail!("no blocker is named") };
        ensure_eq!(blocker.thread.as_str(), "demo", "the blocker's thread");
        ensure_eq!(blocker.entry.as_str(), WAIT, "the symbol through which it entered");
        ensure!(blocker.pc != 0, "the blocker's program counter");
        ensure!((290_000..3_000_000).contains(&blocker.since_us), "inside since {} µs", blocker.since_us);
        ensure!(refused.blockers[1].is_none(), "a second blocker: {:?}", refused.blockers[1]);
        agent.expect_as_before(&before, "a drain that timed out")?;
        // Calls flow through the module again: the free server enters it, and both are released.
        other.release(agent.ipc)?;
        agent.sleep_us(5_000)?;
        ensure_eq!(other.waits(agent.ipc)?, (1, 1, 107), "the wait after the release");
        blocked.wait(agent.ipc, 20)?;
        ensure_eq!(agent.stat("wait_inside")?[0], 1, "calls enter the module again");
        other.release(agent.ipc)?;
        agent.sleep_us(5_000)?;
        ensure_eq!(other.waits(agent.ipc)?, (2, 2, 120), "the second wait after its release");
        agent.unload("wait_inside")?;
        agent.close(blocked)?;
        agent.close(other)?;
        ensure_eq!(agent.ledger()?, ledger, "the ledger at the end");
        agent.audit()?;
        agent.expect_empty()
    }
);

case!(
    /// R16: a module whose CATCH wakes its sleepers leaves without waiting for its deadline.
    20, fn r16_catch_wakes_the_sleepers_of_a_careful_module(agent) {
        let (_, other) = block_inside(agent)?;
        agent.control("wait_inside", [1, 0, 0, 0])?;
        let start = clock::microseconds();
        agent.unload("wait_inside")?;
        agent.took_ms(start, 0, 1_500, "the unload of a module that wakes its sleepers")?;
        ensure_eq!(other.waits(agent.ipc)?, (1, 1, 107), "the wait has ended");
        agent.expect_empty()
    }
);

case!(
    /// R15: what a thread still executes on its way out (gates, slots) is the linker's, not the module's.
    30, fn r15_last_instructions_lie_in_text_that_stays(agent) {
        let (_, other) = block_inside(agent)?;
        let Some(row) = agent.module("wait_inside")? else { fail!("the module is not listed") };
        let top = agent.stack(WAIT)?[0].clone();
        let own = row.address..row.address + row.size;
        ensure!(own.contains(&top.address), "the implementation {:#x} is not in the module {own:x?}", top.address);
        ensure!(!own.contains(&top.entry), "the entry {:#x} lies inside the module {own:x?}", top.entry);
        ensure_eq!(top.binding, strata_protocol::linker::Binding::Counted, "the binding of an entry that may block");
        // A thread that leaves while the unload drains returns through the gate after the module's own code is done;
        // 50 times the memory behind it is then unmapped at once.
        other.release(agent.ipc)?;
        agent.sleep_us(2_000)?;
        agent.unload("wait_inside")?;
        for round in 0..50 {
            let blocked = agent.open("demo")?;
            agent.load("wait_inside")?;
            agent.control("wait_inside", [1, 0, 0, 0])?;
            blocked.wait(agent.ipc, round)?;
            agent.unload("wait_inside")?;
            ensure_eq!(other.waits(agent.ipc)?.2, round + 100, "the value of round {round}");
            agent.close(blocked)?;
        }
        let rows = agent.threads()?;
        ensure!(rows.iter().all(|row| row.restarts == 0), "a server was started again");
        agent.expect_empty()
    }
);

case!(
    /// R17: FINI refuses: the same index in each stack, the same sites, the same memory; the module is told.
    20, fn r17_refused_fini_puts_everything_back(agent) {
        let demo = agent.open("demo")?;
        // Between two other layers, so that its index in the stack matters.
        agent.load("pass_a")?;
        agent.load("fini_refuses")?;
        agent.load("pass_b")?;
        ensure_eq!(demo.ping(agent.ipc, 0)?, 1_022, "B, the module, A, default");
        let before = agent.snapshot()?;
        agent.unload_refused("fini_refuses", DRAIN_MS, Errno::EBUSY)?;
        agent.expect_as_before(&before, "a refused FINI")?;
        agent.expect_stack(PING, &["pass_b", "fini_refuses", "pass_a", BASE])?;
        ensure_eq!(demo.ping(agent.ipc, 0)?, 1_022, "calls after the refused FINI");
        ensure_eq!(agent.stat("fini_refuses")?[1], 0, "refusals left");
        agent.unload("fini_refuses")?;
        ensure_eq!(demo.ping(agent.ipc, 0)?, 22, "B, A, default");
        agent.unload("pass_b")?;
        agent.unload("pass_a")?;
        agent.expect_empty()
    }
);

case!(
    /// S30: INIT and START at the load; QUERY, CATCH and FINI at an unload, and UNCATCH where FINI has refused.
    20, fn s30_commands_come_in_their_order(agent) {
        agent.load("fini_refuses")?;
        ensure_eq!(agent.stat("fini_refuses")?[0], 0x23, "INIT, START");
        agent.control("fini_refuses", [2, 0, 0, 0])?;
        agent.unload_refused("fini_refuses", DRAIN_MS, Errno::EBUSY)?;
        ensure_eq!(agent.stat("fini_refuses")?[0], 0x23_1465, "with QUERY, CATCH, FINI, UNCATCH");
        agent.unload_refused("fini_refuses", DRAIN_MS, Errno::EBUSY)?;
        ensure_eq!(agent.stat("fini_refuses")?[0], 0x23_1465_1465, "with the same again");
        agent.unload("fini_refuses")?;
        // Loaded anew it has seen nothing yet.
        agent.load("fini_refuses")?;
        ensure_eq!(agent.stat("fini_refuses")?[0], 0x23, "INIT, START of the new one");
        agent.control("fini_refuses", [0; 4])?;
        agent.unload("fini_refuses")?;
        agent.expect_empty()
    }
);

case!(
    /// R17: a refused FINI leaves no trace, however often.
    60, fn r17_refusing_fini_a_hundred_times_leaks_nothing(agent) {
        let demo = agent.open("demo")?;
        agent.load("fini_refuses")?;
        agent.control("fini_refuses", [u64::MAX, 0, 0, 0])?;
        let before = agent.snapshot()?;
        for _ in 0..100 {
            agent.unload_refused("fini_refuses", DRAIN_MS, Errno::EBUSY)?;
            ensure_eq!(demo.ping(agent.ipc, 0)?, 1_001, "a call after the refusal");
        }
        agent.expect_as_before(&before, "100 refused FINIs")?;
        agent.audit()?;
        agent.control("fini_refuses", [0, 0, 0, 0])?;
        agent.unload("fini_refuses")?;
        agent.expect_empty()
    }
);

case!(
    /// R18: QUERY vetoes before any visible change.
    20, fn r18_query_vetoes_before_anything_changes(agent) {
        let demo = agent.open("demo")?;
        agent.load("query_vetoes")?;
        let before = agent.snapshot()?;
        agent.unload_refused("query_vetoes", DRAIN_MS, Errno::EBUSY)?;
        agent.expect_as_before(&before, "a veto")?;
        ensure_eq!(demo.ping(agent.ipc, 0)?, 1_001, "a call after the veto");
        agent.control("query_vetoes", [0, 0, 0, 0])?;
        agent.unload("query_vetoes")?;
        agent.expect_empty()
    }
);

case!(
    /// R20: a thread inside a module that asks for its unload is told EDEADLK at once.
    20, fn r20_self_unload_is_refused_with_edeadlk_at_once(agent) {
        let demo = agent.open("demo")?;
        agent.load("self_unload")?;
        let before = agent.snapshot()?;
        let start = clock::microseconds();
        let answer = demo.ping(agent.ipc, 77)?;
        ensure_eq!(answer, u64::from(Errno::EDEADLK.number().unsigned_abs()), "the errno that the layer was told");
        agent.took_ms(start, 0, 1_000, "the refusal")?;
        agent.expect_as_before(&before, "an unload from inside")?;
        ensure_eq!(demo.ping(agent.ipc, 41)?, 42, "calls after the refusal");
        agent.unload("self_unload")?;
        agent.expect_empty()
    }
);

case!(
    /// R21: a request from a module's own command is refused at once: its transaction is under way.
    20, fn r21_load_asked_from_a_command_is_refused_with_ebusy(agent) {
        agent.load("self_unload")?;
        agent.load("hello")?;
        let start = clock::microseconds();
        let [answer, ..] = agent.control("self_unload", [0; 4])?;
        agent.took_ms(start, 0, 1_000, "the refusal")?;
        ensure_eq!(answer, u64::from(Errno::EBUSY.number().unsigned_abs()), "the errno that the command was told");
        agent.unload("hello")?;
        agent.unload("self_unload")?;
        agent.expect_empty()
    }
);

case!(
    /// R20: where the wait for oneself goes by way of another thread, the deadline catches it.
    20, fn r20_waiting_for_oneself_through_another_thread_ends_at_the_deadline(agent) {
        // This client releases the thread inside only after its own unload has been answered.
        let (_, other) = block_inside(agent)?;
        let start = clock::microseconds();
        agent.unload_refused("wait_inside", 200, Errno::ETIMEDOUT)?;
        agent.took_ms(start, 200, 2_000, "an unload that waits for its own client")?;
        other.release(agent.ipc)?;
        agent.sleep_us(5_000)?;
        agent.unload("wait_inside")?;
        agent.expect_empty()
    }
);

case!(
    /// R21: while one transaction is under way, STATUS and CANCEL are answered at once; a cancelled unload goes back.
    20, fn r21_status_and_cancel_are_answered_during_a_transaction(agent) {
        let (_blocked, other) = block_inside(agent)?;
        let before = agent.snapshot()?;
        let client = agent.spawn(unloading, &[30_000])?;
        agent.sleep_us(20_000)?;
        let start = clock::microseconds();
        ensure_eq!(step(agent)?.as_deref(), Some("wait_inside"), "the module of the transaction under way");
        match agent.linker(&Request::Cancel)? {
            Reply::Done => {}
            other => fail!("CANCEL: {other:?}"),
        }
        await_word(agent, client, 2, "the answer to the cancelled unload")?;
        agent.took_ms(start, 0, 1_000, "STATUS, CANCEL and the way back")?;
        ensure_eq!(client.get(1), u64::from(Errno::ECANCELED.number().unsigned_abs()), "the errno of the unload");
        agent.expect_as_before(&before, "a cancelled unload")?;
        ensure_eq!(step(agent)?, None, "the transaction under way");
        other.release(agent.ipc)?;
        agent.sleep_us(5_000)?;
        agent.unload("wait_inside")?;
        agent.join(client)?;
        agent.expect_empty()
    }
);

case!(
    /// S17: a thread stays inside for ten seconds: the unload waits, who is inside is named all the while, and CANCEL brings
    /// the module back into service.
    60, fn s17_an_unload_waits_for_a_thread_that_stays_inside_until_it_is_cancelled(agent) {
        let (_blocked, other) = block_inside(agent)?;
        let before = agent.snapshot()?;
        let client = agent.spawn(unloading, &[30_000])?;
        for second in 1..=10 {
            agent.sleep_us(1_000_000)?;
            ensure_eq!(step(agent)?.as_deref(), Some("wait_inside"), "the module that leaves, after {second} s");
            let row = agent.threads()?.into_iter().find(|row| row.name.as_str() == "demo");
            let inside = row.as_ref().map(|row| (row.inside.as_str(), row.entry.as_str()));
            ensure_eq!(inside, Some(("wait_inside", WAIT)), "where the thread is, after {second} s");
            ensure_eq!(client.get(2), 0, "answers to the unload, after {second} s");
        }
        match agent.linker(&Request::Cancel)? {
            Reply::Done => {}
            other => fail!("CANCEL: {other:?}"),
        }
        await_word(agent, client, 2, "the answer to the cancelled unload")?;
        ensure_eq!(client.get(1), u64::from(Errno::ECANCELED.number().unsigned_abs()), "the errno of the unload");
        agent.expect_as_before(&before, "a cancelled unload")?;
        other.release(agent.ipc)?;
        agent.sleep_us(5_000)?;
        ensure_eq!(other.waits(agent.ipc)?, (1, 1, 107), "waits begun, ended, the value by way of the module");
        agent.unload("wait_inside")?;
        agent.join(client)?;
        agent.expect_empty()
    }
);

/// Loads and unloads B without end: words 1 and 2 count what was done and what was refused with EBUSY; word 3 counts
/// everything else.
fn racing(shared: &'static Shared, ipc: &mut Ipc) {
    let mut loaded = false;
    let Ok(StoreReply::Image { image, .. }) =
        call(ipc, slot::STORE, &strata_protocol::store::Request::Find { name: ModuleName::cut("pass_b") })
    else {
        shared.count(3);
        return;
    };
    while !shared.stopping() || loaded {
        let module = ModuleName::cut("pass_b");
        let request = if loaded {
            Request::Unload { name: module, drain_ms: DRAIN_MS }
        } else {
            Request::Load { name: module, domain: ModuleName::default(), image }
        };
        match call::<_, Reply>(ipc, OTHER_CLIENT, &request).map(|reply| decision(&reply)) {
            Ok(Ok(Ok(()))) => {
                loaded = !loaded;
                shared.count(1);
            }
            Ok(Ok(Err(refused))) if refused.errno == Errno::EBUSY => shared.count(2),
            _ => shared.count(3),
        }
    }
}

case!(
    /// R21: two clients race; each request is done whole or refused with EBUSY.
    120, fn r21_two_clients_race_and_each_request_is_whole(agent) {
        let before = agent.snapshot()?;
        let client = agent.spawn(racing, &[])?;
        let demo = agent.open("demo")?;
        let mut loaded = false;
        let (mut done, mut busy) = (0, 0);
        let image = agent.find("pass_a")?;
        while done < 1_000 {
            let request = if loaded {
                Request::Unload { name: name("pass_a")?, drain_ms: DRAIN_MS }
            } else {
                Request::Load { name: name("pass_a")?, domain: ModuleName::default(), image }
            };
            let outcome: Decision = decision(&agent.linker(&request)?)?;
            match outcome {
                Ok(()) => {
                    loaded = !loaded;
                    done += 1;
                }
                Err(refused) if refused.errno == Errno::EBUSY => busy += 1,
                Err(refused) => fail!("{request:?}: {refused:?}"),
            }
            let answer = demo.ping(agent.ipc, 0)?;
            let valid = if loaded { [2, 22, 13] } else { [1, 3, 3] };
            ensure!(valid.contains(&answer), "ping with A {loaded}: {answer}");
            if done % 4 == 0 {
                agent.sleep_us(200)?;
            }
        }
        agent.join(client)?;
        ensure!(client.get(1) > 0, "the other client never had its way");
        ensure_eq!(client.get(3), 0, "answers to the other client that are neither done nor EBUSY");
        crate::report::note!("this client: {done} done, {busy} busy; the other: {} and {}", client.get(1), client.get(2));
        agent.close(demo)?;
        agent.expect_as_before(&before, "the race")?;
        agent.audit()?;
        Ok(())
    }
);

/// Asks a demo server for a note, once: its endpoint and the note in; word 2 becomes 1 when the answer has come.
fn noting(shared: &'static Shared, ipc: &mut Ipc) {
    let _ = Device::at(shared.get(0)).take_note(ipc, shared.get(1));
    shared.set(2, 1);
    while !shared.stopping() {
        sel4_sys::seL4_Yield();
    }
}

case!(
    /// R15: a module that has called through another module's gate is not left: where its call returns to is in the gate's
    /// record, and nowhere else.
    30, fn r15_a_caller_that_only_a_record_names_is_inside(agent) {
        for module in ["soak_tally", "wait_inside", "soak_hammer"] {
            agent.load(module)?;
        }
        let (demo, other) = (agent.open("demo")?, agent.open("demo2")?);
        // One round: the last of its calls goes through the gate of `wait_inside` and sleeps there.
        let client = agent.spawn(noting, &[demo.endpoint(), 1])?;
        agent.sleep_us(5_000)?;
        ensure_eq!(agent.stat("wait_inside")?[0], 1, "calls inside");
        let refused = agent.unload_refused("soak_hammer", 20, Errno::ETIMEDOUT)?;
        let Some(blocker) = refused.blockers.iter().flatten().next() else { fail!("no blocker is named") };
        ensure_eq!((blocker.thread.as_str(), blocker.entry.as_str()), ("demo", "demo_note"), "the blocker");
        other.release(agent.ipc)?;
        await_word(agent, client, 2, "the answer of the call that slept")?;
        agent.join(client)?;
        for module in ["soak_hammer", "wait_inside", "soak_tally"] {
            agent.unload(module)?;
        }
        agent.expect_empty()
    }
);
