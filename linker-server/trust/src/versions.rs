//! No way back: the highest version of each name that has been in service since boot.

use crate::VERSIONS_MAX;
use crate::manifest::Manifest;

/// A hash of a name, so that the table holds names of any kind in one word.
fn hash(name: &str) -> u64 {
    // FNV-1a, as in alias records.
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Why an image whose signature is good is not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downgrade {
    /// This higher version of the same name has been in service.
    Older(u32),
    /// [`VERSIONS_MAX`] names have been in service; this one is not among them.
    Full,
}

/// The highest version of each name that has been in service.
#[derive(Debug, Default)]
pub struct Versions {
    seen: heapless::Vec<(u64, u32), VERSIONS_MAX>,
}

impl Versions {
    /// Nothing has been in service.
    #[must_use]
    pub const fn new() -> Self {
        Self { seen: heapless::Vec::new() }
    }

    fn of(&self, name: &str) -> Option<&(u64, u32)> {
        self.seen.iter().find(|(other, _)| *other == hash(name))
    }

    /// Whether an image may be loaded.
    ///
    /// # Errors
    /// [`Downgrade`].
    pub fn allow(&self, manifest: &Manifest<'_>) -> Result<(), Downgrade> {
        match self.of(manifest.name) {
            Some((_, seen)) if manifest.version < *seen => Err(Downgrade::Older(*seen)),
            None if self.seen.is_full() => Err(Downgrade::Full),
            _ => Ok(()),
        }
    }

    /// Notes that an image is in service. What never came into service locks nobody out.
    pub fn note(&mut self, name: &str, version: u32) {
        let key = hash(name);
        match self.seen.iter_mut().find(|(other, _)| *other == key) {
            Some((_, seen)) => *seen = version.max(*seen),
            // `allow` has refused a name that finds no room.
            None => drop(self.seen.push((key, version))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Downgrade, Versions};
    use crate::VERSIONS_MAX;
    use crate::manifest::Manifest;
    use std::format;

    fn allow(versions: &Versions, name: &str, version: u32) -> Result<(), Downgrade> {
        versions.allow(&Manifest { name, version })
    }

    #[test]
    fn versions_of_a_name_only_grow() {
        let mut versions = Versions::new();
        assert_eq!(allow(&versions, "a", 0), Ok(()));
        versions.note("a", 3);
        for (version, expected) in [(2, Err(Downgrade::Older(3))), (3, Ok(())), (4, Ok(()))] {
            assert_eq!(allow(&versions, "a", version), expected);
        }
        versions.note("a", 2);
        assert_eq!(allow(&versions, "a", 2), Err(Downgrade::Older(3)), "a note never lowers");
        assert_eq!(allow(&versions, "b", 0), Ok(()), "names are apart");
    }

    #[test]
    fn a_full_table_refuses_new_names_and_still_knows_the_old() {
        let mut versions = Versions::new();
        for index in 0..VERSIONS_MAX {
            let name = format!("m{index}");
            assert_eq!(allow(&versions, &name, 5), Ok(()));
            versions.note(&name, 5);
        }
        assert_eq!(allow(&versions, "one_more", 5), Err(Downgrade::Full));
        assert_eq!(allow(&versions, "m7", 5), Ok(()));
        assert_eq!(allow(&versions, "m7", 4), Err(Downgrade::Older(5)));
    }
}
