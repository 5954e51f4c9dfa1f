//! Random numbers: `rand_core::TryRng`.

use rand_core::{TryCryptoRng, TryRng};
use strata_protocol::driver::Call;
use strata_protocol::driver::bytes::{get, words_of};
use strata_protocol::driver::random::{BYTES_MAX, RANDOM};
use strata_protocol::message::WORDS_MAX;

use crate::Error;

/// A generator behind a driver server of the random class.
#[derive(Debug)]
pub struct Random<C> {
    server: C,
}

impl<C: Call> Random<C> {
    /// The generator of this server.
    pub const fn new(server: C) -> Self {
        Self { server }
    }

    /// Fills `bytes`, by as many requests as that takes.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        for bytes in bytes.chunks_mut(BYTES_MAX) {
            let mut words = [0; WORDS_MAX];
            words[0] = bytes.len() as u64;
            if self.server.call(RANDOM, &mut words, 1)? != words_of(bytes.len()) {
                return Err(Error::Garbled);
            }
            get(&words, bytes);
        }
        Ok(())
    }
}

impl<C: Call> TryRng for Random<C> {
    type Error = Error;

    fn try_next_u32(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill(bytes)
    }
}

/// The device's numbers come from noise.
impl<C: Call> TryCryptoRng for Random<C> {}
