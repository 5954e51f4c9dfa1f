//! I²C controllers.

use strata_protocol::Errno;
use strata_protocol::driver::bytes::{put, words_of};
use strata_protocol::driver::i2c::{BYTES_MAX, LATER, Outcome, TRANSFER, Transfer};

use crate::{Answer, Words};

/// An I²C controller.
///
/// A transfer writes, then reads, with a repeated start between the two if both have bytes. With neither, the device is only
/// addressed. Addresses have seven bits.
pub trait I2cBus {
    /// Carries out a transfer; none is under way.
    fn transfer(&mut self, address: u8, write: &[u8], read: &mut [u8]) -> Outcome;

    /// Begins a transfer that reads so many bytes, at most [`BYTES_MAX`] each way; none is under way. The result of the last
    /// one is forgotten.
    fn begin(&mut self, address: u8, write: &[u8], read: usize);

    /// Goes on as far as the device allows, and returns whether a transfer that was begun is still under way.
    fn is_under_way(&mut self) -> bool;

    /// Whether a transfer was begun whose result has not been taken.
    fn is_taken(&self) -> bool;

    /// Takes the result of the transfer that was begun last and is at its end: its outcome, and how many bytes have been
    /// read.
    fn take_result(&mut self, read: &mut [u8; BYTES_MAX]) -> Option<(Outcome, usize)>;

    /// Ends a transfer that is under way, and forgets the result of one that was.
    fn abort(&mut self);
}

/// Answers a request of the class.
pub fn request(bus: &mut impl I2cBus, label: u64, words: &mut Words, length: usize) -> Answer {
    let mut read = [0; BYTES_MAX];
    let (outcome, count) = match label {
        _ if label == TRANSFER || label == LATER.begin => {
            let mut write = [0; BYTES_MAX];
            let transfer = Transfer::decode(words, length, &mut write)?;
            if bus.is_taken() {
                return Err(Errno::EBUSY);
            }
            let write = &write[..transfer.write];
            if label == LATER.begin {
                bus.begin(transfer.address, write, transfer.read);
                return Ok(0);
            }
            (bus.transfer(transfer.address, write, &mut read[..transfer.read]), transfer.read)
        }
        _ if label == LATER.result => {
            if bus.is_under_way() {
                return Err(Errno::EBUSY);
            }
            bus.take_result(&mut read).ok_or(Errno::ENOENT)?
        }
        _ if label == LATER.abort => {
            bus.abort();
            return Ok(0);
        }
        _ => return Err(Errno::ENOSYS),
    };
    words[0] = outcome.word();
    if outcome != Outcome::Done {
        return Ok(1);
    }
    put(&read[..count], &mut words[1..]);
    Ok(1 + words_of(count))
}
