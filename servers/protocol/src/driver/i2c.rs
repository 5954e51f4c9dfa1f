//! I²C class: one transfer, first the bytes to write, then those to read, with a repeated start between them.

use super::Later;
use super::bytes::{get, put, words_of};
use crate::Errno;
use crate::message::WORDS_MAX;

/// A transfer. Register 0: address (7 bits). 1: bytes to write. 2: bytes to read. The bytes to write from register 3 on.
/// → an [`Outcome`]; if that is 0, the bytes that were read, from register 1 on.
pub const TRANSFER: u64 = 144;
/// The same, answered before it is carried out. At 100 kHz the longest one takes 169 ms.
pub const LATER: Later =
    Later { transfer: TRANSFER, begin: 145, result: 146, abort: 147, lease_us: 1_000_000 };
/// The most bytes that one transfer writes, and the most that it reads.
pub const BYTES_MAX: usize = (WORDS_MAX - HEAD) * 8;
/// Words in front of the bytes of a request.
const HEAD: usize = 3;
/// The highest address of seven bits.
pub const ADDRESS_MAX: u8 = 0x7f;

/// What became of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All bytes have been transferred.
    Done,
    /// Nobody has acknowledged the address.
    NoDevice,
    /// The device has refused a byte.
    Refused,
    /// The device has held the clock for too long.
    ClockHeld,
    /// The controller does not go on: the bus is held by somebody, or the controller is not there.
    Stuck,
}

impl Outcome {
    /// The word in the answer.
    #[must_use]
    pub const fn word(self) -> u64 {
        self as u64
    }

    /// The outcome with this word.
    #[must_use]
    pub fn of(word: u64) -> Option<Self> {
        [Self::Done, Self::NoDevice, Self::Refused, Self::ClockHeld, Self::Stuck]
            .into_iter()
            .find(|outcome| outcome.word() == word)
    }
}

/// A request, with the bytes to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Whom it is for.
    pub address: u8,
    /// Bytes to write.
    pub write: usize,
    /// Bytes to read.
    pub read: usize,
}

impl Transfer {
    /// Writes the request into words and gives their number; E2BIG when a side is longer than [`BYTES_MAX`].
    pub fn encode(
        address: u8,
        write: &[u8],
        read: usize,
        words: &mut [u64; WORDS_MAX],
    ) -> Result<usize, Errno> {
        if write.len() > BYTES_MAX || read > BYTES_MAX {
            return Err(Errno::E2BIG);
        }
        words[..HEAD].copy_from_slice(&[address.into(), write.len() as u64, read as u64]);
        put(write, &mut words[HEAD..]);
        Ok(HEAD + words_of(write.len()))
    }

    /// Reads a request of `length` words; the bytes go to the front of `bytes`. EINVAL: no address of seven bits, or
    /// fewer words than it says. E2BIG: more bytes than [`BYTES_MAX`].
    pub fn decode(
        words: &[u64; WORDS_MAX],
        length: usize,
        bytes: &mut [u8; BYTES_MAX],
    ) -> Result<Self, Errno> {
        let size = |word| usize::try_from(word).ok().filter(|size| *size <= BYTES_MAX).ok_or(Errno::E2BIG);
        let address = u8::try_from(words[0]).ok().filter(|address| *address <= ADDRESS_MAX);
        let transfer =
            Self { address: address.ok_or(Errno::EINVAL)?, write: size(words[1])?, read: size(words[2])? };
        if HEAD + words_of(transfer.write) > length {
            return Err(Errno::EINVAL);
        }
        get(&words[HEAD..], &mut bytes[..transfer.write]);
        Ok(transfer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_comes_back_and_each_damage_has_its_error() {
        let mut words = [0; WORDS_MAX];
        let mut bytes = [0; BYTES_MAX];
        let length = Transfer::encode(0x68, b"0123456789", 7, &mut words).unwrap();
        assert_eq!(length, 5);
        let transfer = Transfer::decode(&words, length, &mut bytes);
        assert_eq!(transfer, Ok(Transfer { address: 0x68, write: 10, read: 7 }));
        assert_eq!(&bytes[..10], b"0123456789");

        assert_eq!(Transfer::decode(&words, length - 1, &mut bytes), Err(Errno::EINVAL));
        for (at, word, errno) in [
            (0, 0x80, Errno::EINVAL),
            (0, u64::MAX, Errno::EINVAL),
            (1, 937, Errno::E2BIG),
            (2, 937, Errno::E2BIG),
        ] {
            let mut damaged = words;
            damaged[at] = word;
            assert_eq!(Transfer::decode(&damaged, WORDS_MAX, &mut bytes), Err(errno), "word {at}: {word:#x}");
        }
        assert_eq!(Transfer::encode(1, &[0; BYTES_MAX + 1], 0, &mut words), Err(Errno::E2BIG));
        assert_eq!(Transfer::encode(1, &[], BYTES_MAX + 1, &mut words), Err(Errno::E2BIG));
        assert_eq!(Transfer::encode(1, &[7; BYTES_MAX], BYTES_MAX, &mut words), Ok(WORDS_MAX));
    }

    #[test]
    fn outcomes_and_words_go_both_ways() {
        for word in 0..5 {
            assert_eq!(Outcome::of(word).map(Outcome::word), Some(word));
        }
        assert_eq!(Outcome::of(5), None);
    }
}
