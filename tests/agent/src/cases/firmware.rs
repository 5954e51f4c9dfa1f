//! The firmware class: what the firmware tells, by a page that it writes past the caches; and a device that is missing.

use hal_clients::Error;
use hal_clients::firmware::Firmware;
use strata_protocol::Errno;
use strata_protocol::driver::firmware::{Clock, GET, Property};
use strata_protocol::driver::random::RANDOM;
use strata_runtime::device::Endpoint;

use crate::agent::Agent;
use crate::case::{Failure, MAILBOX, NO_RNG200, Outcome, case, ensure, ensure_eq};
use crate::names::{BASE, DEBUG, READ_4, REORDER};

/// The name of the driver server.
const FIRMWARE: &str = "mailbox";

fn failed(what: &'static str) -> impl FnOnce(Error) -> Failure {
    move |error| Failure::new(format_args!("{what}: {error}"))
}

/// Runs a part of a case with the firmware.
fn with_firmware<T>(
    agent: &mut Agent,
    part: impl FnOnce(Firmware<Endpoint<'_>>) -> Outcome<T>,
) -> Outcome<T> {
    let device = agent.open(FIRMWARE)?;
    let outcome = agent.lend_ipc(|ipc| part(Firmware::new(Endpoint::new(ipc, device.endpoint()))));
    agent.close(device)?;
    outcome
}

/// What every board of this kind tells.
fn tells_what_it_knows(mut firmware: Firmware<Endpoint<'_>>) -> Outcome {
    let revision = firmware.revision().map_err(failed("the revision"))?;
    ensure!(revision != 0, "the firmware has no revision");
    let (model, board) = firmware.board().map_err(failed("the board"))?;
    // Raspberry Pi documentation, "Revision codes": bit 23 is that of a code, bits 12 to 15 are 3 for a BCM2711.
    ensure!(model == 0 && board >> 23 & 1 == 1 && board >> 12 & 0xf == 3, "board {model}, {board:#x}");
    let (start, size) = firmware.memory().map_err(failed("the memory"))?;
    ensure!(start == 0 && (1 << 29..=1 << 30).contains(&size), "memory {start:#x} + {size:#x}");
    for clock in [Clock::Arm, Clock::Uart] {
        let (rate, _) = firmware.clock(clock).map_err(failed("a clock"))?;
        ensure!((1_000_000..3_000_000_000).contains(&rate), "{clock:?}: {rate} Hz");
    }
    let (now, highest) = firmware.temperature().map_err(failed("the temperature"))?;
    ensure!(
        now < highest && (1_000..=110_000).contains(&highest),
        "{now} of {highest} thousandths of a degree"
    );
    // Not every firmware says what holds it back.
    match firmware.get::<1>(Property::Throttled, 0) {
        Ok([held]) => ensure!(held >> 20 == 0, "held back by {held:#x}"),
        other => ensure_eq!(other, Err(Error::Refused(Errno::ENOTTY)), "what holds the chip back"),
    }
    Ok(())
}

case!(
    /// The firmware tells what it knows about the board, each time that it is asked; requests that are none are refused.
    30, MAILBOX, fn firmware_tells_what_it_knows_about_the_board(agent) {
        for _ in 0..3 {
            with_firmware(agent, tells_what_it_knows)?;
        }
        let device = agent.open(FIRMWARE)?;
        for words in [[Property::ALL.len() as u64, 0], [0, 1 << 32]] {
            let answer = device.call(agent.ipc, GET, &words);
            ensure_eq!(answer.label, u64::from(Errno::EINVAL.number().unsigned_abs()), "the answer to {words:x?}");
        }
        agent.close(device)?;
        agent.expect_devices_well()
    }
);

case!(
    /// The driver reaches the mailbox and the memory of its questions through the layers: one that holds writes back delays
    /// none beyond the moment at which the firmware is told, and a restarted server asks on.
    60, MAILBOX, fn firmware_is_asked_through_layers_that_come_and_go(agent) {
        agent.load(REORDER)?;
        agent.load(DEBUG)?;
        agent.expect_stack(READ_4, &[DEBUG, REORDER, BASE])?;
        with_firmware(agent, tells_what_it_knows)?;
        agent.unload(REORDER)?;
        ensure_eq!(super::drivers::restart(agent, FIRMWARE)?, Ok(()), "a restart");
        with_firmware(agent, tells_what_it_knows)?;
        agent.unload(DEBUG)?;
        agent.expect_empty()
    }
);

case!(
    /// A generator that the emulator does not have: its driver bears the bus error, and says that there is no device.
    30, NO_RNG200, fn random_generator_that_is_missing_is_refused(agent) {
        let device = agent.open("rng")?;
        for _ in 0..2 {
            let answer = device.call(agent.ipc, RANDOM, &[8]);
            ensure_eq!(answer.label, u64::from(Errno::ENODEV.number().unsigned_abs()), "a request");
        }
        agent.close(device)?;
        agent.expect_devices_well()
    }
);
