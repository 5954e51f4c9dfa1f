//! Faults in a layer's text, each class at each depth of a stack of layers.

use strata_protocol::Text;
use strata_protocol::driver::DEMO_PING;
use strata_protocol::fault::FaultClass;
use strata_protocol::linker::{ModuleState, ThreadRow};
use strata_runtime::clock;

use crate::agent::Agent;
use crate::case::{Outcome, SPINS, case, ensure, ensure_eq, fail};
use crate::names::{BASE, PING};

/// The most layers at once.
const LAYERS_MAX: usize = 3;
/// What a call returns that faulted in a `faulter`.
const FAULT_VALUE: u64 = 0xdead;

/// What comes of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// It returns the alias's fault value to the layer above.
    Returns,
    /// Nothing leads out of it: the driver server starts again and answers EFAULT.
    IsAnswered,
}

/// The name of a copy: unlike all others of its boot, because wedged modules stay listed.
fn layer_name(layers: usize, faulty: usize, layer: usize) -> Text<31> {
    Text::format(format_args!("faulter_{layers}_{faulty}_{layer}"))
}

/// The row of the driver server that calls.
fn caller(agent: &mut Agent) -> Outcome<ThreadRow> {
    match agent.threads()?.into_iter().find(|row| row.name.as_str() == "demo") {
        Some(row) => Ok(row),
        None => fail!("no thread of that name"),
    }
}

/// One, two and three layers, and each of them in turn faults in the middle of a call while those above are in flight.
fn at_every_depth(agent: &mut Agent, control: [u64; 2], class: FaultClass, call: Call) -> Outcome {
    up_to(agent, LAYERS_MAX, control, class, call)
}

/// The same with fewer layers.
fn up_to(agent: &mut Agent, layers_max: usize, control: [u64; 2], class: FaultClass, call: Call) -> Outcome {
    let (demo, other) = (agent.open("demo")?, agent.open("demo2")?);
    for layers in 1..=layers_max {
        for faulty in 0..layers {
            for layer in 0..layers {
                let name = layer_name(layers, faulty, layer);
                let decision = agent.try_load_as("faulter", &name)?;
                ensure!(decision.is_ok(), "load of {name}: {decision:?}");
            }
            ensure_eq!(demo.ping(agent.ipc, 41)?, 42 + layers as u64, "{layers} layers that behave");
            let before = caller(agent)?;
            let name = layer_name(layers, faulty, faulty);
            agent.control(&name, [control[0], control[1], 0, 0])?;
            let answer = demo.call(agent.ipc, DEMO_PING, &[41]);
            match call {
                Call::Returns => {
                    let above = (layers - 1 - faulty) as u64;
                    ensure_eq!(answer.label, 0, "the call through {name} of {layers}: {answer:x?}");
                    ensure_eq!(answer.words[0], FAULT_VALUE + above, "its value, {above} layers above");
                }
                Call::IsAnswered => {
                    ensure!(answer.is_fault(), "the call through {name} of {layers}: {answer:x?}")
                }
            }
            // The next calls go below, and so do those of a server that has noticed nothing.
            let left = layers as u64 - 1;
            ensure_eq!(demo.ping(agent.ipc, 41)?, 42 + left, "the next call past {name}");
            ensure_eq!(other.ping(agent.ipc, 41)?, 42 + left, "the other server's call");
            let row = agent.module(&name)?;
            ensure!(row.is_some_and(|row| row.state == ModuleState::Wedged), "{name} is not wedged");
            let after = caller(agent)?;
            ensure_eq!(after.fault.map(|fault| fault.class), Some(class), "the class of the fault");
            let started_again = u32::from(call == Call::IsAnswered);
            ensure_eq!(after.restarts - before.restarts, started_again, "how often the server started again");
            for layer in (0..layers).rev().filter(|layer| *layer != faulty) {
                agent.unload(&layer_name(layers, faulty, layer))?;
            }
            agent.expect_stack(PING, &[BASE])?;
        }
    }
    agent.audit()?;
    agent.expect_devices_well()
}

/// A case for each class: what the module is asked to do, the class that the linker server reports, what becomes of the call.
macro_rules! matrix {
    ($($(#[doc = $doc:literal])* $name:ident: $number:literal, $class:ident, $call:ident;)+) => {
        $(case!($(#[doc = $doc])* 60, fn $name(agent) {
            at_every_depth(agent, [$number, 0], FaultClass::$class, Call::$call)
        });)+
    };
}

matrix! {
    s34_load_from_where_nothing_is_mapped_at_every_depth: 1, NotMapped, Returns;
    s34_store_to_where_nothing_is_mapped_at_every_depth: 2, NotMapped, Returns;
    s34_store_to_its_own_text_at_every_depth: 3, Permission, Returns;
    s34_store_to_its_constants_at_every_depth: 4, Permission, Returns;
    s34_call_of_a_null_pointer_at_every_depth: 5, Fetch, Returns;
    s34_execution_of_data_at_every_depth: 6, Fetch, Returns;
    s34_call_out_of_all_text_at_every_depth: 7, Fetch, Returns;
    s34_call_of_no_instruction_at_every_depth: 8, Fetch, Returns;
    s34_undefined_instruction_at_every_depth: 9, Instruction, Returns;
    s34_breakpoint_at_every_depth: 10, Breakpoint, Returns;
    s34_division_by_zero_at_every_depth: 11, Instruction, Returns;
    s34_unknown_system_call_at_every_depth: 12, Syscall, Returns;
    s34_capability_that_is_not_there_at_every_depth: 13, Capability, Returns;
    s34_register_of_the_kernel_at_every_depth: 14, Instruction, Returns;
    s34_exclusive_load_that_is_not_aligned_at_every_depth: 15, Alignment, Returns;
    s34_stack_overflow_at_every_depth: 16, NotMapped, Returns;
    /// Nothing says from where it was.
    s34_return_to_nowhere_at_every_depth: 19, Fetch, IsAnswered;
}

case!(
    /// A bus error of the layer's own load, not of an accessor.
    60, fn s34_bus_error_in_a_layers_text_at_every_depth(agent) {
        let hole = agent.open("hole")?;
        let answer = hole.call(agent.ipc, strata_protocol::driver::BUS_READ, &[4, 0]);
        ensure!(answer.is_fault(), "the hole answers: {answer:x?}");
        at_every_depth(agent, [17, answer.words[0]], FaultClass::Bus, Call::Returns)
    }
);

/// Has a `faulter` over `demo_wait` go wrong; the value of the call.
fn wait_through(agent: &mut Agent, control: u64) -> Outcome<u64> {
    let (demo, other) = (agent.open("demo")?, agent.open("demo2")?);
    for layer in ["faulter_0", "faulter_1", "faulter_2"] {
        let decision = agent.try_load_as("faulter", layer)?;
        ensure!(decision.is_ok(), "load of {layer}: {decision:?}");
    }
    agent.control("faulter_1", [control, 0, 0, 0])?;
    demo.wait(agent.ipc, 7)?;
    agent.sleep_us(5_000)?;
    let (begun, ended, value) = other.waits(agent.ipc)?;
    ensure_eq!((begun, ended), (1, 1), "waits begun and ended");
    demo.wait(agent.ipc, 7)?;
    ensure_eq!(other.waits(agent.ipc)?, (2, 2, 7 + 2), "the next wait");
    let row = caller(agent)?;
    ensure_eq!(row.restarts, 0, "restarts of the server");
    agent.unload("faulter_2")?;
    agent.unload("faulter_0")?;
    agent.audit()?;
    Ok(value)
}

case!(
    /// Where calls are counted, the gate takes its record back.
    30, fn s34_fault_behind_a_gate_returns_through_it(agent) {
        ensure_eq!(wait_through(agent, 1)?, 0xbeef + 1, "the value of the call that faulted");
        Ok(())
    }
);

case!(
    /// Gates that are entered without end meet the end of the shadow stack: the innermost call returns, then all others.
    30, fn s34_endless_recursion_through_gates_is_left(agent) {
        let (demo, other) = (agent.open("demo")?, agent.open("demo2")?);
        agent.load("faulter")?;
        agent.control("faulter", [20, 0, 0, 0])?;
        demo.wait(agent.ipc, 7)?;
        agent.sleep_us(5_000)?;
        ensure_eq!(other.waits(agent.ipc)?, (1, 1, 7 + 1), "waits begun, ended, the value of the outermost call");
        demo.wait(agent.ipc, 7)?;
        ensure_eq!(other.waits(agent.ipc)?, (2, 2, 7), "the next wait");
        let row = caller(agent)?;
        ensure_eq!(row.restarts, 0, "restarts of the server");
        ensure_eq!(row.fault.map(|fault| fault.class), Some(FaultClass::NotMapped), "the class of the fault");
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// The registers that a callee has to give back, d8 to d15 among them, are the caller's own when a call returns whose
    /// callee has faulted after it overwrote them.
    30, fn s34_faulted_call_gives_every_callee_saved_register_back(agent) {
        let demo = agent.open("demo")?;
        ensure!(agent.try_load_as("faulter", "below")?.is_ok(), "a layer below");
        for number in [1, 5, 9, 12, 16] {
            // The layer in the middle faults; the keeper above it looks at its registers.
            let name = Text::<31>::format(format_args!("faulter_{number}"));
            ensure!(agent.try_load_as("faulter", &name)?.is_ok(), "load of {name}");
            agent.load("keeper")?;
            ensure_eq!(demo.ping(agent.ipc, 41)?, 42 + 3, "the keeper over layers that behave");
            agent.control(&name, [number, 0, 0, 0])?;
            ensure_eq!(demo.ping(agent.ipc, 41)?, FAULT_VALUE + 1, "fault {number}: registers that have changed");
            agent.unload("keeper")?;
        }
        ensure_eq!(caller(agent)?.restarts, 0, "restarts of the server");
        agent.audit()?;
        Ok(())
    }
);

/// A layer that does not come back, at each depth: as [`at_every_depth`], and in time.
fn loops_at_every_depth(agent: &mut Agent, control: u64) -> Outcome {
    let (start, calls) = (clock::microseconds(), 6);
    at_every_depth(agent, [control, 0], FaultClass::Overrun, Call::Returns)?;
    // Each call takes its budget of 200 ms, and some beats of the watchdog until that is noticed.
    agent.took_ms(start, calls * 200, calls * 1_000, "six calls that do not come back")
}

case!(
    180, SPINS, fn s34_loop_in_a_layers_text_at_every_depth(agent) { loops_at_every_depth(agent, 32) }
);

case!(
    /// The layer that loops is told from those that it calls again and again.
    180, SPINS, fn s34_loop_over_the_layers_below_at_every_depth(agent) { loops_at_every_depth(agent, 33) }
);

case!(
    /// Each turn of the loop is a system call, so that it takes long on QEMU: one layer.
    120, SPINS, fn s34_loop_by_way_of_the_kernel(agent) {
        up_to(agent, 1, [34, 0], FaultClass::Overrun, Call::Returns)
    }
);

case!(
    /// A layer that hangs under the driver of the console's own line: everybody's output goes on afterwards.
    120, SPINS, fn s34_loop_under_the_uart_leaves_the_line_alive(agent) {
        let uart = agent.open("uart")?;
        agent.load("endless_read")?;
        agent.control("endless_read", [crate::device::UART_ID_AT, 0, 0, 0])?;
        let start = clock::microseconds();
        let answer = uart.call(agent.ipc, strata_protocol::driver::BUS_READ, &[4, crate::device::UART_ID_AT]);
        agent.took_ms(start, 200, 1_000, "a read that does not come back")?;
        ensure_eq!(answer.label, 0, "its answer: {answer:x?}");
        let row = agent.module("endless_read")?;
        ensure!(row.is_some_and(|row| row.state == ModuleState::Wedged), "the module is not wedged");
        agent.expect_stack(crate::names::READ_4, &[BASE])?;
        agent.audit()?;
        agent.expect_devices_well()
    }
);

case!(
    /// A thread that is blocked inside takes no time: it may stay as long as it likes.
    30, fn a_call_that_is_blocked_uses_no_budget(agent) {
        let (demo, other) = (agent.open("demo")?, agent.open("demo2")?);
        agent.load("wait_inside")?;
        demo.wait(agent.ipc, 5)?;
        agent.sleep_us(2_000_000)?;
        ensure_eq!(other.waits(agent.ipc)?, (1, 0, 0), "the wait goes on");
        other.release(agent.ipc)?;
        agent.sleep_us(5_000)?;
        ensure_eq!(other.waits(agent.ipc)?, (1, 1, 105), "the wait has ended");
        ensure_eq!(caller(agent)?.fault, None, "faults of the thread");
        agent.unload("wait_inside")?;
        agent.expect_empty()
    }
);
