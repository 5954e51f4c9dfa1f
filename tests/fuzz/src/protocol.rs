//! The protocol: the words of a message to the linker server.
//!
//! What decodes is encoded again and must decode to the same value: a message has one meaning. Whatever the words, no
//! more of them are looked at than the message has.

use serde::Serialize;
use serde::de::DeserializeOwned;
use strata_protocol::linker::{Reply, Request};
use strata_protocol::message::{WORDS_MAX, decode, encode};

use crate::Random;

/// Makes the words of a message: most have the right version, and a length that is near to right.
pub fn generate(random: &mut Random) -> Vec<u8> {
    let count = 1 + random.below(WORDS_MAX);
    let mut words: Vec<u64> = Vec::with_capacity(count);
    let length = match random.below(4) {
        0 => random.next() & 0xffff_ffff,
        _ => random.below(8 * count) as u64,
    };
    let version = if random.below(16) == 0 { random.next() >> 32 } else { 1 };
    words.push(version << 32 | length);
    let mut bytes = vec![0_u8; 8 * (count - 1)];
    let mut at = 0;
    // The tag of a request or reply, then fields: small numbers, short texts, anything.
    if let Some(first) = bytes.first_mut() {
        *first = u8::try_from(random.below(40)).unwrap_or_default();
        at = 1;
    }
    while at < bytes.len() {
        let piece: Vec<u8> = match random.below(4) {
            0 => vec![u8::try_from(random.below(4)).unwrap_or_default()],
            1 => {
                let size = random.below(40);
                let letter = b'a' + u8::try_from(random.below(26)).unwrap_or_default();
                let mut text = vec![u8::try_from(size).unwrap_or_default()];
                text.resize(size + 1, letter);
                text
            }
            2 => random.next().to_le_bytes().to_vec(),
            _ => vec![random.next().to_le_bytes()[0]],
        };
        for byte in piece {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            at += 1;
        }
    }
    words.iter().flat_map(|word| word.to_le_bytes()).chain(bytes).collect()
}

/// Decodes the words as request and as reply.
///
/// # Errors
/// The oracle that does not hold.
pub fn judge(input: &[u8]) -> Result<String, String> {
    let words: Vec<u64> = input.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let request = round_trip::<Request>(&words)?;
    let reply = round_trip::<Reply>(&words)?;
    Ok(format!("request {request}, reply {reply}"))
}

fn round_trip<T>(words: &[u64]) -> Result<&'static str, String>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let Ok(value) = decode::<T>(words) else { return Ok("refused") };
    let mut encoded = [0; WORDS_MAX];
    let count =
        encode(&value, &mut encoded).map_err(|error| format!("{value:?} does not encode: {error:?}"))?;
    let back =
        decode::<T>(&encoded[..count]).map_err(|error| format!("{value:?} does not come back: {error:?}"))?;
    if back == value { Ok("accepted") } else { Err(format!("{value:?} comes back as {back:?}")) }
}
