//! The reorder layer: what may pass what, held against the ring of a debug layer below it.

use bus_space::{Op, reorder::control};
use heapless::Vec;

use crate::agent::Agent;
use crate::case::{Outcome, case, ensure, ensure_eq};
use crate::device::{Device, SPECIMEN, SPECIMEN_REGISTERS, SPECIMEN_SCRATCH_AT, UART, UART_LOW_POWER_AT};
use crate::names::{BASE, DEBUG, REORDER};
use crate::trace::Trace;

const SPECIMEN_SCRATCH: u64 = SPECIMEN_REGISTERS + SPECIMEN_SCRATCH_AT;
const UART_LOW_POWER: u64 = UART + UART_LOW_POWER_AT;
/// Pairs of writes in one run.
const PAIRS: u64 = 8;

/// A write as it reached the default: device, value.
type Writes = Vec<(u64, u64), 32>;

struct Bench {
    specimen: Device,
    uart: Device,
    trace: Trace,
}

impl Bench {
    /// Loads debug under reorder, so that the ring shows what leaves the reorder layer.
    fn new(agent: &mut Agent) -> Outcome<Self> {
        agent.load(DEBUG)?;
        agent.load(REORDER)?;
        agent.expect_stack("bus_space_write_4", &[REORDER, DEBUG, BASE])?;
        Ok(Self { specimen: agent.open(SPECIMEN)?, uart: agent.open("uart")?, trace: agent.map_trace()? })
    }

    fn end(self, agent: &mut Agent) -> Outcome {
        agent.unmap_trace(self.trace)?;
        agent.unload(REORDER)?;
        agent.unload(DEBUG)?;
        agent.expect_empty()
    }

    /// The writes that have reached the default since the last look.
    fn written(&mut self) -> Outcome<Writes> {
        let mut writes = Vec::new();
        for record in self.trace.take_at(&[SPECIMEN_SCRATCH, UART_LOW_POWER])? {
            if record.operation() == Some(Op::Write) {
                ensure!(writes.push((record.address, record.value)).is_ok(), "more writes than expected");
            }
        }
        Ok(writes)
    }

    /// Writes pairs to both devices, lets them go, and tells in which order they reached the default.
    fn run(&mut self, agent: &mut Agent, seed: u64) -> Outcome<Writes> {
        agent.control(REORDER, [control::SEED, seed, 0, 0])?;
        self.trace.skip();
        for number in 0..PAIRS {
            self.specimen.write_4(agent.ipc, SPECIMEN_SCRATCH_AT, 2 * number)?;
            self.uart.write_4(agent.ipc, UART_LOW_POWER_AT, 2 * number + 1)?;
        }
        ensure_eq!(self.written()?.len(), 0, "writes that were not held");
        ensure_eq!(agent.stat(REORDER)?[1], 2 * PAIRS, "writes that the layer says it holds");
        agent.control(REORDER, [control::DRAIN, 0, 0, 0])?;
        let writes = self.written()?;
        ensure_eq!(writes.len() as u64, 2 * PAIRS, "writes that reached the default");
        for device in [SPECIMEN_SCRATCH, UART_LOW_POWER] {
            let own: Vec<u64, 32> =
                writes.iter().filter(|(at, _)| *at == device).map(|(_, value)| *value).collect();
            ensure_eq!(own.len() as u64, PAIRS, "writes to {device:#x}");
            ensure!(own.is_sorted(), "writes to one device out of order: {own:?}");
        }
        Ok(writes)
    }
}

case!(
    /// Two posted writes to different devices may reach the default in another order; one seed gives one order.
    30, fn reorder_lets_writes_to_different_devices_pass_and_replays_by_seed(agent) {
        let mut bench = Bench::new(agent)?;
        let seed = agent.seed + 1;
        let first = bench.run(agent, seed)?;
        let again = bench.run(agent, seed)?;
        ensure_eq!(first, again, "the order of the same seed, twice");
        let values = |writes: &Writes| -> Vec<u64, 32> { writes.iter().map(|(_, value)| *value).collect() };
        let mut inverted = 0;
        let mut different = 0;
        for other in seed..seed + 16 {
            let writes = bench.run(agent, other)?;
            inverted += u64::from(!values(&writes).is_sorted());
            different += u64::from(writes != first);
        }
        ensure!(inverted > 0, "no two writes ever passed each other in 16 seeds");
        ensure!(different > 0, "16 seeds gave one order");
        ensure!(agent.stat(REORDER)?[3] > 0, "the layer counts no inversion of its own");
        crate::report::note!("{inverted} of 16 seeds let writes pass, {different} differ from the first");
        bench.end(agent)
    }
);

case!(
    /// A read of a device comes behind all writes to that device, and need not wait for another device's.
    20, fn reorder_drains_a_device_before_it_is_read(agent) {
        let mut bench = Bench::new(agent)?;
        agent.control(REORDER, [control::SEED, agent.seed + 1, 0, 0])?;
        bench.trace.skip();
        for value in 10..20 {
            bench.specimen.write_4(agent.ipc, SPECIMEN_SCRATCH_AT, value)?;
            bench.uart.write_4(agent.ipc, UART_LOW_POWER_AT, value)?;
            // The same place and another place of the device: both drain first.
            ensure_eq!(bench.specimen.read_4(agent.ipc, SPECIMEN_SCRATCH_AT)?, (value, 0), "a read behind a posted write");
        }
        ensure!(agent.stat(REORDER)?[1] > 0, "the writes to the other device were not held");
        let mut last_write = 0;
        for record in bench.trace.take_at(&[SPECIMEN_SCRATCH])? {
            match record.operation() {
                Some(Op::Write) => last_write = record.value,
                Some(Op::Read) => ensure_eq!(record.value, last_write, "a read in the ring, and the write in front of it"),
                _ => {}
            }
        }
        bench.end(agent)
    }
);

case!(
    /// R12: CATCH carries out everything that is held, in an order that keeps the rules, and later writes pass straight.
    30, fn r12_catch_drains_what_the_reorder_layer_holds_in_order(agent) {
        agent.load(DEBUG)?;
        let mut trace = agent.map_trace()?;
        let (specimen, uart) = (agent.open(SPECIMEN)?, agent.open("uart")?);
        for round in 0..20_u64 {
            agent.load(REORDER)?;
            agent.control(REORDER, [control::SEED, agent.seed + round, 0, 0])?;
            trace.skip();
            for number in 0..PAIRS {
                specimen.write_4(agent.ipc, SPECIMEN_SCRATCH_AT, 100 * round + number)?;
                uart.write_4(agent.ipc, UART_LOW_POWER_AT, number)?;
            }
            ensure_eq!(agent.stat(REORDER)?[1], 2 * PAIRS, "writes held before the unload");
            agent.unload(REORDER)?;
            // A write behind the unload goes straight down; an older one that came after it would break the order.
            specimen.write_4(agent.ipc, SPECIMEN_SCRATCH_AT, 100 * round + PAIRS)?;
            let mut values: Vec<u64, 32> = Vec::new();
            for record in trace.take_at(&[SPECIMEN_SCRATCH])? {
                if record.operation() == Some(Op::Write) {
                    ensure!(values.push(record.value).is_ok(), "more writes than expected");
                }
            }
            let expected: Vec<u64, 32> = (0..=PAIRS).map(|number| 100 * round + number).collect();
            ensure_eq!(values, expected, "the writes to the specimen, across the unload");
            ensure_eq!(specimen.read_4(agent.ipc, SPECIMEN_SCRATCH_AT)?, (100 * round + PAIRS, 0), "the specimen's register");
        }
        agent.unmap_trace(trace)?;
        agent.unload(DEBUG)?;
        agent.expect_empty()
    }
);
