//! The command `firmware`: what the board's firmware tells about it.

use core::fmt;

use console_shell::Failure;
use strata_protocol::driver::firmware::{Clock, GET, Property, throttled};
use strata_protocol::{Errno, ModuleName};

use crate::devices::exchange;
use crate::session::Session;

const WHAT: &str = "firmware";
/// The driver server of the way to the firmware.
const DEVICE: &str = "mailbox";

/// Clocks that are shown.
const CLOCKS: [(&str, Clock); 4] =
    [("arm", Clock::Arm), ("core", Clock::Core), ("uart", Clock::Uart), ("emmc", Clock::Emmc)];
/// Devices whose power is shown, by the firmware's numbers.
const POWERED: [(&str, u32); 4] = [("card", 0), ("uart", 1), ("usb", 3), ("spi", 7)];

/// A value, unless the firmware does not know it.
struct Known<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Known<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(out),
            None => out.write_str("unknown"),
        }
    }
}

/// Thousandths of a degree.
struct Degrees(u64);

impl fmt::Display for Degrees {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:03} C", self.0 / 1000, self.0 % 1000)
    }
}

/// What holds the chip back.
struct Throttled(u64);

impl fmt::Display for Throttled {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            ("under-voltage", throttled::UNDER_VOLTAGE),
            ("capped", throttled::CAPPED),
            ("throttled", throttled::THROTTLED),
            ("soft-limit", throttled::SOFT_LIMIT),
        ];
        let mut is_free = true;
        for (since, shift) in [("", 0), ("-before", throttled::SINCE_START_SHIFT)] {
            for (word, _) in words.iter().filter(|(_, bit)| self.0 >> shift & u64::from(*bit) != 0) {
                write!(out, "{}{word}{since}", if is_free { "" } else { " " })?;
                is_free = false;
            }
        }
        if is_free { out.write_str("no") } else { Ok(()) }
    }
}

/// `firmware`.
pub(crate) fn show(session: &mut Session) -> Result<(), Failure> {
    let device = ModuleName::cut(DEVICE);
    let mut get = |property: Property, about: u32, at: usize| -> Result<Known<u64>, Failure> {
        let answer = session.ask_for_property(&device, property, about)?;
        Ok(Known(answer.map(|values| values[at])))
    };
    let revision = get(Property::FirmwareRevision, 0, 0)?;
    let (model, board) = (get(Property::BoardModel, 0, 0)?, get(Property::BoardRevision, 0, 0)?);
    let (start, size) = (get(Property::ArmMemory, 0, 0)?, get(Property::ArmMemory, 0, 1)?);
    let (now, highest) = (get(Property::Temperature, 0, 0)?, get(Property::MaxTemperature, 0, 0)?);
    let throttled = get(Property::Throttled, 0, 0)?;
    session.line(format_args!("firmware     {revision}"));
    session.line(format_args!("board        model {model} revision {:#x}", board.0.unwrap_or(0)));
    session.line(format_args!("memory       {:#x} + {:#x}", start.0.unwrap_or(0), size.0.unwrap_or(0)));
    let (now, highest) = (Known(now.0.map(Degrees)), Known(highest.0.map(Degrees)));
    session.line(format_args!("temperature  {now} of {highest}"));
    session.line(format_args!("held back    {}", Known(throttled.0.map(Throttled))));
    for (name, clock) in CLOCKS {
        let mut get = |property| session.ask_for_property(&device, property, clock as u32);
        let (rate, most) = (get(Property::ClockRate)?, get(Property::MaxClockRate)?);
        let (rate, most) = (Known(rate.map(|values| values[0])), Known(most.map(|values| values[0])));
        session.line(format_args!("clock {name:<6} {rate} Hz of {most}"));
    }
    for (name, number) in POWERED {
        let state = session.ask_for_property(&device, Property::PowerState, number)?;
        let state = match state.map(|values| values[0] & 3) {
            Some(0) => "off",
            Some(1) => "on",
            Some(_) => "not there",
            None => "unknown",
        };
        session.line(format_args!("power {name:<6} {state}"));
    }
    Ok(())
}

impl Session {
    /// The values of a property; nothing for one that the firmware does not know.
    fn ask_for_property(
        &mut self,
        device: &ModuleName,
        property: Property,
        about: u32,
    ) -> Result<Option<[u64; 3]>, Failure> {
        match exchange(self, WHAT, device, GET, &[property.word(), about.into()]) {
            Ok(values) => Ok(Some(values)),
            Err(failure) if failure.errno() == Errno::ENOTTY => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}
