//! I²C: `embedded_hal::i2c::I2c`.

use embedded_hal::i2c::{Error as I2cError, ErrorKind, ErrorType, NoAcknowledgeSource, Operation};
use strata_protocol::Errno;
use strata_protocol::driver::Call;
use strata_protocol::driver::bytes::get;
use strata_protocol::driver::i2c::{BYTES_MAX, Outcome, TRANSFER, Transfer};
use strata_protocol::message::WORDS_MAX;

use crate::Error;

impl I2cError for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::I2c(Outcome::NoDevice) => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            Self::I2c(Outcome::Refused) => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data),
            Self::I2c(Outcome::ClockHeld | Outcome::Stuck) => ErrorKind::Bus,
            _ => ErrorKind::Other,
        }
    }
}

/// A bus behind a driver server of the I²C class.
///
/// A transaction is one request: first all its writes, then all its reads, together at most [`BYTES_MAX`] bytes in each
/// direction. One that writes after it has read is [`Error::Unsupported`], before anything has gone over the bus.
#[derive(Debug)]
pub struct I2c<C> {
    server: C,
}

impl<C: Call> I2c<C> {
    /// The bus of this server.
    pub const fn new(server: C) -> Self {
        Self { server }
    }
}

impl<C> ErrorType for I2c<C> {
    type Error = Error;
}

impl<C: Call> embedded_hal::i2c::I2c for I2c<C> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        let mut write = [0; BYTES_MAX];
        let (mut written, mut read) = (0, 0);
        let mut reads = false;
        for operation in &mut *operations {
            match operation {
                Operation::Write(_) if reads => return Err(Error::Unsupported),
                Operation::Write(bytes) => {
                    let place = write.get_mut(written..written + bytes.len()).ok_or(Errno::E2BIG)?;
                    place.copy_from_slice(bytes);
                    written += bytes.len();
                }
                Operation::Read(bytes) => {
                    reads = true;
                    read += bytes.len();
                }
            }
        }
        let mut words = [0; WORDS_MAX];
        let length = Transfer::encode(address, &write[..written], read, &mut words)?;
        let answer = self.server.call(TRANSFER, &mut words, length)?;
        match Outcome::of(words[0]) {
            Some(Outcome::Done) if answer == 1 + read.div_ceil(8) => {}
            Some(outcome) if outcome != Outcome::Done && answer == 1 => return Err(Error::I2c(outcome)),
            _ => return Err(Error::Garbled),
        }
        let mut bytes = [0; BYTES_MAX];
        get(&words[1..], &mut bytes[..read]);
        let mut at = 0;
        for operation in operations {
            if let Operation::Read(place) = operation {
                place.copy_from_slice(&bytes[at..at + place.len()]);
                at += place.len();
            }
        }
        Ok(())
    }
}
