//! The boot archive: the files that travel inside the root task.
//!
//! A header, entries of 64 bytes, then the files, each at a multiple of 4 KiB so that a file's pages can be
//! mapped as they are. All numbers are little endian. [`Archive::new`] checks the whole directory once; after
//! that no look-up can fail for a malformed archive.

/// The first eight bytes.
pub const MAGIC: [u8; 8] = *b"STRATAAR";
/// The version that this reader knows.
pub const VERSION: u32 = 1;
/// Size of the header in bytes: magic, version u32, count u32, total size u64, padding.
pub const HEADER_SIZE: usize = 64;
/// Size of a directory entry in bytes: name 32, kind u32, padding u32, offset u64, size u64, padding.
pub const ENTRY_SIZE: usize = 64;
/// Bytes of a name, padded with zeros; the last byte is always zero.
pub const NAME_SIZE: usize = 32;
/// Files start at multiples of this.
pub const ALIGNMENT: u64 = 4096;
/// The most files in an archive.
pub const ENTRIES_MAX: usize = 127;

/// The file with the public key whose signatures of modules count, in minisign's format.
pub const TRUSTED_KEY: &str = "trusted-key";
/// The file with the public key that counts besides in a boot that runs a test case.
pub const TEST_KEY: &str = "test-key";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A static ELF that the root task starts.
    Server,
    /// The ELF that a link domain starts with.
    Base,
    /// A `.kmod`.
    Module,
    /// Anything else.
    Other,
}

impl Kind {
    /// The number in the entry.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Kind::Server => 1,
            Kind::Base => 2,
            Kind::Module => 3,
            Kind::Other => 4,
        }
    }

    const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Kind::Server),
            2 => Some(Kind::Base),
            3 => Some(Kind::Module),
            4 => Some(Kind::Other),
            _ => None,
        }
    }
}

/// What is wrong with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveError {
    /// Shorter than its header, directory or total size says.
    Truncated,
    /// The first eight bytes are not [`MAGIC`].
    Magic,
    /// Another version.
    Version(u32),
    /// More than [`ENTRIES_MAX`] entries.
    TooMany(u32),
    /// This entry's name, kind, offset or size breaks a rule.
    Entry(usize),
}

/// A checked archive.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    count: usize,
}

/// A file in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Where its bytes start in the archive: a multiple of [`ALIGNMENT`].
    pub offset: usize,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl<'a> Archive<'a> {
    /// Checks header and directory.
    pub fn new(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        let header = bytes.get(..HEADER_SIZE).ok_or(ArchiveError::Truncated)?;
        if header[..8] != MAGIC {
            return Err(ArchiveError::Magic);
        }
        let version = u32_at(header, 8).ok_or(ArchiveError::Truncated)?;
        if version != VERSION {
            return Err(ArchiveError::Version(version));
        }
        let number = u32_at(header, 12).ok_or(ArchiveError::Truncated)?;
        let count = usize::try_from(number).map_err(|_| ArchiveError::TooMany(number))?;
        if count > ENTRIES_MAX {
            return Err(ArchiveError::TooMany(number));
        }
        let total = u64_at(header, 16)
            .and_then(|total| usize::try_from(total).ok())
            .ok_or(ArchiveError::Truncated)?;
        let bytes = bytes.get(..total).ok_or(ArchiveError::Truncated)?;
        if bytes.len() < HEADER_SIZE + count * ENTRY_SIZE {
            return Err(ArchiveError::Truncated);
        }
        let archive = Self { bytes, count };
        for index in 0..count {
            archive.entry(index).ok_or(ArchiveError::Entry(index))?;
        }
        Ok(archive)
    }

    /// The files in order.
    pub fn files(self) -> impl Iterator<Item = File<'a>> {
        (0..self.count).filter_map(move |index| self.entry(index))
    }

    /// The file of this name.
    #[must_use]
    pub fn find(self, name: &str) -> Option<File<'a>> {
        self.files().find(|file| file.name == name)
    }

    /// Size of the whole archive in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        self.bytes.len()
    }

    fn entry(self, index: usize) -> Option<File<'a>> {
        let start = HEADER_SIZE + index * ENTRY_SIZE;
        let entry = self.bytes.get(start..start + ENTRY_SIZE)?;
        let name = &entry[..NAME_SIZE];
        let end = name.iter().position(|byte| *byte == 0)?;
        let name = core::str::from_utf8(&name[..end]).ok().filter(|name| !name.is_empty())?;
        let kind = Kind::from_number(u32_at(entry, 32)?)?;
        let offset = u64_at(entry, 40)?;
        if !offset.is_multiple_of(ALIGNMENT) {
            return None;
        }
        let offset = usize::try_from(offset).ok()?;
        let size = usize::try_from(u64_at(entry, 48)?).ok()?;
        let bytes = self.bytes.get(offset..offset.checked_add(size)?)?;
        Some(File { name, kind, offset, bytes })
    }
}

/// The header of an archive of `count` files and `total` bytes.
#[must_use]
pub fn header(count: u32, total: u64) -> [u8; HEADER_SIZE] {
    let mut header = [0; HEADER_SIZE];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&count.to_le_bytes());
    header[16..24].copy_from_slice(&total.to_le_bytes());
    header
}

/// A directory entry, or nothing when the name is empty, too long or contains a zero.
#[must_use]
pub fn entry(name: &str, kind: Kind, offset: u64, size: u64) -> Option<[u8; ENTRY_SIZE]> {
    if name.is_empty() || name.len() >= NAME_SIZE || name.contains('\0') || !offset.is_multiple_of(ALIGNMENT)
    {
        return None;
    }
    let mut entry = [0; ENTRY_SIZE];
    entry[..name.len()].copy_from_slice(name.as_bytes());
    entry[32..36].copy_from_slice(&kind.number().to_le_bytes());
    entry[40..48].copy_from_slice(&offset.to_le_bytes());
    entry[48..56].copy_from_slice(&size.to_le_bytes());
    Some(entry)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn archive(files: &[(&str, Kind, &[u8])]) -> Vec<u8> {
        let mut offset = 4096_u64;
        let (mut directory, mut data) = (Vec::new(), Vec::new());
        for (name, kind, bytes) in files {
            directory.extend(entry(name, *kind, offset, bytes.len() as u64).unwrap());
            data.extend_from_slice(bytes);
            data.resize(data.len().next_multiple_of(4096), 0);
            offset = 4096 + data.len() as u64;
        }
        let mut out = Vec::from(header(u32::try_from(files.len()).unwrap(), offset));
        out.extend(directory);
        out.resize(4096, 0);
        out.extend(data);
        out
    }

    #[test]
    fn files_are_found_by_name() {
        let bytes = archive(&[("console", Kind::Server, b"abc"), ("hello", Kind::Module, &[7; 5000])]);
        let archive = Archive::new(&bytes).unwrap();
        assert_eq!(archive.files().count(), 2);
        let hello = archive.find("hello").unwrap();
        assert_eq!((hello.kind, hello.offset, hello.bytes.len()), (Kind::Module, 8192, 5000));
        assert!(archive.find("hell").is_none());
    }

    #[test]
    fn no_damage_to_header_or_directory_panics() {
        let good = archive(&[("console", Kind::Server, b"abc"), ("hello", Kind::Module, &[7; 5000])]);
        for length in 0..good.len() {
            if let Ok(archive) = Archive::new(&good[..length]) {
                assert!(archive.size() <= length);
            }
        }
        for position in 0..HEADER_SIZE + 2 * ENTRY_SIZE {
            for value in 0..=255 {
                let mut bytes = good.clone();
                bytes[position] = value;
                if let Ok(archive) = Archive::new(&bytes) {
                    archive.files().for_each(|file| assert!(file.offset + file.bytes.len() <= bytes.len()));
                }
            }
        }
    }
}
