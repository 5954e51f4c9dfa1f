//! The figures of `./x bench linker`: what loading, relinking and unloading cost, and how that grows.
//!
//! A growth law is a slope: the same thing is measured at two sizes that differ in nothing else, and the difference is
//! divided by the difference of the sizes.

use strata_protocol::Text;
use strata_protocol::driver::bench;
use strata_protocol::linker::{Reply, Request};
use strata_runtime::clock;

use super::bench::{UNIT, load_unload, milli_instructions, per_round, relocations, rounded};
use crate::agent::{Agent, DRAIN_MS};
use crate::case::{BENCH, Outcome, case, ensure, ensure_eq, fail};
use crate::report::{figure, note};

/// Modules that are loaded beside the one that is measured.
const OTHERS: u64 = 16;
/// A module that stays while growth is measured.
const NEIGHBOUR: &str = "thin_wait";
/// Layers of the chain of calls.
const CHAIN: usize = 3;

case!(
    /// The goals G1 to G3 and G6 to G12 of the design that can be measured on one core.
    600, BENCH, fn bench_linker(agent) {
        let (load, unload) = load_unload(agent, "bench_layer")?;
        figure("linker.load.fixed", milli_instructions(load), UNIT);
        figure("linker.unload.work", milli_instructions(unload), UNIT);
        // Under instruction counting a nanosecond passes with each instruction, and nobody waits for a timer.
        figure("linker.unload.latency", milli_instructions(unload), "ns");
        request(agent)?;
        signatures(agent)?;
        growth_with_relocations(agent)?;
        unmapping(agent, unload)?;
        // Beside a module of the same size: memory is split for that one, and not for each that is measured.
        agent.load(NEIGHBOUR)?;
        growth_with_modules(agent)?;
        growth_with_sites(agent)?;
        agent.unload(NEIGHBOUR)?;
        calls(agent)?;
        memory(agent)
    }
);

case!(
    /// What an unload takes with as many driver servers as there are: `./x bench linker` boots with different numbers of
    /// them (goal G11).
    120, BENCH, fn bench_quiesce(agent) {
        // Beside a module of the same size, as above. One symbol of it blocks: its entry is counted.
        agent.load(NEIGHBOUR)?;
        let (_, direct) = load_unload(agent, "bench_layer")?;
        let counted = unload_of(agent, "thin_wait", "thin_again")?;
        agent.unload(NEIGHBOUR)?;
        figure("linker.quiesce.direct", milli_instructions(direct), UNIT);
        figure("linker.quiesce.counted", milli_instructions(counted), UNIT);
        Ok(())
    }
);

/// Ticks of one unload of a module that is loaded under another name: the least of a few.
fn unload_of(agent: &mut Agent, module: &str, name: &str) -> Outcome<u64> {
    let mut least = u64::MAX;
    for _ in 0..5 {
        ensure_eq!(agent.try_load_as(module, name)?, Ok(()), "load of {name}");
        let start = clock::ticks();
        let unloaded = agent.try_unload(name, DRAIN_MS)?;
        least = least.min(clock::ticks() - start);
        ensure_eq!(unloaded, Ok(()), "unload of {name}");
    }
    Ok(least)
}

/// Requests of one loop.
const REQUESTS: u64 = 64;

/// What a request that is answered at once takes, with both sides' making and reading of messages.
fn request(agent: &mut Agent) -> Outcome {
    let start = clock::ticks();
    for _ in 0..REQUESTS {
        let reply = agent.linker(&Request::Status)?;
        ensure!(matches!(reply, Reply::Status { .. }), "STATUS is answered by {reply:?}");
    }
    figure("linker.request", milli_instructions(clock::ticks() - start) / REQUESTS, UNIT);
    Ok(())
}

/// Frames of a module.
fn frames(agent: &mut Agent, module: &str) -> Outcome<u64> {
    agent.load(module)?;
    let row = agent.ledger_of(module)?;
    agent.unload(module)?;
    let Some(row) = row else { fail!("the ledger has no row for {module}") };
    Ok(row.frames)
}

/// How much of an unload is pages: the slope between a module of few and one of many, each of which has a call site, too.
/// `unload` are the ticks that the one of few takes.
fn unmapping(agent: &mut Agent, unload: u64) -> Outcome {
    let (few, many) = (frames(agent, "bench_layer")?, frames(agent, "far_sites")?);
    let (_, large) = load_unload(agent, "far_sites")?;
    ensure!(many > few && large > unload, "no slope: {few} and {many} frames, {unload} and {large} ticks");
    let per_page = milli_instructions(large - unload) / (many - few);
    figure("linker.unload.per_page", per_page, UNIT);
    figure("linker.unload.besides", milli_instructions(unload).saturating_sub(per_page * few), UNIT);
    Ok(())
}

fn growth_with_relocations(agent: &mut Agent) -> Outcome {
    let few = relocations(agent.archived("relocs_small")?);
    let many = relocations(agent.archived("relocs_large")?);
    let (small, small_back) = load_unload(agent, "relocs_small")?;
    let (large, large_back) = load_unload(agent, "relocs_large")?;
    ensure!(many > few && large > small, "no slope: {few} and {many} relocations, {small} and {large} ticks");
    figure("linker.load.per_reloc", milli_instructions(large - small) / (many - few), UNIT);
    let pages = large_back.saturating_sub(small_back);
    note!("unloading {many} relocations takes {pages} ticks more than {few}: it is pages, not relocations");
    Ok(())
}

/// What checking a signature costs, which the figures of loads leave out.
fn signatures(agent: &mut Agent) -> Outcome {
    let mut of = |module: &str| -> Outcome<(u64, u64)> {
        let before = agent.trust_ticks()?;
        agent.load(module)?;
        let took = agent.trust_ticks()? - before;
        agent.unload(module)?;
        Ok((agent.archived(module)?.len() as u64, milli_instructions(took)))
    };
    let ((few, small), (many, large)) = (of("relocs_small")?, of("relocs_large")?);
    ensure!(many > few && large > small, "no slope: {few} and {many} bytes, {small} and {large}");
    let per_byte = (large - small) / (many - few);
    figure("linker.signature.per_byte", per_byte, UNIT);
    figure("linker.signature.fixed", small.saturating_sub(per_byte * few), UNIT);
    Ok(())
}

/// A growth law: how much steeper something grows from the second size to the third than from the first to the second.
/// Sizes are equally far apart.
fn law(name: &str, [first, second, third]: [u64; 3]) {
    let (early, late) = (second.saturating_sub(first).max(1), third.saturating_sub(second));
    figure(name, late * 1_000 / early, "ratio");
}

fn growth_with_modules(agent: &mut Agent) -> Outcome {
    // The slope between numbers that leave the same hole in memory: without others, memory is split for the first.
    let (mut loads, mut unloads) = ([0; 3], [0; 3]);
    let mut others = 0..OTHERS;
    for (load, unload) in loads.iter_mut().zip(&mut unloads) {
        let more = if others.start == 0 { OTHERS / 2 } else { OTHERS / 4 };
        for other in others.by_ref().take(usize::try_from(more).unwrap_or(usize::MAX)) {
            let name = Text::<31>::format(format_args!("other_{other}"));
            ensure_eq!(agent.try_load_as("relocs_small", &name)?, Ok(()), "load of {name}");
        }
        (*load, *unload) = load_unload(agent, "bench_layer")?;
    }
    for other in 0..OTHERS {
        agent.unload(&Text::<31>::format(format_args!("other_{other}")))?;
    }
    let per_module = |ticks: [u64; 3]| milli_instructions(ticks[2].saturating_sub(ticks[0])) / (OTHERS / 2);
    figure("linker.load.per_module", per_module(loads), UNIT);
    figure("linker.unload.per_module", per_module(unloads), UNIT);
    law("linker.law.load_by_modules", loads);
    Ok(())
}

/// Copies of a module with call sites that are loaded at the second size, and again as many at the third: in pairs, so
/// that the memory that is left is split in the same way.
const COPIES: usize = 2;

fn growth_with_sites(agent: &mut Agent) -> Outcome {
    let mut fixed = 0;
    for (module, name, laws) in
        [("many_sites", "linker.relink.per_site", true), ("far_sites", "linker.relink.per_page", false)]
    {
        let (without, without_back) = load_unload(agent, "pass_a")?;
        let (mut loads, mut unloads) = ([without; 3], [without_back; 3]);
        let copy = |number: usize| Text::<31>::format(format_args!("copy_{number}"));
        for size in 1..3 {
            for number in (size - 1) * COPIES..size * COPIES {
                ensure_eq!(agent.try_load_as(module, &copy(number))?, Ok(()), "a copy of {module}");
            }
            (loads[size], unloads[size]) = load_unload(agent, "pass_a")?;
        }
        let sites = agent.stat(&copy(0))?[0] * COPIES as u64;
        for number in 0..2 * COPIES {
            agent.unload(&copy(number))?;
        }
        ensure!(
            loads[2] > loads[1] && loads[1] > loads[0],
            "{sites} sites more cost nothing: {loads:?} ticks"
        );
        figure(name, milli_instructions(loads[2] - loads[1]) / sites, UNIT);
        if laws {
            law("linker.law.load_by_sites", loads);
            law("linker.law.unload_by_sites", unloads);
            // What the first ones cost beyond the slope.
            fixed = (loads[1] - loads[0]).saturating_sub(loads[2] - loads[1]);
        }
    }
    figure("linker.relink.fixed", milli_instructions(fixed), UNIT);
    Ok(())
}

fn calls(agent: &mut Agent) -> Outcome {
    let server = agent.open("bench")?;
    let direct = per_round(agent, server, bench::DIRECT)?;
    let symbol = per_round(agent, server, bench::SYMBOL)?;
    figure("linker.call.direct.extra", rounded(symbol.saturating_sub(direct)), UNIT);
    agent.load("bench_layer")?;
    let layered = per_round(agent, server, bench::SYMBOL)?;
    agent.unload("bench_layer")?;
    // The layer adds its own tail branch to what its binding costs.
    let extra = rounded(layered.saturating_sub(symbol)).saturating_sub(1_000);
    figure("linker.call.layer.extra", extra, UNIT);
    let bare = per_round(agent, server, bench::BUS_READ_4)?;
    for depth in 0..CHAIN {
        let layer = Text::<31>::format(format_args!("thin_{depth}"));
        ensure_eq!(agent.try_load_as("thin_read", &layer)?, Ok(()), "load of {layer}");
    }
    let chained = per_round(agent, server, bench::BUS_READ_4)?;
    for depth in 0..CHAIN {
        agent.unload(&Text::<31>::format(format_args!("thin_{depth}")))?;
    }
    figure("linker.call.chain.per_layer", rounded(chained.saturating_sub(bare) / CHAIN as u64), UNIT);
    Ok(())
}

fn memory(agent: &mut Agent) -> Outcome {
    agent.load("bench_layer")?;
    let row = agent.ledger_of("bench_layer")?;
    agent.unload("bench_layer")?;
    let Some(row) = row else { fail!("the ledger has no row for a loaded module") };
    note!("bench_layer: {} frames, {} capabilities", row.frames, row.capabilities);
    figure("linker.memory.module", row.untyped_bytes * 1_000, "bytes");
    Ok(())
}
