//! A module as its reader sees it: sections, aliases, imports and relocations, borrowed from the file.

use aarch64_reloc::RelocKind;
use core::mem::offset_of;

use crate::SECTIONS_MAX;
use crate::check;
use crate::elf::{Elf, Fields, RelaEntry, STT_FUNC, Words};
use crate::error::ParseError;
use crate::records::{
    ALIAS_EXPORT, ALIAS_MAY_BLOCK, ALIAS_REFINE, ALIAS_SIZE, ALIAS_STRONG, ALIAS_WEAK, AliasRecord,
    CLASS_BUS, CLASS_DRIVER, CLASS_MISC, IMPORT_SIZE, ImportRecord, MODULE_FIXUP_POLICY, SUPER_PREFIX,
    SYMBOL_NAME_SIZE, command_bit, fnv1a, unpadded,
};
use crate::relocations::Target;
use crate::symbols::Undefined;

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

/// A section header's worth of what the reader needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loaded<'a> {
    /// Section index in the file; 0 where the module has no such section.
    pub(crate) index: usize,
    pub(crate) bytes: &'a [u8],
    pub(crate) size: u64,
    pub(crate) align: u64,
    pub(crate) relocations: &'a [Words],
}

/// What a symbol or a relocation asks of the section with some index in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    /// One more than the greatest offset that a relocation may refer to; 0 where it may refer to none.
    pub(crate) end: u32,
    /// The kind, where the section is one that is loaded.
    pub(crate) kind: SectionKind,
}

impl Home {
    /// A section that is not loaded.
    pub(crate) const NONE: Self = Self { end: 0, kind: SectionKind::Text };

    /// A section that is. Nothing refers to unwind tables.
    pub(crate) fn of(kind: SectionKind, size: u64) -> Self {
        let end = if kind == SectionKind::EhFrame { 0 } else { size + 1 };
        // The parser bounds sections.
        Self { end: u32::try_from(end).unwrap_or(0), kind }
    }
}

const _: () = assert!(crate::SECTION_SIZE_MAX < u32::MAX as u64);

/// A module image that obeys every rule of the format.
///
/// Holding one proves it for exactly these bytes: whoever keeps the object keeps the bytes from changing.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    pub(crate) elf: Elf<'a>,
    pub(crate) loaded: [Loaded<'a>; SectionKind::COUNT],
    /// By index in the file.
    pub(crate) homes: [Home; SECTIONS_MAX],
    pub(crate) aliases: &'a [[u8; ALIAS_SIZE]],
    pub(crate) alias_relocations: &'a [Words],
    pub(crate) imports: &'a [[u8; IMPORT_SIZE]],
    pub(crate) undefined: Undefined,
    pub(crate) info: Info<'a>,
}

/// `Object::open` has refused every file in which a lookup could fail.
const CHECKED: &str = "opening an image has checked every record";

impl<'a> Object<'a> {
    /// Checks a module image: every rule but those about relocations, which are checked as they are read
    /// ([`Object::relocations`]). For the linker, which reads each relocation once and applies it then.
    ///
    /// # Errors
    /// [`ParseError`]: the first rule that does not hold, and where.
    pub fn open(file: &'a [u8]) -> Result<Self, ParseError> {
        check::open(file)
    }

    /// Checks a module image: every rule.
    ///
    /// # Errors
    /// [`ParseError`]: the first rule that does not hold, and where.
    pub fn parse(file: &'a [u8]) -> Result<Self, ParseError> {
        let object = Self::open(file)?;
        for section in SectionKind::ALL {
            object.try_each_relocation(section, |_| Ok::<_, ParseError>(()))?;
        }
        Ok(object)
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

    /// The functions whose names the symbol table still has: where each begins in `.text`, and its name. For people;
    /// the linker decides nothing by them.
    pub fn functions(&self) -> impl Iterator<Item = (u64, &'a str)> {
        let text = self.loaded(SectionKind::Text).index;
        let functions = self
            .elf
            .symbols()
            .map(|(_, symbol)| symbol)
            .filter(move |symbol| symbol.kind() == STT_FUNC && usize::from(symbol.section) == text);
        functions.filter_map(|symbol| {
            Some((symbol.value, core::str::from_utf8(self.elf.symbol_name(symbol)?).ok()?))
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

    pub(crate) fn size_of(&self, kind: SectionKind) -> u64 {
        self.loaded.get(kind.index()).map_or(0, |loaded| loaded.size)
    }

    /// The kind of the section with this index in the file, where it is one that has an address.
    pub(crate) fn kind_of(&self, section: u16) -> Option<SectionKind> {
        let section = usize::from(section);
        let kind = self.homes.get(section)?.kind;
        (section != 0 && self.loaded(kind).index == section).then_some(kind)
    }

    /// Whether the alias record with this index has this name.
    pub(crate) fn is_alias_of(&self, index: usize, name: &[u8]) -> bool {
        self.aliases.get(index).is_some_and(|record| is_named(record.last_chunk::<SYMBOL_NAME_SIZE>(), name))
    }

    /// Whether the import record with this index has this name.
    pub(crate) fn is_import_of(&self, index: usize, name: &[u8]) -> bool {
        self.imports.get(index).is_some_and(|record| is_named(record.last_chunk::<SYMBOL_NAME_SIZE>(), name))
    }

    /// The kind in the alias record with this index.
    pub(crate) fn alias_kind(&self, index: usize) -> Option<AliasKind> {
        self.aliases.get(index).and_then(|record| AliasKind::from_record(*record.first()?))
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
    pub(crate) fn function_pointer(&self, relocations: &[Words], guess: usize, at: u64) -> Option<u64> {
        let is_it = |entry: &RelaEntry| entry.offset == at;
        let guessed = relocations.get(guess).map(RelaEntry::decode).filter(is_it);
        let entry = guessed.or_else(|| relocations.iter().map(RelaEntry::decode).find(is_it))?;
        if RelocKind::from_elf(entry.kind) != Some(RelocKind::Abs64) {
            return None;
        }
        // Where the error would say it is does not matter: the caller has one of its own.
        match self.target::<ParseError>(SectionKind::Text, guess, entry) {
            Ok(Target::Section(SectionKind::Text, offset)) => {
                let inside = offset < self.size_of(SectionKind::Text) && offset.is_multiple_of(4);
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

/// Whether a name field, which was checked, holds this name.
fn is_named(field: Option<&[u8; SYMBOL_NAME_SIZE]>, name: &[u8]) -> bool {
    field.is_some_and(|field| field.starts_with(name) && field.get(name.len()) == Some(&0))
}
