//! The texts of minisign: a public key, a signature.
//!
//! ```text
//! untrusted comment: …                              untrusted comment: …
//! base64("Ed" ‖ key id [8] ‖ key [32])              base64("ED" ‖ key id [8] ‖ signature [64])
//!                                                   trusted comment: …
//!                                                   base64(signature [64] of the signature above ‖ comment)
//! ```
//! "ED" is the prehashed form; the older "Ed", which signs the file itself, is refused, as current minisign does by
//! default. Untrusted comments are skipped.

use crate::COMMENT_MAX;
use crate::base64;

const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";
/// The name of the algorithm in a key.
pub const KEY_ALGORITHM: [u8; 2] = *b"Ed";
/// The name of the algorithm in a signature: prehashed with BLAKE2b-512.
pub const SIGNATURE_ALGORITHM: [u8; 2] = *b"ED";

/// A public key, as its text says; whether it is a point of the curve shows when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// What signatures name it by.
    pub id: [u8; 8],
    /// The key.
    pub key: [u8; 32],
}

impl PublicKey {
    /// Reads the text of a `.pub` file: the last line that is not empty, or that line alone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.lines().rfind(|line| !line.is_empty())?;
        let bytes = base64::decode::<42>(line.as_bytes())?;
        let (algorithm, rest) = bytes.split_first_chunk::<2>()?;
        let (id, rest) = rest.split_first_chunk::<8>()?;
        let key = rest.first_chunk::<32>()?;
        (*algorithm == KEY_ALGORITHM).then_some(Self { id: *id, key: *key })
    }
}

/// A signature, as its text says; nothing of it has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// The key that is said to have made it.
    pub key_id: [u8; 8],
    /// Over the image's digest.
    pub signature: [u8; 64],
    /// The trusted comment.
    pub comment: &'a str,
    /// Over `signature` and `comment`.
    pub global: [u8; 64],
}

impl<'a> Signature<'a> {
    /// Reads the text of a `.minisig` file: exactly four lines, each ended by a line feed.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let mut lines = core::str::from_utf8(text).ok()?.strip_suffix('\n')?.split('\n');
        lines.next()?.strip_prefix(UNTRUSTED)?;
        let bytes = base64::decode::<74>(lines.next()?.as_bytes())?;
        let comment = lines.next()?.strip_prefix(TRUSTED).filter(|text| text.len() <= COMMENT_MAX)?;
        let global = base64::decode::<64>(lines.next()?.as_bytes())?;
        let (algorithm, rest) = bytes.split_first_chunk::<2>()?;
        let (key_id, rest) = rest.split_first_chunk::<8>()?;
        let signature = rest.first_chunk::<64>()?;
        if *algorithm != SIGNATURE_ALGORITHM || lines.next().is_some() {
            return None;
        }
        Some(Self { key_id: *key_id, signature: *signature, comment, global })
    }
}
