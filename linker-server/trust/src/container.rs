//! A signed image as it travels: the image, the text of its signature, and a trailer that tells them apart.
//!
//! ```text
//! ┌──────────── image ────────────┬── text of the .minisig ──┬ size of the text, u32 LE ┬ "MINISIGN" ┐
//! ```
//! The signature covers the image alone, so what `x kmod sign` writes beside a file and what travels behind it are the
//! same text.

use crate::SIGNATURE_MAX;

/// The last bytes of a signed image.
pub const MAGIC: &[u8; 8] = b"MINISIGN";
/// Bytes of the trailer.
pub const TRAILER_SIZE: usize = 12;

/// A signed image, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container<'a> {
    /// The image: what the signature covers.
    pub image: &'a [u8],
    /// The signature's text.
    pub signature: &'a [u8],
}

/// Takes a signed image apart; none where there is no signature behind an image.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<Container<'_>> {
    let (rest, trailer) = bytes.split_last_chunk::<TRAILER_SIZE>()?;
    let (size, magic) = trailer.split_first_chunk::<4>()?;
    if magic != MAGIC {
        return None;
    }
    let size = usize::try_from(u32::from_le_bytes(*size)).ok().filter(|size| *size <= SIGNATURE_MAX)?;
    let (image, signature) = rest.split_at_checked(rest.len().checked_sub(size)?)?;
    Some(Container { image, signature })
}

/// The trailer behind a signature's text of this size; none when the text is longer than [`SIGNATURE_MAX`].
#[must_use]
pub fn trailer(size: usize) -> Option<[u8; TRAILER_SIZE]> {
    let size = u32::try_from(size).ok().filter(|_| size <= SIGNATURE_MAX)?;
    let mut out = [0; TRAILER_SIZE];
    out[..4].copy_from_slice(&size.to_le_bytes());
    out[4..].copy_from_slice(MAGIC);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{TRAILER_SIZE, split, trailer};
    use crate::SIGNATURE_MAX;
    use std::vec::Vec;

    fn joined(image: &[u8], signature: &[u8]) -> Vec<u8> {
        let end = trailer(signature.len()).unwrap();
        [image, signature, &end].concat()
    }

    #[test]
    fn what_is_joined_comes_apart() {
        for (image, signature) in [(&b"image"[..], &b"text"[..]), (b"", b"x"), (b"x", b""), (b"", b"")] {
            let bytes = joined(image, signature);
            let found = split(&bytes).unwrap();
            assert_eq!((found.image, found.signature), (image, signature));
        }
    }

    #[test]
    fn no_trailer_is_no_signature_whatever_the_size_says() {
        let good = joined(b"image", b"text");
        for cut in 0..good.len() {
            assert_eq!(split(&good[..cut]), None);
        }
        for size in [10_u32, 1000, 1025, u32::MAX] {
            let mut bytes = good.clone();
            let at = bytes.len() - TRAILER_SIZE;
            bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
            assert_eq!(split(&bytes), None, "{size}");
        }
        assert_eq!(trailer(SIGNATURE_MAX + 1), None);
    }
}
