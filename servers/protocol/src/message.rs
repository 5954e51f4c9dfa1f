//! How a value becomes the words of an seL4 message, and back.
//!
//! Word 0 holds the protocol version (bits 32–63) and the length in bytes (bits 0–31); the value follows as
//! postcard, eight bytes a word, little endian. A receiver refuses another version, a length that does not fit,
//! and bytes left over behind the value.

use serde::{Deserialize, Serialize};
use zerocopy::IntoBytes;

// The bytes of a word are in the message's order, so that words are written and read where they are.
const _: () = assert!(cfg!(target_endian = "little"));

/// The version of every message in this crate. It grows when a message changes its meaning.
pub const VERSION: u32 = 1;

/// Words in a message (`seL4_MsgMaxLength`).
pub const WORDS_MAX: usize = 120;

/// Bytes of postcard that a message carries: all words but the first, less one spare.
pub const BYTES_MAX: usize = (WORDS_MAX - 2) * 8;

/// A message did not decode, or a value did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// The value needs more than [`BYTES_MAX`] bytes, or the words given.
    TooLong,
    /// The message is shorter than it says, or has no first word.
    Truncated,
    /// The peer speaks this other version.
    Version(u32),
    /// The bytes are no value of the type asked for.
    Malformed,
    /// This many bytes are left over behind the value.
    Trailing(usize),
}

/// Writes `value` into `words` and returns how many words it takes.
pub fn encode<T: Serialize + ?Sized>(value: &T, words: &mut [u64]) -> Result<usize, MessageError> {
    let (first, rest) = words.split_first_mut().ok_or(MessageError::TooLong)?;
    let room = rest.len().min(BYTES_MAX / 8);
    let bytes = rest[..room].as_mut_bytes();
    let length = postcard::to_slice(value, bytes).map_err(|_| MessageError::TooLong)?.len();
    *first = (u64::from(VERSION) << 32) | length as u64;
    // Nothing of what stood there goes along in the last word.
    bytes[length..length.next_multiple_of(8)].fill(0);
    Ok(1 + length.div_ceil(8))
}

/// Reads a value from `words`, which must be a private copy: the peer may still write to a shared one. The value may
/// borrow from them.
pub fn decode<'a, T: Deserialize<'a>>(words: &'a [u64]) -> Result<T, MessageError> {
    let (first, rest) = words.split_first().ok_or(MessageError::Truncated)?;
    let version = u32::try_from(first >> 32).map_err(|_| MessageError::Malformed)?;
    if version != VERSION {
        return Err(MessageError::Version(version));
    }
    let length = usize::try_from(first & 0xffff_ffff).map_err(|_| MessageError::Malformed)?;
    if length > BYTES_MAX || length > rest.len() * 8 {
        return Err(MessageError::Truncated);
    }
    let mut bytes = postcard::Deserializer::from_bytes(&rest.as_bytes()[..length]);
    // A value is large: as it is read it is returned.
    match T::deserialize(&mut bytes) {
        Ok(value) => match bytes.finalize() {
            Ok([]) => Ok(value),
            left => Err(MessageError::Trailing(left.map_or(0, <[u8]>::len))),
        },
        Err(_) => Err(MessageError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_each_damage_has_its_error() {
        let mut words = [0_u64; WORDS_MAX];
        let count = encode(&(7_u32, "name"), &mut words).unwrap();
        assert_eq!(decode::<(u32, &str)>(&words[..count]), Ok((7, "name")));

        assert_eq!(decode::<u8>(&[]), Err(MessageError::Truncated));
        assert_eq!(decode::<(u32, &str)>(&words[..1]), Err(MessageError::Truncated));
        assert_eq!(decode::<u8>(&words[..count]), Err(MessageError::Trailing(5)));
        assert_eq!(
            decode::<(u64, u64, u64, u64, u64, u64, u64)>(&words[..count]),
            Err(MessageError::Malformed)
        );
        words[0] += 1 << 32;
        assert_eq!(decode::<u8>(&words[..count]), Err(MessageError::Version(2)));
        assert_eq!(encode(&[0_u8; 200][..], &mut [0; 4]), Err(MessageError::TooLong));
        let mut dirty = [u64::MAX; 3];
        assert_eq!(encode(&[1_u8, 2, 3], &mut dirty), Ok(2));
        assert_eq!(dirty, [(u64::from(VERSION) << 32) | 3, 0x03_0201, u64::MAX], "nothing old goes along");
    }
}
