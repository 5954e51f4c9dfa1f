//! Making signatures. Host tools sign what they build; the test agent signs the images that it damages.

use blake2::{Blake2b512, Digest};
use ed25519_dalek::{Signer, SigningKey};
use heapless::String;

use crate::minisig::{KEY_ALGORITHM, PublicKey, SIGNATURE_ALGORITHM};
use crate::{COMMENT_MAX, SIGNATURE_MAX, base64};

/// A secret key: the seed of an Ed25519 key pair, and the name of the pair.
#[derive(Clone)]
pub struct SecretKey {
    id: [u8; 8],
    key: SigningKey,
}

impl SecretKey {
    /// The key pair of a seed. The seed is the secret.
    #[must_use]
    pub fn new(id: [u8; 8], seed: &[u8; 32]) -> Self {
        Self { id, key: SigningKey::from_bytes(seed) }
    }

    /// Reads the text of a secret key file of minisign's that has no password (`minisign -G -W`); none for any other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.lines().rfind(|line| !line.is_empty())?;
        let bytes = base64::decode::<158>(line.as_bytes())?;
        let (head, rest) = bytes.split_first_chunk::<54>()?;
        let (id, rest) = rest.split_first_chunk::<8>()?;
        let (seed, rest) = rest.split_first_chunk::<32>()?;
        // Signature algorithm, no key derivation; then salt and limits, which do not matter without one.
        if head[..2] != KEY_ALGORITHM || head[2..4] != [0, 0] {
            return None;
        }
        let key = Self::new(*id, seed);
        (rest.first_chunk::<32>()? == key.key.verifying_key().as_bytes()).then_some(key)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { id: self.id, key: self.key.verifying_key().to_bytes() }
    }

    /// The text of a signature over an image with this trusted comment; none when the comment is longer than
    /// [`COMMENT_MAX`] bytes or has more than one line.
    #[must_use]
    pub fn sign(&self, image: &[u8], comment: &str) -> Option<String<SIGNATURE_MAX>> {
        if comment.len() > COMMENT_MAX || comment.contains(['\n', '\r']) {
            return None;
        }
        let signature = self.key.sign(&Blake2b512::digest(image)).to_bytes();
        let mut message = heapless::Vec::<u8, { 64 + COMMENT_MAX }>::from_array(signature);
        message.extend_from_slice(comment.as_bytes()).ok()?;
        let global = self.key.sign(&message).to_bytes();
        let mut out = String::new();
        let mut bytes = heapless::Vec::<u8, 74>::new();
        for part in [&SIGNATURE_ALGORITHM[..], &self.id, &signature] {
            bytes.extend_from_slice(part).ok()?;
        }
        out.push_str("untrusted comment: signature of a Strata module\n").ok()?;
        push(&mut out, &bytes)?;
        out.push_str("\ntrusted comment: ").ok()?;
        out.push_str(comment).ok()?;
        out.push('\n').ok()?;
        push(&mut out, &global)?;
        out.push('\n').ok()?;
        Some(out)
    }
}

/// Adds bytes in base 64.
fn push(out: &mut String<SIGNATURE_MAX>, bytes: &[u8]) -> Option<()> {
    base64::encode(bytes).try_for_each(|character| out.push(char::from(character)).ok())
}
