//! SPI: `embedded_hal::spi::{SpiDevice, SpiBus}`.

use embedded_hal::spi::{Error as SpiError, ErrorKind, ErrorType, Mode, Operation, Phase, Polarity};
use strata_protocol::Errno;
use strata_protocol::driver::Call;
use strata_protocol::driver::bytes::{get, words_of};
use strata_protocol::driver::spi::{BYTES_MAX, Select, Settings, TRANSFER};
use strata_protocol::message::WORDS_MAX;

use crate::Error;

/// What is sent where only the answer is wanted.
const FILLER: u8 = 0xff;

impl SpiError for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

fn settings(select: Select, mode: Mode, hz: u32) -> Settings {
    let idles_high = mode.polarity == Polarity::IdleHigh;
    Settings { select, idles_high, second_edge: mode.phase == Phase::CaptureOnSecondTransition, hz }
}

/// Sends up to [`BYTES_MAX`] bytes under one selection; those that come back take their places.
fn exchange(server: &mut impl Call, settings: Settings, bytes: &mut [u8]) -> Result<(), Error> {
    let mut words = [0; WORDS_MAX];
    let length = settings.encode(bytes, &mut words)?;
    if server.call(TRANSFER, &mut words, length)? != words_of(bytes.len()) {
        return Err(Error::Garbled);
    }
    get(&words, bytes);
    Ok(())
}

/// A chip at one of the controller's chip selects.
///
/// A transaction is one request of at most [`BYTES_MAX`] bytes; the chip stays selected from its first byte to its last.
/// One with a delay in it is [`Error::Unsupported`], before anything has been sent.
#[derive(Debug)]
pub struct SpiDevice<C> {
    server: C,
    settings: Settings,
}

impl<C: Call> SpiDevice<C> {
    /// The chip at `select`, which takes clocks of up to `hz`. [`Error::Unsupported`] without a chip select or a clock.
    pub fn new(server: C, select: Select, mode: Mode, hz: u32) -> Result<Self, Error> {
        if select == Select::Nobody || hz == 0 {
            return Err(Error::Unsupported);
        }
        Ok(Self { server, settings: settings(select, mode, hz) })
    }
}

impl<C> ErrorType for SpiDevice<C> {
    type Error = Error;
}

/// The bytes that an operation clocks.
fn size_of(operation: &Operation<'_, u8>) -> Result<usize, Error> {
    match operation {
        Operation::Read(read) => Ok(read.len()),
        Operation::Write(write) => Ok(write.len()),
        Operation::Transfer(read, write) => Ok(read.len().max(write.len())),
        Operation::TransferInPlace(both) => Ok(both.len()),
        Operation::DelayNs(0) => Ok(0),
        Operation::DelayNs(_) => Err(Error::Unsupported),
    }
}

impl<C: Call> embedded_hal::spi::SpiDevice for SpiDevice<C> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Error> {
        let mut all = [FILLER; BYTES_MAX];
        let mut end = 0;
        for operation in &*operations {
            let size = size_of(operation)?;
            let place = all.get_mut(end..end + size).ok_or(Errno::E2BIG)?;
            match operation {
                Operation::Write(write) | Operation::Transfer(_, write) => {
                    place[..write.len()].copy_from_slice(write);
                }
                Operation::TransferInPlace(both) => place.copy_from_slice(both),
                Operation::Read(_) | Operation::DelayNs(_) => {}
            }
            end += size;
        }
        exchange(&mut self.server, self.settings, &mut all[..end])?;
        let mut at = 0;
        for operation in operations {
            let size = size_of(operation)?;
            match operation {
                Operation::Read(read) | Operation::Transfer(read, _) | Operation::TransferInPlace(read) => {
                    read.copy_from_slice(&all[at..at + read.len()]);
                }
                Operation::Write(_) | Operation::DelayNs(_) => {}
            }
            at += size;
        }
        Ok(())
    }
}

/// The controller without a chip select: whoever has it selects the chip by a pin of its own.
#[derive(Debug)]
pub struct SpiBus<C> {
    server: C,
    settings: Settings,
}

impl<C: Call> SpiBus<C> {
    /// The bus, with clocks of up to `hz`.
    pub fn new(server: C, mode: Mode, hz: u32) -> Self {
        Self { server, settings: settings(Select::Nobody, mode, hz) }
    }
}

impl<C> ErrorType for SpiBus<C> {
    type Error = Error;
}

impl<C: Call> embedded_hal::spi::SpiBus for SpiBus<C> {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Error> {
        words.fill(FILLER);
        self.transfer_in_place(words)
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Error> {
        self.transfer(&mut [], words)
    }

    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Error> {
        let mut bytes = [0; BYTES_MAX];
        let size = read.len().max(write.len());
        for at in (0..size).step_by(BYTES_MAX) {
            let count = BYTES_MAX.min(size - at);
            let out = write.get(at..).unwrap_or_default();
            let out = &out[..count.min(out.len())];
            bytes[..count].fill(FILLER);
            bytes[..out.len()].copy_from_slice(out);
            exchange(&mut self.server, self.settings, &mut bytes[..count])?;
            let back = read.get_mut(at..).unwrap_or_default();
            let back_count = count.min(back.len());
            back[..back_count].copy_from_slice(&bytes[..back_count]);
        }
        Ok(())
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Error> {
        words.chunks_mut(BYTES_MAX).try_for_each(|bytes| exchange(&mut self.server, self.settings, bytes))
    }

    /// Nothing is left to wait for: an answer comes when all bytes have gone.
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
