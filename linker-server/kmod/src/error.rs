//! The rules of the module format, one error each, in the order in which they are checked.

use crate::elf::ElfError;
use crate::object::SectionKind;

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
    /// The alignment is no power of two or above [`crate::ALIGNMENT_MAX`].
    SectionAlignment(usize),
    /// The section is larger than [`crate::SECTION_SIZE_MAX`], or `.text` is no multiple of four.
    SectionSize(usize),
    /// Thread-local storage.
    ThreadLocalSection(usize),
    /// A second table of relocations for one section.
    DuplicateRelocations(usize),
    /// Relocations of a section that takes none: imports, log strings.
    UnwantedRelocations(usize),
    /// More than [`crate::RELOCATIONS_MAX`] relocations in one table.
    TooManyRelocations(usize),

    /// A record section whose size is no multiple of its record.
    RecordSize(usize),
    /// More than [`crate::ALIASES_MAX`] alias records.
    TooManyAliases,
    /// More than [`crate::IMPORTS_MAX`] import records.
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
    /// The module wants more than [`crate::SHARED_PAGES_MAX`] shared pages.
    InfoSharedPages(u16),
    /// Unknown command bits; or INIT or FINI is missing; or one of CATCH and UNCATCH is missing.
    InfoCommands(u32),
    /// The entry has no ABS64 relocation to an instruction of the module's `.text`, or there are other relocations.
    InfoEntry,
    /// A reserved field of the info record is not zero.
    InfoReserved,
    /// The module's name is empty, not padded with zeros or not printable ASCII.
    InfoName,

    /// The symbol's name does not lie in the name table.
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
    /// A second undefined symbol of this name.
    DuplicateUndefined(usize),

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
