//! The relocations of a module: each is checked as it is read, and read once by whoever applies it.

use aarch64_reloc::RelocKind;
use zerocopy::FromBytes;

use crate::elf::{RelaEntry, SHN_UNDEF, Words};
use crate::error::ParseError;
use crate::object::{Loaded, Object, SectionKind};

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

/// A relocation of one section that obeys every rule of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Where in the section. The field ends inside the section's bytes.
    pub offset: u64,
    /// How.
    pub kind: RelocKind,
    /// What.
    pub target: Target,
    /// The instruction that stands there, which is of the kind's class; 0 where the field is data.
    pub instruction: u32,
}

/// The relocations of one section, read one after another.
struct Relocations<'o, 'a> {
    object: &'o Object<'a>,
    section: SectionKind,
    loaded: Loaded<'a>,
    /// The instructions of `.text`, which lie on multiples of four where the file does; empty elsewhere.
    instructions: &'a [u32],
    index: usize,
    /// Fields before this offset are taken.
    free: u64,
}

impl Iterator for Relocations<'_, '_> {
    type Item = Result<Relocation, ParseError>;

    // A load consists of this: as a part of the loop that applies what is read, the item is never put into memory.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.loaded.relocations.get(self.index)?;
        let Ok(relocation) = self.read::<Unsound>(bytes) else { return Some(self.refuse(bytes)) };
        self.index += 1;
        self.free = relocation.offset + relocation.kind.width();
        Some(Ok(relocation))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.loaded.relocations.len().saturating_sub(self.index);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Relocations<'_, '_> {}

impl Relocations<'_, '_> {
    #[inline(always)]
    fn read<E: From<ParseError>>(&self, bytes: &Words) -> Result<Relocation, E> {
        let Self { object, section, loaded, instructions, index, free } = self;
        object.read(*section, loaded, instructions, *index, bytes, *free)
    }

    /// Says which rule does not hold.
    #[cold]
    fn refuse(&mut self, bytes: &Words) -> Result<Relocation, ParseError> {
        let why = self.read(bytes);
        self.index += 1;
        why
    }
}

/// Some rule does not hold. An error of nothing: where it is the only one that can come, the checks of a relocation are
/// compares and branches to one place, and nothing is made on the way that an error would carry.
struct Unsound;

impl From<ParseError> for Unsound {
    #[inline(always)]
    fn from(_: ParseError) -> Self {
        Self
    }
}

impl Object<'_> {
    /// How many relocations a section has.
    #[must_use]
    pub fn relocation_count(&self, kind: SectionKind) -> usize {
        self.loaded(kind).relocations.len()
    }

    /// Reads the relocations of a section, by ascending offset; their fields do not overlap.
    ///
    /// Each item is checked as it is read: an error says which rule does not hold, and whoever gets one has no use
    /// for the image any more. An object from [`Object::parse`] gives none.
    pub fn relocations(
        &self,
        section: SectionKind,
    ) -> impl ExactSizeIterator<Item = Result<Relocation, ParseError>> {
        let loaded = self.loaded(section);
        let text = if section == SectionKind::Text { loaded.bytes } else { &[] };
        let instructions = <[u32]>::ref_from_bytes(text).unwrap_or_default();
        Relocations { object: self, section, loaded, instructions, index: 0, free: 0 }
    }

    /// Reads and checks one entry; fields before `free` are taken.
    #[inline(always)]
    fn read<E: From<ParseError>>(
        &self,
        section: SectionKind,
        loaded: &Loaded<'_>,
        instructions: &[u32],
        index: usize,
        bytes: &Words,
        free: u64,
    ) -> Result<Relocation, E> {
        let entry = RelaEntry::decode(bytes);
        let kind = RelocKind::from_elf(entry.kind).ok_or(ParseError::RelocationType(section, index))?;
        let end = entry.offset.checked_add(kind.width());
        if end.is_none_or(|end| end > loaded.size) {
            return Err(ParseError::RelocationOutOfSection(section, index).into());
        }
        if entry.offset < free {
            return Err(ParseError::RelocationOrder(section, index).into());
        }
        let instruction = if kind.is_instruction() {
            read_instruction(section, instructions, index, entry, kind)?
        } else {
            0
        };
        let target = self.target(section, index, entry)?;
        check_target(loaded, section, index, kind, target)?;
        Ok(Relocation { offset: entry.offset, kind, target, instruction })
    }

    /// What a relocation entry refers to.
    #[inline(always)]
    pub(crate) fn target<E: From<ParseError>>(
        &self,
        section: SectionKind,
        index: usize,
        entry: RelaEntry,
    ) -> Result<Target, E> {
        let number = usize::try_from(entry.symbol).ok().filter(|number| *number != 0);
        let symbol = number
            .and_then(|number| self.elf.symbol(number))
            .ok_or(ParseError::RelocationSymbol(section, index))?;
        if symbol.section == SHN_UNDEF {
            let target = self.undefined.target(entry.symbol);
            let target = target.ok_or(ParseError::RelocationNotLoaded(section, index))?;
            return if entry.addend == 0 {
                Ok(target)
            } else {
                Err(ParseError::RelocationAddend(section, index).into())
            };
        }
        let kind = self
            .kind_of(symbol.section)
            .filter(|kind| *kind != SectionKind::EhFrame)
            .ok_or(ParseError::RelocationNotLoaded(section, index))?;
        // A symbol of such a section lies in it, or the image is refused: a sum that wraps is beyond every section.
        let offset = symbol.value.wrapping_add_signed(entry.addend);
        if offset > self.size_of(kind) {
            return Err(ParseError::TargetOutOfSection(section, index).into());
        }
        Ok(Target::Section(kind, offset))
    }
}

/// A relocation of an instruction stands on an instruction of its class.
#[inline(always)]
fn read_instruction<E: From<ParseError>>(
    section: SectionKind,
    instructions: &[u32],
    index: usize,
    entry: RelaEntry,
    kind: RelocKind,
) -> Result<u32, E> {
    if section != SectionKind::Text {
        return Err(ParseError::InstructionOutsideText(section, index).into());
    }
    if !entry.offset.is_multiple_of(4) {
        return Err(ParseError::InstructionMisaligned(section, index).into());
    }
    let place = usize::try_from(entry.offset / 4).ok();
    let word = place.and_then(|place| instructions.get(place));
    let word = u32::from_le(*word.ok_or(ParseError::InstructionMisaligned(section, index))?);
    if kind.accepts(word) { Ok(word) } else { Err(ParseError::WrongInstruction(section, index).into()) }
}

/// Branches go to instructions; what is defined elsewhere is called or has its address taken, never read.
#[inline(always)]
fn check_target<E: From<ParseError>>(
    loaded: &Loaded<'_>,
    section: SectionKind,
    index: usize,
    kind: RelocKind,
    target: Target,
) -> Result<(), E> {
    match target {
        Target::Section(of, offset) if kind.is_branch() => {
            // A branch stands in `.text`, so `loaded` is the section that the offset lies in.
            let lands = of == SectionKind::Text && offset.is_multiple_of(4) && offset < loaded.size;
            if lands { Ok(()) } else { Err(ParseError::BranchTarget(section, index).into()) }
        }
        Target::Section(..) => Ok(()),
        Target::Super(_) | Target::Import(_) if kind.is_branch() && !kind.is_call() => {
            Err(ParseError::BranchTarget(section, index).into())
        }
        Target::Super(_) | Target::Import(_) if kind.is_load_store() => {
            Err(ParseError::ImportAsData(section, index).into())
        }
        Target::Super(_) | Target::Import(_) => Ok(()),
    }
}
