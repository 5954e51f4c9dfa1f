//! Base64 (RFC 4648, section 4) of values whose size is known: strict, so that a value has one spelling.

/// The alphabet, in order.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Characters that `size` bytes take.
#[must_use]
pub const fn encoded(size: usize) -> usize {
    size.div_ceil(3) * 4
}

fn digit(character: u8) -> Option<u32> {
    Some(match character {
        b'A'..=b'Z' => u32::from(character - b'A'),
        b'a'..=b'z' => u32::from(character - b'a') + 26,
        b'0'..=b'9' => u32::from(character - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// The `N` bytes that a text spells; none for another size, another alphabet, missing padding or bits that are lost.
#[must_use]
pub fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != encoded(N) {
        return None;
    }
    let mut out = [0; N];
    for (group, bytes) in text.chunks(4).zip(out.chunks_mut(3)) {
        let mut bits = 0;
        for (index, character) in group.iter().enumerate() {
            let value = if index <= bytes.len() { digit(*character)? } else { 0 };
            if index > bytes.len() && *character != b'=' {
                return None;
            }
            bits = bits << 6 | value;
        }
        let [_, spelt @ ..] = bits.to_be_bytes();
        let (kept, lost) = spelt.split_at(bytes.len());
        if lost.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.copy_from_slice(kept);
    }
    Some(out)
}

/// The characters that spell some bytes.
pub fn encode(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    bytes.chunks(3).flat_map(|chunk| {
        let mut padded = [0; 4];
        padded[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(padded);
        (0..4).map(move |index| {
            let at = bits >> (18 - 6 * index) & 63;
            if index > chunk.len() { b'=' } else { ALPHABET[at as usize] }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, encoded};
    use std::vec::Vec;

    fn both_ways<const N: usize>(bytes: [u8; N], text: &str) {
        let spelt: Vec<u8> = encode(&bytes).collect();
        assert_eq!(spelt, text.as_bytes());
        assert_eq!(spelt.len(), encoded(N));
        assert_eq!(decode::<N>(&spelt), Some(bytes));
    }

    #[test]
    fn the_vectors_of_rfc_4648() {
        both_ways(*b"", "");
        both_ways(*b"f", "Zg==");
        both_ways(*b"fo", "Zm8=");
        both_ways(*b"foo", "Zm9v");
        both_ways(*b"foob", "Zm9vYg==");
        both_ways(*b"fooba", "Zm9vYmE=");
        both_ways(*b"foobar", "Zm9vYmFy");
        both_ways([0xff, 0xef, 0xbe], "/+++");
    }

    #[test]
    fn every_text_of_four_characters_has_one_meaning_or_none() {
        // All 2^16 two-byte values, and of all texts around them only the one that encodes the value.
        for value in 0..=u16::MAX {
            let spelt: Vec<u8> = encode(&value.to_be_bytes()).collect();
            assert_eq!(decode::<2>(&spelt), Some(value.to_be_bytes()));
            for other in [b"=", b"A", b"B", b"\n"] {
                let mut text = spelt.clone();
                text[3] = other[0];
                assert_eq!(decode::<2>(&text).is_some(), other == b"=");
            }
        }
        assert_eq!(decode::<2>(b"AAB="), None, "bits that are lost");
        assert_eq!(decode::<1>(b"AB=="), None, "bits that are lost");
        assert_eq!(decode::<1>(b"AA=A"), None);
        assert_eq!(decode::<3>(b"AA=="), None);
    }
}
