//! The decision: whose signature, over which bytes, for which name.

use blake2::{Blake2b512, Digest};
use ed25519_dalek::VerifyingKey;
use heapless::Vec;

use crate::container::{self, Container};
use crate::manifest::Manifest;
use crate::minisig::{PublicKey, Signature};
use crate::{KEYS_MAX, REMEMBERED_MAX};

/// Why an image is not trusted. Nothing of it has been parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustError {
    /// The boot image has no key, so that nothing is trusted.
    NoKey,
    /// There is no signature behind the image.
    Unsigned,
    /// The signature's text is none of minisign's prehashed form.
    Malformed,
    /// It is signed by a key that the boot image does not have.
    UnknownKey([u8; 8]),
    /// The signature is not that of these bytes.
    Tampered,
    /// The second signature is not that of the trusted comment.
    CommentTampered,
    /// The trusted comment does not say name and version.
    NoManifest,
    /// It is signed as another module than the one that is asked for.
    OtherName,
}

/// An image whose signature is good. Holding one proves that the bytes are those that a holder of the key has signed
/// under this name and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The image.
    pub image: &'a [u8],
    /// What the signature says of it.
    pub manifest: Manifest<'a>,
    /// By which key.
    pub key_id: [u8; 8],
}

struct Key {
    id: [u8; 8],
    key: VerifyingKey,
}

/// The keys that count, and which signatures they have been seen to have made.
#[derive(Default)]
pub struct Authority {
    keys: Vec<Key, KEYS_MAX>,
    // Digests of all that a good decision depends on; the oldest makes room.
    remembered: Vec<[u8; 64], REMEMBERED_MAX>,
    next: usize,
}

impl Authority {
    /// Trusts nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self { keys: Vec::new(), remembered: Vec::new(), next: 0 }
    }

    /// Trusts a key from now on. False for one that is no point of the curve or of small order, or one too many.
    pub fn trust(&mut self, key: &PublicKey) -> bool {
        let point = VerifyingKey::from_bytes(&key.key).ok().filter(|key| !key.is_weak());
        point.is_some_and(|point| self.keys.push(Key { id: key.id, key: point }).is_ok())
    }

    /// Checks a signed image that shall be loaded as `name`.
    ///
    /// The costs are one BLAKE2b-512 over the image and two checks of Ed25519; the latter only the first time.
    ///
    /// # Errors
    /// [`TrustError`]; the order of its variants is the order of the checks.
    pub fn check<'a>(&mut self, name: &str, bytes: &'a [u8]) -> Result<Signed<'a>, TrustError> {
        if self.keys.is_empty() {
            return Err(TrustError::NoKey);
        }
        let Container { image, signature } = container::split(bytes).ok_or(TrustError::Unsigned)?;
        let signature = Signature::parse(signature).ok_or(TrustError::Malformed)?;
        let key = self.keys.iter().find(|key| key.id == signature.key_id);
        let key = key.ok_or(TrustError::UnknownKey(signature.key_id))?;
        let digest: [u8; 64] = Blake2b512::digest(image).into();
        let decision = decision(&digest, &signature);
        if !self.remembered.contains(&decision) {
            verify(key, &digest, &signature)?;
            self.remember(decision);
        }
        let manifest = Manifest::parse(signature.comment).ok_or(TrustError::NoManifest)?;
        if manifest.name != name {
            return Err(TrustError::OtherName);
        }
        Ok(Signed { image, manifest, key_id: signature.key_id })
    }

    fn remember(&mut self, decision: [u8; 64]) {
        if self.remembered.push(decision).is_err() {
            self.remembered[self.next] = decision;
            self.next = (self.next + 1) % REMEMBERED_MAX;
        }
    }
}

/// Everything that [`verify`] looks at, as one digest: equal digests have equal answers.
fn decision(digest: &[u8; 64], signature: &Signature<'_>) -> [u8; 64] {
    let mut all = Blake2b512::new();
    for part in [&digest[..], &signature.key_id, &signature.signature, &signature.global] {
        all.update(part);
    }
    all.update(signature.comment);
    all.finalize().into()
}

fn verify(key: &Key, digest: &[u8; 64], signature: &Signature<'_>) -> Result<(), TrustError> {
    let strict = |message: &[u8], bytes: &[u8; 64]| {
        key.key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(bytes)).is_ok()
    };
    if !strict(digest, &signature.signature) {
        return Err(TrustError::Tampered);
    }
    let (mut message, size) = ([0; 64 + crate::COMMENT_MAX], 64 + signature.comment.len());
    message[..64].copy_from_slice(&signature.signature);
    message[64..size].copy_from_slice(signature.comment.as_bytes());
    if strict(&message[..size], &signature.global) { Ok(()) } else { Err(TrustError::CommentTampered) }
}
