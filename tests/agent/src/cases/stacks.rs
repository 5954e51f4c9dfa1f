//! Alias stacks: who answers to a symbol, and who may stand where.

use strata_protocol::Errno;
use strata_protocol::linker::{AliasKind, Reply, Request};

use crate::agent::Agent;
use crate::case::{Outcome, case, ensure, ensure_eq, fail};
use crate::names::{BASE, NOTE, PING};

case!(
    /// R1: the base image declares a symbol and its default, which is never popped.
    15, fn r01_weak_default_answers_with_no_module_loaded(agent) {
        agent.expect_empty()?;
        for symbol in [PING, NOTE, crate::names::READ_4, crate::names::WAIT] {
            agent.expect_stack(symbol, &[BASE])?;
            ensure_eq!(agent.stack(symbol)?[0].kind, AliasKind::Weak, "the kind of the default of {symbol}");
        }
        let demo = agent.open("demo")?;
        ensure_eq!(demo.ping(agent.ipc, 41)?, 42, "the default of demo_ping");
        ensure_eq!(demo.take_note(agent.ipc, 5)?, 0, "the stub of demo_note");
        agent.expect_devices_well()
    }
);

case!(
    /// R2: one full replacement of a stub at most, under all layers, whatever was loaded first.
    20, fn r02_second_strong_is_refused_and_a_strong_goes_under_layers(agent) {
        let demo = agent.open("demo")?;
        agent.load("strong_note")?;
        agent.expect_stack(NOTE, &["strong_note", BASE])?;
        ensure_eq!(demo.take_note(agent.ipc, 7)?, 1, "the first note");
        let before = agent.snapshot()?;
        agent.load_refused("second_note", Errno::EEXIST)?;
        agent.expect_as_before(&before, "a second strong")?;
        ensure_eq!(demo.take_note(agent.ipc, 7)?, 2, "the second note: the first provider still answers");
        agent.unload("strong_note")?;
        ensure_eq!(demo.take_note(agent.ipc, 7)?, 0, "the stub again");

        agent.load("note_layer")?;
        ensure_eq!(demo.take_note(agent.ipc, 7)?, 1_000, "the layer over the stub");
        agent.load("second_note")?;
        agent.expect_stack(NOTE, &["note_layer", "second_note", BASE])?;
        ensure_eq!(demo.take_note(agent.ipc, 7)?, 1_001_000, "the layer over the strong one that came after it");
        agent.unload("second_note")?;
        ensure_eq!(demo.take_note(agent.ipc, 7)?, 1_000, "the layer over the stub again");
        agent.unload("note_layer")?;
        agent.expect_empty()
    }
);

/// What `demo_ping(0)` answers through these layers, top first: each appends its digit, the default adds one.
fn answer_through(layers: &[u64]) -> u64 {
    layers.iter().fold(0, |value, digit| value * 10 + digit) + 1
}

const NAMES: [&str; 3] = ["pass_a", "pass_b", "pass_c"];

fn expect_layers(agent: &mut Agent, demo: crate::device::Device, layers: &[usize]) -> Outcome {
    let mut names: heapless::Vec<&str, 4> = layers.iter().rev().map(|layer| NAMES[*layer]).collect();
    // Three layers at most, so the base fits behind them.
    let _ = names.push(BASE);
    agent.expect_stack(PING, &names)?;
    let digits: heapless::Vec<u64, 4> = layers.iter().rev().map(|layer| *layer as u64 + 1).collect();
    ensure_eq!(demo.ping(agent.ipc, 0)?, answer_through(&digits), "the calls through {names:?}");
    Ok(())
}

case!(
    /// R3: the stack that is shown equals the expectation after each step, and so do the calls.
    30, fn r03_shown_stack_equals_expectation_after_each_step(agent) {
        let demo = agent.open("demo")?;
        let mut stack: heapless::Vec<usize, 4> = heapless::Vec::new();
        // Loads and unloads from every place: + loads, - unloads.
        for step in [1, 2, 3, -2, 2, -1, -3, 1, 3, -1, -2, -3] {
            let layer = usize::try_from(i32::abs(step) - 1).unwrap_or(0);
            if step > 0 {
                agent.load(NAMES[layer])?;
                let _ = stack.push(layer);
            } else {
                agent.unload(NAMES[layer])?;
                stack.retain(|other| *other != layer);
            }
            expect_layers(agent, demo, &stack)?;
        }
        agent.expect_empty()
    }
);

case!(
    /// R5: the top is the last loaded; A then B calls B, A, default.
    20, fn r05_both_load_orders_call_top_first_and_the_same_module_twice_is_refused(agent) {
        let demo = agent.open("demo")?;
        for order in [[0, 1], [1, 0]] {
            agent.load(NAMES[order[0]])?;
            agent.load(NAMES[order[1]])?;
            expect_layers(agent, demo, &order)?;
            let before = agent.snapshot()?;
            agent.load_refused(NAMES[order[0]], Errno::EEXIST)?;
            agent.expect_as_before(&before, "the same module twice")?;
            agent.unload(NAMES[order[1]])?;
            agent.unload(NAMES[order[0]])?;
        }
        agent.expect_empty()
    }
);

case!(
    /// R5: more layers than the named constant are refused, and the stack that is full still works.
    60, fn r05_more_layers_than_the_bound_are_refused(agent) {
        let demo = agent.open("demo")?;
        let ledger = agent.ledger()?;
        let mut loaded = 0_u32;
        let refused = loop {
            ensure!(loaded < 64, "64 layers and no bound");
            let alias = strata_protocol::Text::<31>::format(format_args!("layer_{loaded}"));
            match agent.try_load_as("pass_a", &alias)? {
                Ok(()) => loaded += 1,
                Err(refused) => break refused,
            }
        };
        ensure!(matches!(refused.errno, Errno::ENOMEM | Errno::ENOSPC), "the bound: {refused:?}");
        ensure!(loaded >= 3, "only {loaded} layers fit");
        ensure_eq!(agent.stack(PING)?.len(), loaded as usize + 1, "aliases in the full stack");
        // Each layer appends a 1, modulo 2^64.
        let expected = (0..loaded).fold(0_u64, |value, _| value.wrapping_mul(10).wrapping_add(1)).wrapping_add(1);
        ensure_eq!(demo.ping(agent.ipc, 0)?, expected, "a call through {loaded} layers");
        for layer in 0..loaded {
            agent.unload(&strata_protocol::Text::<31>::format(format_args!("layer_{layer}")))?;
        }
        ensure_eq!(agent.ledger()?, ledger, "the ledger after all layers are gone");
        agent.audit()?;
        agent.expect_empty()
    }
);

/// All orders of three.
pub(crate) const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// A client that pings without end and holds each answer against all subsets of the three layers.
fn pinging(shared: &'static crate::threads::Shared, ipc: &mut strata_runtime::Ipc) {
    let demo = crate::device::Device::at(shared.get(0));
    while !shared.stopping() {
        let answer = demo.ping(ipc, 0).unwrap_or(u64::MAX);
        // Loaded in the order A, B, C, so every possible answer has its digits in falling order.
        let valid = [1, 2, 3, 4, 22, 32, 33, 322];
        if valid.contains(&answer) {
            shared.count(1);
        } else {
            shared.set(3, answer);
            shared.count(2);
        }
    }
}

case!(
    /// R6: from default, A, B, C any layer leaves first, second or last; callers see only whole stacks.
    60, fn r06_middle_removal_in_all_six_orders_under_load(agent) {
        let demo = agent.open("demo")?;
        let other = agent.open("demo2")?;
        let client = agent.spawn(pinging, &[other.endpoint()])?;
        for order in ORDERS {
            for module in NAMES {
                agent.load(module)?;
            }
            let mut left: heapless::Vec<usize, 4> = (0..3).collect();
            expect_layers(agent, demo, &left)?;
            for layer in order {
                agent.sleep_us(300)?;
                agent.unload(NAMES[layer])?;
                left.retain(|other| *other != layer);
                expect_layers(agent, demo, &left)?;
            }
        }
        agent.join(client)?;
        ensure!(client.get(1) > 0, "the client never had its turn");
        ensure_eq!(client.get(2), 0, "wrong answers, the last of them {}", client.get(3));
        crate::report::note!("{} pings by another client", client.get(1));
        agent.expect_empty()
    }
);

case!(
    /// R7: two layers have the same super symbol and reach different aliases; no such name is ever global.
    20, fn r07_super_symbols_are_private_to_each_module(agent) {
        let demo = agent.open("demo")?;
        let count = |agent: &mut Agent| -> Outcome<u32> {
            for index in 0.. {
                match agent.linker(&Request::Symbol { index })? {
                    Reply::Symbol(symbol) => {
                        ensure!(!symbol.starts_with("super_"), "{symbol} is a global symbol");
                    }
                    Reply::End => return Ok(index),
                    other => fail!("symbols: {other:?}"),
                }
            }
            Ok(0)
        };
        let symbols = count(agent)?;
        ensure!(symbols >= 36, "only {symbols} symbols");
        agent.load("pass_a")?;
        agent.load("pass_b")?;
        ensure_eq!(count(agent)?, symbols, "symbols with two layers loaded");
        // Were `super_demo_ping` one symbol, B's would lead where A's leads, and A would be left out.
        ensure_eq!(demo.ping(agent.ipc, 0)?, 22, "B, A, default");
        agent.unload("pass_b")?;
        agent.unload("pass_a")?;
        agent.expect_empty()
    }
);

case!(
    /// R8: every call site branches to the top, the top's own super site to the one below, by plain branches.
    20, fn r08_call_sites_branch_straight_to_who_answers(agent) {
        let demo = agent.open("demo")?;
        let sites = agent.stack(PING)?[0].sites;
        ensure!(sites > 0, "the base image calls demo_ping nowhere");
        ensure_eq!(agent.stack(PING)?[0].binding, strata_protocol::linker::Binding::Direct, "the default's binding");
        ensure_eq!(agent.stack(PING)?[0].entry, agent.stack(PING)?[0].address, "a direct entry");
        agent.load("pass_a")?;
        agent.load("pass_b")?;
        // Both layers end in a tail call: their super site is a `B`, not a `BL`.
        let stack = agent.stack(PING)?;
        let direct = |row: &strata_protocol::linker::AliasRow| {
            row.binding == strata_protocol::linker::Binding::Direct && row.entry == row.address
        };
        ensure!(stack.iter().all(direct), "a layer that does not block is reached by a gate: {stack:?}");
        let bound: heapless::Vec<u32, 4> = stack.iter().map(|row| row.sites).collect();
        ensure_eq!(bound.as_slice(), &[sites, 1, 1], "sites bound to B, A and the default");
        agent.unload("pass_a")?;
        let stack = agent.stack(PING)?;
        let bound: heapless::Vec<u32, 4> = stack.iter().map(|row| row.sites).collect();
        ensure_eq!(bound.as_slice(), &[sites, 1], "sites bound to B and the default");
        // A's memory is gone: a tail call that had been missed would run into it.
        ensure_eq!(demo.ping(agent.ipc, 0)?, 3, "B, default");
        agent.unload("pass_b")?;
        ensure_eq!(agent.stack(PING)?[0].sites, sites, "sites bound to the default at the end");
        agent.expect_empty()
    }
);

case!(
    /// R9: a pointer that was taken before any load reaches whoever answers now.
    20, fn r09_pointer_taken_before_the_load_follows_the_stack(agent) {
        let demo = agent.open("demo")?;
        ensure_eq!(demo.ping_pointer(agent.ipc, 0)?, 1, "the pointer, nobody loaded");
        agent.load("pass_a")?;
        ensure_eq!(demo.ping_pointer(agent.ipc, 0)?, 2, "the pointer, A loaded");
        agent.load("pass_b")?;
        ensure_eq!(demo.ping_pointer(agent.ipc, 0)?, 22, "the pointer, A and B loaded");
        agent.unload("pass_a")?;
        ensure_eq!(demo.ping_pointer(agent.ipc, 0)?, 3, "the pointer, B loaded");
        agent.unload("pass_b")?;
        ensure_eq!(demo.ping_pointer(agent.ipc, 0)?, 1, "the pointer at the end");
        Ok(())
    }
);

case!(
    /// R22: who binds to an export depends on it; who refines is layered and is re-bound.
    20, fn r22_dependencies_keep_a_module_and_layers_do_not(agent) {
        let demo = agent.open("demo")?;
        let before = agent.snapshot()?;
        let refused = agent.try_load("dependent")?;
        ensure!(refused.is_err(), "a module was loaded without what it imports");
        agent.expect_as_before(&before, "a load without the import")?;
        let refused = agent.try_load("greet_layer")?;
        ensure!(refused.is_err(), "a layer was loaded over a symbol that nobody introduced");
        agent.expect_as_before(&before, "a layer over nothing")?;

        agent.load("introducer")?;
        agent.load("pass_a")?;
        agent.load("dependent")?;
        // The dependent module greets (doubles) and passes on to A below.
        ensure_eq!(demo.ping(agent.ipc, 4)?, 82, "dependent, A, default");
        agent.unload_refused("introducer", 500, Errno::EBUSY)?;
        agent.load("greet_layer")?;
        ensure_eq!(demo.ping(agent.ipc, 4)?, 132, "with a layer over the import");
        agent.unload_refused("introducer", 500, Errno::EBUSY)?;
        // The dependent module is a layer over A, too: A leaves and the dependent one is re-bound.
        agent.unload("pass_a")?;
        ensure_eq!(demo.ping(agent.ipc, 4)?, 14, "dependent, default");
        let row = agent.module("introducer")?;
        ensure!(row.is_some_and(|row| row.references == 2), "modstat counts who depends on the introducer");
        agent.unload("greet_layer")?;
        agent.unload("dependent")?;
        agent.unload("introducer")?;
        agent.expect_as_before(&before, "all are gone")
    }
);

case!(
    /// R23: a layer that calls its own symbol reaches the top of the stack again; entrances nest and all are left.
    20, fn r23_open_recursion_reaches_the_top_and_counts_nest(agent) {
        let demo = agent.open("demo")?;
        agent.load("reentrant")?;
        ensure_eq!(demo.ping(agent.ipc, 1)?, 2 + 2 * 10_000, "the layer alone: below, and once by way of the top");
        agent.load("pass_a")?;
        // A makes 11 of 1; the layer answers 12 from below, and by way of the top A makes 111 of 11.
        ensure_eq!(demo.ping(agent.ipc, 1)?, 12 + 112 * 10_000, "the recursion goes by way of A");
        agent.unload("reentrant")?;
        agent.unload("pass_a")?;
        agent.expect_empty()
    }
);
