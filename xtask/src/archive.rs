//! Packs the boot archive. The reader and the layout are `strata_protocol::archive`'s.

use anyhow::{Context, Result, bail};
use strata_protocol::archive::{
    ALIGNMENT, Archive, ENTRIES_MAX, ENTRY_SIZE, HEADER_SIZE, Kind, entry, header,
};

/// A file to pack.
#[derive(Debug)]
pub(crate) struct Member {
    /// What it is called inside.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

/// Packs the members in their order and reads the result back: what is shipped has passed the target's own check.
pub(crate) fn pack(members: &[Member]) -> Result<Vec<u8>> {
    if members.len() > ENTRIES_MAX {
        bail!("{} files do not fit into a boot archive of {ENTRIES_MAX}", members.len());
    }
    let alignment = usize::try_from(ALIGNMENT)?;
    let mut directory = Vec::new();
    let mut files = Vec::new();
    let first = (HEADER_SIZE + members.len() * ENTRY_SIZE).next_multiple_of(alignment);
    for (index, member) in members.iter().enumerate() {
        if members[..index].iter().any(|other| other.name == member.name) {
            bail!("two files of the boot archive are called {}", member.name);
        }
        let offset = first + files.len();
        let entry =
            entry(&member.name, member.kind, u64::try_from(offset)?, u64::try_from(member.bytes.len())?);
        directory.extend(
            entry.with_context(|| format!("{:?} is no name for a file of the boot archive", member.name))?,
        );
        files.extend_from_slice(&member.bytes);
        files.resize(files.len().next_multiple_of(alignment), 0);
    }
    let total = first + files.len();
    let mut out = Vec::from(header(u32::try_from(members.len())?, u64::try_from(total)?));
    out.extend(directory);
    out.resize(first, 0);
    out.extend(files);
    match Archive::new(&out) {
        Ok(archive) if archive.files().count() == members.len() => Ok(out),
        other => bail!("the packed boot archive does not read back: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, kind: Kind, size: usize) -> Member {
        Member { name: name.into(), kind, bytes: vec![0xa5; size] }
    }

    #[test]
    fn what_is_packed_is_found_page_aligned() {
        let members = [
            member("console", Kind::Server, 5),
            member("bus_space_debug", Kind::Module, 8192),
            member("e", Kind::Other, 0),
        ];
        let bytes = pack(&members).unwrap();
        let archive = Archive::new(&bytes).unwrap();
        assert_eq!(bytes.len() % 4096, 0);
        for member in &members {
            let file = archive.find(&member.name).unwrap();
            assert_eq!((file.kind, file.bytes), (member.kind, member.bytes.as_slice()));
            assert_eq!(file.offset % 4096, 0);
        }
    }

    #[test]
    fn what_cannot_be_packed_is_refused_by_name() {
        let twice = [member("a", Kind::Server, 1), member("a", Kind::Module, 1)];
        assert!(pack(&twice).unwrap_err().to_string().contains("called a"));
        assert!(pack(&[member(&"n".repeat(32), Kind::Server, 1)]).is_err());
        let member = |index| member(&format!("m{index}"), Kind::Module, 1);
        let many: Vec<_> = (0..=ENTRIES_MAX).map(member).collect();
        assert!(pack(&many).is_err());
        for count in [63, 64, ENTRIES_MAX] {
            assert!(pack(&many[..count]).is_ok(), "{count} files: one page of directory, or two");
        }
    }
}
