//! Whether an image may be looked at: its signature is checked over the one copy, before anything of it is parsed.

use crate::linker::Linker;
use kmod_trust::{Authority, Downgrade, PublicKey, TrustError};
use linker_space::asm::ticks;
use strata_protocol::archive::{Archive, Kind, TEST_KEY, TRUSTED_KEY};
use strata_protocol::{Errno, Refusal};

/// What a good signature says of the image in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentic {
    /// Bytes of the image itself, without its signature.
    pub size: u64,
    /// The version that it is signed as.
    pub version: u32,
    /// The key that signed it.
    pub key_id: u64,
}

/// The authority of a boot image: its key; and in a boot that runs a test case, the key of tests.
#[must_use]
pub fn authority(archive: &Archive<'_>, case: bool) -> Authority {
    let mut authority = Authority::new();
    for name in [Some(TRUSTED_KEY), case.then_some(TEST_KEY)].into_iter().flatten() {
        let text = archive.find(name).filter(|file| file.kind == Kind::Other);
        let text = text.and_then(|file| core::str::from_utf8(file.bytes).ok());
        match text.and_then(PublicKey::parse) {
            Some(key) if authority.trust(&key) => {}
            _ => defmt::error!("the boot image has no good key {=str}; what it signs is refused", name),
        }
    }
    authority
}

impl Linker<'_> {
    /// Checks the signature of the copy, of which `size` bytes count, for a load as `name`.
    ///
    /// # Errors
    /// EAUTH unless a trusted key has signed these bytes under this name; EPROGMISMATCH for an older version than one
    /// that has been in service.
    pub fn authenticate(&mut self, name: &str, size: u64) -> Result<Authentic, Refusal> {
        let start = ticks();
        let signed = self.authority.check(name, self.store.image(size).0);
        self.trust_ticks += ticks() - start;
        let signed = signed.map_err(|error| refusal(name, error))?;
        self.versions.allow(&signed.manifest).map_err(|error| match error {
            Downgrade::Older(seen) => {
                let version = signed.manifest.version;
                let why = format_args!("version {version} is older than {seen}, which has been in service");
                Refusal::format(Errno::EPROGMISMATCH, name, why)
            }
            Downgrade::Full => Refusal::new(Errno::ENOMEM, name, "too many names have been in service"),
        })?;
        let size = u64::try_from(signed.image.len()).unwrap_or(0);
        Ok(Authentic { size, version: signed.manifest.version, key_id: u64::from_le_bytes(signed.key_id) })
    }
}

fn refusal(name: &str, error: TrustError) -> Refusal {
    let why = match error {
        TrustError::NoKey => "the boot image has no key, so that nothing is trusted",
        TrustError::Unsigned => "the image is not signed",
        TrustError::Malformed => "its signature is none of minisign's prehashed form",
        TrustError::UnknownKey(id) => {
            let why = format_args!("signed by key {:016X}, which is not trusted", u64::from_le_bytes(id));
            return Refusal::format(Errno::EAUTH, name, why);
        }
        TrustError::Tampered => "the signature is not that of these bytes",
        TrustError::CommentTampered => "the trusted comment is not what was signed",
        TrustError::NoManifest => "the trusted comment does not say name and version",
        TrustError::OtherName => "it is signed under another name",
    };
    Refusal::new(Errno::EAUTH, name, why)
}
