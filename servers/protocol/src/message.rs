//! How a value becomes the words of an seL4 message, and back.
//!
//! Word 0 holds the protocol version (bits 32–63) and the length in bytes (bits 0–31); the value follows as
//! postcard, eight bytes a word, little endian. A receiver refuses another version, a length that does not fit,
//! and bytes left over behind the value.

use serde::{Deserialize, Serialize};

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
    let mut buffer = [0_u8; BYTES_MAX];
    let bytes = postcard::to_slice(value, &mut buffer).map_err(|_| MessageError::TooLong)?;
    let length = bytes.len();
    let count = 1 + length.div_ceil(8);
    let (first, rest) = words.split_first_mut().ok_or(MessageError::TooLong)?;
    let rest = rest.get_mut(..count - 1).ok_or(MessageError::TooLong)?;
    *first = (u64::from(VERSION) << 32) | length as u64;
    for (word, chunk) in rest.iter_mut().zip(buffer[..length].chunks(8)) {
        let mut eight = [0_u8; 8];
        eight[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_le_bytes(eight);
    }
    Ok(count)
}

/// Reads a value from `words`, which must be a private copy: the peer may still write to a shared one.
///
/// `buffer` takes the bytes, so that the value may borrow from it.
pub fn decode<'a, T: Deserialize<'a>>(
    words: &[u64],
    buffer: &'a mut [u8; BYTES_MAX],
) -> Result<T, MessageError> {
    let (first, rest) = words.split_first().ok_or(MessageError::Truncated)?;
    let version = u32::try_from(first >> 32).map_err(|_| MessageError::Malformed)?;
    if version != VERSION {
        return Err(MessageError::Version(version));
    }
    let length = usize::try_from(first & 0xffff_ffff).map_err(|_| MessageError::Malformed)?;
    if length > BYTES_MAX || length > rest.len() * 8 {
        return Err(MessageError::Truncated);
    }
    for (chunk, word) in buffer[..length].chunks_mut(8).zip(rest) {
        let eight = word.to_le_bytes();
        chunk.copy_from_slice(&eight[..chunk.len()]);
    }
    let (value, left) =
        postcard::take_from_bytes::<T>(&buffer[..length]).map_err(|_| MessageError::Malformed)?;
    if left.is_empty() { Ok(value) } else { Err(MessageError::Trailing(left.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_each_damage_has_its_error() {
        let mut words = [0_u64; WORDS_MAX];
        let count = encode(&(7_u32, "name"), &mut words).unwrap();
        let mut buffer = [0; BYTES_MAX];
        assert_eq!(decode::<(u32, &str)>(&words[..count], &mut buffer), Ok((7, "name")));

        assert_eq!(decode::<u8>(&[], &mut buffer), Err(MessageError::Truncated));
        assert_eq!(decode::<(u32, &str)>(&words[..1], &mut buffer), Err(MessageError::Truncated));
        assert_eq!(decode::<u8>(&words[..count], &mut buffer), Err(MessageError::Trailing(5)));
        assert_eq!(
            decode::<(u64, u64, u64, u64, u64, u64, u64)>(&words[..count], &mut buffer),
            Err(MessageError::Malformed)
        );
        words[0] += 1 << 32;
        assert_eq!(decode::<u8>(&words[..count], &mut buffer), Err(MessageError::Version(2)));
        assert_eq!(encode(&[0_u8; 200][..], &mut [0; 4]), Err(MessageError::TooLong));
    }
}
