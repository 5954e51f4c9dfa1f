//! I²C controllers.

use strata_protocol::Errno;
use strata_protocol::driver::bytes::{put, words_of};
use strata_protocol::driver::i2c::{BYTES_MAX, Outcome, TRANSFER, Transfer};

use crate::{Answer, Words};

/// An I²C controller.
pub trait I2cBus {
    /// Writes, then reads, with a repeated start between the two if both have bytes. With neither, the device is only
    /// addressed. `address` has seven bits.
    fn transfer(&mut self, address: u8, write: &[u8], read: &mut [u8]) -> Outcome;
}

/// Answers a request of the class.
pub fn request(bus: &mut impl I2cBus, label: u64, words: &mut Words, length: usize) -> Answer {
    if label != TRANSFER {
        return Err(Errno::ENOSYS);
    }
    let mut write = [0; BYTES_MAX];
    let mut read = [0; BYTES_MAX];
    let transfer = Transfer::decode(words, length, &mut write)?;
    let read = &mut read[..transfer.read];
    let outcome = bus.transfer(transfer.address, &write[..transfer.write], read);
    words[0] = outcome.word();
    if outcome != Outcome::Done {
        return Ok(1);
    }
    put(read, &mut words[1..]);
    Ok(1 + words_of(read.len()))
}
