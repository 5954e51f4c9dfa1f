//! Driver servers leave and come back while the rest runs, and are told of layers that come and go.

use sel4_sys::seL4_MessageInfo;
use strata_protocol::driver::{BUS_READ, DEMO_PING, UART_READ, UART_WRITE};
use strata_protocol::linker::{Reply, Request, ThreadRow, ThreadState};
use strata_protocol::{Errno, ModuleName, streams};
use strata_runtime::Ipc;

use crate::agent::{Agent, name};
use crate::case::{Outcome, case, ensure, ensure_eq, fail};
use crate::device::{Device, SPECIMEN, SPECIMEN_ID, SPECIMEN_ID_AT, UART_ID_0, UART_ID_AT};
use crate::names::{DEBUG, XH};
use crate::report::expect_log;
use crate::threads::Shared;

/// What a server that is stopped answers.
const RESTARTING: u64 = Errno::EAGAIN.number().unsigned_abs() as u64;

/// What a server answers that has faulted too often.
const DOWN: u64 = Errno::ENXIO.number().unsigned_abs() as u64;
/// Restarts after faults that a server has before it stays down.
const RESTARTS: u32 = 16;

fn decide(agent: &mut Agent, request: &Request) -> Outcome<Result<(), Errno>> {
    match agent.linker(request)? {
        Reply::Done => Ok(Ok(())),
        Reply::Refused(refusal) => Ok(Err(refusal.errno)),
        other => fail!("{request:?}: {other:?}"),
    }
}

/// Stops a driver server.
pub(super) fn stop(agent: &mut Agent, server: &str, drain_ms: u32) -> Outcome<Result<(), Errno>> {
    decide(agent, &Request::StopDriver { name: name(server)?, drain_ms, again: false })
}

/// Stops a driver server and starts it again.
pub(super) fn restart(agent: &mut Agent, server: &str) -> Outcome<Result<(), Errno>> {
    decide(agent, &Request::StopDriver { name: name(server)?, drain_ms: 500, again: true })
}

/// Starts a driver server that was stopped.
pub(super) fn start(agent: &mut Agent, server: &str) -> Outcome<Result<(), Errno>> {
    decide(agent, &Request::StartDriver { name: name(server)? })
}

fn row(agent: &mut Agent, server: &str) -> Outcome<ThreadRow> {
    match agent.threads()?.into_iter().find(|row| row.name.as_str() == server) {
        Some(row) => Ok(row),
        None => fail!("no thread {server}"),
    }
}

/// The driver servers of the image.
fn servers(agent: &mut Agent) -> Outcome<heapless::Vec<ModuleName, 12>> {
    let rows = agent.threads()?;
    let names = rows.into_iter().filter(|row| row.state != ThreadState::Idle).map(|row| row.name);
    Ok(names.collect())
}

/// Fails unless the server says that it is being restarted.
fn expect_restarting(agent: &mut Agent, device: Device) -> Outcome {
    let answer = device.call(agent.ipc, BUS_READ, &[4, SPECIMEN_ID_AT]);
    ensure_eq!(answer.label, RESTARTING, "the answer of a server that is stopped");
    Ok(())
}

case!(
    /// Interrupt off, device left, clients told to ask later; then the same endpoints serve again, through the same layers.
    40, fn driver_stops_and_comes_back_while_the_rest_runs(agent) {
        let (device, uart) = (agent.open(SPECIMEN)?, agent.open("uart")?);
        let ledger = agent.ledger()?;
        agent.load(DEBUG)?;
        for _ in 0..10 {
            ensure_eq!(stop(agent, SPECIMEN, 100)?, Ok(()), "the stop");
            ensure_eq!(row(agent, SPECIMEN)?.state, ThreadState::Stopped, "the state of the server");
            expect_restarting(agent, device)?;
            ensure_eq!(uart.read_4(agent.ipc, UART_ID_AT)?, (UART_ID_0, 0), "the UART meanwhile");
            ensure_eq!(stop(agent, SPECIMEN, 100)?, Err(Errno::EBUSY), "a second stop");
            ensure_eq!(start(agent, SPECIMEN)?, Ok(()), "the start");
            // The layers that were loaded over its interface are in force: this access goes through them.
            let before = agent.stat(DEBUG)?;
            ensure_eq!(device.read_4(agent.ipc, SPECIMEN_ID_AT)?, (SPECIMEN_ID, 0), "the device again");
            ensure!(agent.stat(DEBUG)? != before, "the layer has seen no access: {before:?}");
            ensure_eq!(start(agent, SPECIMEN)?, Err(Errno::EBUSY), "a second start");
        }
        ensure_eq!(stop(agent, "lamp", 100)?, Err(Errno::ENODEV), "a server that is not there");
        // Layers come and go while it is away.
        ensure_eq!(stop(agent, SPECIMEN, 100)?, Ok(()), "the last stop");
        agent.unload(DEBUG)?;
        expect_restarting(agent, device)?;
        agent.load(DEBUG)?;
        agent.unload(DEBUG)?;
        ensure_eq!(start(agent, SPECIMEN)?, Ok(()), "the last start");
        ensure_eq!(device.read_4(agent.ipc, SPECIMEN_ID_AT)?, (SPECIMEN_ID, 0), "the device at the end");
        ensure_eq!(row(agent, SPECIMEN)?.restarts, 0, "restarts after faults");
        ensure_eq!(agent.ledger()?, ledger, "the ledger at the end");
        agent.audit()?;
        agent.expect_devices_well()
    }
);

case!(
    /// A server never leaves in the middle of a request: the stop goes back at its deadline.
    30, fn driver_in_the_middle_of_a_request_is_not_stopped(agent) {
        let (demo, other) = (agent.open("demo")?, agent.open("demo2")?);
        agent.load("wait_inside")?;
        demo.wait(agent.ipc, 5)?;
        ensure_eq!(stop(agent, "demo", 50)?, Err(Errno::ETIMEDOUT), "a stop of a server that waits inside a module");
        ensure_eq!(row(agent, "demo")?.state, ThreadState::Running, "its state");
        other.release(agent.ipc)?;
        agent.sleep_us(5_000)?;
        ensure_eq!(demo.ping(agent.ipc, 1)?, 2, "it answers");
        ensure_eq!(stop(agent, "demo", 100)?, Ok(()), "a stop when it serves nobody");
        agent.unload("wait_inside")?;
        ensure_eq!(start(agent, "demo")?, Ok(()), "the start");
        ensure_eq!(demo.ping(agent.ipc, 1)?, 2, "it answers again");
        agent.audit()?;
        Ok(())
    }
);

case!(
    20, fn driver_servers_are_told_of_layers_that_come_and_go(agent) {
        let told = row(agent, SPECIMEN)?.layers_told;
        agent.load(DEBUG)?;
        ensure_eq!(row(agent, SPECIMEN)?.layers_told, told + 1, "after a load");
        // A layer of another interface is none of its business.
        agent.load("pass_a")?;
        ensure_eq!(row(agent, SPECIMEN)?.layers_told, told + 1, "after a load that it does not see");
        agent.unload(DEBUG)?;
        ensure_eq!(row(agent, SPECIMEN)?.layers_told, told + 2, "after an unload");
        agent.unload("pass_a")?;
        ensure_eq!(row(agent, "demo")?.layers_told, 0, "a server without a device");
        agent.expect_devices_well()
    }
);

/// Asks a server without end. Word 0 is its endpoint, 1 the request, 2 and 3 its words; 4 counts answers, 5 refusals that
/// say "restarting", 6 anything else, 7 is the last of those.
fn asking(shared: &'static Shared, ipc: &mut Ipc) {
    let device = Device::at(shared.get(0));
    while !shared.stopping() {
        let answer = device.call(ipc, shared.get(1), &[shared.get(2), shared.get(3)]);
        match answer.label {
            0 => shared.count(4),
            RESTARTING => shared.count(5),
            other => {
                shared.set(7, other);
                shared.count(6);
            }
        }
        // All clients have the same priority, and little time in all: they take turns.
        sel4_sys::seL4_Yield();
    }
}

case!(
    /// Every driver server of the image is restarted again and again while clients ask it: each request is answered, by its
    /// result or by EAGAIN.
    120, fn drivers_are_restarted_under_load_and_no_request_is_lost(agent) {
        let ledger = agent.ledger()?;
        let audit = agent.audit()?;
        let all = servers(agent)?;
        ensure!(all.len() >= 5, "only {} driver servers", all.len());
        // Three clients: one that is always served by another server, two that ask the one that is restarted in turn.
        let (demo, uart) = (agent.open("demo")?, agent.open("uart")?);
        let bystander = agent.open("demo2")?;
        let clients = [
            agent.spawn(asking, &[demo.endpoint(), DEMO_PING, 1, 0])?,
            agent.spawn(asking, &[uart.endpoint(), BUS_READ, 4, UART_ID_AT])?,
            agent.spawn(asking, &[bystander.endpoint(), DEMO_PING, 1, 0])?,
        ];
        for round in 0..30 {
            for server in all.iter().filter(|server| server.as_str() != "demo2") {
                let drain_ms = 500;
                ensure_eq!(stop(agent, server, drain_ms)?, Ok(()), "stop {round} of {server}");
                agent.sleep_us(300)?;
                ensure_eq!(start(agent, server)?, Ok(()), "start {round} of {server}");
                agent.sleep_us(300)?;
                ensure_eq!(restart(agent, server)?, Ok(()), "restart {round} of {server}");
            }
        }
        for client in clients {
            agent.join(client)?;
            ensure_eq!(client.get(6), 0, "answers that are neither: the last {}", client.get(7));
            ensure!(client.get(4) > 0, "a client was never served, and told {} times to ask later", client.get(5));
        }
        let [demo_refused, uart_refused, bystander_refused] = clients.map(|client| client.get(5));
        ensure!(demo_refused > 0 && uart_refused > 0, "nobody was told to ask later: {demo_refused}, {uart_refused}");
        ensure_eq!(bystander_refused, 0, "refusals by a server that was in service all the time");
        let [demo_served, uart_served, bystander_served] = clients.map(|client| client.get(4));
        crate::report::note!(
            "served {demo_served}, {uart_served}, {bystander_served}; told to ask later {demo_refused}, {uart_refused}"
        );
        for device in [demo, uart, bystander] {
            agent.close(device)?;
        }
        for server in &all {
            ensure_eq!(row(agent, server)?.restarts, 0, "restarts of {server} after faults");
        }
        ensure_eq!(agent.ledger()?, ledger, "the ledger at the end");
        ensure_eq!(agent.audit()?, audit, "the audit at the end");
        agent.expect_devices_well()
    }
);

/// The PL011's control register, and its loop from transmitter to receiver.
const UART_CONTROL_AT: u64 = 0x30;
const UART_LOOP: u64 = 1 << 7;

/// Sends a byte through the UART's own loop; whether its interrupt has brought it back.
fn comes_around(agent: &mut Agent, uart: Device, byte: u8) -> Outcome<bool> {
    let (control, _) = uart.read_4(agent.ipc, UART_CONTROL_AT)?;
    uart.write_4(agent.ipc, UART_CONTROL_AT, control | UART_LOOP)?;
    agent.ipc.msg[..2].copy_from_slice(&[1, byte.into()]);
    let written =
        agent.ipc.seL4_Call(uart.endpoint(), seL4_MessageInfo::new(UART_WRITE, 0, 0, 2)).get_label();
    uart.write_4(agent.ipc, UART_CONTROL_AT, control)?;
    ensure_eq!(written, 0, "the answer to a write");
    agent.sleep_us(2_000)?;
    // What the log server sent meanwhile has come around, too.
    let mut came = false;
    for _ in 0..256 {
        let answer = uart.call(agent.ipc, UART_READ, &[8]);
        ensure_eq!(answer.label, 0, "the answer to a read");
        let bytes = answer.words[1].to_le_bytes();
        let count = usize::try_from(answer.words[0]).unwrap_or(8).min(8);
        came |= bytes[..count].contains(&byte);
        if count == 0 {
            break;
        }
    }
    Ok(came)
}

case!(
    /// A server with an interrupt: bytes that arrive come in by it before and after, and nobody takes them in between.
    30, fn driver_with_an_interrupt_gets_it_again(agent) {
        let uart = agent.open("uart")?;
        // A blank: what is looped goes out on the line, too, between two frames.
        ensure!(comes_around(agent, uart, b' ')?, "a byte does not come in before the restart");
        for round in 0..5 {
            ensure_eq!(stop(agent, "uart", 500)?, Ok(()), "stop {round} of the UART's server");
            expect_restarting(agent, uart)?;
            ensure_eq!(start(agent, "uart")?, Ok(()), "start {round} of the UART's server");
            ensure!(comes_around(agent, uart, b' ')?, "a byte does not come in after restart {round}");
        }
        agent.expect_devices_well()
    }
);

/// Has a server read where nothing is, as often as it is started again, and once more; it is down then.
fn wear_out(agent: &mut Agent, hole: Device) -> Outcome {
    for faults in 1..=RESTARTS + 1 {
        ensure_eq!(row(agent, "hole")?.state, ThreadState::Running, "the state before fault {faults}");
        let answer = hole.call(agent.ipc, BUS_READ, &[4, 0x10]);
        // Whoever is served when it faults is told of the fault, the last one, too.
        ensure!(answer.is_fault(), "fault {faults}: {answer:x?}");
        ensure_eq!(row(agent, "hole")?.restarts, faults.min(RESTARTS), "restarts after fault {faults}");
    }
    for _ in 0..10 {
        let answer = hole.call(agent.ipc, BUS_READ, &[4, 0x10]);
        ensure_eq!(answer.label, DOWN, "the answer of a server that has faulted too often");
    }
    ensure_eq!(row(agent, "hole")?.state, ThreadState::Down, "the state of the server");
    Ok(())
}

case!(
    /// A driver server that faults again and again stays down: its clients are told so, nobody else notices, layers come
    /// and go. Who asks for it by name gets it back, with all its restarts.
    60, fn s37_a_driver_server_that_faults_too_often_stays_down_until_it_is_started(agent) {
        let hole = agent.open("hole")?;
        let ledger = agent.ledger()?;
        expect_log(streams::LINKER, "has faulted too often and stays down");
        wear_out(agent, hole)?;
        agent.expect_devices_well()?;
        // An unload drains although this server takes no part.
        agent.load(DEBUG)?;
        agent.unload(DEBUG)?;
        ensure_eq!(hole.call(agent.ipc, BUS_READ, &[4, 0x10]).label, DOWN, "its answer after a load and an unload");
        ensure_eq!(stop(agent, "hole", 100)?, Err(Errno::ENXIO), "a stop of a server that is down");
        // Who opens it now is told the same.
        let late = agent.open("hole")?;
        ensure_eq!(late.call(agent.ipc, BUS_READ, &[4, 0x10]).label, DOWN, "the answer to who comes late");
        agent.close(late)?;

        ensure_eq!(start(agent, "hole")?, Ok(()), "the start");
        ensure_eq!(row(agent, "hole")?.restarts, 0, "restarts since it was started");
        agent.load(XH)?;
        ensure_eq!(hole.read_4(agent.ipc, 0x10)?.0, 0xffff_ffff, "the hole under a layer that handles the error");
        agent.unload(XH)?;
        // What made it fault is still there.
        wear_out(agent, hole)?;
        ensure_eq!(restart(agent, "hole")?, Ok(()), "the restart");
        ensure!(hole.call(agent.ipc, BUS_READ, &[4, 0x10]).is_fault(), "it serves again, and faults");
        ensure_eq!(agent.ledger()?, ledger, "the ledger at the end");
        agent.audit()?;
        agent.expect_devices_well()
    }
);
