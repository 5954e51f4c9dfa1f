//! I²C: `embedded_hal::i2c::I2c`, and the same of `embedded-hal-async`.

use embedded_hal::i2c::{Error as I2cError, ErrorKind, ErrorType, NoAcknowledgeSource, Operation};
use strata_protocol::Errno;
use strata_protocol::driver::bytes::get;
use strata_protocol::driver::i2c::{BYTES_MAX, LATER, Outcome, TRANSFER, Transfer};
use strata_protocol::driver::{Arrivals, Call};
use strata_protocol::message::WORDS_MAX;

use crate::Error;
use crate::pending::carry_out;

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

/// Writes the request for these operations into words; how many there are, and how many bytes it reads.
fn gather(
    address: u8,
    operations: &[Operation<'_>],
    words: &mut [u64; WORDS_MAX],
) -> Result<(usize, usize), Error> {
    let mut write = [0; BYTES_MAX];
    let (mut written, mut read) = (0, 0);
    let mut reads = false;
    for operation in operations {
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
    Ok((Transfer::encode(address, &write[..written], read, words)?, read))
}

/// Gives the `read` bytes of an answer of so many words to the operations.
fn scatter(
    words: &[u64; WORDS_MAX],
    answer: usize,
    read: usize,
    operations: &mut [Operation<'_>],
) -> Result<(), Error> {
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

impl<C: Call> embedded_hal::i2c::I2c for I2c<C> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        let mut words = [0; WORDS_MAX];
        let (length, read) = gather(address, operations, &mut words)?;
        let answer = self.server.call(TRANSFER, &mut words, length)?;
        scatter(&words, answer, read, operations)
    }
}

/// The same bus, which lets others go on while a transaction is under way: the server is told to begin it, and signals its
/// end.
///
/// One client does so at a time. Others' transfers wait for the end of this one's, or are `Refused(EBUSY)` where they cannot
/// wait.
#[derive(Debug)]
pub struct WaitingI2c<C, A> {
    server: C,
    arrivals: A,
}

impl<C: Call, A: Arrivals> WaitingI2c<C, A> {
    /// The bus of this server, and who says that a transfer has ended.
    pub const fn new(server: C, arrivals: A) -> Self {
        Self { server, arrivals }
    }
}

impl<C, A> ErrorType for WaitingI2c<C, A> {
    type Error = Error;
}

impl<C: Call, A: Arrivals> embedded_hal_async::i2c::I2c for WaitingI2c<C, A> {
    async fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        let mut words = [0; WORDS_MAX];
        let (length, read) = gather(address, operations, &mut words)?;
        let answer = carry_out(&mut self.server, &mut self.arrivals, LATER, &mut words, length).await?;
        scatter(&words, answer, read, operations)
    }
}
