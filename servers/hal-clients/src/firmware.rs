//! Firmware: what it knows about the board. No trait describes that.

use strata_protocol::driver::Call;
use strata_protocol::driver::firmware::{Clock, GET, Property};
use strata_protocol::message::WORDS_MAX;

use crate::Error;

/// A firmware behind a driver server of its class. `Refused(ETIMEDOUT)`: it has not answered in time. `Refused(ENOTTY)`: it
/// does not know what it was asked for.
#[derive(Debug)]
pub struct Firmware<C> {
    server: C,
}

impl<C: Call> Firmware<C> {
    /// The firmware of this server.
    pub const fn new(server: C) -> Self {
        Self { server }
    }

    /// The `N` values of a property of `about`.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::Garbled`] for another number of values.
    pub fn get<const N: usize>(&mut self, property: Property, about: u32) -> Result<[u32; N], Error> {
        let mut words = [0; WORDS_MAX];
        (words[0], words[1]) = (property.word(), about.into());
        if self.server.call(GET, &mut words, 2)? != N {
            return Err(Error::Garbled);
        }
        let mut values = [0; N];
        for (value, word) in values.iter_mut().zip(words) {
            *value = u32::try_from(word).map_err(|_| Error::Garbled)?;
        }
        Ok(values)
    }

    /// The firmware's revision.
    ///
    /// # Errors
    /// As [`Self::get`]; so for all that follow.
    pub fn revision(&mut self) -> Result<u32, Error> {
        self.get(Property::FirmwareRevision, 0).map(|[revision]| revision)
    }

    /// The board's model and its revision code.
    pub fn board(&mut self) -> Result<(u32, u32), Error> {
        let [model] = self.get(Property::BoardModel, 0)?;
        let [revision] = self.get(Property::BoardRevision, 0)?;
        Ok((model, revision))
    }

    /// The first byte and the size of the memory that the cores have.
    pub fn memory(&mut self) -> Result<(u32, u32), Error> {
        self.get(Property::ArmMemory, 0).map(|[start, size]| (start, size))
    }

    /// The rate of a clock, and the highest that it is allowed, in hertz.
    pub fn clock(&mut self, clock: Clock) -> Result<(u32, u32), Error> {
        let [rate] = self.get(Property::ClockRate, clock as u32)?;
        let [highest] = self.get(Property::MaxClockRate, clock as u32)?;
        Ok((rate, highest))
    }

    /// The temperature and the one that slows the chip down, in thousandths of a degree Celsius.
    pub fn temperature(&mut self) -> Result<(u32, u32), Error> {
        let [now] = self.get(Property::Temperature, 0)?;
        let [highest] = self.get(Property::MaxTemperature, 0)?;
        Ok((now, highest))
    }
}
