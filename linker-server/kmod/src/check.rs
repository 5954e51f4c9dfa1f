//! The rules of the module format, one error each, in the order in which they are checked.
//!
//! Container first (`elf`), then sections, then records (so that names are known), then symbols, then relocations.
//! Each step relies on the ones before it.

use aarch64_reloc::RelocKind;
use core::mem::offset_of;

use crate::elf::{
    ET_REL, Elf, ElfError, Fields, RelaEntry, SHF_ALLOC, SHF_EXECINSTR, SHF_GNU_RETAIN, SHF_INFO_LINK,
    SHF_MERGE, SHF_STRINGS, SHF_TLS, SHF_WRITE, SHN_ABS, SHN_COMMON, SHN_LORESERVE, SHN_UNDEF, SHT_NOBITS,
    SHT_PROGBITS, SHT_RELA, STB_GLOBAL, STB_LOCAL, STB_WEAK, STT_COMMON, STT_FILE, STT_FUNC, STT_NOTYPE,
    STT_OBJECT, STT_SECTION, STT_TLS, SectionHeader, SymbolEntry,
};
use crate::object::{
    Info, Loaded, ModuleClass, Object, SectionKind, Target, TargetFault, decode_alias, read_import,
};
use crate::records::{
    ALIAS_SECTION, ALIAS_SIZE, ALIAS_WEAK, API_VERSION, COMMAND_CATCH, COMMAND_UNCATCH, COMMANDS_ALL,
    COMMANDS_MANDATORY, FORMAT_VERSION, IMPORT_SECTION, IMPORT_SIZE, INFO_SECTION, INFO_SIZE,
    MODULE_FIXUP_POLICY, MODULE_MAGIC, MODULE_NAME_SIZE, ModuleInfo, SUPER_PREFIX, command_bit, unpadded,
};
use crate::{ALIASES_MAX, ALIGNMENT_MAX, IMPORTS_MAX, RELOCATIONS_MAX, SECTION_SIZE_MAX, SHARED_PAGES_MAX};

/// A file is no module image. The rule that does not hold, and where: the index of a section, symbol or record in
/// its table, or the section and the index of a relocation in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// The file is no sound ELF container.
    Elf(ElfError),
    /// The file has program headers: it is no product of `ld -r`.
    Segments,

    /// A section with an address has a name that the format does not know.
    UnknownSection(usize),
    /// A second section of this name.
    DuplicateSection(usize),
    /// Type or flags do not go with the section's name.
    SectionFlags(usize),
    /// The section has an address of its own.
    SectionAddress(usize),
    /// The alignment is no power of two or above [`ALIGNMENT_MAX`].
    SectionAlignment(usize),
    /// The section is larger than [`SECTION_SIZE_MAX`], or `.text` is no multiple of four.
    SectionSize(usize),
    /// Thread-local storage.
    ThreadLocalSection(usize),
    /// A second table of relocations for one section.
    DuplicateRelocations(usize),
    /// Relocations of a section that takes none: imports, log strings.
    UnwantedRelocations(usize),
    /// More than [`RELOCATIONS_MAX`] relocations in one table.
    TooManyRelocations(usize),

    /// A record section whose size is no multiple of its record.
    RecordSize(usize),
    /// More than [`ALIASES_MAX`] alias records.
    TooManyAliases,
    /// More than [`IMPORTS_MAX`] import records.
    TooManyImports,
    /// The alias is of no known kind.
    AliasKind(usize),
    /// The alias has flags that this version does not know.
    AliasFlags(usize),
    /// A reserved field of the alias, or its position, is not zero.
    AliasReserved(usize),
    /// The alias's name is empty, not padded with zeros, not printable ASCII, or begins with `super_`.
    AliasName(usize),
    /// The alias's hash is not the hash of its name.
    AliasHash(usize),
    /// The alias's function pointer has no ABS64 relocation to an instruction of the module's `.text`.
    AliasImplementation(usize),
    /// A second alias of this name.
    DuplicateAlias(usize),
    /// The alias section has relocations other than one for each function pointer.
    AliasRelocations,
    /// The import's name: as for aliases.
    ImportName(usize),
    /// The import's hash is not the hash of its name.
    ImportHash(usize),
    /// A second import of this name.
    DuplicateImport(usize),
    /// There is no `.modlink.info`, or it does not hold exactly one record.
    Info,
    /// The info record does not begin with the module magic number.
    InfoMagic,
    /// The info record is of another format version.
    InfoFormat(u16),
    /// The module was built for another version of the interface.
    InfoApi(u16),
    /// The module is of no known class.
    InfoClass(u8),
    /// The module has flags that this version does not know.
    InfoFlags(u8),
    /// The module wants more than [`SHARED_PAGES_MAX`] shared pages.
    InfoSharedPages(u16),
    /// Unknown command bits; or INIT or FINI is missing; or one of CATCH and UNCATCH is missing.
    InfoCommands(u32),
    /// The entry has no ABS64 relocation to an instruction of the module's `.text`, or there are other relocations.
    InfoEntry,
    /// A reserved field of the info record is not zero.
    InfoReserved,
    /// The module's name is empty, not padded with zeros or not printable ASCII.
    InfoName,

    /// The symbol's name is not a zero-terminated string of the name table, or longer than
    /// [`crate::NAME_SIZE_MAX`].
    SymbolName(usize),
    /// The symbol is of a binding or type that modules do not use.
    SymbolKind(usize),
    /// The symbol's section does not exist.
    SymbolSection(usize),
    /// The symbol lies behind the end of its section.
    SymbolOutOfSection(usize),
    /// A common symbol: its section would be a guess.
    CommonSymbol(usize),
    /// Thread-local storage.
    ThreadLocalSymbol(usize),
    /// A weak symbol without a record of its name: what it means is never guessed.
    WeakSymbol(usize),
    /// `super_X` where the module has no refine record for X.
    SuperWithoutRefine(usize),
    /// An undefined symbol without an import record.
    Undefined(usize),

    /// The relocation is of a type that the linker does not apply.
    RelocationType(SectionKind, usize),
    /// Relocations are not ascending, or their fields overlap.
    RelocationOrder(SectionKind, usize),
    /// The field does not lie in the section.
    RelocationOutOfSection(SectionKind, usize),
    /// A relocation of an instruction outside `.text`.
    InstructionOutsideText(SectionKind, usize),
    /// A relocation of an instruction at no multiple of four.
    InstructionMisaligned(SectionKind, usize),
    /// The word is not an instruction of the class that the relocation names.
    WrongInstruction(SectionKind, usize),
    /// The symbol index is zero or beyond the table.
    RelocationSymbol(SectionKind, usize),
    /// The symbol lies in no section that has an address.
    RelocationNotLoaded(SectionKind, usize),
    /// Symbol plus addend lies outside the symbol's section.
    TargetOutOfSection(SectionKind, usize),
    /// An addend on a symbol that is defined elsewhere.
    RelocationAddend(SectionKind, usize),
    /// A branch to something that is no instruction, or a conditional branch out of the module.
    BranchTarget(SectionKind, usize),
    /// A symbol that is defined elsewhere is read as data.
    ImportAsData(SectionKind, usize),
}

impl From<ElfError> for ParseError {
    fn from(error: ElfError) -> Self {
        Self::Elf(error)
    }
}

/// Checks every rule.
pub(crate) fn parse(file: &[u8]) -> Result<Object<'_>, ParseError> {
    let elf = Elf::parse(file, ET_REL)?;
    if elf.segments().len() != 0 {
        return Err(ParseError::Segments);
    }
    let sections = Sections::collect(&elf)?;
    let mut object = sections.object(elf)?;
    check_aliases(&object)?;
    check_imports(&object)?;
    object.info = read_info(&object, &sections.info)?;
    check_symbols(&object)?;
    for kind in SectionKind::ALL {
        check_relocations(&object, kind)?;
    }
    Ok(object)
}

/// A section that the format knows by name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Loaded(SectionKind),
    Aliases,
    Imports,
    Info,
}

impl Known {
    fn named(name: &[u8]) -> Option<Self> {
        let loaded = SectionKind::ALL.into_iter().find(|kind| kind.name().as_bytes() == name);
        let records =
            [(ALIAS_SECTION, Self::Aliases), (IMPORT_SECTION, Self::Imports), (INFO_SECTION, Self::Info)];
        let record =
            || records.into_iter().find(|(record, _)| record.as_bytes() == name).map(|(_, known)| known);
        loaded.map(Self::Loaded).or_else(record)
    }

    /// Whether the header's type and flags are those of a section of this name.
    const fn accepts(self, header: SectionHeader) -> bool {
        let permissions = header.flags & (SHF_WRITE | SHF_ALLOC | SHF_EXECINSTR);
        let others = header.flags & !(SHF_WRITE | SHF_ALLOC | SHF_EXECINSTR);
        // Merging is done, and what was to be retained is here: these say nothing to a loader.
        if others & !(SHF_MERGE | SHF_STRINGS | SHF_GNU_RETAIN | SHF_INFO_LINK) != 0 {
            return false;
        }
        let bits = header.kind == SHT_PROGBITS;
        match self {
            Self::Loaded(SectionKind::Text) => bits && permissions == SHF_ALLOC | SHF_EXECINSTR,
            Self::Loaded(SectionKind::Rodata | SectionKind::EhFrame) => bits && permissions == SHF_ALLOC,
            Self::Loaded(SectionKind::Data) => bits && permissions == SHF_ALLOC | SHF_WRITE,
            Self::Loaded(SectionKind::Bss) => {
                header.kind == SHT_NOBITS && permissions == SHF_ALLOC | SHF_WRITE
            }
            // Not mapped: whether the compiler thought them writable does not matter.
            Self::Loaded(SectionKind::Defmt) | Self::Aliases | Self::Imports | Self::Info => {
                bits && permissions & SHF_EXECINSTR == 0
            }
        }
    }
}

/// The sections that the format knows, found.
#[derive(Default)]
struct Sections<'a> {
    loaded: [Loaded<'a>; SectionKind::COUNT],
    aliases: Loaded<'a>,
    imports: Loaded<'a>,
    info: Loaded<'a>,
}

impl<'a> Sections<'a> {
    fn collect(elf: &Elf<'a>) -> Result<Self, ParseError> {
        let mut sections = Self::default();
        for index in 1..elf.section_count() {
            let header = elf.section(index).ok_or(ElfError::SectionTable)?;
            if header.flags & SHF_TLS != 0 {
                return Err(ParseError::ThreadLocalSection(index));
            }
            let name = elf.section_name(header).ok_or(ElfError::SectionName(index))?;
            match Known::named(name) {
                Some(known) => sections.add(elf, index, header, known)?,
                None if header.flags & SHF_ALLOC != 0 => return Err(ParseError::UnknownSection(index)),
                // Only tables of relocations say that their `info` is a section. One whose type is damaged must not be
                // passed over: the section that it belongs to would be loaded without its relocations.
                None if header.flags & SHF_INFO_LINK != 0 && header.kind != SHT_RELA => {
                    return Err(ParseError::SectionFlags(index));
                }
                // Debug data, notes, tables: they take no memory.
                None => {}
            }
        }
        for index in 1..elf.section_count() {
            let header = elf.section(index).ok_or(ElfError::SectionTable)?;
            if header.kind == SHT_RELA {
                sections.add_relocations(elf, index, header)?;
            }
        }
        Ok(sections)
    }

    fn add(
        &mut self,
        elf: &Elf<'a>,
        index: usize,
        header: SectionHeader,
        known: Known,
    ) -> Result<(), ParseError> {
        if !known.accepts(header) {
            return Err(ParseError::SectionFlags(index));
        }
        if header.address != 0 {
            return Err(ParseError::SectionAddress(index));
        }
        // gABI: 0 and 1 both say that there is no constraint.
        let align = header.align.max(1);
        if !align.is_power_of_two() || align > ALIGNMENT_MAX {
            return Err(ParseError::SectionAlignment(index));
        }
        let odd_text = known == Known::Loaded(SectionKind::Text) && !header.size.is_multiple_of(4);
        if header.size > SECTION_SIZE_MAX || odd_text {
            return Err(ParseError::SectionSize(index));
        }
        let bytes = elf.contents(header).ok_or(ElfError::SectionOutOfFile(index))?;
        let slot = match known {
            Known::Loaded(kind) => {
                self.loaded.get_mut(kind.index()).ok_or(ParseError::UnknownSection(index))?
            }
            Known::Aliases => &mut self.aliases,
            Known::Imports => &mut self.imports,
            Known::Info => &mut self.info,
        };
        if slot.index != 0 {
            return Err(ParseError::DuplicateSection(index));
        }
        *slot = Loaded { index, bytes, size: header.size, align, relocations: &[] };
        Ok(())
    }

    fn add_relocations(
        &mut self,
        elf: &Elf<'a>,
        index: usize,
        header: SectionHeader,
    ) -> Result<(), ParseError> {
        let target = usize::try_from(header.info).unwrap_or(0);
        let named = elf.section(target).and_then(|target| elf.section_name(target));
        let own = elf.section_name(header).and_then(|name| name.strip_prefix(b".rela"));
        if own.is_none() || own != named {
            return Err(ParseError::SectionFlags(index));
        }
        let records = [&mut self.aliases, &mut self.imports, &mut self.info];
        let Some(slot) = self.loaded.iter_mut().chain(records).find(|slot| slot.index == target) else {
            // Relocations of debug data.
            return Ok(());
        };
        let relocations = elf.relocations(header);
        if relocations.len() > RELOCATIONS_MAX {
            return Err(ParseError::TooManyRelocations(index));
        }
        if !slot.relocations.is_empty() {
            return Err(ParseError::DuplicateRelocations(index));
        }
        slot.relocations = relocations;
        let defmt = self.loaded.get(SectionKind::Defmt.index());
        let unwanted = [Some(&self.imports), defmt];
        if unwanted.into_iter().flatten().any(|slot| !slot.relocations.is_empty()) {
            return Err(ParseError::UnwantedRelocations(index));
        }
        Ok(())
    }

    /// The object so far: its records are not yet checked, its info is empty.
    fn object(&self, elf: Elf<'a>) -> Result<Object<'a>, ParseError> {
        let aliases = records::<ALIAS_SIZE>(&self.aliases)?;
        let imports = records::<IMPORT_SIZE>(&self.imports)?;
        if aliases.len() > ALIASES_MAX {
            return Err(ParseError::TooManyAliases);
        }
        if imports.len() > IMPORTS_MAX {
            return Err(ParseError::TooManyImports);
        }
        Ok(Object {
            elf,
            loaded: self.loaded,
            aliases,
            alias_relocations: self.aliases.relocations,
            imports,
            info: NO_INFO,
        })
    }
}

/// Stands in the object until the info record is read.
const NO_INFO: Info<'static> = Info {
    name: "",
    class: ModuleClass::Misc,
    flags: 0,
    shared_pages: 0,
    version: 0,
    commands: 0,
    entry: 0,
    build_id: 0,
};

fn records<'a, const SIZE: usize>(section: &Loaded<'a>) -> Result<&'a [[u8; SIZE]], ParseError> {
    let (records, rest) = section.bytes.as_chunks();
    if rest.is_empty() { Ok(records) } else { Err(ParseError::RecordSize(section.index)) }
}

fn check_aliases(object: &Object<'_>) -> Result<(), ParseError> {
    for (index, bytes) in object.aliases.iter().enumerate() {
        let alias = object.read_alias(index, bytes)?;
        let same = |other: &[u8; ALIAS_SIZE]| {
            let other = decode_alias(other);
            other.name_hash == alias.name_hash && unpadded(&other.name) == Some(alias.name)
        };
        if object.aliases.iter().take(index).any(same) {
            return Err(ParseError::DuplicateAlias(index));
        }
    }
    // Each record has found its relocation, so equal counts leave none over.
    if object.alias_relocations.len() != object.aliases.len() {
        return Err(ParseError::AliasRelocations);
    }
    Ok(())
}

fn check_imports(object: &Object<'_>) -> Result<(), ParseError> {
    for (index, bytes) in object.imports.iter().enumerate() {
        let import = read_import(index, bytes)?;
        let same = |other: &[u8; IMPORT_SIZE]| {
            read_import(0, other)
                .is_ok_and(|other| other.name_hash == import.name_hash && other.name == import.name)
        };
        if object.imports.iter().take(index).any(same) {
            return Err(ParseError::DuplicateImport(index));
        }
    }
    Ok(())
}

fn read_info<'a>(object: &Object<'a>, section: &Loaded<'a>) -> Result<Info<'a>, ParseError> {
    let bytes: &'a [u8; INFO_SIZE] = section.bytes.try_into().map_err(|_| ParseError::Info)?;
    let record = decode_info(bytes);
    if record.magic != MODULE_MAGIC {
        return Err(ParseError::InfoMagic);
    }
    if record.format != FORMAT_VERSION {
        return Err(ParseError::InfoFormat(record.format));
    }
    if record.api != API_VERSION {
        return Err(ParseError::InfoApi(record.api));
    }
    let class = ModuleClass::from_record(record.class).ok_or(ParseError::InfoClass(record.class))?;
    if record.flags & !MODULE_FIXUP_POLICY != 0 {
        return Err(ParseError::InfoFlags(record.flags));
    }
    if record.shared_pages > SHARED_PAGES_MAX {
        return Err(ParseError::InfoSharedPages(record.shared_pages));
    }
    check_commands(record.commands)?;
    if record.reserved != 0 || record.reserved_tail != [0; 16] {
        return Err(ParseError::InfoReserved);
    }
    let field = bytes.get(offset_of!(ModuleInfo, name)..).and_then(|tail| tail.get(..MODULE_NAME_SIZE));
    let name = field.and_then(unpadded).ok_or(ParseError::InfoName)?;
    let at = offset_of!(ModuleInfo, entry) as u64;
    let entry = object
        .function_pointer(section.relocations, 0, at)
        .filter(|_| section.relocations.len() == 1)
        .ok_or(ParseError::InfoEntry)?;
    Ok(Info {
        name,
        class,
        flags: record.flags,
        shared_pages: record.shared_pages,
        version: record.version,
        commands: record.commands,
        entry,
        build_id: record.build_id,
    })
}

/// CATCH without UNCATCH could not be rolled back, UNCATCH alone undoes nothing.
const fn check_commands(commands: u32) -> Result<(), ParseError> {
    let unknown = commands & !COMMANDS_ALL != 0;
    let missing = commands & COMMANDS_MANDATORY != COMMANDS_MANDATORY;
    let catch = commands & command_bit(COMMAND_CATCH) != 0;
    let uncatch = commands & command_bit(COMMAND_UNCATCH) != 0;
    if unknown || missing || catch != uncatch {
        return Err(ParseError::InfoCommands(commands));
    }
    Ok(())
}

fn decode_info(bytes: &[u8; INFO_SIZE]) -> ModuleInfo {
    let mut fields = Fields(bytes);
    ModuleInfo {
        magic: fields.array(),
        format: fields.u16(),
        api: fields.u16(),
        class: fields.u8(),
        flags: fields.u8(),
        shared_pages: fields.u16(),
        version: fields.u32(),
        commands: fields.u32(),
        entry: fields.u64(),
        reserved: fields.u64(),
        build_id: fields.u64(),
        name: fields.array(),
        reserved_tail: fields.array(),
    }
}

fn check_symbols(object: &Object<'_>) -> Result<(), ParseError> {
    for index in 1..object.elf.symbol_count() {
        let symbol = object.elf.symbol(index).ok_or(ParseError::SymbolName(index))?;
        check_symbol(object, index, symbol)?;
    }
    Ok(())
}

fn check_symbol(object: &Object<'_>, index: usize, symbol: SymbolEntry) -> Result<(), ParseError> {
    let name = object.elf.symbol_name(symbol).ok_or(ParseError::SymbolName(index))?;
    if symbol.kind() == STT_TLS {
        return Err(ParseError::ThreadLocalSymbol(index));
    }
    if symbol.kind() == STT_COMMON || symbol.section == SHN_COMMON {
        return Err(ParseError::CommonSymbol(index));
    }
    let known_binding = matches!(symbol.binding(), STB_LOCAL | STB_GLOBAL | STB_WEAK);
    let known_kind = matches!(symbol.kind(), STT_NOTYPE | STT_OBJECT | STT_FUNC | STT_SECTION | STT_FILE);
    if !known_binding || !known_kind {
        return Err(ParseError::SymbolKind(index));
    }
    let is_weak = symbol.binding() == STB_WEAK;
    if symbol.section == SHN_UNDEF {
        return match object.undefined(symbol) {
            Some(_) => Ok(()),
            None if name.starts_with(SUPER_PREFIX.as_bytes()) => Err(ParseError::SuperWithoutRefine(index)),
            None if is_weak => Err(ParseError::WeakSymbol(index)),
            None => Err(ParseError::Undefined(index)),
        };
    }
    let introduced = |bytes: &[u8; ALIAS_SIZE]| {
        let alias = decode_alias(bytes);
        alias.kind == ALIAS_WEAK && unpadded(&alias.name).is_some_and(|held| held.as_bytes() == name)
    };
    if is_weak && !object.aliases.iter().any(introduced) {
        return Err(ParseError::WeakSymbol(index));
    }
    if symbol.section == SHN_ABS {
        return Ok(());
    }
    let exists = symbol.section < SHN_LORESERVE && usize::from(symbol.section) < object.elf.section_count();
    if !exists {
        return Err(ParseError::SymbolSection(index));
    }
    let beyond = |kind| symbol.value > object.loaded(kind).size;
    if object.kind_of(symbol.section).is_some_and(beyond) {
        return Err(ParseError::SymbolOutOfSection(index));
    }
    Ok(())
}

fn check_relocations(object: &Object<'_>, section: SectionKind) -> Result<(), ParseError> {
    let loaded = object.loaded(section);
    let mut free = 0;
    for (index, bytes) in loaded.relocations.iter().enumerate() {
        let entry = RelaEntry::decode(bytes);
        let kind = RelocKind::from_elf(entry.kind).ok_or(ParseError::RelocationType(section, index))?;
        let end = entry
            .offset
            .checked_add(kind.width())
            .filter(|&end| end <= loaded.size)
            .ok_or(ParseError::RelocationOutOfSection(section, index))?;
        if entry.offset < free {
            return Err(ParseError::RelocationOrder(section, index));
        }
        free = end;
        check_instruction(&loaded, section, index, entry, kind)?;
        let target = object.target(entry).map_err(|fault| match fault {
            TargetFault::Symbol => ParseError::RelocationSymbol(section, index),
            // The symbol pass has refused undefined symbols without a record.
            TargetFault::NotLoaded | TargetFault::Undefined => {
                ParseError::RelocationNotLoaded(section, index)
            }
            TargetFault::OutOfSection => ParseError::TargetOutOfSection(section, index),
            TargetFault::Addend => ParseError::RelocationAddend(section, index),
        })?;
        check_target(&loaded, section, index, kind, target)?;
    }
    Ok(())
}

/// A relocation of an instruction stands on an instruction of its class.
fn check_instruction(
    loaded: &Loaded<'_>,
    section: SectionKind,
    index: usize,
    entry: RelaEntry,
    kind: RelocKind,
) -> Result<(), ParseError> {
    if !kind.is_instruction() {
        return Ok(());
    }
    if section != SectionKind::Text {
        return Err(ParseError::InstructionOutsideText(section, index));
    }
    if !entry.offset.is_multiple_of(4) {
        return Err(ParseError::InstructionMisaligned(section, index));
    }
    let word = usize::try_from(entry.offset)
        .ok()
        .and_then(|start| loaded.bytes.get(start..))
        .and_then(|bytes| bytes.first_chunk())
        .copied()
        .map(u32::from_le_bytes)
        .ok_or(ParseError::RelocationOutOfSection(section, index))?;
    if kind.accepts(word) { Ok(()) } else { Err(ParseError::WrongInstruction(section, index)) }
}

/// Branches go to instructions; what is defined elsewhere is called or has its address taken, never read.
fn check_target(
    loaded: &Loaded<'_>,
    section: SectionKind,
    index: usize,
    kind: RelocKind,
    target: Target,
) -> Result<(), ParseError> {
    let branches = kind.is_call() || matches!(kind, RelocKind::Tstbr14 | RelocKind::Condbr19);
    let reads = matches!(
        kind,
        RelocKind::Ldst8AbsLo12Nc
            | RelocKind::Ldst16AbsLo12Nc
            | RelocKind::Ldst32AbsLo12Nc
            | RelocKind::Ldst64AbsLo12Nc
            | RelocKind::Ldst128AbsLo12Nc
    );
    match target {
        // A branch stands in `.text`, so `loaded` is the section that the offset lies in.
        Target::Section(SectionKind::Text, offset) => {
            let lands = offset.is_multiple_of(4) && offset < loaded.size;
            if branches && !lands { Err(ParseError::BranchTarget(section, index)) } else { Ok(()) }
        }
        Target::Section(..) if branches => Err(ParseError::BranchTarget(section, index)),
        Target::Super(_) | Target::Import(_) if branches && !kind.is_call() => {
            Err(ParseError::BranchTarget(section, index))
        }
        Target::Super(_) | Target::Import(_) if reads => Err(ParseError::ImportAsData(section, index)),
        _ => Ok(()),
    }
}
