//! Relinking under load: clients that never stop, and layers that come and go.

use sel4_sys::seL4_CPtr;
use strata_protocol::caps::slot;
use strata_protocol::timer;
use strata_runtime::ipc::call;
use strata_runtime::{Ipc, clock};

use crate::agent::Agent;
use crate::case::{Outcome, case, ensure, ensure_eq};
use crate::device::{
    CELL_ID_3, CELL_ID_3_AT, Device, SPECIMEN, SPECIMEN_ID, SPECIMEN_ID_AT, UART_ID_0, UART_ID_AT,
};
use crate::names::{DEBUG, REORDER, XH};
use crate::report::note;
use crate::threads::Shared;

/// Loads and unloads of the three layers, each.
const CYCLES: u64 = 1_000;

/// Words of the reading client: endpoints in, counts out.
mod reader {
    pub(super) const SPECIMEN: usize = 0;
    pub(super) const UART: usize = 1;
    pub(super) const RIGHT: usize = 2;
    pub(super) const WRONG: usize = 3;
    pub(super) const LAST_WRONG: usize = 4;
    /// Odd while a call is under way, and two more for each call.
    pub(super) const CALLS: usize = 5;
}

/// Reads identification registers of the specimen and the UART without end, and holds each value against the truth.
fn reading(shared: &'static Shared, ipc: &mut Ipc) {
    let (specimen, uart) = (Device::at(shared.get(reader::SPECIMEN)), Device::at(shared.get(reader::UART)));
    let registers = [
        (specimen, SPECIMEN_ID_AT, SPECIMEN_ID),
        (uart, UART_ID_AT, UART_ID_0),
        (specimen, SPECIMEN_ID_AT, SPECIMEN_ID),
        (uart, CELL_ID_3_AT, CELL_ID_3),
    ];
    while !shared.stopping() {
        for (device, offset, expected) in registers {
            shared.count(reader::CALLS);
            let read = device.read_4(ipc, offset);
            shared.count(reader::CALLS);
            match read {
                Ok((value, 0)) if value == expected => shared.count(reader::RIGHT),
                other => {
                    shared.set(reader::LAST_WRONG, other.map_or(u64::MAX, |(value, _)| value));
                    shared.count(reader::WRONG);
                }
            }
        }
    }
}

/// Releases a driver that sleeps inside `slow_reads`, again and again: word 0 is a demo server.
fn releasing(shared: &'static Shared, ipc: &mut Ipc) {
    let demo = Device::at(shared.get(0));
    const TIMER: seL4_CPtr = slot::TIMER;
    while !shared.stopping() {
        let _ = call::<_, timer::Reply>(ipc, TIMER, &timer::Request::Sleep { microseconds: 300 });
        if demo.release(ipc).is_ok() {
            shared.count(1);
        }
    }
}

/// Counts of calls that a layer served, taken from the layer itself before it leaves.
#[derive(Default)]
struct Served([u64; 3]);

impl Served {
    fn add(&mut self, agent: &mut Agent, layer: usize, name: &str) -> Outcome {
        self.0[layer] += agent.stat(name)?[0];
        Ok(())
    }
}

/// A thousand cycles of the three layers while a client reads.
///
/// Below them lies `slow_reads`, under whose read a driver sleeps for a moment, so that relinks find a driver in the
/// middle of a call through all layers; otherwise a driver, being more urgent than the linker server, would always have
/// ended its call before the linker server runs.
fn cycles(agent: &mut Agent, count: u64) -> Outcome {
    const LAYERS: [&str; 3] = [DEBUG, XH, REORDER];
    let (specimen, uart, demo) = (agent.open(SPECIMEN)?, agent.open("uart")?, agent.open("demo2")?);
    agent.load("slow_reads")?;
    let before = agent.snapshot()?;
    let client = agent.spawn(reading, &[specimen.endpoint(), uart.endpoint()])?;
    let releaser = agent.spawn(releasing, &[demo.endpoint()])?;
    let mut served = Served::default();
    let (mut straddled_loads, mut straddled_unloads) = (0, 0);
    let (mut loading_us, mut unloading_us, start) = (0, 0, clock::microseconds());
    for cycle in 0..count {
        let first = usize::try_from(cycle % 3).unwrap_or(0);
        let order = [first, (first + 1) % 3, (first + 2) % 3];
        for layer in order {
            agent.sleep_us(100)?;
            let calls = client.get(reader::CALLS);
            let from = clock::microseconds();
            agent.load(LAYERS[layer])?;
            loading_us += clock::microseconds() - from;
            // The same odd number before and after: one call lasted through the relink.
            straddled_loads += u64::from(calls % 2 == 1 && client.get(reader::CALLS) == calls);
        }
        agent.sleep_us(800)?;
        for layer in order {
            served.add(agent, layer, LAYERS[layer])?;
            let calls = client.get(reader::CALLS);
            let from = clock::microseconds();
            agent.unload(LAYERS[layer])?;
            unloading_us += clock::microseconds() - from;
            straddled_unloads += u64::from(calls % 2 == 1);
        }
    }
    agent.join(client)?;
    note!("{count} cycles: {} right reads, {} wrong", client.get(reader::RIGHT), client.get(reader::WRONG));
    let all_us = clock::microseconds() - start;
    note!("{all_us} µs, of these {loading_us} in loads and {unloading_us} in unloads");
    note!("calls served: debug {}, xh {}, reorder {}", served.0[0], served.0[1], served.0[2]);
    note!("calls that straddled a relink: {straddled_loads} at loads, {straddled_unloads} at unloads");
    ensure_eq!(client.get(reader::WRONG), 0, "wrong reads, the last {:#x}", client.get(reader::LAST_WRONG));
    ensure!(client.get(reader::RIGHT) > 0, "the client never read");
    for (layer, calls) in LAYERS.iter().zip(served.0) {
        ensure!(calls > 0, "{layer} served no call");
    }
    ensure!(
        straddled_loads > 0 && straddled_unloads > 0,
        "no call straddled a relink: {straddled_loads}, {straddled_unloads}"
    );
    agent.expect_as_before(&before, "all cycles")?;
    // Drivers that were told of the last layers may sleep in there still.
    agent.unload("slow_reads")?;
    agent.join(releaser)?;
    agent.audit()?;
    agent.expect_devices_well()?;
    agent.expect_empty()
}

case!(
    /// The driver works through 1,000 load/unload cycles of the three layers: only right values, every layer serves,
    /// calls straddle relinks.
    600, fn driver_works_through_a_thousand_cycles_of_three_layers(agent) { cycles(agent, CYCLES) }
);

case!(
    /// The same, short, for a quick look.
    60, fn driver_works_through_thirty_cycles_of_three_layers(agent) { cycles(agent, 30) }
);

/// Pings and reads in pairs; both symbols belong to the C layer, so a pair that is served by half of it would show.
fn pairing(shared: &'static Shared, ipc: &mut Ipc) {
    let (demo, specimen) = (Device::at(shared.get(0)), Device::at(shared.get(1)));
    while !shared.stopping() {
        let right = matches!(specimen.read_4(ipc, SPECIMEN_ID_AT), Ok((SPECIMEN_ID, 0)))
            && matches!(demo.ping(ipc, 5), Ok(6 | 58));
        shared.count(if right { 2 } else { 3 });
    }
}

case!(
    /// R10: all symbols of a module change together, as callers see it.
    90, fn r10_all_symbols_of_a_module_switch_together(agent) {
        let (demo, specimen, other) = (agent.open("demo")?, agent.open(SPECIMEN)?, agent.open("demo2")?);
        let client = agent.spawn(pairing, &[other.endpoint(), specimen.endpoint()])?;
        for cycle in 0..200_u64 {
            agent.load("c_layer")?;
            let reads = agent.stat("c_layer")?[0];
            ensure_eq!(demo.ping(agent.ipc, 5)?, 58, "ping with the layer, cycle {cycle}");
            ensure_eq!(specimen.read_4(agent.ipc, SPECIMEN_ID_AT)?, (SPECIMEN_ID, 0), "a read with the layer");
            ensure!(agent.stat("c_layer")?[0] > reads, "the read did not pass the layer that the ping passed");
            agent.sleep_us(100)?;
            agent.unload("c_layer")?;
            ensure_eq!(demo.ping(agent.ipc, 5)?, 6, "ping without the layer, cycle {cycle}");
            ensure_eq!(specimen.read_4(agent.ipc, SPECIMEN_ID_AT)?, (SPECIMEN_ID, 0), "a read without the layer");
        }
        agent.join(client)?;
        ensure!(client.get(2) > 0, "the client never had its turn");
        ensure_eq!(client.get(3), 0, "wrong pairs");
        agent.expect_empty()
    }
);

case!(
    /// R11: a patched call is the new call at once: nothing stale is executed, however fast the layers change.
    120, fn r11_patched_text_is_what_the_next_call_executes(agent) {
        let demo = agent.open("demo")?;
        for cycle in 0..300_u64 {
            let (module, digit) = if cycle % 2 == 0 { ("pass_a", 1) } else { ("pass_b", 2) };
            // The call before the patch puts the old instruction into every cache there is.
            ensure_eq!(demo.ping(agent.ipc, 7)?, 8, "before cycle {cycle}");
            agent.load(module)?;
            ensure_eq!(demo.ping(agent.ipc, 7)?, 71 + digit, "after the load of cycle {cycle}");
            ensure_eq!(demo.ping_pointer(agent.ipc, 7)?, 71 + digit, "through a slot, cycle {cycle}");
            agent.unload(module)?;
        }
        agent.expect_empty()
    }
);
