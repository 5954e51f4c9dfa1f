//! Bytes to ELF64 headers: where the tables are, and their entries by index.
//!
//! Only what AArch64 little-endian images need (System V gABI chapters 4 and 5, AAELF64). Here a file is judged as a
//! container: tables and section contents lie inside the file and do not overlap. What may stand in them is judged in
//! `check` and `base`.

use zerocopy::FromBytes;

use crate::{FILE_SIZE_MAX, NAME_SIZE_MAX, SECTIONS_MAX, SYMBOLS_MAX};

/// A file is no sound ELF container. Numbers are section indices unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// The file ends inside the ELF header.
    Truncated,
    /// The file is larger than [`FILE_SIZE_MAX`].
    TooLarge,
    /// The file does not begin with the ELF magic number.
    NotElf,
    /// Class, byte order or version in the identification is not ELF64, little endian, 1; or the ABI is neither
    /// System V nor GNU.
    Identification,
    /// `e_machine` is not AArch64.
    Machine,
    /// `e_type` is not the one wanted: ET_REL for a module, ET_EXEC for a base image.
    Type,
    /// `e_version`, `e_ehsize`, `e_shentsize` or `e_phentsize` has not the value of ELF64.
    HeaderSize,
    /// Fewer than two sections, or extended numbering, or more than [`SECTIONS_MAX`].
    SectionCount,
    /// The table of section headers leaves the file.
    SectionTable,
    /// The table of program headers leaves the file.
    SegmentTable,
    /// `e_shstrndx` does not name a string table.
    SectionNames,
    /// The first section header is not the null section.
    NullSection,
    /// The section's name is not a zero-terminated string of the name table, or longer than [`NAME_SIZE_MAX`].
    SectionName(usize),
    /// The section's contents leave the file.
    SectionOutOfFile(usize),
    /// The contents of two sections share bytes.
    Overlap(usize, usize),
    /// The section's contents share bytes with the ELF header, the program headers or the section headers.
    OverlapsHeaders(usize),
    /// There is no symbol table.
    NoSymbolTable,
    /// There is a second symbol table.
    SecondSymbolTable(usize),
    /// The symbol table's entry size or size is wrong, it does not lie on a multiple of eight, or it has no entries or
    /// more than [`SYMBOLS_MAX`].
    SymbolTable(usize),
    /// `sh_link` of the symbol table does not name a string table that ends with a zero.
    SymbolNames(usize),
    /// Relocations without addends (SHT_REL).
    RelSection(usize),
    /// A table for dynamic linking, or one of extended section indices.
    ForeignTable(usize),
    /// The relocation section's entry size or size is wrong, or it does not lie on a multiple of eight.
    RelocationTable(usize),
    /// `sh_link` of the relocation section does not name the symbol table.
    RelocationSymbols(usize),
    /// `sh_info` of the relocation section does not name a section with contents.
    RelocationSection(usize),
}

/// `e_type` of a relocatable file.
pub(crate) const ET_REL: u16 = 1;
/// `e_type` of an executable file.
pub(crate) const ET_EXEC: u16 = 2;

pub(crate) const SHT_NULL: u32 = 0;
pub(crate) const SHT_PROGBITS: u32 = 1;
pub(crate) const SHT_SYMTAB: u32 = 2;
pub(crate) const SHT_STRTAB: u32 = 3;
pub(crate) const SHT_RELA: u32 = 4;
pub(crate) const SHT_NOBITS: u32 = 8;
pub(crate) const SHT_REL: u32 = 9;
const SHT_HASH: u32 = 5;
const SHT_DYNAMIC: u32 = 6;
const SHT_DYNSYM: u32 = 11;
const SHT_SYMTAB_SHNDX: u32 = 18;

pub(crate) const SHF_WRITE: u64 = 1 << 0;
pub(crate) const SHF_ALLOC: u64 = 1 << 1;
pub(crate) const SHF_EXECINSTR: u64 = 1 << 2;
pub(crate) const SHF_MERGE: u64 = 1 << 4;
pub(crate) const SHF_STRINGS: u64 = 1 << 5;
pub(crate) const SHF_INFO_LINK: u64 = 1 << 6;
pub(crate) const SHF_TLS: u64 = 1 << 10;
pub(crate) const SHF_GNU_RETAIN: u64 = 1 << 21;

pub(crate) const SHN_UNDEF: u16 = 0;
pub(crate) const SHN_LORESERVE: u16 = 0xff00;
pub(crate) const SHN_ABS: u16 = 0xfff1;
pub(crate) const SHN_COMMON: u16 = 0xfff2;

pub(crate) const STB_LOCAL: u8 = 0;
pub(crate) const STB_GLOBAL: u8 = 1;
pub(crate) const STB_WEAK: u8 = 2;

pub(crate) const STT_NOTYPE: u8 = 0;
pub(crate) const STT_OBJECT: u8 = 1;
pub(crate) const STT_FUNC: u8 = 2;
pub(crate) const STT_SECTION: u8 = 3;
pub(crate) const STT_FILE: u8 = 4;
pub(crate) const STT_COMMON: u8 = 5;
pub(crate) const STT_TLS: u8 = 6;

const HEADER_SIZE: usize = 64;
const SECTION_HEADER_SIZE: usize = 64;
const SEGMENT_HEADER_SIZE: usize = 56;
/// An entry of a symbol table or of a table of relocations, as it stands in the file.
pub(crate) type Words = [u64; 3];

/// A section header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SectionHeader {
    pub(crate) name: u32,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) link: u32,
    pub(crate) info: u32,
    pub(crate) align: u64,
    pub(crate) entry_size: u64,
}

/// A program header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentHeader {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_size: u64,
    pub(crate) memory_size: u64,
}

/// An entry of the symbol table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SymbolEntry {
    pub(crate) name: u32,
    pub(crate) info: u8,
    pub(crate) section: u16,
    pub(crate) value: u64,
    pub(crate) size: u64,
}

impl SymbolEntry {
    #[inline]
    fn decode(words: &Words) -> Self {
        let [first, value, size] = words.map(u64::from_le);
        let (name, rest) = halves(first);
        let [info, _other, low, high] = rest.to_le_bytes();
        Self { name, info, section: u16::from_le_bytes([low, high]), value, size }
    }

    pub(crate) const fn binding(self) -> u8 {
        self.info >> 4
    }

    pub(crate) const fn kind(self) -> u8 {
        self.info & 0xf
    }
}

/// A relocation with addend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelaEntry {
    pub(crate) offset: u64,
    pub(crate) symbol: u32,
    pub(crate) kind: u32,
    pub(crate) addend: i64,
}

impl RelaEntry {
    #[inline]
    pub(crate) fn decode(words: &Words) -> Self {
        let [offset, info, addend] = words.map(u64::from_le);
        let (kind, symbol) = halves(info);
        Self { offset, symbol, kind, addend: addend.cast_signed() }
    }
}

/// A sound container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elf<'a> {
    file: &'a [u8],
    headers: &'a [[u8; SECTION_HEADER_SIZE]],
    segments: &'a [[u8; SEGMENT_HEADER_SIZE]],
    section_names: &'a [u8],
    symbol_section: usize,
    symbols: &'a [Words],
    symbol_names: &'a [u8],
}

impl<'a> Elf<'a> {
    /// Checks the container and finds its tables.
    pub(crate) fn parse(file: &'a [u8], wanted_type: u16) -> Result<Self, ElfError> {
        if file.len() > FILE_SIZE_MAX {
            return Err(ElfError::TooLarge);
        }
        let header = Header::parse(file, wanted_type)?;
        let headers = header.sections(file)?;
        let mut elf = Self {
            file,
            headers,
            segments: header.segments(file)?,
            section_names: &[],
            symbol_section: 0,
            symbols: &[],
            symbol_names: &[],
        };
        elf.section_names = elf.strings(usize::from(header.names)).ok_or(ElfError::SectionNames)?;
        if elf.section(0).is_none_or(|null| null.kind != SHT_NULL || null.size != 0) {
            return Err(ElfError::NullSection);
        }
        for index in 1..elf.section_count() {
            elf.check_section(index)?;
        }
        elf.check_overlaps(&header)?;
        if elf.symbol_section == 0 {
            return Err(ElfError::NoSymbolTable);
        }
        for index in 1..elf.section_count() {
            elf.check_relocations(index)?;
        }
        Ok(elf)
    }

    pub(crate) const fn section_count(&self) -> usize {
        self.headers.len()
    }

    pub(crate) fn section(&self, index: usize) -> Option<SectionHeader> {
        self.headers.get(index).map(|bytes| {
            let mut fields = Fields(bytes);
            SectionHeader {
                name: fields.u32(),
                kind: fields.u32(),
                flags: fields.u64(),
                address: fields.u64(),
                offset: fields.u64(),
                size: fields.u64(),
                link: fields.u32(),
                info: fields.u32(),
                align: fields.u64(),
                entry_size: fields.u64(),
            }
        })
    }

    pub(crate) fn section_name(&self, header: SectionHeader) -> Option<&'a [u8]> {
        string(self.section_names, header.name)
    }

    /// The section's bytes in the file; none for NOBITS.
    pub(crate) fn contents(&self, header: SectionHeader) -> Option<&'a [u8]> {
        match header.kind {
            SHT_NULL | SHT_NOBITS => Some(&[]),
            _ => slice(self.file, header.offset, header.size),
        }
    }

    pub(crate) fn segments(&self) -> impl ExactSizeIterator<Item = SegmentHeader> + use<'a> {
        self.segments.iter().map(|bytes| {
            let mut fields = Fields(bytes);
            let (kind, flags, offset, address) = (fields.u32(), fields.u32(), fields.u64(), fields.u64());
            let _physical = fields.u64();
            SegmentHeader { kind, flags, offset, address, file_size: fields.u64(), memory_size: fields.u64() }
        })
    }

    /// The file's bytes of a segment.
    pub(crate) fn segment_contents(&self, segment: SegmentHeader) -> Option<&'a [u8]> {
        slice(self.file, segment.offset, segment.file_size)
    }

    pub(crate) const fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    #[inline]
    pub(crate) fn symbol(&self, index: usize) -> Option<SymbolEntry> {
        self.symbols.get(index).map(SymbolEntry::decode)
    }

    /// The symbols with their indices, without the null symbol.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = (usize, SymbolEntry)> + use<'a> {
        self.symbols.iter().enumerate().skip(1).map(|(index, words)| (index, SymbolEntry::decode(words)))
    }

    /// Whether the symbol's name is a string of the name table, which ends with a zero.
    pub(crate) fn has_name(&self, symbol: SymbolEntry) -> bool {
        usize::try_from(symbol.name).is_ok_and(|at| at < self.symbol_names.len())
    }

    /// The symbol's name, up to [`NAME_SIZE_MAX`].
    pub(crate) fn symbol_name(&self, symbol: SymbolEntry) -> Option<&'a [u8]> {
        string(self.symbol_names, symbol.name)
    }

    /// The entries of a relocation section; empty where the section is of another type.
    pub(crate) fn relocations(&self, header: SectionHeader) -> &'a [Words] {
        if header.kind != SHT_RELA {
            return &[];
        }
        table(self.contents(header).unwrap_or_default()).unwrap_or_default()
    }

    fn strings(&self, index: usize) -> Option<&'a [u8]> {
        let header = self.section(index).filter(|header| header.kind == SHT_STRTAB)?;
        self.contents(header)
    }

    fn check_section(&mut self, index: usize) -> Result<(), ElfError> {
        let header = self.section(index).ok_or(ElfError::SectionTable)?;
        self.section_name(header).ok_or(ElfError::SectionName(index))?;
        let contents = self.contents(header).ok_or(ElfError::SectionOutOfFile(index))?;
        match header.kind {
            SHT_SYMTAB if self.symbol_section != 0 => return Err(ElfError::SecondSymbolTable(index)),
            SHT_SYMTAB => {
                let symbols = table(contents).filter(|symbols| {
                    header.entry_size == 24 && !symbols.is_empty() && symbols.len() <= SYMBOLS_MAX
                });
                let symbols = symbols.ok_or(ElfError::SymbolTable(index))?;
                let names = usize::try_from(header.link).ok().and_then(|link| self.strings(link));
                let names = names.filter(|names| names.last() == Some(&0));
                self.symbol_names = names.ok_or(ElfError::SymbolNames(index))?;
                (self.symbols, self.symbol_section) = (symbols, index);
            }
            SHT_REL => return Err(ElfError::RelSection(index)),
            SHT_HASH | SHT_DYNAMIC | SHT_DYNSYM | SHT_SYMTAB_SHNDX => {
                return Err(ElfError::ForeignTable(index));
            }
            _ => {}
        }
        Ok(())
    }

    /// Relocation sections are judged when the symbol table is known: it may come after them.
    fn check_relocations(&self, index: usize) -> Result<(), ElfError> {
        let header = self.section(index).ok_or(ElfError::SectionTable)?;
        if header.kind != SHT_RELA {
            return Ok(());
        }
        if header.entry_size != 24 || self.contents(header).and_then(table).is_none() {
            return Err(ElfError::RelocationTable(index));
        }
        if usize::try_from(header.link) != Ok(self.symbol_section) {
            return Err(ElfError::RelocationSymbols(index));
        }
        let target = usize::try_from(header.info).ok().filter(|&info| info != 0 && info != index);
        target
            .and_then(|info| self.section(info))
            .filter(|target| target.kind != SHT_RELA && target.kind != SHT_NOBITS)
            .ok_or(ElfError::RelocationSection(index))?;
        Ok(())
    }

    /// No two pieces of the file share bytes: sections in the order of their places, each against the one before.
    fn check_overlaps(&self, header: &Header) -> Result<(), ElfError> {
        let size = |count: usize, entry: usize| count.saturating_mul(entry) as u64;
        let tables = [
            Range::new(0, HEADER_SIZE as u64),
            Range::new(header.section_table, size(self.headers.len(), SECTION_HEADER_SIZE)),
            Range::new(header.segment_table, size(self.segments.len(), SEGMENT_HEADER_SIZE)),
        ];
        let mut sorted = [(Range::default(), 0); SECTIONS_MAX];
        let mut count = 0_usize;
        for index in 1..self.section_count() {
            let section = self.section(index).ok_or(ElfError::SectionTable)?;
            let range = Range::new(section.offset, section.size);
            if matches!(section.kind, SHT_NOBITS | SHT_NULL) || range.is_empty() {
                continue;
            }
            if tables.iter().any(|table| table.overlaps(range)) {
                return Err(ElfError::OverlapsHeaders(index));
            }
            // What is sorted so far shares no bytes, so a range can only overlap its neighbours. Files list their
            // sections in the order of their places: nearly always this ends at once.
            let mut place = count;
            while let Some((before, _)) = place.checked_sub(1).and_then(|at| sorted.get(at))
                && before.start > range.start
            {
                place -= 1;
            }
            let (low, high) = (place.wrapping_sub(1), place);
            for (other, name) in [low, high].into_iter().filter_map(|at| sorted.get(..count)?.get(at)) {
                if other.overlaps(range) {
                    return Err(ElfError::Overlap(*name, index));
                }
            }
            let tail = sorted.get_mut(place..=count).ok_or(ElfError::SectionCount)?;
            tail.rotate_right(1);
            if let Some(first) = tail.first_mut() {
                *first = (range, index);
            }
            count += 1;
        }
        Ok(())
    }
}

/// The parts of the ELF header that say where the tables are.
struct Header {
    section_table: u64,
    section_count: u16,
    segment_table: u64,
    segment_count: u16,
    names: u16,
}

impl Header {
    fn parse(file: &[u8], wanted_type: u16) -> Result<Self, ElfError> {
        let bytes: &[u8; HEADER_SIZE] = file.first_chunk().ok_or(ElfError::Truncated)?;
        let mut fields = Fields(bytes);
        if fields.u32().to_le_bytes() != *b"\x7fELF" {
            return Err(ElfError::NotElf);
        }
        let (class, order, version, abi) = (fields.u8(), fields.u8(), fields.u8(), fields.u8());
        let _abi_version_and_padding = fields.u64();
        // 0 is System V; assemblers write 3 (GNU) where a section is marked SHF_GNU_RETAIN.
        if (class, order, version) != (2, 1, 1) || !matches!(abi, 0 | 3) {
            return Err(ElfError::Identification);
        }
        let (kind, machine, version) = (fields.u16(), fields.u16(), fields.u32());
        if machine != 183 {
            return Err(ElfError::Machine);
        }
        if kind != wanted_type {
            return Err(ElfError::Type);
        }
        let (_entry, segment_table, section_table) = (fields.u64(), fields.u64(), fields.u64());
        let (_flags, header_size) = (fields.u32(), fields.u16());
        let (segment_size, segment_count) = (fields.u16(), fields.u16());
        let (section_size, section_count, names) = (fields.u16(), fields.u16(), fields.u16());
        let segments_sound = segment_count == 0 || segment_size == 56;
        if (version, header_size, section_size) != (1, 64, 64) || !segments_sound {
            return Err(ElfError::HeaderSize);
        }
        if section_count < 2 || usize::from(section_count) > SECTIONS_MAX {
            return Err(ElfError::SectionCount);
        }
        Ok(Self { section_table, section_count, segment_table, segment_count, names })
    }

    fn sections<'a>(&self, file: &'a [u8]) -> Result<&'a [[u8; SECTION_HEADER_SIZE]], ElfError> {
        let size = u64::from(self.section_count) * SECTION_HEADER_SIZE as u64;
        let bytes = slice(file, self.section_table, size).ok_or(ElfError::SectionTable)?;
        Ok(bytes.as_chunks().0)
    }

    fn segments<'a>(&self, file: &'a [u8]) -> Result<&'a [[u8; SEGMENT_HEADER_SIZE]], ElfError> {
        let size = u64::from(self.segment_count) * SEGMENT_HEADER_SIZE as u64;
        let start = if size == 0 { 0 } else { self.segment_table };
        let bytes = slice(file, start, size).ok_or(ElfError::SegmentTable)?;
        Ok(bytes.as_chunks().0)
    }
}

/// Bytes of the file from `start` to `end`.
#[derive(Clone, Copy, Default)]
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    const fn new(start: u64, size: u64) -> Self {
        Self { start, end: start.saturating_add(size) }
    }

    const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Empty ranges overlap nothing.
    const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end && !self.is_empty() && !other.is_empty()
    }
}

/// Takes little-endian fields one after another from an entry of fixed size.
///
/// The entries are arrays, so a read behind the end does not occur; it would give zero.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn array<const SIZE: usize>(&mut self) -> [u8; SIZE] {
        match self.0.split_first_chunk() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; SIZE],
        }
    }

    pub(crate) fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

/// The entries of a table that lies on a multiple of eight.
///
/// The target checks alignment, so that fields of entries that could lie anywhere would be read byte by byte.
fn table(bytes: &[u8]) -> Option<&[Words]> {
    <[Words]>::ref_from_bytes(bytes).ok()
}

/// The low and the high half of a word.
#[inline]
const fn halves(word: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

fn slice(file: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    file.get(start..end)
}

/// The zero-terminated string at an offset of a string table, up to [`NAME_SIZE_MAX`].
///
/// Without the bound, thousands of symbols could share one name of megabytes, and reading them would take hours.
fn string(table: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = table.get(usize::try_from(offset).ok()?..)?;
    let size = rest.iter().take(NAME_SIZE_MAX + 1).position(|&byte| byte == 0)?;
    rest.get(..size)
}
