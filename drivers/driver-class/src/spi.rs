//! SPI controllers.

use strata_protocol::Errno;
use strata_protocol::driver::bytes::{put, words_of};
use strata_protocol::driver::spi::{BYTES_MAX, Settings, TRANSFER};

use crate::serial::Stuck;
use crate::{Answer, Words};

/// An SPI controller.
pub trait SpiController {
    /// Sends these bytes under one chip select, and puts those that come back in their places.
    fn transfer(&mut self, settings: Settings, bytes: &mut [u8]) -> Result<(), Stuck>;
}

/// Answers a request of the class.
pub fn request(controller: &mut impl SpiController, label: u64, words: &mut Words, length: usize) -> Answer {
    if label != TRANSFER {
        return Err(Errno::ENOSYS);
    }
    let mut bytes = [0; BYTES_MAX];
    let (settings, count) = Settings::decode(words, length, &mut bytes)?;
    let bytes = &mut bytes[..count];
    controller.transfer(settings, bytes).map_err(|Stuck| Errno::EIO)?;
    put(bytes, words);
    Ok(words_of(count))
}
