//! The rules of the base image format, one error each.

use crate::elf::ElfError;

/// A file is no base image. Numbers are indices of segments, sections, records or relocations in their tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseError {
    /// The file is no sound ELF container.
    Elf(ElfError),
    /// No loadable segment, or more than [`crate::SEGMENTS_MAX`].
    SegmentCount,
    /// Thread-local storage.
    ThreadLocalSegment(usize),
    /// The segment is larger than [`crate::SECTION_SIZE_MAX`], smaller than its bytes in the file, empty, or wraps.
    SegmentSize(usize),
    /// The segment's bytes leave the file.
    SegmentOutOfFile(usize),
    /// The segment is not readable, or writable and executable.
    SegmentPermission(usize),
    /// The segment does not begin on a page behind all pages of the one before it.
    SegmentOrder(usize),
    /// A second record section of this name.
    DuplicateSection(usize),
    /// A record section that is not loaded, or whose size is no multiple of its record.
    RecordSection(usize),
    /// There is no `.modlink.base`, or it does not hold exactly one record.
    Info,
    /// The info record does not begin with the base image magic number.
    InfoMagic,
    /// The info record is of another format version.
    InfoFormat(u16),
    /// The base image was built for another version of the interface.
    InfoApi(u16),
    /// A reserved field of the info record is not zero.
    InfoReserved,
    /// The base image's name is empty, not padded with zeros or not printable ASCII.
    InfoName,
    /// The worker entry is no instruction of the base image.
    WorkerEntry(u64),
    /// The fix-up table is not a whole number of records in a segment's bytes, or has more than [`crate::FIXUPS_MAX`].
    FixupTable,
    /// A fix-up record does not name two instructions of the base image.
    Fixup(usize),
    /// More than [`crate::ALIASES_MAX`] alias records.
    TooManyAliases,
    /// A base image has weak and export aliases only.
    AliasKind(usize),
    /// The alias has flags that this version does not know.
    AliasFlags(usize),
    /// A reserved field of the alias, or its position, is not zero.
    AliasReserved(usize),
    /// The alias's name is empty, not padded with zeros, not printable ASCII, or begins with `super_`.
    AliasName(usize),
    /// The alias's hash is not the hash of its name.
    AliasHash(usize),
    /// The alias's function is no instruction of the base image.
    AliasImplementation(usize),
    /// A second alias of this name.
    DuplicateAlias(usize),
    /// More than [`crate::SERVERS_MAX`] server records.
    TooManyServers,
    /// The server's name is empty, not padded with zeros or not printable ASCII.
    ServerName(usize),
    /// A second server of this name.
    DuplicateServer(usize),
    /// The server's entry is no instruction of the base image.
    ServerEntry(usize),
    /// The server's device region is not page-aligned in address and size.
    ServerDevice(usize),
    /// A reserved field of the server record is not zero.
    ServerReserved(usize),
    /// More than [`crate::RELOCATIONS_MAX`] relocations in one table (its section).
    TooManyRelocations(usize),
    /// A relocation (section, index) names no symbol of the table.
    RelocationSymbol(usize, usize),
    /// A relocation against an aliasable name is of a type that the linker does not apply, has an addend, leaves its
    /// section, or stands on another instruction than its type says.
    Site(usize, usize),
    /// A call site does not go to the alias's own function: the linker script bound the name to another.
    SiteTarget(usize, usize),
}

impl From<ElfError> for BaseError {
    fn from(error: ElfError) -> Self {
        Self::Elf(error)
    }
}
