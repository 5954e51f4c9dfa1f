//! The relocations of a module: each is checked as it is read, and read once by whoever applies it.

use aarch64_reloc::{RelocKind, Traits};
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
///
/// Its address is never taken, so that a loop over it keeps everything here in registers.
struct Relocations<'o, 'a> {
    object: &'o Object<'a>,
    section: SectionKind,
    /// Bytes of the section.
    size: u64,
    /// The instructions of `.text`, which lie on multiples of four where the file does; empty elsewhere.
    instructions: &'a [u32],
    entries: core::slice::Iter<'a, Words>,
    /// Fields before this offset are taken.
    free: u64,
}

impl Iterator for Relocations<'_, '_> {
    type Item = Result<Relocation, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let words = self.entries.next()?;
        let Ok((relocation, end)) = self.read::<Unsound>(0, words) else {
            // What follows the first refusal is of no use to anybody.
            self.entries = [].iter();
            return Some(Err(self.object.first_refusal(self.section)));
        };
        self.free = end;
        Some(Ok(relocation))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Relocations<'_, '_> {}

/// How a reader says that a rule does not hold.
pub(crate) trait Refusal {
    /// Because of this.
    fn because(why: impl FnOnce() -> ParseError) -> Self;
}

impl Refusal for ParseError {
    fn because(why: impl FnOnce() -> ParseError) -> Self {
        why()
    }
}

/// Some rule does not hold. A refusal of nothing: where it is the only one that can come, the checks of a relocation are
/// compares and branches to one place, and nothing is made on the way that an error would carry.
struct Unsound;

impl Refusal for Unsound {
    #[inline(always)]
    fn because(_: impl FnOnce() -> ParseError) -> Self {
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
    #[inline]
    pub fn relocations(
        &self,
        section: SectionKind,
    ) -> impl ExactSizeIterator<Item = Result<Relocation, ParseError>> {
        self.read_relocations(section)
    }

    /// Gives every relocation of a section to `each`, in the order and by the rules of [`Object::relocations`].
    ///
    /// This is the loop that a load consists of, with `each` as a part of it. An item of the iterator shares its bytes with
    /// the error that it may be instead, and how the compiler takes it apart again depends on what else it inlines: at
    /// worst through memory, a fifth of the loop. Here a refusal carries nothing, so that a relocation stays in registers.
    ///
    /// # Errors
    /// What `each` says first, or which rule does not hold; then the rest is not read.
    #[inline(always)]
    pub fn try_each_relocation<E: From<ParseError>>(
        &self,
        section: SectionKind,
        mut each: impl FnMut(Relocation) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = self.read_relocations(section);
        for words in reader.entries.clone() {
            let Ok((relocation, end)) = reader.read::<Unsound>(0, words) else {
                return Err(self.first_refusal(section).into());
            };
            reader.free = end;
            each(relocation)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn read_relocations(&self, section: SectionKind) -> Relocations<'_, '_> {
        let Loaded { bytes, size, relocations, .. } = self.loaded(section);
        let text = if section == SectionKind::Text { bytes } else { &[] };
        let instructions = <[u32]>::ref_from_bytes(text).unwrap_or_default();
        Relocations { object: self, section, size, instructions, entries: relocations.iter(), free: 0 }
    }

    /// Says which rule does not hold for the first relocation that is refused: they are read again from the first on, so
    /// that the loop before had nothing to remember for this.
    #[cold]
    #[inline(never)]
    fn first_refusal(&self, section: SectionKind) -> ParseError {
        let mut again = self.read_relocations(section);
        for (index, words) in self.loaded(section).relocations.iter().enumerate() {
            match again.read(index, words) {
                Ok((_, end)) => again.free = end,
                Err(why) => return why,
            }
        }
        unreachable!("a relocation of these was refused")
    }

    /// What a relocation entry of a section refers to; `index` is the entry's, for errors.
    #[inline(always)]
    pub(crate) fn target<E: Refusal>(
        &self,
        section: SectionKind,
        index: usize,
        entry: RelaEntry,
    ) -> Result<Target, E> {
        let number = usize::try_from(entry.symbol).ok().filter(|number| *number != 0);
        let symbol = number
            .and_then(|number| self.elf.symbol(number))
            .ok_or_else(|| E::because(|| ParseError::RelocationSymbol(section, index)))?;
        // A symbol of such a section lies in it, or the image is refused: a sum that wraps is beyond every section.
        let offset = symbol.value.wrapping_add_signed(entry.addend);
        let home = self.homes.get(usize::from(symbol.section));
        if let Some(home) = home
            && offset < home.end.into()
        {
            return Ok(Target::Section(home.kind, offset));
        }
        if home.is_some_and(|home| home.end != 0) {
            return Err(E::because(|| ParseError::TargetOutOfSection(section, index)));
        }
        let outside = if symbol.section == SHN_UNDEF { self.undefined.target(entry.symbol) } else { None };
        let outside =
            outside.ok_or_else(|| E::because(|| ParseError::RelocationNotLoaded(section, index)))?;
        if entry.addend == 0 {
            Ok(outside)
        } else {
            Err(E::because(|| ParseError::RelocationAddend(section, index)))
        }
    }
}

impl Relocations<'_, '_> {
    /// Checks an entry, and says where its field ends; `index` is its place, for errors.
    #[inline(always)]
    fn read<E: Refusal>(&self, index: usize, words: &Words) -> Result<(Relocation, u64), E> {
        let section = self.section;
        let entry = RelaEntry::decode(words);
        let traits = Traits::from_elf(entry.kind)
            .ok_or_else(|| E::because(|| ParseError::RelocationType(section, index)))?;
        let kind = traits.kind();
        let refused = || E::because(|| self.no_field(index, entry, traits));
        if entry.offset < self.free {
            return Err(refused());
        }
        let (instruction, end) = if traits.is_instruction() {
            // No word at all is accepted where the number is that of no kind.
            let word = self.instruction(entry.offset).filter(|word| traits.accepts(*word));
            (word.ok_or_else(refused)?, entry.offset + 4)
        } else {
            if !self.has_room(entry.offset, kind) {
                return Err(refused());
            }
            (0, entry.offset + kind.width())
        };
        let target = self.object.target(section, index, entry)?;
        self.check_target(index, kind, traits, target)?;
        Ok((Relocation { offset: entry.offset, kind, target, instruction }, end))
    }

    /// The instruction at an offset, where there is one: in `.text`, at a multiple of four.
    #[inline(always)]
    fn instruction(&self, offset: u64) -> Option<u32> {
        // Turned by two bits, what is no multiple of four is greater than any count.
        let place = usize::try_from(offset.rotate_right(2)).unwrap_or(usize::MAX);
        self.instructions.get(place).map(|word| u32::from_le(*word))
    }

    /// Whether a field ends inside the section.
    #[inline(always)]
    fn has_room(&self, offset: u64, kind: RelocKind) -> bool {
        self.size.checked_sub(offset).is_some_and(|room| room >= kind.width())
    }

    /// Why no field of such a kind can stand there: the rules in their order.
    fn no_field(&self, index: usize, entry: RelaEntry, traits: &Traits) -> ParseError {
        let section = self.section;
        if !traits.exists() {
            ParseError::RelocationType(section, index)
        } else if !self.has_room(entry.offset, traits.kind()) {
            ParseError::RelocationOutOfSection(section, index)
        } else if entry.offset < self.free {
            ParseError::RelocationOrder(section, index)
        } else if section != SectionKind::Text {
            ParseError::InstructionOutsideText(section, index)
        } else if self.instruction(entry.offset).is_none() {
            ParseError::InstructionMisaligned(section, index)
        } else {
            ParseError::WrongInstruction(section, index)
        }
    }

    /// Branches go to instructions; what is defined elsewhere is called or has its address taken, never read.
    #[inline(always)]
    fn check_target<E: Refusal>(
        &self,
        index: usize,
        kind: RelocKind,
        traits: &Traits,
        target: Target,
    ) -> Result<(), E> {
        let section = self.section;
        match target {
            Target::Section(of, offset) if traits.is_branch() => {
                let lands = of == SectionKind::Text && self.instruction(offset).is_some();
                if lands { Ok(()) } else { Err(E::because(|| ParseError::BranchTarget(section, index))) }
            }
            Target::Section(..) => Ok(()),
            Target::Super(_) | Target::Import(_) if kind.is_branch() && !kind.is_call() => {
                Err(E::because(|| ParseError::BranchTarget(section, index)))
            }
            Target::Super(_) | Target::Import(_) if kind.is_load_store() => {
                Err(E::because(|| ParseError::ImportAsData(section, index)))
            }
            Target::Super(_) | Target::Import(_) => Ok(()),
        }
    }
}
