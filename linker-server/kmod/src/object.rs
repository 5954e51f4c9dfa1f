//! A module as its reader sees it: sections, aliases, imports and relocations, borrowed from the file.

use aarch64_reloc::RelocKind;
use core::mem::offset_of;

use crate::check::{self, ParseError};
use crate::elf::{Elf, Fields, RELA_SIZE, RelaEntry, SHN_UNDEF, STT_FUNC, SymbolEntry};
use crate::records::{
    ALIAS_EXPORT, ALIAS_MAY_BLOCK, ALIAS_REFINE, ALIAS_SIZE, ALIAS_STRONG, ALIAS_WEAK, AliasRecord,
    CLASS_BUS, CLASS_DRIVER, CLASS_MISC, IMPORT_SIZE, ImportRecord, MODULE_FIXUP_POLICY, SUPER_PREFIX,
    SYMBOL_NAME_SIZE, command_bit, fnv1a, unpadded,
};

/// The sections of a module that mean something to the linker; each occurs at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SectionKind {
    /// `.text`: mapped read-execute.
    Text,
    /// `.rodata`: mapped read-only, execute-never.
    Rodata,
    /// `.data`: mapped read-write, execute-never.
    Data,
    /// `.bss`: as `.data`, zeros, no bytes in the file.
    Bss,
    /// `.defmt`: not mapped; has an index base as its address.
    Defmt,
    /// `.eh_frame`: not mapped; the linker reads it.
    EhFrame,
}

impl SectionKind {
    /// Every kind, in the order of [`SectionKind::index`].
    pub const ALL: [Self; 6] = [Self::Text, Self::Rodata, Self::Data, Self::Bss, Self::Defmt, Self::EhFrame];

    /// How many kinds there are: the size of a table by kind.
    pub const COUNT: usize = Self::ALL.len();

    /// The place of this kind in a table by kind.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Text => 0,
            Self::Rodata => 1,
            Self::Data => 2,
            Self::Bss => 3,
            Self::Defmt => 4,
            Self::EhFrame => 5,
        }
    }

    /// The section's name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => ".text",
            Self::Rodata => ".rodata",
            Self::Data => ".data",
            Self::Bss => ".bss",
            Self::Defmt => ".defmt",
            Self::EhFrame => ".eh_frame",
        }
    }

    /// Whether the section takes memory in the link domain.
    #[must_use]
    pub const fn is_mapped(self) -> bool {
        matches!(self, Self::Text | Self::Rodata | Self::Data | Self::Bss)
    }
}

/// A section of a module.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// Which one.
    pub kind: SectionKind,
    /// Its bytes in the file, before relocation; empty for `.bss`.
    pub bytes: &'a [u8],
    /// Its size in memory.
    pub size: u64,
    /// Its alignment: a power of two up to [`crate::ALIGNMENT_MAX`].
    pub align: u64,
}

/// What an alias is to its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AliasKind {
    /// The default: introduces the symbol, slot 0.
    Weak,
    /// Full replacement of a stub: slot 1.
    Strong,
    /// A layer over what it overrides.
    Refine,
    /// Offered by name, bound once, never overridden.
    Export,
}

impl AliasKind {
    /// Reads the field of a record.
    #[must_use]
    pub const fn from_record(kind: u8) -> Option<Self> {
        Some(match kind {
            ALIAS_WEAK => Self::Weak,
            ALIAS_STRONG => Self::Strong,
            ALIAS_REFINE => Self::Refine,
            ALIAS_EXPORT => Self::Export,
            _ => return None,
        })
    }
}

/// An alias record, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias<'a> {
    /// The symbol that this answers for.
    pub name: &'a str,
    /// FNV-1a of the name.
    pub name_hash: u64,
    /// What it is to the symbol.
    pub kind: AliasKind,
    /// A call of the symbol may block.
    pub may_block: bool,
    /// Identifies the signature.
    pub fingerprint: u64,
    /// Returned by a call that faulted inside.
    pub fault_value: u64,
    /// The function: in a module its offset in `.text`, in a base image its address.
    pub implementation: u64,
}

/// An import record, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import<'a> {
    /// The symbol that the module uses.
    pub name: &'a str,
    /// FNV-1a of the name.
    pub name_hash: u64,
    /// Identifies the signature that the module calls with.
    pub fingerprint: u64,
}

/// What kind of module this is, for `modstat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModuleClass {
    /// Neither of the others.
    Misc,
    /// A layer of `bus_space`.
    Bus,
    /// A driver.
    Driver,
}

impl ModuleClass {
    /// Reads the field of a record.
    #[must_use]
    pub const fn from_record(class: u8) -> Option<Self> {
        Some(match class {
            CLASS_MISC => Self::Misc,
            CLASS_BUS => Self::Bus,
            CLASS_DRIVER => Self::Driver,
            _ => return None,
        })
    }
}

/// The module's own record, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info<'a> {
    /// The module's name.
    pub name: &'a str,
    /// Its class.
    pub class: ModuleClass,
    /// Bits `records::MODULE_FIXUP_POLICY`.
    pub flags: u8,
    /// How many shared pages it wants.
    pub shared_pages: u16,
    /// Its own version.
    pub version: u32,
    /// Which commands it implements, one bit each.
    pub commands: u32,
    /// Offset of its command entry in `.text`.
    pub entry: u64,
    /// Identifies the build.
    pub build_id: u64,
}

impl Info<'_> {
    /// Whether the module implements a command (`records::COMMAND_*`).
    #[must_use]
    pub const fn implements(&self, command: u32) -> bool {
        command < 32 && self.commands & command_bit(command) != 0
    }

    /// Whether bus errors are resumed at their fix-up while this module is live.
    #[must_use]
    pub const fn has_fixup_policy(&self) -> bool {
        self.flags & MODULE_FIXUP_POLICY != 0
    }
}

/// What a relocation refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A place in one of the module's own sections: the section and the offset, addend included. The offset may
    /// equal the section's size, no more.
    Section(SectionKind, u64),
    /// `super_X`: the alias below the refine alias with this index. The addend is 0.
    Super(usize),
    /// The symbol of the import with this index. The addend is 0.
    Import(usize),
}

/// A relocation of one section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Where in the section.
    pub offset: u64,
    /// How.
    pub kind: RelocKind,
    /// What.
    pub target: Target,
}

/// A section header's worth of what the reader needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loaded<'a> {
    /// Section index in the file; 0 where the module has no such section.
    pub(crate) index: usize,
    pub(crate) bytes: &'a [u8],
    pub(crate) size: u64,
    pub(crate) align: u64,
    pub(crate) relocations: &'a [[u8; RELA_SIZE]],
}

/// Why a symbol plus addend is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetFault {
    /// There is no such symbol.
    Symbol,
    /// It lies in no section that has an address.
    NotLoaded,
    /// It lies outside its section.
    OutOfSection,
    /// It is defined elsewhere, and there is no record.
    Undefined,
    /// It is defined elsewhere, and the addend is not zero.
    Addend,
}

/// A module image that obeys every rule of the format.
///
/// Holding one proves it for exactly these bytes: whoever keeps the object keeps the bytes from changing.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    pub(crate) elf: Elf<'a>,
    pub(crate) loaded: [Loaded<'a>; SectionKind::COUNT],
    pub(crate) aliases: &'a [[u8; ALIAS_SIZE]],
    pub(crate) alias_relocations: &'a [[u8; RELA_SIZE]],
    pub(crate) imports: &'a [[u8; IMPORT_SIZE]],
    pub(crate) info: Info<'a>,
}

/// `Object::parse` has refused every file in which a lookup could fail.
const CHECKED: &str = "parse has checked every record and relocation";

impl<'a> Object<'a> {
    /// Checks a module image.
    ///
    /// # Errors
    /// [`ParseError`]: the first rule that does not hold, and where.
    pub fn parse(file: &'a [u8]) -> Result<Self, ParseError> {
        check::parse(file)
    }

    /// The module's own record.
    #[must_use]
    pub const fn info(&self) -> Info<'a> {
        self.info
    }

    /// A section, or `None` where the module has none of this kind.
    #[must_use]
    pub fn section(&self, kind: SectionKind) -> Option<Section<'a>> {
        let Loaded { index, bytes, size, align, .. } = self.loaded(kind);
        if index == 0 { None } else { Some(Section { kind, bytes, size, align }) }
    }

    /// The module's sections, in the order of [`SectionKind::ALL`].
    pub fn sections(&self) -> impl Iterator<Item = Section<'a>> {
        SectionKind::ALL.into_iter().filter_map(|kind| self.section(kind))
    }

    /// How many alias records there are.
    #[must_use]
    pub const fn alias_count(&self) -> usize {
        self.aliases.len()
    }

    /// The alias record with this index.
    #[must_use]
    pub fn alias(&self, index: usize) -> Option<Alias<'a>> {
        let bytes = self.aliases.get(index)?;
        Some(self.read_alias(index, bytes).expect(CHECKED))
    }

    /// The alias records, in the order of the file.
    pub fn aliases(&self) -> impl ExactSizeIterator<Item = Alias<'a>> {
        (0..self.aliases.len()).map(|index| self.alias(index).expect(CHECKED))
    }

    /// How many import records there are.
    #[must_use]
    pub const fn import_count(&self) -> usize {
        self.imports.len()
    }

    /// The import record with this index.
    #[must_use]
    pub fn import(&self, index: usize) -> Option<Import<'a>> {
        let bytes = self.imports.get(index)?;
        Some(read_import(index, bytes).expect(CHECKED))
    }

    /// The import records, in the order of the file.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = Import<'a>> {
        (0..self.imports.len()).map(|index| self.import(index).expect(CHECKED))
    }

    /// How many relocations a section has.
    #[must_use]
    pub fn relocation_count(&self, kind: SectionKind) -> usize {
        self.loaded(kind).relocations.len()
    }

    /// The relocations of a section, by ascending offset; their fields do not overlap.
    pub fn relocations(&self, kind: SectionKind) -> impl ExactSizeIterator<Item = Relocation> {
        self.loaded(kind).relocations.iter().map(|bytes| {
            let entry = RelaEntry::decode(bytes);
            Relocation {
                offset: entry.offset,
                kind: RelocKind::from_elf(entry.kind).expect(CHECKED),
                target: self.target(entry).expect(CHECKED),
            }
        })
    }

    /// The function that holds an offset of `.text`, and how far into it the offset lies, where the symbol table
    /// still has it. For people; the linker decides nothing by it.
    #[must_use]
    pub fn function_at(&self, text_offset: u64) -> Option<(&'a str, u64)> {
        let text = self.loaded(SectionKind::Text).index;
        (1..self.elf.symbol_count()).filter_map(|index| self.elf.symbol(index)).find_map(|symbol| {
            let into = text_offset.checked_sub(symbol.value)?;
            let holds =
                symbol.kind() == STT_FUNC && usize::from(symbol.section) == text && into < symbol.size;
            let name = self.elf.symbol_name(symbol).filter(|_| holds)?;
            Some((core::str::from_utf8(name).ok()?, into))
        })
    }

    pub(crate) fn loaded(&self, kind: SectionKind) -> Loaded<'a> {
        self.loaded.get(kind.index()).copied().unwrap_or_default()
    }

    /// The kind of the section with this index in the file, where it is one that has an address.
    pub(crate) fn kind_of(&self, section: u16) -> Option<SectionKind> {
        let index = usize::from(section);
        SectionKind::ALL.into_iter().find(|&kind| index != 0 && self.loaded(kind).index == index)
    }

    /// What a relocation entry refers to.
    pub(crate) fn target(&self, entry: RelaEntry) -> Result<Target, TargetFault> {
        let index = usize::try_from(entry.symbol).map_err(|_| TargetFault::Symbol)?;
        let symbol = self.elf.symbol(index).filter(|_| index != 0).ok_or(TargetFault::Symbol)?;
        if symbol.section != SHN_UNDEF {
            let kind = self
                .kind_of(symbol.section)
                .filter(|kind| *kind != SectionKind::EhFrame)
                .ok_or(TargetFault::NotLoaded)?;
            let offset = symbol
                .value
                .checked_add_signed(entry.addend)
                .filter(|&offset| offset <= self.loaded(kind).size)
                .ok_or(TargetFault::OutOfSection)?;
            return Ok(Target::Section(kind, offset));
        }
        let target = self.undefined(symbol).ok_or(TargetFault::Undefined)?;
        if entry.addend == 0 { Ok(target) } else { Err(TargetFault::Addend) }
    }

    /// Which record an undefined symbol stands for.
    pub(crate) fn undefined(&self, symbol: SymbolEntry) -> Option<Target> {
        // Longer names cannot be those of records, and are not worth hashing.
        let name =
            self.elf.symbol_name(symbol).filter(|name| name.len() < SYMBOL_NAME_SIZE + SUPER_PREFIX.len())?;
        if let Some(below) = name.strip_prefix(SUPER_PREFIX.as_bytes()) {
            let hash = fnv1a(below);
            let refined = |bytes: &[u8; ALIAS_SIZE]| {
                let held = word(bytes, offset_of!(AliasRecord, name_hash));
                let record = (held == hash).then(|| decode_alias(bytes));
                record.is_some_and(|record| record.kind == ALIAS_REFINE && is_named(&record.name, below))
            };
            return self.aliases.iter().position(refined).map(Target::Super);
        }
        let hash = fnv1a(name);
        let imported = |bytes: &[u8; IMPORT_SIZE]| {
            let held = word(bytes, offset_of!(ImportRecord, name_hash));
            held == hash && is_named(&decode_import(bytes).name, name)
        };
        self.imports.iter().position(imported).map(Target::Import)
    }

    /// Reads an alias record and the relocation that says where its function is.
    pub(crate) fn read_alias(
        &self,
        index: usize,
        bytes: &'a [u8; ALIAS_SIZE],
    ) -> Result<Alias<'a>, ParseError> {
        let record = decode_alias(bytes);
        let kind = AliasKind::from_record(record.kind).ok_or(ParseError::AliasKind(index))?;
        if record.flags & !ALIAS_MAY_BLOCK != 0 {
            return Err(ParseError::AliasFlags(index));
        }
        if record.reserved != 0 || record.position != 0 {
            return Err(ParseError::AliasReserved(index));
        }
        let name = bytes
            .last_chunk::<SYMBOL_NAME_SIZE>()
            .and_then(|field| unpadded(field))
            .filter(|name| !name.starts_with(SUPER_PREFIX))
            .ok_or(ParseError::AliasName(index))?;
        if fnv1a(name.as_bytes()) != record.name_hash {
            return Err(ParseError::AliasHash(index));
        }
        let at = (index * ALIAS_SIZE + offset_of!(AliasRecord, implementation)) as u64;
        let implementation = self
            .function_pointer(self.alias_relocations, index, at)
            .ok_or(ParseError::AliasImplementation(index))?;
        Ok(Alias {
            name,
            name_hash: record.name_hash,
            kind,
            may_block: record.flags & ALIAS_MAY_BLOCK != 0,
            fingerprint: record.fingerprint,
            fault_value: record.fault_value,
            implementation,
        })
    }

    /// The offset in `.text` that the ABS64 relocation at offset `at` of a record section refers to.
    ///
    /// Linkers write the relocations in the order of the records, so `guess` is nearly always its index.
    pub(crate) fn function_pointer(
        &self,
        relocations: &[[u8; RELA_SIZE]],
        guess: usize,
        at: u64,
    ) -> Option<u64> {
        let is_it = |entry: &RelaEntry| entry.offset == at;
        let guessed = relocations.get(guess).map(RelaEntry::decode).filter(is_it);
        let entry = guessed.or_else(|| relocations.iter().map(RelaEntry::decode).find(is_it))?;
        if RelocKind::from_elf(entry.kind) != Some(RelocKind::Abs64) {
            return None;
        }
        match self.target(entry) {
            Ok(Target::Section(SectionKind::Text, offset)) => {
                let inside = offset < self.loaded(SectionKind::Text).size && offset.is_multiple_of(4);
                inside.then_some(offset)
            }
            _ => None,
        }
    }
}

/// Reads an import record.
pub(crate) fn read_import(index: usize, bytes: &[u8; IMPORT_SIZE]) -> Result<Import<'_>, ParseError> {
    let record = decode_import(bytes);
    let name = bytes
        .last_chunk::<SYMBOL_NAME_SIZE>()
        .and_then(|field| unpadded(field))
        .filter(|name| !name.starts_with(SUPER_PREFIX))
        .ok_or(ParseError::ImportName(index))?;
    if fnv1a(name.as_bytes()) != record.name_hash {
        return Err(ParseError::ImportHash(index));
    }
    Ok(Import { name, name_hash: record.name_hash, fingerprint: record.fingerprint })
}

/// The record that stands in these bytes; no rule is checked.
pub(crate) fn decode_alias(bytes: &[u8; ALIAS_SIZE]) -> AliasRecord {
    let mut fields = Fields(bytes);
    AliasRecord {
        kind: fields.u8(),
        flags: fields.u8(),
        reserved: fields.u16(),
        position: fields.u32(),
        name_hash: fields.u64(),
        fingerprint: fields.u64(),
        fault_value: fields.u64(),
        implementation: fields.u64(),
        name: fields.array(),
    }
}

fn decode_import(bytes: &[u8; IMPORT_SIZE]) -> ImportRecord {
    let mut fields = Fields(bytes);
    ImportRecord { name_hash: fields.u64(), fingerprint: fields.u64(), name: fields.array() }
}

/// The 64 bits at an offset of a record. Lists of records are searched by hash, many times: this reads nothing else.
pub(crate) fn word(record: &[u8], at: usize) -> u64 {
    record.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |field| u64::from_le_bytes(*field))
}

/// Whether a name field holds this name.
fn is_named(field: &[u8], name: &[u8]) -> bool {
    unpadded(field).is_some_and(|held| held.as_bytes() == name)
}
