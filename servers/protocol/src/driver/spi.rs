//! SPI class: one transfer, in both directions at once, under one chip select.

use super::Later;
use super::bytes::{get, put, words_of};
use crate::Errno;
use crate::message::WORDS_MAX;

/// A transfer. Register 0: chip select (bits 0 and 1) and mode (bits 2 and 3). 1: the fastest clock, in hertz. 2: bytes.
/// The bytes to send from register 3 on. → the bytes that came back, from register 0 on.
pub const TRANSFER: u64 = 96;
/// The same, answered before it is carried out. At 4 kHz, which is about the slowest clock, the longest one takes two seconds.
pub const LATER: Later = Later { transfer: TRANSFER, begin: 97, result: 98, abort: 99, lease_us: 4_000_000 };
/// The most bytes in one transfer.
pub const BYTES_MAX: usize = (WORDS_MAX - HEAD) * 8;
/// Words in front of the bytes of a request.
const HEAD: usize = 3;

/// Which chip is selected while bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// Chip select 0.
    Chip0,
    /// Chip select 1.
    Chip1,
    /// None: the client selects its chip itself, by a pin of its own.
    Nobody,
}

/// How a chip wants to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its chip select.
    pub select: Select,
    /// The clock idles high (CPOL).
    pub idles_high: bool,
    /// Bits are taken at the clock's second edge (CPHA).
    pub second_edge: bool,
    /// The fastest clock that it takes, in hertz.
    pub hz: u32,
}

impl Settings {
    fn word(self) -> u64 {
        let select = match self.select {
            Select::Chip0 => 0,
            Select::Chip1 => 1,
            Select::Nobody => 3,
        };
        select | u64::from(self.second_edge) << 2 | u64::from(self.idles_high) << 3
    }

    /// Writes a request into words and gives their number; E2BIG for more than [`BYTES_MAX`] bytes.
    pub fn encode(self, bytes: &[u8], words: &mut [u64; WORDS_MAX]) -> Result<usize, Errno> {
        if bytes.len() > BYTES_MAX {
            return Err(Errno::E2BIG);
        }
        words[..HEAD].copy_from_slice(&[self.word(), self.hz.into(), bytes.len() as u64]);
        put(bytes, &mut words[HEAD..]);
        Ok(HEAD + words_of(bytes.len()))
    }

    /// Reads a request of `length` words: the settings, and how many bytes have gone to the front of `bytes`. EINVAL: no
    /// such chip select, mode or clock, or fewer words than it says. E2BIG: more than [`BYTES_MAX`] bytes.
    pub fn decode(
        words: &[u64; WORDS_MAX],
        length: usize,
        bytes: &mut [u8; BYTES_MAX],
    ) -> Result<(Self, usize), Errno> {
        let select = match words[0] & 3 {
            0 => Select::Chip0,
            1 => Select::Chip1,
            3 => Select::Nobody,
            _ => return Err(Errno::EINVAL),
        };
        let hz = u32::try_from(words[1]).ok().filter(|hz| *hz > 0 && words[0] < 16).ok_or(Errno::EINVAL)?;
        let count = usize::try_from(words[2]).ok().filter(|count| *count <= BYTES_MAX).ok_or(Errno::E2BIG)?;
        if HEAD + words_of(count) > length {
            return Err(Errno::EINVAL);
        }
        get(&words[HEAD..], &mut bytes[..count]);
        let (second_edge, idles_high) = (words[0] >> 2 & 1 == 1, words[0] >> 3 & 1 == 1);
        Ok((Self { select, idles_high, second_edge, hz }, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_comes_back_and_each_damage_has_its_error() {
        let mut words = [0; WORDS_MAX];
        let mut bytes = [0; BYTES_MAX];
        for select in [Select::Chip0, Select::Chip1, Select::Nobody] {
            for (idles_high, second_edge) in [(false, false), (false, true), (true, false), (true, true)] {
                let settings = Settings { select, idles_high, second_edge, hz: 400_000 };
                let length = settings.encode(b"nine char", &mut words).unwrap();
                assert_eq!(Settings::decode(&words, length, &mut bytes), Ok((settings, 9)));
                assert_eq!(&bytes[..9], b"nine char");
                assert_eq!(Settings::decode(&words, length - 1, &mut bytes), Err(Errno::EINVAL));
            }
        }
        for (at, word, errno) in [
            (0, 2, Errno::EINVAL),
            (0, 16, Errno::EINVAL),
            (1, 0, Errno::EINVAL),
            (1, 1 << 32, Errno::EINVAL),
            (2, BYTES_MAX as u64 + 1, Errno::E2BIG),
        ] {
            let mut damaged = words;
            damaged[at] = word;
            assert_eq!(Settings::decode(&damaged, WORDS_MAX, &mut bytes), Err(errno), "word {at}: {word:#x}");
        }
    }
}
