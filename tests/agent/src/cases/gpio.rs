//! The GPIO class: pins are driven, read and waited for through `embedded-hal`; and delays.

use core::pin::pin;
use core::task::{Context, Waker};

use embedded_hal::delay::DelayNs as _;
use embedded_hal::digital::{InputPin as _, OutputPin as _, StatefulOutputPin as _};
use embedded_hal_async::digital::Wait as _;
use hal_clients::Error;
use hal_clients::delay::{Delay, Sleep};
use hal_clients::executor::block_on;
use hal_clients::gpio::{Input, Output, WaitingInput};
use strata_protocol::Errno;
use strata_protocol::caps::slot;
use strata_protocol::driver::{Call as _, gpio};
use strata_protocol::linker::Request;
use strata_protocol::message::WORDS_MAX;
use strata_runtime::clock;
use strata_runtime::device::{Endpoint, Signal, Timer};

use crate::agent::{Agent, name};
use crate::case::{EDGES, Failure, Outcome, case, ensure, ensure_eq};

/// The name of the controller's driver server.
pub(super) const PINS: &str = "gpio";
/// A pin that leads nowhere, on every board.
pub(super) const FREE: u32 = 5;
/// More pins than any board has.
const BEYOND: u32 = 60;

pub(super) fn failed(what: &'static str) -> impl FnOnce(Error) -> Failure {
    move |error| Failure::new(format_args!("{what}: {error}"))
}

/// Runs a part of a case with the controller.
pub(super) fn with_pins<T>(agent: &mut Agent, part: impl FnOnce(Endpoint<'_>) -> Outcome<T>) -> Outcome<T> {
    let device = agent.open(PINS)?;
    let outcome = agent.lend_ipc(|ipc| part(Endpoint::new(ipc, device.endpoint())));
    agent.close(device)?;
    outcome
}

case!(
    /// A pin is driven and read back; pins that are not there, or that lead to another device, are refused.
    30, fn gpio_pins_are_driven_and_others_refused(agent) {
        with_pins(agent, |pins| {
            for first in [true, false] {
                let mut pin = Output::new(pins, FREE, first).map_err(failed("the output"))?;
                for expected in [first, !first, first] {
                    let high = pin.is_set_high().map_err(failed("reading it"))?;
                    ensure_eq!(high, expected, "the pin that began as {first}");
                    pin.toggle().map_err(failed("toggling it"))?;
                }
                pin.set_low().map_err(failed("driving it"))?;
            }
            let mut pin = Input::new(pins, FREE).map_err(failed("the input"))?;
            ensure!(pin.is_low().is_ok(), "an input is read");
            ensure_eq!(Input::new(pins, BEYOND).err(), Some(Error::Refused(Errno::ERANGE)), "a pin beyond the last");
            // The UART's, on a Pi; the PL061 has no such pin.
            let uart = Output::new(pins, 14, true).err();
            let expected = [Errno::EBUSY, Errno::ERANGE].map(|errno| Some(Error::Refused(errno)));
            ensure!(expected.contains(&uart), "the UART's pin: {uart:?}");
            Ok(())
        })?;
        agent.expect_devices_well()
    }
);

case!(
    /// An edge wakes whoever waits for it, by the interrupt and the server's signal; an edge that is not watched does not.
    30, EDGES, fn gpio_edge_wakes_whoever_waits_for_it(agent) {
        let (notification, _) = agent.capability(&Request::DeviceSignal { name: name(PINS)? })?;
        let signal = Signal::new(notification);
        with_pins(agent, |pins| {
            // The model sees an edge when a pin that was driven becomes an input again.
            let drive = |high| -> Outcome {
                Output::new(pins, FREE, high).map_err(failed("the output"))?;
                Input::new(pins, FREE).map_err(failed("the input"))?;
                Ok(())
            };
            drive(false)?;
            let edges = || {
                let mut words = [0; WORDS_MAX];
                words[0] = FREE.into();
                Endpoint::call(&mut { pins }, gpio::EDGES, &mut words, 1).map(|_| words[0])
            };
            // Twice each: the second time the first level is an edge as well, of the kind that is not watched.
            for (rising, levels) in
                [(true, [false, true]), (true, [false, true]), (false, [true, false]), (false, [true, false])]
            {
                let input = Input::new(pins, FREE).map_err(failed("the pin"))?;
                let mut input = WaitingInput::new(input, signal.listener());
                let mut wait = pin!(async {
                    if rising { input.wait_for_rising_edge().await } else { input.wait_for_falling_edge().await }
                });
                let mut context = Context::from_waker(Waker::noop());
                for level in levels {
                    ensure!(wait.as_mut().poll(&mut context).is_pending(), "nothing has come yet");
                    ensure_eq!(edges(), Ok(0), "edges before the one that is watched");
                    drive(level)?;
                }
                block_on(wait, signal.listener()).map_err(failed("waiting"))?;
            }
            Ok(())
        })
    }
);

/// The timer server as a delay.
struct Asleep<'a>(Timer<'a>);

impl Sleep for Asleep<'_> {
    fn sleep_us(&mut self, microseconds: u64) {
        self.0.sleep_us(microseconds);
    }
}

case!(
    /// Delays are never too short, and not much too long.
    30, fn delay_of_embedded_hal_is_long_enough(agent) {
        agent.lend_ipc(|ipc| {
            let mut delay = Delay(Asleep(Timer::new(ipc, slot::TIMER)));
            for (microseconds, ns) in [(1, 1), (1, 1000), (2, 1001), (100, 100_000), (20_000, 20_000_000)] {
                let start = clock::ticks();
                delay.delay_ns(ns);
                let took = clock::to_microseconds(clock::ticks() - start, clock::frequency());
                ensure!(
                    (u64::from(ns) / 1000..microseconds + 5_000).contains(&took),
                    "a delay of {ns} ns took {took} us"
                );
            }
            Ok(())
        })
    }
);
