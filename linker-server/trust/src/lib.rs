//! Trust in images: nothing of an image is parsed before its signature has been checked over the raw bytes.
//!
//! Reading order: [`container`] (where the signature stands), [`base64`] and [`minisig`] (its text and the keys'),
//! [`manifest`] (what the signature says besides), [`authority`] (the decision), [`versions`] (no way back).
//!
//! The format is minisign's, prehashed: Ed25519 over the BLAKE2b-512 digest of the image, and a second Ed25519
//! signature over the first and the trusted comment. So `minisign -V` accepts what we accept.
//!
//! **Invariant:** every function is total on any bytes, and none but [`container::split`] looks at bytes that are not
//! authenticated, apart from the signature itself.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod authority;
pub mod base64;
pub mod container;
pub mod manifest;
pub mod minisig;
#[cfg(feature = "sign")]
pub mod sign;
pub mod versions;

pub use authority::{Authority, Signed, TrustError};
pub use manifest::Manifest;
pub use minisig::{PublicKey, Signature};
pub use versions::{Downgrade, Versions};

/// Public keys that an authority holds: the system's own, and the one of tests.
pub const KEYS_MAX: usize = 2;
/// Bytes of a signature's text: four lines as minisign writes them, with a trusted comment of [`COMMENT_MAX`] bytes.
pub const SIGNATURE_MAX: usize = 1024;
/// Bytes of a trusted comment.
pub const COMMENT_MAX: usize = 512;
/// Names whose highest version is remembered.
pub const VERSIONS_MAX: usize = 128;
/// Signatures that are remembered as good, so that loading the same image again costs one digest.
pub const REMEMBERED_MAX: usize = 32;
/// Bytes of a name in a manifest: those of a module's information record.
pub const NAME_MAX: usize = 31;
