//! What modules register (R24): each kind is used, left behind, revoked and named; and a module that behaves.

use heapless::Vec;
use sel4_sys::{seL4_CPtr, seL4_CapRights};
use strata_protocol::caps::slot;
use strata_protocol::driver::{BUS_READ, BUS_WRITE, DEMO_KEPT, DEMO_PING};
use strata_protocol::linker::{ModuleState, Reply, Request, ThreadState};
use strata_protocol::registration::{Kind, RegistrationRow};
use strata_protocol::{DetailText, Errno, streams};
use strata_runtime::Ipc;
use strata_runtime::ipc::DEPTH;

use crate::agent::{Agent, DRAIN_MS, name};
use crate::case::{Outcome, SPINS, case, ensure, ensure_eq, fail};
use crate::cases::walls::CALL;
use crate::device::Device;
use crate::report::expect_log;
use crate::threads::Shared;

/// FINI gives everything back.
const CAREFUL: u64 = 1;
/// CATCH leaves the thread alone.
const STUBBORN: u64 = 2;
/// The thread is asked to leave after all.
const LEAVE: u64 = 3;

impl Agent {
    /// What is registered, by all modules.
    fn registrations(&mut self) -> Outcome<Vec<RegistrationRow, 64>> {
        let mut rows = Vec::new();
        for index in 0.. {
            match self.linker(&Request::Registration { index })? {
                Reply::Registration(row) => {
                    ensure!(rows.push(row).is_ok(), "more registrations than expected")
                }
                Reply::End => break,
                other => fail!("registrations: {other:?}"),
            }
        }
        Ok(rows)
    }

    /// Fails unless a module has registered these, in any order.
    fn expect_registered(&mut self, module: &str, expected: &[(Kind, &str)]) -> Outcome {
        let rows = self.registrations()?;
        let own = || rows.iter().filter(|row| row.module.as_str() == module);
        let all = expected.iter().all(|(kind, name)| {
            own().any(|row| row.kind == *kind && row.name.as_str() == *name && row.value != 0)
        });
        ensure!(all && own().count() == expected.len(), "{module} has registered {rows:?}");
        Ok(())
    }

    /// What an unload that succeeds says of the module.
    fn unload_with_remark(&mut self, module: &str) -> Outcome<DetailText> {
        match self.linker(&Request::Unload { name: name(module)?, drain_ms: DRAIN_MS })? {
            Reply::Done => Ok(DetailText::default()),
            Reply::DoneWith { remark } => Ok(remark),
            other => fail!("unload of {module}: {other:?}"),
        }
    }

    /// The state of the link-domain thread of this name, if it is there.
    fn state_of(&mut self, thread: &str) -> Outcome<Option<ThreadState>> {
        Ok(self.threads()?.into_iter().find(|row| row.name.as_str() == thread).map(|row| row.state))
    }
}

/// Loads a module, works with it, and unloads it: once careless, so that `remark` is what CHECK says, and once careful, so
/// that it says nothing; each time everything is as before. And a third time, when its careless self has left no trace.
pub(super) fn leaks(
    agent: &mut Agent,
    module: &str,
    registered: &[(Kind, &str)],
    remark: &str,
    mut works: impl FnMut(&mut Agent) -> Outcome,
) -> Outcome {
    let before = agent.ledger()?;
    for careful in [false, true, false] {
        agent.load(module)?;
        agent.expect_registered(module, registered)?;
        works(agent)?;
        agent.audit()?;
        if careful {
            agent.control(module, [CAREFUL, 0, 0, 0])?;
        }
        let said = agent.unload_with_remark(module)?;
        ensure_eq!(said.as_str(), if careful { "" } else { remark }, "what CHECK says, careful: {careful}");
        ensure_eq!(agent.registrations()?.len(), 0, "registrations left");
        ensure_eq!(agent.ledger()?, before, "the ledger, careful: {careful}");
        agent.audit()?;
    }
    agent.expect_empty()
}

/// What the demo server is answered by the address that it keeps.
fn call_kept(agent: &mut Agent, demo: Device, value: u64) -> Outcome<u64> {
    let answer = demo.call(agent.ipc, DEMO_KEPT, &[value]);
    ensure_eq!(answer.label, 0, "the call of the address that is kept");
    Ok(answer.words[0])
}

case!(
    /// R24: a callback that others keep is answered by an error stub when its module has gone.
    30, fn r24_callback_left_behind_leads_to_an_error_stub(agent) {
        let demo = agent.open("demo")?;
        ensure_eq!(demo.call(agent.ipc, DEMO_KEPT, &[1]).label, 2, "ENOENT: nothing is kept");
        let mut addresses = [0; 3];
        let mut round = 0;
        let before = agent.ledger()?;
        leaks(
            agent,
            "leaks_callback",
            &[(Kind::Callback, "hook")],
            "defect: it left 1 registered, revoked: callback hook",
            |agent| {
                let demo = agent.open("demo")?;
                ensure_eq!(call_kept(agent, demo, 35)?, 42, "the callback");
                addresses[round] = agent.stat("leaks_callback")?[1];
                round += 1;
                agent.close(demo)
            },
        )?;
        // Whoever kept a pointer has kept one to a stub; each load had an address of its own.
        ensure_eq!(call_kept(agent, demo, 35)?, 0xdead, "the callback of a module that has gone");
        ensure!(addresses[0] != addresses[1] && addresses[1] != addresses[2], "addresses {addresses:x?}");
        ensure_eq!(agent.ledger()?, before, "the ledger");
        Ok(())
    }
);

/// A client that has the callback called that the demo server at word 0 keeps: word 1 counts the callback's own answers, word 2
/// those in its stead, word 3 all others.
fn calling_kept(shared: &'static Shared, ipc: &mut Ipc) {
    let demo = Device::at(shared.get(0));
    while !shared.stopping() {
        let answer = demo.call(ipc, DEMO_KEPT, &[35]);
        shared.count(match (answer.label, answer.words[0]) {
            (0, 42) => 1,
            (0, 0xdead) => 2,
            _ => 3,
        });
    }
}

case!(
    /// R24, R13: a relink closes the callbacks of a module together with its other entries, before it drains; an unload that
    /// goes back opens them again.
    30, fn r24_callback_is_closed_while_its_module_drains(agent) {
        let demo = agent.open("demo")?;
        agent.load("drained_callback")?;
        ensure_eq!(call_kept(agent, demo, 35)?, 42, "the callback");
        agent.control("drained_callback", [STUBBORN, 0, 0, 0])?;
        let client = agent.spawn(calling_kept, &[demo.endpoint()])?;
        agent.sleep_us(2_000)?;
        ensure!(client.get(1) > 0 && client.get(2) == 0, "{} and {} before", client.get(1), client.get(2));
        agent.unload_refused("drained_callback", 20, Errno::ETIMEDOUT)?;
        ensure!(client.get(2) > 0, "no call was answered in its stead while it drained");
        // Whoever was in the middle of a call hears of it now.
        agent.sleep_us(2_000)?;
        let (open, closed) = (client.get(1), client.get(2));
        agent.sleep_us(2_000)?;
        ensure_eq!(client.get(2), closed, "answers in its stead after the unload went back");
        ensure!(client.get(1) > open, "the callback is not called any more");
        agent.join(client)?;
        ensure_eq!(client.get(3), 0, "other answers");
        agent.control("drained_callback", [LEAVE, 0, 0, 0])?;
        agent.sleep_us(5_000)?;
        agent.unload("drained_callback")?;
        ensure_eq!(call_kept(agent, demo, 35)?, 0xdead, "the stub");
        agent.audit()?;
        agent.expect_empty()
    }
);

case!(
    /// R24: a callback that faults returns its declared answer, its module is popped and wedged, and what it had
    /// registered is revoked.
    30, fn r24_callback_that_faults_returns_its_answer_and_the_registrations_are_revoked(agent) {
        let demo = agent.open("demo")?;
        agent.load("leaks_callback")?;
        ensure_eq!(call_kept(agent, demo, 1)?, 8, "the callback");
        ensure_eq!(call_kept(agent, demo, 13)?, 0xdead, "the callback that faults");
        let row = agent.module("leaks_callback")?;
        ensure!(row.is_some_and(|row| row.state == ModuleState::Wedged), "it is not wedged");
        ensure_eq!(agent.registrations()?.len(), 0, "registrations of a wedged module");
        ensure_eq!(call_kept(agent, demo, 1)?, 0xdead, "the next call");
        ensure_eq!(agent.threads()?.iter().map(|row| row.restarts).sum::<u32>(), 0, "restarts");
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// R24: a thread of a module is made, runs, leaves at CATCH, and is revoked by name if it is left behind.
    30, fn r24_thread_left_behind_is_revoked(agent) {
        leaks(
            agent,
            "leaks_thread",
            &[(Kind::Thread, "pump")],
            "defect: it left 1 registered, revoked: thread pump",
            |agent| {
                ensure_eq!(agent.state_of("pump")?, Some(ThreadState::Running), "the thread");
                agent.sleep_us(2_000)?;
                ensure_eq!(agent.stat("leaks_thread")?[0], 1_000, "its argument");
                agent.control("leaks_thread", [0; 4])?;
                agent.sleep_us(2_000)?;
                ensure_eq!(agent.stat("leaks_thread")?[0], 1_001, "it was woken once");
                let given = agent.try_control("leaks_thread", [7, 0, 0, 0])?;
                ensure_eq!(given.err(), Some(Errno::EBUSY), "giving back a thread that runs");
                Ok(())
            },
        )?;
        ensure_eq!(agent.state_of("pump")?, None, "the thread of a module that has gone");
        Ok(())
    }
);

case!(
    /// R24: threads of a module count as inside until they have left: the unload times out, names them and goes back.
    30, fn r24_thread_that_stays_is_inside_and_is_named(agent) {
        let ledger = agent.ledger()?;
        agent.load("leaks_thread")?;
        agent.control("leaks_thread", [STUBBORN, 0, 0, 0])?;
        let refused = agent.unload_refused("leaks_thread", 50, Errno::ETIMEDOUT)?;
        let Some(blocker) = refused.blockers.iter().flatten().next() else { fail!("no blocker is named") };
        ensure_eq!(blocker.thread.as_str(), "pump", "the blocker");
        ensure!(refused.blockers[1].is_none(), "a second blocker: {:?}", refused.blockers[1]);
        agent.expect_registered("leaks_thread", &[(Kind::Thread, "pump")])?;
        // It leaves, and the module stays: then it is stopped, and UNCATCH after a refused unload has it run again.
        agent.control("leaks_thread", [LEAVE, 0, 0, 0])?;
        agent.sleep_us(5_000)?;
        ensure_eq!(agent.state_of("pump")?, Some(ThreadState::Stopped), "the thread that has left");
        agent.control("leaks_thread", [CAREFUL, 0, 0, 0])?;
        agent.unload("leaks_thread")?;
        ensure_eq!(agent.ledger()?, ledger, "the ledger");
        agent.audit()?;
        agent.expect_empty()
    }
);

case!(
    /// R24: a thread of a module has not left because nothing names the module any more: it waits where the base image
    /// returns to nobody, and the unload waits for it.
    30, fn r24_thread_that_waits_outside_of_its_module_has_not_left(agent) {
        let ledger = agent.ledger()?;
        agent.load("tail_thread")?;
        agent.sleep_us(2_000)?;
        let Some(row) = agent.threads()?.into_iter().find(|row| row.name.as_str() == "waiter") else {
            fail!("the module has no thread")
        };
        ensure!(row.inside.is_empty(), "by its registers and stack the thread is inside of {}", row.inside);
        ensure_eq!(row.state, ThreadState::Running, "the thread");
        agent.control("tail_thread", [STUBBORN, 0, 0, 0])?;
        let refused = agent.unload_refused("tail_thread", 20, Errno::ETIMEDOUT)?;
        let Some(blocker) = refused.blockers.iter().flatten().next() else { fail!("no blocker is named") };
        ensure_eq!((blocker.thread.as_str(), blocker.entry.as_str()), ("waiter", ""), "the blocker");
        ensure!(refused.blockers[1].is_none(), "a second blocker: {:?}", refused.blockers[1]);
        agent.expect_registered("tail_thread", &[(Kind::Thread, "waiter")])?;
        agent.control("tail_thread", [LEAVE, 0, 0, 0])?;
        agent.sleep_us(2_000)?;
        ensure_eq!(agent.state_of("waiter")?, Some(ThreadState::Stopped), "the thread that has left");
        ensure_eq!(agent.unload_with_remark("tail_thread")?.as_str(), "", "what CHECK says");
        ensure_eq!(agent.ledger()?, ledger, "the ledger");
        agent.audit()?;
        agent.expect_empty()
    }
);

case!(
    /// R24: a thread that faults wedges its module and nobody else, and is gone.
    30, fn r24_thread_that_faults_wedges_its_module(agent) {
        let demo = agent.open("demo")?;
        agent.load("leaks_thread")?;
        agent.control("leaks_thread", [4, 0, 0, 0])?;
        agent.sleep_us(10_000)?;
        let row = agent.module("leaks_thread")?;
        ensure!(row.is_some_and(|row| row.state == ModuleState::Wedged), "it is not wedged");
        ensure_eq!(agent.registrations()?.len(), 0, "registrations of a wedged module");
        ensure_eq!(agent.state_of("pump")?, None, "the thread");
        ensure_eq!(demo.ping(agent.ipc, 41)?, 42, "the other threads");
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// R24: a thread of a module that is wedged otherwise is led out of it, whether it waits or loops, and is gone.
    30, SPINS, fn r24_thread_of_a_wedged_module_is_led_out(agent) {
        let demo = agent.open("demo")?;
        agent.load("leaks_thread")?;
        // It loops in the module's text from now on.
        agent.control("leaks_thread", [5, 0, 0, 0])?;
        agent.sleep_us(5_000)?;
        let counted = agent.stat("leaks_thread")?[0];
        ensure_eq!(agent.state_of("pump")?, Some(ThreadState::Running), "the thread that loops");
        ensure_eq!(agent.try_control("leaks_thread", [6, 0, 0, 0])?, Err(Errno::EFAULT), "a CONTROL that faults");
        agent.sleep_us(5_000)?;
        let row = agent.module("leaks_thread")?;
        ensure!(row.is_some_and(|row| row.state == ModuleState::Wedged), "it is not wedged");
        ensure_eq!(agent.registrations()?.len(), 0, "registrations of a wedged module");
        ensure_eq!(agent.state_of("pump")?, None, "the thread");
        ensure!(counted > 1_000, "{counted} turns of a thread that loops");
        ensure_eq!(demo.ping(agent.ipc, 41)?, 42, "the other threads");
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// R24: a timer wakes its thread, again and again, and is revoked with it.
    30, fn r24_timer_left_behind_is_revoked(agent) {
        leaks(
            agent,
            "leaks_timer",
            &[(Kind::Thread, "ticker"), (Kind::Timer, "tick")],
            "defect: it left 2 registered, revoked: timer tick, thread ticker",
            |agent| {
                agent.sleep_us(30_000)?;
                let ticks = agent.stat("leaks_timer")?[0];
                ensure!((3..=15).contains(&ticks), "{ticks} ticks of two milliseconds in thirty");
                Ok(())
            },
        )
    }
);

case!(
    /// R24: an endpoint is revoked; a handle is used up when it is given back; and CONTROL registers nothing.
    30, fn r24_endpoint_left_behind_is_revoked(agent) {
        leaks(
            agent,
            "leaks_endpoint",
            &[(Kind::Endpoint, "port")],
            "defect: it left 1 registered, revoked: endpoint port",
            |agent| {
                let request = Request::Control { name: name("leaks_endpoint")?, words: [4, 0, 0, 0] };
                match agent.linker(&request)? {
                    Reply::Refused(refusal) => ensure_eq!(refusal.errno, Errno::EPERM, "a late registration"),
                    other => fail!("a registration in CONTROL: {other:?}"),
                }
                agent.expect_registered("leaks_endpoint", &[(Kind::Endpoint, "port")])
            },
        )
    }
);

case!(
    /// R24: the worker that runs INIT or START registers, and nobody else meanwhile, not even a thread of the same module.
    30, fn r24_only_the_worker_of_a_load_registers(agent) {
        agent.load("registers_elsewhere")?;
        let refused = agent.stat("registers_elsewhere")?[0];
        ensure_eq!(refused, errno_word(Errno::EPERM), "what the thread was told");
        agent.expect_registered("registers_elsewhere", &[(Kind::Thread, "climber")])?;
        ensure_eq!(agent.unload_with_remark("registers_elsewhere")?.as_str(), "", "what CHECK says");
        agent.expect_empty()
    }
);

case!(
    /// R24: memory is mapped, works, and is revoked.
    30, fn r24_mapping_left_behind_is_revoked(agent) {
        let words = 3 * 4_096 / 8;
        let mut addresses: Vec<u64, 3> = Vec::new();
        leaks(
            agent,
            "leaks_mapping",
            &[(Kind::Mapping, "pool")],
            "defect: it left 1 registered, revoked: mapping pool",
            |agent| {
                let before = agent.ledger_of("leaks_mapping")?;
                ensure!(before.as_ref().is_some_and(|row| row.frames >= 3), "frames of the module: {before:?}");
                let [sum, address, ..] = agent.stat("leaks_mapping")?;
                ensure_eq!(sum, words * (words - 1) / 2, "the sum of its words");
                // Whoever kept an address has kept one where nothing is: the next mappings are elsewhere.
                ensure!(!addresses.contains(&address), "{address:#x} again, after {addresses:x?}");
                ensure!(addresses.push(address).is_ok(), "more rounds than expected");
                Ok(())
            },
        )
    }
);

case!(
    /// R24, R19: the addresses of a mapping that has gone are poisoned, as those of text are: whoever goes there faults, and
    /// the linker server knows why.
    30, fn r24_addresses_of_a_mapping_that_has_gone_are_poisoned(agent) {
        let demo = agent.open("demo")?;
        agent.load("wall_probe")?;
        agent.load("leaks_mapping")?;
        let [_, address, ..] = agent.stat("leaks_mapping")?;
        agent.control("leaks_mapping", [CAREFUL, 0, 0, 0])?;
        agent.unload("leaks_mapping")?;
        expect_log(streams::LINKER, "the address belonged to a module that was unloaded");
        let answer = demo.call(agent.ipc, DEMO_PING, &[CALL | address]);
        ensure_eq!((answer.label, answer.words[0]), (0, 0xdead), "the call of a layer that makes a stale one");
        ensure_eq!(agent.fault_of("demo")?.pc, address, "the program counter of the fault");
        agent.audit()?;
        Ok(())
    }
);

// Registers of the PL031 (Arm DDI 0224, 3.3).
const CLOCK_DATA_AT: u64 = 0x0;
const CLOCK_MATCH_AT: u64 = 0x4;
const CLOCK_MASK_AT: u64 = 0x10;
const CLOCK_CLEAR_AT: u64 = 0x1c;

/// Has the clock raise its interrupt: when it reaches the second that is now.
fn raise_alarm(agent: &mut Agent, clock: Device) -> Outcome {
    clock.write_4(agent.ipc, CLOCK_MASK_AT, 1)?;
    loop {
        let (now, _) = clock.read_4(agent.ipc, CLOCK_DATA_AT)?;
        clock.write_4(agent.ipc, CLOCK_MATCH_AT, now)?;
        // It compares for equality: the second must not have passed between the two.
        if clock.read_4(agent.ipc, CLOCK_DATA_AT)?.0 == now {
            return Ok(());
        }
    }
}

case!(
    /// R24: an interrupt that nobody serves wakes a thread of a module, and is revoked; then it is free for the next.
    30, fn r24_interrupt_left_behind_is_revoked(agent) {
        if selected_board::BOARD.device("rtc").is_none() {
            agent.load_refused("leaks_interrupt", Errno::ENODEV)?;
            return Ok(());
        }
        leaks(
            agent,
            "leaks_interrupt",
            &[(Kind::Thread, "handler"), (Kind::Interrupt, "alarm")],
            "defect: it left 2 registered, revoked: interrupt alarm, thread handler",
            |agent| {
                let clock = agent.open("rtc")?;
                for count in 1..=2 {
                    raise_alarm(agent, clock)?;
                    agent.sleep_us(10_000)?;
                    ensure_eq!(agent.stat("leaks_interrupt")?[0], count, "interrupts");
                    clock.write_4(agent.ipc, CLOCK_CLEAR_AT, 1)?;
                    agent.control("leaks_interrupt", [4, 0, 0, 0])?;
                }
                clock.write_4(agent.ipc, CLOCK_MASK_AT, 0)?;
                agent.close(clock)
            },
        )?;
        // Given back, it wakes nobody, though the thread is there still.
        agent.load("leaks_interrupt")?;
        agent.control("leaks_interrupt", [5, 0, 0, 0])?;
        let clock = agent.open("rtc")?;
        raise_alarm(agent, clock)?;
        agent.sleep_us(10_000)?;
        ensure_eq!(agent.stat("leaks_interrupt")?[0], 0, "interrupts after it was given back");
        clock.write_4(agent.ipc, CLOCK_CLEAR_AT, 1)?;
        clock.write_4(agent.ipc, CLOCK_MASK_AT, 0)?;
        let said = agent.unload_with_remark("leaks_interrupt")?;
        ensure_eq!(said.as_str(), "defect: it left 1 registered, revoked: thread handler", "what CHECK says");
        agent.expect_empty()
    }
);

/// A client that asks the device in word 0 for its register at word 1 and waits for ever: word 2 becomes 1 when it is
/// answered, and word 3 is the label.
fn reading(shared: &'static Shared, ipc: &mut Ipc) {
    let answer = Device::at(shared.get(0)).call(ipc, BUS_READ, &[4, shared.get(1)]);
    shared.set(3, answer.label);
    shared.set(2, 1);
    while !shared.stopping() {
        sel4_sys::seL4_Yield();
    }
}

/// Whether a slot of this process holds a capability that can be copied.
fn is_there(agent: &mut Agent, at: seL4_CPtr) -> Outcome<bool> {
    let (own, copy) = (slot::CNODE, agent.slot()?);
    let rights = seL4_CapRights::all();
    let error = agent.ipc.seL4_CNode_Copy(own, copy, DEPTH, own, at, DEPTH, rights);
    ensure!(agent.slots.delete(agent.ipc, copy).is_ok(), "a slot cannot be emptied");
    Ok(error == 0)
}

case!(
    /// R24: a device goes with its module: who waits for it is told ENODEV, who has opened it has nothing any more.
    60, fn r24_device_left_behind_is_revoked_and_its_clients_are_answered(agent) {
        let registered = [(Kind::Thread, "server"), (Kind::Endpoint, "port"), (Kind::Device, "leaky")];
        let remark = "defect: it left 3 registered, revoked: device leaky, endpoint port, thread server";
        leaks(agent, "leaks_device", &registered, remark, |agent| {
            let device = agent.open("leaky")?;
            device.write_4(agent.ipc, 4, 0x1234)?;
            ensure_eq!(device.read_4(agent.ipc, 4)?, (0x1234, 0), "the register");
            agent.close(device)
        })?;
        let before = agent.ledger()?;
        agent.load("leaks_device")?;
        let device = agent.open("leaky")?;
        // One client is received and never answered; another waits behind it.
        let first = agent.spawn(reading, &[device.endpoint(), 8])?;
        agent.sleep_us(5_000)?;
        let clients = [first, agent.spawn(reading, &[device.endpoint(), 4])?];
        agent.sleep_us(5_000)?;
        ensure_eq!(clients.map(|client| client.get(2)), [0, 0], "answers before the unload");
        ensure!(is_there(agent, device.endpoint())?, "the device is open");
        agent.unload("leaks_device")?;
        agent.sleep_us(5_000)?;
        for client in clients {
            ensure_eq!((client.get(2), client.get(3)), (1, errno_word(Errno::ENODEV)), "who has waited");
        }
        ensure!(!is_there(agent, device.endpoint())?, "the device is open after the unload");
        match agent.linker(&Request::OpenDevice { name: name("leaky")? })? {
            Reply::Refused(refusal) => ensure_eq!(refusal.errno, Errno::ENODEV, "opening what has gone"),
            other => fail!("opening what has gone: {other:?}"),
        }
        for client in clients {
            agent.join(client)?;
        }
        ensure_eq!(agent.ledger()?, before, "the ledger");
        agent.audit()?;
        agent.expect_empty()
    }
);

fn errno_word(errno: Errno) -> u64 {
    u64::from(errno.number().unsigned_abs())
}

case!(
    /// S22: a device registered by a module is opened, read, written; an unload that goes back leaves it in service; then
    /// it is unloaded, and nothing is left to say.
    30, fn s22_device_of_a_module_is_opened_read_and_written_and_leaves(agent) {
        let before = agent.ledger()?;
        agent.load("scratch_device")?;
        let device = agent.open("scratch")?;
        for (offset, value) in [(0, 7), (4, 0xffff_ffff), (12, 3)] {
            device.write_4(agent.ipc, offset, value)?;
        }
        ensure_eq!(device.read_4(agent.ipc, 4)?, (0xffff_ffff, 0), "what was written");
        let wrong = device.call(agent.ipc, BUS_WRITE, &[8, 0, 1]);
        ensure_eq!(wrong.label, errno_word(Errno::EINVAL), "an access of eight bytes");
        agent.control("scratch_device", [STUBBORN, 0, 0, 0])?;
        agent.unload_refused("scratch_device", 20, Errno::ETIMEDOUT)?;
        ensure_eq!(device.read_4(agent.ipc, 12)?, (3, 0), "a read after an unload that went back");
        agent.control("scratch_device", [LEAVE, 0, 0, 0])?;
        let said = agent.unload_with_remark("scratch_device")?;
        ensure_eq!(said.as_str(), "", "what CHECK says of a module that behaves");
        ensure!(!is_there(agent, device.endpoint())?, "the device is open after the unload");
        ensure_eq!(agent.ledger()?, before, "the ledger");
        agent.audit()?;
        // The next one of that name is another device.
        agent.load("scratch_device")?;
        let device = agent.open("scratch")?;
        ensure_eq!(device.read_4(agent.ipc, 12)?, (0, 0), "the register of the next load");
        // It may go while its endpoint stays.
        agent.control("scratch_device", [4, 0, 0, 0])?;
        ensure!(!is_there(agent, device.endpoint())?, "the device is open after it was given back");
        agent.expect_registered("scratch_device", &[(Kind::Thread, "server"), (Kind::Endpoint, "port")])?;
        agent.unload("scratch_device")?;
        agent.expect_empty()
    }
);
