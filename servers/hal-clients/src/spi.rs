//! SPI: `embedded_hal::spi::{SpiDevice, SpiBus}`, and the same of `embedded-hal-async`.

use embedded_hal::spi::{Error as SpiError, ErrorKind, ErrorType, Mode, Operation, Phase, Polarity};
use strata_protocol::Errno;
use strata_protocol::driver::bytes::{get, words_of};
use strata_protocol::driver::spi::{BYTES_MAX, LATER, Select, Settings, TRANSFER};
use strata_protocol::driver::{Arrivals, Call};
use strata_protocol::message::WORDS_MAX;

use crate::Error;
use crate::pending::carry_out;

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

/// The same, while which others go on.
async fn exchange_later(
    server: &mut impl Call,
    arrivals: &mut impl Arrivals,
    settings: Settings,
    bytes: &mut [u8],
) -> Result<(), Error> {
    let mut words = [0; WORDS_MAX];
    let length = settings.encode(bytes, &mut words)?;
    if carry_out(server, arrivals, LATER, &mut words, length).await? != words_of(bytes.len()) {
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

/// Puts what the operations send, one after the other, into `all`; how many bytes there are.
fn gather(operations: &[Operation<'_, u8>], all: &mut [u8; BYTES_MAX]) -> Result<usize, Error> {
    let mut end = 0;
    for operation in operations {
        let size = size_of(operation)?;
        let place = all.get_mut(end..end + size).ok_or(Errno::E2BIG)?;
        place.fill(FILLER);
        match operation {
            Operation::Write(write) | Operation::Transfer(_, write) => {
                place[..write.len()].copy_from_slice(write);
            }
            Operation::TransferInPlace(both) => place.copy_from_slice(both),
            Operation::Read(_) | Operation::DelayNs(_) => {}
        }
        end += size;
    }
    Ok(end)
}

/// Gives the bytes that have come back to the operations.
fn scatter(all: &[u8], operations: &mut [Operation<'_, u8>]) -> Result<(), Error> {
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

impl<C: Call> embedded_hal::spi::SpiDevice for SpiDevice<C> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Error> {
        let mut all = [FILLER; BYTES_MAX];
        let end = gather(operations, &mut all)?;
        exchange(&mut self.server, self.settings, &mut all[..end])?;
        scatter(&all, operations)
    }
}

/// The same chip, whose client lets others go on while a transaction is under way: the server is told to begin it, and
/// signals its end.
///
/// One client does so at a time. Others' transfers wait for the end of this one's, or are `Refused(EBUSY)` where they cannot
/// wait.
#[derive(Debug)]
pub struct WaitingSpiDevice<C, A> {
    device: SpiDevice<C>,
    arrivals: A,
}

impl<C: Call, A: Arrivals> WaitingSpiDevice<C, A> {
    /// The chip, and who says that a transfer has ended.
    pub const fn new(device: SpiDevice<C>, arrivals: A) -> Self {
        Self { device, arrivals }
    }
}

impl<C, A> ErrorType for WaitingSpiDevice<C, A> {
    type Error = Error;
}

impl<C: Call, A: Arrivals> embedded_hal_async::spi::SpiDevice for WaitingSpiDevice<C, A> {
    async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Error> {
        let mut all = [FILLER; BYTES_MAX];
        let end = gather(operations, &mut all)?;
        let SpiDevice { server, settings } = &mut self.device;
        exchange_later(server, &mut self.arrivals, *settings, &mut all[..end]).await?;
        scatter(&all, operations)
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
        for at in (0..read.len().max(write.len())).step_by(BYTES_MAX) {
            let piece = piece_of(at, read.len(), write, &mut bytes);
            exchange(&mut self.server, self.settings, piece)?;
            give_back(at, piece, read);
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

/// The piece of a longer transfer that begins at `at`: what is sent, and fillers where only the answer is wanted.
fn piece_of<'b>(at: usize, read: usize, write: &[u8], bytes: &'b mut [u8; BYTES_MAX]) -> &'b mut [u8] {
    let piece = &mut bytes[..BYTES_MAX.min(read.max(write.len()) - at)];
    let out = write.get(at..).unwrap_or_default();
    let out = &out[..piece.len().min(out.len())];
    piece.fill(FILLER);
    piece[..out.len()].copy_from_slice(out);
    piece
}

/// What has come back for the piece that begins at `at`.
fn give_back(at: usize, piece: &[u8], read: &mut [u8]) {
    let back = read.get_mut(at..).unwrap_or_default();
    let count = piece.len().min(back.len());
    back[..count].copy_from_slice(&piece[..count]);
}

/// The same bus, whose client lets others go on while bytes go.
#[derive(Debug)]
pub struct WaitingSpiBus<C, A> {
    bus: SpiBus<C>,
    arrivals: A,
}

impl<C: Call, A: Arrivals> WaitingSpiBus<C, A> {
    /// The bus, and who says that a transfer has ended.
    pub const fn new(bus: SpiBus<C>, arrivals: A) -> Self {
        Self { bus, arrivals }
    }
}

impl<C, A> ErrorType for WaitingSpiBus<C, A> {
    type Error = Error;
}

impl<C: Call, A: Arrivals> embedded_hal_async::spi::SpiBus for WaitingSpiBus<C, A> {
    async fn read(&mut self, words: &mut [u8]) -> Result<(), Error> {
        words.fill(FILLER);
        self.transfer_in_place(words).await
    }

    async fn write(&mut self, words: &[u8]) -> Result<(), Error> {
        self.transfer(&mut [], words).await
    }

    async fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Error> {
        let mut bytes = [0; BYTES_MAX];
        for at in (0..read.len().max(write.len())).step_by(BYTES_MAX) {
            let piece = piece_of(at, read.len(), write, &mut bytes);
            let SpiBus { server, settings } = &mut self.bus;
            exchange_later(server, &mut self.arrivals, *settings, piece).await?;
            give_back(at, piece, read);
        }
        Ok(())
    }

    async fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Error> {
        for bytes in words.chunks_mut(BYTES_MAX) {
            let SpiBus { server, settings } = &mut self.bus;
            exchange_later(server, &mut self.arrivals, *settings, bytes).await?;
        }
        Ok(())
    }

    /// Nothing is left to wait for: a transfer has ended when all bytes have gone.
    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
