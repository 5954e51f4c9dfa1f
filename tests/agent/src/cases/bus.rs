//! Layers of `bus_space`: what the ring shows, what a bus error becomes.

use bus_space::{Op, exceptions, ring};
use strata_protocol::Errno;
use strata_protocol::driver::BUS_READ;

use crate::agent::Agent;
use crate::case::{Outcome, case, ensure, ensure_eq};
use crate::device::{HOLE, SPECIMEN, SPECIMEN_ID, SPECIMEN_ID_AT, SPECIMEN_REGISTERS};
use crate::names::{BASE, DEBUG, READ_4, XH};
use crate::trace::{Trace, mark_text};

use super::drivers::{restart, start, stop};

/// The layers of the last read in the order in which they ran, as the ring shows them: a mark by its text, the debug
/// layer's own record as "debug".
fn order_of_read(agent: &mut Agent, trace: &mut Trace) -> Outcome<heapless::Vec<heapless::Vec<u8, 8>, 8>> {
    let specimen = agent.open(SPECIMEN)?;
    trace.skip();
    let read = specimen.read_4(agent.ipc, SPECIMEN_ID_AT)?;
    ensure_eq!(read, (SPECIMEN_ID, 0), "the specimen's identification");
    let mut order = heapless::Vec::new();
    for record in trace.take_of(SPECIMEN_REGISTERS)? {
        let who = match record.operation() {
            Some(Op::Mark) => mark_text(record.value),
            Some(Op::Read) => {
                ensure_eq!(record.address, SPECIMEN_REGISTERS + SPECIMEN_ID_AT, "the address in the ring");
                ensure_eq!(record.value, SPECIMEN_ID, "the value in the ring");
                ensure_eq!(
                    (record.width, record.count, record.status),
                    (4, 1, 0),
                    "width, count, status in the ring"
                );
                ensure!(record.flags & ring::flag::IN_FLIGHT == 0, "the access has ended");
                ensure!(record.caller != 0, "the ring has no caller");
                heapless::Vec::from_slice(b"debug").unwrap_or_default()
            }
            other => {
                crate::case::fail!("an unexpected record: {other:?}")
            }
        };
        ensure!(order.push(who).is_ok(), "more records of one read than expected");
    }
    agent.close(specimen)?;
    Ok(order)
}

case!(
    /// The trace is written by the layers that execute: it follows the load order, and the removal from the middle.
    30, fn trace_is_written_by_the_layers_that_execute_in_both_load_orders(agent) {
        for (first, second, expected) in [(DEBUG, XH, [&b"xh"[..], b"debug"]), (XH, DEBUG, [b"debug", b"xh"])] {
            agent.load(first)?;
            agent.load(second)?;
            agent.expect_stack(READ_4, &[second, first, BASE])?;
            let mut trace = agent.map_trace()?;
            let order = order_of_read(agent, &mut trace)?;
            ensure!(order.iter().map(|who| who.as_slice()).eq(expected), "{second} over {first}: {order:x?}");
            agent.unload(XH)?;
            let order = order_of_read(agent, &mut trace)?;
            ensure!(order.iter().map(|who| who.as_slice()).eq([b"debug"]), "debug alone: {order:x?}");
            agent.unmap_trace(trace)?;
            agent.unload(DEBUG)?;
        }
        agent.expect_empty()
    }
);

case!(
    /// The ring outlives its module while a client holds it, and says that nobody writes any more.
    20, fn ring_outlives_its_module_while_a_client_maps_it(agent) {
        let before = agent.ledger()?;
        agent.load(DEBUG)?;
        let mut trace = agent.map_trace()?;
        let specimen = agent.open(SPECIMEN)?;
        specimen.read_4(agent.ipc, SPECIMEN_ID_AT)?;
        agent.unload(DEBUG)?;
        let records = trace.take_of(SPECIMEN_REGISTERS)?;
        ensure_eq!(records.len(), 1, "records in the ring of a module that is gone");
        ensure_eq!(records[0].value, SPECIMEN_ID, "its value");
        ensure_eq!(trace.state(), Some(ring::State::Closed), "the ring's state");
        agent.unmap_trace(trace)?;
        agent.close(specimen)?;
        ensure_eq!(agent.ledger()?, before, "the ledger after the ring was given back");
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// With xh, a hole in the memory map reads all ones with an error status, and the driver lives.
    20, fn hole_with_xh_reads_all_ones_with_an_error_and_the_driver_lives(agent) {
        agent.load(XH)?;
        agent.control(XH, [exceptions::control::RETRIES, 2, 0, 0])?;
        agent.control(XH, [exceptions::control::QUARANTINE_AFTER, 0, 0, 0])?;
        let hole = agent.open("hole")?;
        for round in 0..3 {
            let (value, status) = hole.read_4(agent.ipc, 0x10)?;
            ensure_eq!(value, 0xffff_ffff, "the value, round {round}");
            ensure_eq!(status, u64::from(Errno::EIO.number().unsigned_abs()), "the status, round {round}");
        }
        let row = agent.threads()?.into_iter().find(|row| row.name.as_str() == "hole");
        ensure!(row.as_ref().is_some_and(|row| row.restarts == 0), "the driver was started again: {row:?}");
        // Each read was tried once and repeated twice.
        ensure!(row.as_ref().is_some_and(|row| row.bus_errors == 9), "bus errors: {row:?}");
        let words = agent.stat(XH)?;
        ensure!(words[1] > 0, "the layer counts no fault: {words:?}");
        agent.expect_devices_well()?;
        agent.unload(XH)?;
        agent.expect_empty()
    }
);

case!(
    /// xh over debug: the ring shows each retry. xh under debug: the ring shows the final result alone.
    20, fn ring_above_and_below_xh_shows_results_or_retries(agent) {
        for (first, second, reads) in [(DEBUG, XH, 3), (XH, DEBUG, 1)] {
            agent.load(first)?;
            agent.load(second)?;
            agent.control(XH, [exceptions::control::RETRIES, 2, 0, 0])?;
            let mut trace = agent.map_trace()?;
            let hole = agent.open("hole")?;
            trace.skip();
            ensure_eq!(hole.read_4(agent.ipc, 0)?.0, 0xffff_ffff, "the value");
            // Whoever runs on another core may read its own device meanwhile.
            let records = trace.take_of(HOLE)?;
            let shown = records.iter().filter(|record| record.operation() == Some(Op::Read));
            let mut count = 0;
            for record in shown {
                ensure_eq!(record.address, HOLE, "the address of the failed read");
                ensure!(record.flags & ring::flag::ERROR != 0, "the record shows no error: {record:?}");
                ensure_eq!(record.status, Errno::EIO.number(), "the status in the ring");
                count += 1;
            }
            ensure_eq!(count, reads, "reads in the ring with {second} over {first}");
            agent.unmap_trace(trace)?;
            agent.close(hole)?;
            agent.unload(first)?;
            agent.unload(second)?;
        }
        agent.expect_empty()
    }
);

case!(
    /// Without xh the fault is reported to the client, and the driver serves on after a restart.
    20, fn hole_without_xh_is_reported_as_a_fault(agent) {
        let hole = agent.open("hole")?;
        let answer = hole.call(agent.ipc, BUS_READ, &[4, 0x10]);
        ensure!(answer.is_fault(), "no fault: {answer:x?}");
        let [address, pc, status, _] = answer.words;
        ensure_eq!(address & 0xfff, 0x10, "the offset of the faulting address");
        ensure!((0x1000_0000..0x1800_0000).contains(&pc), "the program counter {pc:#x} is not in the link domain");
        // Exception class: data abort of a lower level, as on the bare machine.
        ensure_eq!(status >> 26, 0x24, "the exception class");
        let row = agent.threads()?.into_iter().find(|row| row.name.as_str() == "hole");
        ensure!(row.as_ref().is_some_and(|row| row.restarts == 1), "restarts: {row:?}");
        // The policy belongs to the layer: once it is gone, the next bus error is a fault again.
        agent.load(XH)?;
        ensure_eq!(hole.read_4(agent.ipc, 0x10)?.0, 0xffff_ffff, "the same place with xh");
        agent.unload(XH)?;
        ensure!(hole.call(agent.ipc, BUS_READ, &[4, 0x10]).is_fault(), "no fault after xh is gone");
        agent.expect_devices_well()
    }
);

case!(
    /// A layer in C is a layer like any other, over and under layers in Rust.
    20, fn c_layer_chains_with_rust_layers(agent) {
        let demo = agent.open("demo")?;
        let specimen = agent.open(SPECIMEN)?;
        for (first, second, answer) in [("pass_a", "c_layer", 72), ("c_layer", "pass_a", 18)] {
            agent.load(first)?;
            agent.load(second)?;
            ensure_eq!(demo.ping(agent.ipc, 0)?, answer, "{second} over {first}");
            let reads = agent.stat("c_layer")?[0];
            specimen.read_4(agent.ipc, SPECIMEN_ID_AT)?;
            ensure_eq!(agent.stat("c_layer")?[0], reads + 1, "reads that the C layer counts");
            agent.unload(first)?;
            agent.unload(second)?;
        }
        agent.expect_empty()
    }
);

/// The layer that keeps data beside handles.
const BESIDE: &str = "beside";

/// Times that STAT is looked at, a millisecond apart: a server that is started again on another core maps its device when
/// it comes to it, which may be after whoever started it has been answered.
const LOOKS_MAX: u32 = 50;

/// Fails unless STAT's first words are soon these: handles with the first kind of data and with the second; data attached,
/// mappings refused, data freed.
fn expect_beside(agent: &mut Agent, words: [u64; 5], when: &str) -> Outcome {
    for _ in 1..LOOKS_MAX {
        if agent.stat(BESIDE)?[..5] == words {
            return Ok(());
        }
        agent.sleep_us(1_000)?;
    }
    ensure_eq!(agent.stat(BESIDE)?[..5], words, "{when}");
    Ok(())
}

case!(
    /// S27: a layer keeps data beside the handles of devices: attached when they are mapped, found by each access, freed with
    /// the mapping or all at once, and not there where there is no room or the constructor refuses.
    30, fn s27_data_beside_a_handle_comes_and_goes_with_it(agent) {
        const WILLING: u64 = 1;
        const FREE_ALL: u64 = 2;
        const READS: u64 = 3;
        let (specimen, hole) = (agent.open(SPECIMEN)?, agent.open("hole")?);
        let ledger = agent.ledger()?;
        agent.load(BESIDE)?;
        // What was mapped before the layer came has nothing beside it.
        specimen.read_4(agent.ipc, SPECIMEN_ID_AT)?;
        expect_beside(agent, [0; 5], "before anything is mapped")?;
        ensure!(agent.stat(BESIDE)?[6] > 0, "the read has not been seen");
        let unknown = agent.try_control(BESIDE, [READS, SPECIMEN_REGISTERS, 0, 0])?;
        ensure_eq!(unknown.err(), Some(Errno::ENOENT), "data of a handle that has none");

        ensure_eq!(restart(agent, SPECIMEN)?, Ok(()), "the restart of the specimen's server");
        expect_beside(agent, [1, 1, 2, 0, 0], "with the specimen")?;
        let [before, ..] = agent.control(BESIDE, [READS, SPECIMEN_REGISTERS, 0, 0])?;
        for _ in 0..5 {
            specimen.read_4(agent.ipc, SPECIMEN_ID_AT)?;
        }
        let [after, ..] = agent.control(BESIDE, [READS, SPECIMEN_REGISTERS, 0, 0])?;
        ensure_eq!(after - before, 5, "reads counted beside the specimen's handle");

        // There is room for one datum more, not for two: none stays, the mapping is refused, and the driver says so.
        ensure_eq!(restart(agent, "hole")?, Ok(()), "the restart of the hole's server");
        expect_beside(agent, [1, 1, 2, 1, 0], "without room")?;
        let refused = u64::from(Errno::ENOMEM.number().unsigned_abs());
        ensure_eq!(hole.call(agent.ipc, BUS_READ, &[4, 0]).label, refused, "the answer of a server without its device");
        // Whoever unmaps frees.
        ensure_eq!(stop(agent, SPECIMEN, 500)?, Ok(()), "the stop of the specimen's server");
        expect_beside(agent, [0, 0, 2, 1, 2], "once the specimen is unmapped")?;
        // Room, but the second constructor refuses: what the first has made is gone, too.
        agent.control(BESIDE, [WILLING, 1, 0, 0])?;
        ensure_eq!(restart(agent, "hole")?, Ok(()), "the restart of the hole's server");
        expect_beside(agent, [0, 0, 2, 2, 2], "after a constructor has refused")?;
        agent.control(BESIDE, [WILLING, u64::MAX, 0, 0])?;
        ensure_eq!(restart(agent, "hole")?, Ok(()), "the restart of the hole's server");
        expect_beside(agent, [1, 1, 4, 2, 2], "with the hole")?;
        // A server that faults does not unmap: mapped again, its data are new.
        ensure!(hole.call(agent.ipc, BUS_READ, &[4, 0]).is_fault(), "no fault in the hole");
        agent.sleep_us(2_000)?;
        expect_beside(agent, [1, 1, 6, 2, 4], "after a fault in the hole")?;
        agent.control(BESIDE, [FREE_ALL, 1, 0, 0])?;
        expect_beside(agent, [1, 0, 6, 2, 5], "once all of one kind is freed")?;
        ensure_eq!(start(agent, SPECIMEN)?, Ok(()), "the start of the specimen's server");
        expect_beside(agent, [2, 1, 8, 2, 5], "with both")?;
        ensure_eq!(specimen.read_4(agent.ipc, SPECIMEN_ID_AT)?, (SPECIMEN_ID, 0), "the specimen");
        agent.unload(BESIDE)?;
        ensure_eq!(agent.ledger()?, ledger, "the ledger after the unload");
        // The data went with the layer.
        agent.load(BESIDE)?;
        expect_beside(agent, [0; 5], "loaded anew")?;
        agent.unload(BESIDE)?;
        agent.audit()?;
        agent.expect_devices_well()
    }
);
