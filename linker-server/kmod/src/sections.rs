//! The sections of a module that mean something: found by name, each with its relocations.

use crate::elf::{
    Elf, ElfError, SHF_ALLOC, SHF_EXECINSTR, SHF_GNU_RETAIN, SHF_INFO_LINK, SHF_MERGE, SHF_STRINGS, SHF_TLS,
    SHF_WRITE, SHT_NOBITS, SHT_PROGBITS, SHT_RELA, SectionHeader,
};
use crate::error::ParseError;
use crate::object::{Loaded, SectionKind};
use crate::records::{ALIAS_SECTION, IMPORT_SECTION, INFO_SECTION};
use crate::{ALIGNMENT_MAX, RELOCATIONS_MAX, SECTION_SIZE_MAX};

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
pub(crate) struct Sections<'a> {
    pub(crate) loaded: [Loaded<'a>; SectionKind::COUNT],
    pub(crate) aliases: Loaded<'a>,
    pub(crate) imports: Loaded<'a>,
    pub(crate) info: Loaded<'a>,
}

impl<'a> Sections<'a> {
    pub(crate) fn collect(elf: &Elf<'a>) -> Result<Self, ParseError> {
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
}
