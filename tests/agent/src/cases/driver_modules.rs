//! Devices of the board that modules drive (R24): each belongs to one, a driver server or a module, and whoever asks for it
//! as well is told which.

use embedded_hal::digital::{OutputPin as _, StatefulOutputPin as _};
use hal_clients::gpio::{Input, Output};
use strata_protocol::Errno;
use strata_protocol::driver::{Call as _, gpio};
use strata_protocol::message::WORDS_MAX;
use strata_protocol::registration::Kind;
use strata_runtime::device::Endpoint;

use super::gpio::{FREE, PINS, failed, with_pins};
use super::registrations::leaks;
use crate::agent::Agent;
use crate::case::{EDGES, FREE_PINS, Outcome, case, ensure, ensure_eq};

/// Drives a pin, reads it back, and has it raise one interrupt.
fn drive_and_wait_for_an_edge(pins: Endpoint<'_>) -> Outcome {
    let mut pin = Output::new(pins, FREE, true).map_err(failed("the output"))?;
    ensure!(pin.is_set_high().map_err(failed("reading it"))?, "a pin that was driven high");
    pin.set_low().map_err(failed("driving it"))?;
    ensure!(pin.is_set_low().map_err(failed("reading it"))?, "a pin that was driven low");
    let ask = |label, operand| {
        let mut words = [0; WORDS_MAX];
        (words[0], words[1]) = (FREE.into(), operand);
        Endpoint::call(&mut { pins }, label, &mut words, 2).map(|_| words[0])
    };
    // The model sees an edge when a pin that was driven becomes an input again: once low, which is none, and once high.
    Input::new(pins, FREE).map_err(failed("the input"))?;
    ensure!(ask(gpio::WATCH, gpio::RISING).is_ok(), "watching the pin");
    for (high, edges) in [(false, 0), (true, gpio::RISING)] {
        Output::new(pins, FREE, high).map_err(failed("the output"))?;
        Input::new(pins, FREE).map_err(failed("the input"))?;
        ensure_eq!(ask(gpio::EDGES, 0), Ok(edges), "edges of a pin that becomes {high}");
    }
    Ok(())
}

/// Fails unless a load is refused because this one has the device.
fn expect_taken_by(agent: &mut Agent, holder: &str) -> Outcome {
    let refused = agent.load_refused("takes_pins", Errno::EBUSY)?;
    let expected = "the device at 0x9030000 is taken by ";
    let rest = refused.why.as_str().strip_prefix(expected).and_then(|rest| rest.strip_prefix(holder));
    ensure!(rest.is_some_and(|rest| rest.starts_with(';')), "why: {}", refused.why);
    Ok(())
}

case!(
    /// R24, R21: a module drives a device that nobody serves, by its registers through `bus_space` and by its interrupt, under
    /// clients of embedded-hal; nobody else can have it; what is left of it is revoked and named; then the next can have it.
    60, FREE_PINS, fn r24_device_that_nobody_serves_is_driven_by_a_module(agent) {
        agent.load("takes_pins")?;
        agent.load_refused("leaks_pins", Errno::EBUSY)?;
        agent.unload("takes_pins")?;
        leaks(
            agent,
            "leaks_pins",
            &[
                (Kind::Thread, "server"),
                (Kind::Endpoint, "port"),
                (Kind::Mapping, "bank"),
                (Kind::Interrupt, "edge"),
                (Kind::Device, PINS),
            ],
            "defect: it left 5 registered, revoked: device gpio, interrupt edge, mapping bank, endpoint port, thread server",
            |agent| {
                with_pins(agent, drive_and_wait_for_an_edge)?;
                ensure_eq!(agent.stat("leaks_pins")?[0], 1, "interrupts");
                expect_taken_by(agent, "leaks_pins")
            },
        )?;
        agent.load("takes_pins")?;
        agent.unload("takes_pins")?;
        agent.expect_empty()
    }
);

case!(
    /// R24: a device that has a driver server is no module's, and the refusal names the server.
    30, EDGES, fn r24_device_that_is_served_is_refused_by_the_name_of_its_server(agent) {
        let before = agent.snapshot()?;
        expect_taken_by(agent, PINS)?;
        let refused = agent.load_refused("leaks_pins", Errno::EBUSY)?;
        ensure!(refused.why.as_str().contains("taken by gpio;"), "why: {}", refused.why);
        agent.expect_as_before(&before, "refused loads")?;
        agent.audit()?;
        agent.expect_devices_well()
    }
);
