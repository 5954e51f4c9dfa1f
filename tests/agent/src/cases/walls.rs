//! Walls: W^X, and deadlines that a module cannot disable. `wall_probe` is the module that tries.

use strata_protocol::Errno;
use strata_protocol::driver::DEMO_PING;
use strata_protocol::fault::FaultRow;
use strata_protocol::linker::{COMMAND_MS_MAX, ModuleState};
use strata_runtime::clock;

use crate::agent::Agent;
use crate::case::{Outcome, SPINS, case, ensure, ensure_eq};
use crate::device::Answer;
use crate::names::{BASE, PING};

/// Argument of `wall_probe`'s ping: call the address in the low bits.
pub(crate) const CALL: u64 = 1 << 60;
/// Put a `ret` at a place and call it; the low bits say where.
const EXECUTE: u64 = 2 << 60;
/// Write to text; the low bits say which.
const WRITE: u64 = 3 << 60;
/// Poke a timer register; the low bits say which.
const TIMER: u64 = 4 << 60;
/// What a ping answers that came through where it should not.
const CAME_BACK: u64 = 0xbad;

/// What its call returns that faulted.
const FAULT_VALUE: u64 = 0xdead;

/// Exception classes of a lower level: instruction abort, data abort.
const FETCH_ABORT: u64 = 0x20;
const DATA_ABORT: u64 = 0x24;
/// Fault status codes of a permission fault, levels 1 to 3: the page is there and forbids it.
const PERMISSION: core::ops::RangeInclusive<u64> = 0x0d..=0x0f;

fn probe(agent: &mut Agent, argument: u64) -> Outcome<Answer> {
    let demo = agent.open("demo")?;
    let answer = demo.call(agent.ipc, DEMO_PING, &[argument]);
    agent.close(demo)?;
    agent.sleep_us(2_000)?;
    Ok(answer)
}

fn expect_permission(fault: &FaultRow, exception: u64) -> Outcome {
    ensure_eq!(fault.status >> 26, exception, "the exception class");
    ensure!(PERMISSION.contains(&(fault.status & 0x3f)), "status {:#x} is no permission fault", fault.status);
    Ok(())
}

/// Fails unless executing what was written faults with a permission fault of a fetch at the very address.
fn execute_faults(agent: &mut Agent, place: u64) -> Outcome {
    agent.load("wall_probe")?;
    let answer = probe(agent, EXECUTE | place)?;
    ensure_eq!((answer.label, answer.words[0]), (0, FAULT_VALUE), "the call that executes what was written");
    let fault = agent.fault_of("demo")?;
    ensure_eq!(fault.pc, fault.address, "the program counter and the faulting address");
    expect_permission(&fault, FETCH_ABORT)?;
    agent.expect_devices_well()?;
    let demo = agent.open("demo")?;
    ensure!(demo.ping(agent.ipc, 0)? != CAME_BACK, "the driver does not serve on");
    Ok(())
}

case!(20, fn w_xor_x_executing_data_faults(agent) { execute_faults(agent, 0) });
case!(20, fn w_xor_x_executing_the_stack_faults(agent) { execute_faults(agent, 1) });
case!(20, fn w_xor_x_executing_a_shared_ring_faults(agent) { execute_faults(agent, 2) });
case!(20, fn w_xor_x_executing_the_ipc_buffer_faults(agent) { execute_faults(agent, 3) });
case!(20, fn w_xor_x_executing_rodata_faults(agent) {
    // Nothing is written there: the constant is a `ret` already.
    execute_faults(agent, 4)
});

/// Fails unless a store to text faults with a permission fault, and the text is as before.
fn write_faults(agent: &mut Agent, place: u64) -> Outcome {
    agent.load("wall_probe")?;
    let answer = probe(agent, WRITE | place)?;
    ensure_eq!((answer.label, answer.words[0]), (0, FAULT_VALUE), "the call that writes text");
    let fault = agent.fault_of("demo")?;
    expect_permission(&fault, DATA_ABORT)?;
    ensure!(fault.status & (1 << 6) != 0, "status {:#x} is no write", fault.status);
    let row = agent.module("wall_probe")?;
    ensure!(row.is_some_and(|row| row.state == ModuleState::Wedged), "the module is not popped");
    agent.expect_stack(PING, &[BASE])?;
    let demo = agent.open("demo")?;
    ensure_eq!(demo.ping(agent.ipc, 41)?, 42, "the default afterwards");
    agent.expect_devices_well()
}

case!(20, fn w_xor_x_writing_the_modules_own_text_faults(agent) { write_faults(agent, 0) });
case!(20, fn w_xor_x_writing_text_of_the_base_faults(agent) { write_faults(agent, 1) });
case!(20, fn w_xor_x_writing_gates_and_slots_faults(agent) { write_faults(agent, 2) });
case!(20, fn w_xor_x_writing_rodata_faults(agent) { write_faults(agent, 3) });

case!(
    /// Sanity of the probes above: the same calls to places that are text come back.
    20, fn w_xor_x_probe_itself_can_call_text(agent) {
        agent.load("wall_probe")?;
        ensure_eq!(probe(agent, EXECUTE | 15)?.words[0], CAME_BACK, "a call of a `ret` that is text");
        agent.unload("wall_probe")?;
        agent.expect_empty()
    }
);

/// Fails unless deadlines work: an INIT that never ends is given up in time.
fn deadline_holds(agent: &mut Agent, alias: &str) -> Outcome {
    let start = clock::microseconds();
    match agent.try_load_as("endless_init", alias)? {
        Err(refused) if refused.errno == Errno::ETIMEDOUT => {}
        other => crate::case::fail!("an INIT that never ends: {other:?}"),
    }
    let low = u64::from(COMMAND_MS_MAX) * 9 / 10;
    agent.took_ms(start, low, 10 * u64::from(COMMAND_MS_MAX), "giving up an INIT that never ends")
}

case!(
    /// A module that reprograms or stops a timer that it can reach does not disable a deadline.
    30, SPINS, fn timer_poked_in_a_call_does_not_disable_a_deadline(agent) {
        deadline_holds(agent, "endless_before")?;
        agent.load("timer_poker")?;
        let _ = probe(agent, 13)?;
        deadline_holds(agent, "endless_after")?;
        agent.expect_devices_well()
    }
);

case!(
    /// The same from inside the very command whose deadline runs: each timer register, then an endless loop.
    30, SPINS, fn timer_poked_in_a_command_does_not_disable_its_own_deadline(agent) {
        // One for each of: physical compare value, physical control.
        for (register, module) in [(0, "poke_cval"), (1, "poke_ctl")] {
            let start = clock::microseconds();
            let upload = agent.copy_up("timer_init")?;
            upload.rename(module)?;
            upload.configure(register)?;
            match agent.load_upload(module, &upload, upload.size)? {
                // The kernel keeps the register from the module (a fault), or the deadline held all the same.
                Err(refused) if matches!(refused.errno, Errno::EFAULT | Errno::ETIMEDOUT) => {}
                other => crate::case::fail!("{module}: {other:?}"),
            }
            agent.took_ms(start, 0, 10 * u64::from(COMMAND_MS_MAX), module)?;
        }
        deadline_holds(agent, "endless_after")
    }
);

case!(
    /// And by a driver thread inside a module that stops the timers while an unload drains.
    30, fn timer_poked_in_a_call_does_not_disable_sleepers(agent) {
        agent.load("wall_probe")?;
        for register in 0..2 {
            let _ = probe(agent, TIMER | register)?;
            if agent.module("wall_probe")?.is_none_or(|row| row.state != ModuleState::Live) {
                break;
            }
        }
        let start = clock::microseconds();
        agent.sleep_us(50_000)?;
        agent.took_ms(start, 50, 1_000, "a sleep of 50 ms")
    }
);
