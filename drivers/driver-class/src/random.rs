//! Random number generators.

use strata_protocol::Errno;
use strata_protocol::driver::bytes::words_of;
use strata_protocol::driver::random::{BYTES_MAX, RANDOM};

use crate::serial::Stuck;
use crate::{Answer, Words};

/// A source of random numbers.
pub trait RandomSource {
    /// The next 32 bits.
    fn next(&mut self) -> Result<u32, Stuck>;
}

/// Answers a request of the class. Every word of the answer is a new one, also where fewer bytes are asked for.
pub fn request(source: &mut impl RandomSource, label: u64, words: &mut Words) -> Answer {
    if label != RANDOM {
        return Err(Errno::ENOSYS);
    }
    let count = usize::try_from(words[0]).ok().filter(|count| *count <= BYTES_MAX).ok_or(Errno::E2BIG)?;
    let mut next = || source.next().map_err(|Stuck| Errno::EIO).map(u64::from);
    for word in &mut words[..words_of(count)] {
        *word = next()? | next()? << 32;
    }
    Ok(words_of(count))
}
