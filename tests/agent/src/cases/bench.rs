//! The figures of `./x bench`: instructions, counted by a virtual clock that goes with them.
//!
//! Under `-icount shift=0` an instruction takes a nanosecond of virtual time, so a tick of the 62.5 MHz counter is 16
//! instructions. Loops are long enough that a tick is below a thousandth of the result. Where a driver is asked, the
//! request itself is measured with an empty loop and subtracted.

use strata_protocol::Text;
use strata_protocol::driver::bench;
use strata_runtime::clock;

use crate::agent::{Agent, DRAIN_MS};
use crate::case::{BENCH, Outcome, case, ensure, ensure_eq};
use crate::device::Device;
use crate::names::DEBUG;
use crate::report::{figure, note};

/// Rounds of a loop of calls.
const ROUNDS: u64 = 100_000;
/// Nanoseconds of a second: instructions of a second of virtual time.
const SECOND: u64 = 1_000_000_000;
pub(super) const UNIT: &str = "instructions";

/// Ticks as thousandths of instructions.
pub(super) fn milli_instructions(ticks: u64) -> u64 {
    let milli = u128::from(ticks) * u128::from(SECOND) * 1_000 / u128::from(clock::frequency());
    u64::try_from(milli).unwrap_or(u64::MAX)
}

/// Thousandths of instructions of one round of a loop, the empty loop taken off.
pub(super) fn per_round(agent: &mut Agent, server: Device, which: u64) -> Outcome<u64> {
    let empty = server.bench(agent.ipc, bench::EMPTY, ROUNDS)?;
    let full = server.bench(agent.ipc, which, ROUNDS)?;
    ensure!(full > empty, "loop {which} took {full} ticks, the empty one {empty}");
    Ok(milli_instructions(full - empty) / ROUNDS)
}

/// The nearest whole instruction: loops of whole instructions have whole results, and the rest is the tick.
pub(super) fn rounded(milli: u64) -> u64 {
    (milli + 500) / 1_000 * 1_000
}

/// Ticks of one load and one unload of a module, each the least of a few.
pub(super) fn load_unload(agent: &mut Agent, module: &str) -> Outcome<(u64, u64)> {
    let found = agent.find(module)?;
    let (mut load, mut unload) = (u64::MAX, u64::MAX);
    for _ in 0..5 {
        let trust = agent.trust_ticks()?;
        let start = clock::ticks();
        let loaded = agent.try_load_image(module, found)?;
        let middle = clock::ticks();
        // Checking signatures has a figure of its own.
        let trust = agent.trust_ticks()? - trust;
        let again = clock::ticks();
        let unloaded = agent.try_unload(module, DRAIN_MS)?;
        let end = clock::ticks();
        ensure!(loaded.is_ok() && unloaded.is_ok(), "{module}: {loaded:?}, {unloaded:?}");
        load = load.min(middle - start - trust);
        unload = unload.min(end - again);
    }
    Ok((load, unload))
}

/// Relocations in an image, counted in its section table.
pub(super) fn relocations(image: &[u8]) -> u64 {
    let word = |at: usize, size: usize| {
        let mut eight = [0; 8];
        if let Some(bytes) = image.get(at..at + size) {
            eight[..size].copy_from_slice(bytes);
        }
        u64::from_le_bytes(eight)
    };
    let at = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let (table, count) = (at(word(40, 8)), word(60, 2));
    const RELA: u64 = 4;
    (0..at(count))
        .map(|index| table + 64 * index)
        .filter(|header| word(header + 4, 4) == RELA)
        // Relocations of debug or unwind sections count too: the linker server reads them all.
        .map(|header| word(header + 32, 8) / 24)
        .sum()
}

case!(
    /// All figures of this issue.
    600, BENCH, fn bench(agent) {
        let server = agent.open("bench")?;
        // What a call costs over a plain BL.
        let direct = per_round(agent, server, bench::DIRECT)?;
        let symbol = per_round(agent, server, bench::SYMBOL)?;
        agent.load("bench_layer")?;
        // The layer's own tail branch apart, neither the symbol nor a layer costs anything.
        let layered = per_round(agent, server, bench::SYMBOL)?;
        let extra = symbol.saturating_sub(direct).max(layered.saturating_sub(symbol + 1_000));
        figure("call.direct.extra", rounded(extra), UNIT);
        agent.unload("bench_layer")?;
        let plain = per_round(agent, server, bench::WAIT)?;
        agent.load("thin_wait")?;
        let counted = per_round(agent, server, bench::WAIT)?;
        figure("call.counted.extra", rounded(counted.saturating_sub(plain)).saturating_sub(1_000), UNIT);
        agent.unload("thin_wait")?;
        let vector = per_round(agent, server, bench::OPSVECTOR)?;
        figure("call.opsvector.extra", rounded(vector.saturating_sub(direct)), UNIT);
        note!("a plain call {direct}, through a layer {layered}, through a vector {vector} (thousandths, with its leaf)");

        // A register through 0 to 3 thin layers, and through a vector.
        figure("bus.read4.depth0", rounded(per_round(agent, server, bench::BUS_READ_4)?), UNIT);
        for (depth, name) in ["bus.read4.depth1", "bus.read4.depth2", "bus.read4.depth3"].into_iter().enumerate() {
            let layer = Text::<31>::format(format_args!("thin_{depth}"));
            ensure_eq!(agent.try_load_as("thin_read", &layer)?, Ok(()), "load of {layer}");
            figure(name, rounded(per_round(agent, server, bench::BUS_READ_4)?), UNIT);
        }
        for depth in 0..3 {
            agent.unload(&Text::<31>::format(format_args!("thin_{depth}")))?;
        }
        figure("bus.read4.opsvector", rounded(per_round(agent, server, bench::BUS_READ_4_OPSVECTOR)?), UNIT);

        // Loads: a module with one alias for the fixed cost, two that differ in nothing but relocations for the slope.
        let (load, unload) = load_unload(agent, "bench_layer")?;
        figure("load.fixed", milli_instructions(load), UNIT);
        figure("unload.idle", milli_instructions(unload), UNIT);
        let few = relocations(agent.archived("relocs_small")?);
        let many = relocations(agent.archived("relocs_large")?);
        let (small, _) = load_unload(agent, "relocs_small")?;
        let (large, _) = load_unload(agent, "relocs_large")?;
        ensure!(many > few && large > small, "no slope: {few} and {many} relocations, {small} and {large} ticks");
        figure("load.per_reloc", milli_instructions(large - small) / (many - few), UNIT);
        note!("{few} relocations: {small} ticks, {many}: {large}");
        let (debug, _) = load_unload(agent, DEBUG)?;
        note!("the debug layer, with all of bus_space and 17 shared pages: {debug} ticks");
        relink(agent)
    }
);

/// The cost of a call site more: the same layer is loaded with and without a module that calls its symbol in many places.
fn relink(agent: &mut Agent) -> Outcome {
    // A neighbour of the same size: memory is split for that one, and not for each module that is measured.
    agent.load("thin_wait")?;
    let (without, _) = load_unload(agent, "pass_a")?;
    agent.load("many_sites")?;
    let sites = agent.stat("many_sites")?[0];
    let (with, _) = load_unload(agent, "pass_a")?;
    // The sites are bound: the module's own calls go through the layer.
    agent.load("pass_a")?;
    ensure!(u64::from(agent.stack("demo_ping")?[0].sites) >= sites, "the sites are not bound to the top");
    agent.unload("pass_a")?;
    agent.unload("many_sites")?;
    agent.unload("thin_wait")?;
    ensure!(with > without, "{sites} sites more cost nothing: {with} and {without} ticks");
    figure("relink.per_site", milli_instructions(with - without) / sites, UNIT);
    note!("relink: {without} ticks without, {with} with {sites} more sites");
    Ok(())
}
