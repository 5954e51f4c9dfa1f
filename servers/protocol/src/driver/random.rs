//! Random class: bytes that nobody can foretell.

use crate::message::WORDS_MAX;

/// Register 0: how many bytes, at most [`BYTES_MAX`] (E2BIG). → the bytes, from register 0 on. EIO when the device has no
/// more for too long.
pub const RANDOM: u64 = 128;
/// The most bytes in one answer.
pub const BYTES_MAX: usize = WORDS_MAX * 8;
