//! Names of symbols and modules, by value: records are borrowed only while an image is parsed.

use core::fmt;

/// Bytes of the longest name: a symbol's (a module's is shorter).
pub const NAME_MAX: usize = 47;

/// A name of at most [`NAME_MAX`] bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    bytes: [u8; NAME_MAX],
    size: u8,
}

impl Name {
    /// The empty name: nobody has it.
    pub const EMPTY: Self = Self { bytes: [0; NAME_MAX], size: 0 };

    /// Copies a name; none if it is too long.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut name = Self::EMPTY;
        name.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        name.size = u8::try_from(bytes.len()).ok()?;
        Some(name)
    }

    /// The bytes of the name.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.size)]
    }

    /// The name as text; a name that is not UTF-8 is shown as `?`.
    #[must_use]
    pub fn text(&self) -> &str {
        core::str::from_utf8(self.bytes()).unwrap_or("?")
    }

    /// FNV-1a, 64 bits: the hash that alias records carry.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl TryFrom<&str> for Name {
    type Error = ();

    fn try_from(text: &str) -> Result<Self, ()> {
        Self::new(text.as_bytes()).ok_or(())
    }
}
