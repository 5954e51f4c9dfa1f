//! The figures of `./x bench linker`: what loading, relinking and unloading cost, and how that grows.
//!
//! A growth law is a slope: the same thing is measured at two sizes that differ in nothing else, and the difference is
//! divided by the difference of the sizes.

use strata_protocol::Text;
use strata_protocol::driver::bench;

use super::bench::{UNIT, load_unload, milli_instructions, per_round, relocations, rounded};
use crate::agent::Agent;
use crate::case::{BENCH, Outcome, case, ensure, ensure_eq, fail};
use crate::report::{figure, note};

/// Modules that are loaded beside the one that is measured.
const OTHERS: u64 = 16;
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
        growth_with_relocations(agent)?;
        growth_with_modules(agent, load, unload)?;
        growth_with_sites(agent)?;
        calls(agent)?;
        memory(agent)
    }
);

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

fn growth_with_modules(agent: &mut Agent, load: u64, unload: u64) -> Outcome {
    for other in 0..OTHERS {
        let name = Text::<31>::format(format_args!("other_{other}"));
        ensure_eq!(agent.try_load_as("relocs_small", &name)?, Ok(()), "load of {name}");
    }
    let (beside, unload_beside) = load_unload(agent, "bench_layer")?;
    for other in 0..OTHERS {
        agent.unload(&Text::<31>::format(format_args!("other_{other}")))?;
    }
    let per_module = |with: u64, without: u64| milli_instructions(with.saturating_sub(without)) / OTHERS;
    figure("linker.load.per_module", per_module(beside, load), UNIT);
    figure("linker.unload.per_module", per_module(unload_beside, unload), UNIT);
    Ok(())
}

fn growth_with_sites(agent: &mut Agent) -> Outcome {
    let (without, _) = load_unload(agent, "pass_a")?;
    for (module, name) in [("many_sites", "linker.relink.per_site"), ("far_sites", "linker.relink.per_page")]
    {
        agent.load(module)?;
        let sites = agent.stat(module)?[0];
        let (with, _) = load_unload(agent, "pass_a")?;
        agent.unload(module)?;
        ensure!(with > without, "{sites} sites more cost nothing: {with} and {without} ticks");
        figure(name, milli_instructions(with - without) / sites, UNIT);
    }
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
