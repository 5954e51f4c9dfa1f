//! SPI controllers.

use strata_protocol::Errno;
use strata_protocol::driver::bytes::{put, words_of};
use strata_protocol::driver::spi::{BYTES_MAX, LATER, Settings, TRANSFER};

use crate::serial::Stuck;
use crate::{Answer, Words};

/// An SPI controller.
///
/// A transfer sends bytes under one chip select; one comes back for each.
pub trait SpiController {
    /// Carries out a transfer, and puts the bytes that come back in the places of those sent; none is under way.
    fn transfer(&mut self, settings: Settings, bytes: &mut [u8]) -> Result<(), Stuck>;

    /// Begins a transfer of at most [`BYTES_MAX`] bytes; none is under way, and no result
    /// waits.
    fn begin(&mut self, settings: Settings, bytes: &[u8]);

    /// Goes on as far as the device allows, and returns whether a transfer that was begun is still under way.
    fn is_under_way(&mut self) -> bool;

    /// Whether a transfer was begun whose result has not been taken.
    fn is_taken(&self) -> bool;

    /// Takes the bytes that have come back in the transfer that was begun last and is at its end; how many there are.
    fn take_result(&mut self, bytes: &mut [u8; BYTES_MAX]) -> Option<usize>;

    /// Ends a transfer that is under way, and forgets the result of one that was.
    fn abort(&mut self);
}

/// Answers a request of the class.
pub fn request(controller: &mut impl SpiController, label: u64, words: &mut Words, length: usize) -> Answer {
    let mut bytes = [0; BYTES_MAX];
    let count = match label {
        _ if label == TRANSFER || label == LATER.begin => {
            let (settings, count) = Settings::decode(words, length, &mut bytes)?;
            if controller.is_taken() {
                return Err(Errno::EBUSY);
            }
            if label == LATER.begin {
                controller.begin(settings, &bytes[..count]);
                return Ok(0);
            }
            controller.transfer(settings, &mut bytes[..count]).map_err(|Stuck| Errno::EIO)?;
            count
        }
        _ if label == LATER.result => {
            if controller.is_under_way() {
                return Err(Errno::EBUSY);
            }
            controller.take_result(&mut bytes).ok_or(Errno::ENOENT)?
        }
        _ if label == LATER.abort => {
            controller.abort();
            return Ok(0);
        }
        _ => return Err(Errno::ENOSYS),
    };
    put(&bytes[..count], words);
    Ok(words_of(count))
}
