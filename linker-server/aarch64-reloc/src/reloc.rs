//! Relocations: the kinds that the linker applies, and how each puts an address into its field.
//!
//! Numbers, operations and overflow checks follow AAELF64 (ELF for the Arm 64-bit Architecture), tables
//! "Data relocations", "PC-relative relocations" and "Control-flow relocations". Modules are RELA only: the
//! addend stands in the relocation, so what the field held before never matters.
//!
//! Two rules are stricter than AAELF64: the word under an instruction relocation must be an instruction of the
//! class that the relocation names, and it must be aligned. A mutated image cannot use a relocation to build an
//! instruction.

use crate::insn::{adr_immediate, fits_signed, low32};

/// A relocation type that the linker applies. Everything else is refused where the module is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RelocKind {
    /// `R_AARCH64_ABS64`: 64 bits of the address.
    Abs64 = place_of(257),
    /// `R_AARCH64_ABS32`: 32 bits of the address, which must fit as a signed or an unsigned number.
    Abs32 = place_of(258),
    /// `R_AARCH64_PREL64`: 64 bits of the distance.
    Prel64 = place_of(260),
    /// `R_AARCH64_PREL32`: 32 bits of the distance.
    Prel32 = place_of(261),
    /// `R_AARCH64_ADR_PREL_LO21`: the distance in an `ADR`.
    AdrPrelLo21 = place_of(274),
    /// `R_AARCH64_ADR_PREL_PG_HI21`: the distance in pages in an `ADRP`.
    AdrPrelPgHi21 = place_of(275),
    /// `R_AARCH64_ADR_PREL_PG_HI21_NC`: the same without an overflow check.
    AdrPrelPgHi21Nc = place_of(276),
    /// `R_AARCH64_ADD_ABS_LO12_NC`: the offset in its page in an `ADD` (immediate).
    AddAbsLo12Nc = place_of(277),
    /// `R_AARCH64_LDST8_ABS_LO12_NC`: the offset in its page in a load or store of one byte.
    Ldst8AbsLo12Nc = place_of(278),
    /// `R_AARCH64_LDST16_ABS_LO12_NC`: the same for two bytes.
    Ldst16AbsLo12Nc = place_of(284),
    /// `R_AARCH64_LDST32_ABS_LO12_NC`: the same for four bytes.
    Ldst32AbsLo12Nc = place_of(285),
    /// `R_AARCH64_LDST64_ABS_LO12_NC`: the same for eight bytes.
    Ldst64AbsLo12Nc = place_of(286),
    /// `R_AARCH64_LDST128_ABS_LO12_NC`: the same for sixteen bytes.
    Ldst128AbsLo12Nc = place_of(299),
    /// `R_AARCH64_TSTBR14`: the distance in a `TBZ` or `TBNZ`.
    Tstbr14 = place_of(279),
    /// `R_AARCH64_CONDBR19`: the distance in a `B.cond`, `CBZ` or `CBNZ`.
    Condbr19 = place_of(280),
    /// `R_AARCH64_JUMP26`: the distance in a `B`.
    Jump26 = place_of(282),
    /// `R_AARCH64_CALL26`: the distance in a `BL`.
    Call26 = place_of(283),
}

/// Why a relocation was not applied. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelocError {
    /// The address or distance does not fit the field of the relocation at this place.
    OutOfRange(RelocKind, u64),
    /// The address is no multiple of the access size, or the branch distance no multiple of four.
    MisalignedValue(RelocKind, u64),
    /// The instruction at this place does not begin at a multiple of four.
    MisalignedPlace(RelocKind, u64),
    /// The word at this place is not an instruction of the class that the relocation names.
    WrongInstruction(RelocKind, u64),
    /// The bytes given for this place end inside the field.
    Truncated(RelocKind, u64),
}

/// What a place holds after relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The instruction, or 32 bits of data.
    Word(u32),
    /// 64 bits of data.
    Double(u64),
}

impl RelocKind {
    /// Every kind, for tests and tables.
    pub const ALL: [Self; 17] = [
        Self::Abs64,
        Self::Abs32,
        Self::Prel64,
        Self::Prel32,
        Self::AdrPrelLo21,
        Self::AdrPrelPgHi21,
        Self::AdrPrelPgHi21Nc,
        Self::AddAbsLo12Nc,
        Self::Ldst8AbsLo12Nc,
        Self::Ldst16AbsLo12Nc,
        Self::Ldst32AbsLo12Nc,
        Self::Ldst64AbsLo12Nc,
        Self::Ldst128AbsLo12Nc,
        Self::Tstbr14,
        Self::Condbr19,
        Self::Jump26,
        Self::Call26,
    ];

    /// The kind that an ELF relocation number stands for; `None` for a type that the linker refuses.
    #[must_use]
    #[inline]
    pub const fn from_elf(number: u32) -> Option<Self> {
        match Traits::from_elf(number) {
            Some(traits) if traits.exists() => Some(traits.kind),
            _ => None,
        }
    }

    /// The ELF relocation number.
    #[must_use]
    pub const fn elf(self) -> u32 {
        ELF_FIRST + self as u32
    }

    /// How many bytes the relocated word has: 4, or 8 for the 64-bit data kinds.
    #[must_use]
    #[inline]
    pub const fn width(self) -> u64 {
        match self {
            Self::Abs64 | Self::Prel64 => 8,
            _ => 4,
        }
    }

    /// Whether the word is an instruction (and not data).
    #[must_use]
    #[inline]
    pub const fn is_instruction(self) -> bool {
        self.traits().is_instruction()
    }

    /// Whether this is `CALL26` or `JUMP26`: a site that the linker patches when the target's alias stack changes.
    /// Any other kind against an aliasable name means that its address is taken.
    #[must_use]
    #[inline]
    pub const fn is_call(self) -> bool {
        matches!(self, Self::Jump26 | Self::Call26)
    }

    /// Whether this is a branch: its target is an instruction.
    #[must_use]
    #[inline]
    pub const fn is_branch(self) -> bool {
        self.traits().is_branch()
    }

    /// Whether the instruction reads or writes what the symbol names.
    #[must_use]
    #[inline]
    pub const fn is_load_store(self) -> bool {
        matches!(self.traits().word, Word::LoadStore)
    }

    /// Whether `word` is an instruction that this relocation may stand on. Data kinds accept any word.
    #[must_use]
    #[inline]
    pub const fn accepts(self, word: u32) -> bool {
        self.traits().accepts(word)
    }

    #[inline]
    const fn traits(self) -> &'static Traits {
        &TRAITS[self as usize]
    }

    /// What the address of an access, or the distance of a branch, is a multiple of; 1 where any value will do.
    const fn unit(self) -> u64 {
        match self {
            Self::Ldst16AbsLo12Nc => 2,
            Self::Ldst32AbsLo12Nc => 4,
            Self::Ldst64AbsLo12Nc => 8,
            Self::Ldst128AbsLo12Nc => 16,
            _ if self.is_branch() => 4,
            _ => 1,
        }
    }

    /// What the place holds after relocation: `old` with the field replaced. Of data nothing is left.
    ///
    /// `place` is the address of the word, `value` the symbol's address plus the addend (AAELF64: S + A).
    ///
    /// # Errors
    /// [`RelocError`], except `Truncated`.
    pub const fn relocate(self, place: u64, value: u64, old: u32) -> Result<Field, RelocError> {
        if self.is_instruction() {
            if !place.is_multiple_of(4) {
                return Err(RelocError::MisalignedPlace(self, place));
            }
            if !self.accepts(old) {
                return Err(RelocError::WrongInstruction(self, place));
            }
        }
        self.insert(place, value, old)
    }

    /// The same where it is known that `old` is of the kind's class and stands at a multiple of four.
    ///
    /// # Errors
    /// [`RelocError::OutOfRange`], [`RelocError::MisalignedValue`].
    #[inline(always)]
    pub const fn insert(self, place: u64, value: u64, old: u32) -> Result<Field, RelocError> {
        match self.fitted(place, value, old) {
            Some(field) => Ok(field),
            None => Err(self.misfit(place, value)),
        }
    }

    /// What the place holds then; none where the value does not fit. The mask is a constant in each arm, so that a field
    /// goes into its word by one instruction.
    #[inline(always)]
    const fn fitted(self, place: u64, value: u64, old: u32) -> Option<Field> {
        let distance = value.wrapping_sub(place).cast_signed();
        match self {
            Self::Abs64 => Some(Field::Double(value)),
            Self::Prel64 => Some(Field::Double(distance.cast_unsigned())),
            Self::Abs32 => word32(value.cast_signed()),
            Self::Prel32 => word32(distance),
            Self::AdrPrelLo21 if fits_signed(distance, 21) => Some(with_adr(old, distance)),
            Self::AdrPrelLo21 => None,
            Self::AdrPrelPgHi21 | Self::AdrPrelPgHi21Nc => {
                let bytes = (value & !0xfff).wrapping_sub(place & !0xfff).cast_signed();
                if matches!(self, Self::AdrPrelPgHi21) && !fits_signed(bytes, 33) {
                    return None;
                }
                Some(with_adr(old, bytes >> 12))
            }
            Self::AddAbsLo12Nc | Self::Ldst8AbsLo12Nc => with_offset(old, value, 0),
            Self::Ldst16AbsLo12Nc => with_offset(old, value, 1),
            Self::Ldst32AbsLo12Nc => with_offset(old, value, 2),
            Self::Ldst64AbsLo12Nc => with_offset(old, value, 3),
            Self::Ldst128AbsLo12Nc => with_offset(old, value, 4),
            Self::Tstbr14 => with_distance(old, distance, 14, 5),
            Self::Condbr19 => with_distance(old, distance, 19, 5),
            Self::Jump26 | Self::Call26 => with_distance(old, distance, 26, 0),
        }
    }

    /// Why a value does not fit.
    #[cold]
    const fn misfit(self, place: u64, value: u64) -> RelocError {
        let measured = if self.is_branch() { value.wrapping_sub(place) } else { value };
        if measured.is_multiple_of(self.unit()) {
            RelocError::OutOfRange(self, place)
        } else {
            RelocError::MisalignedValue(self, place)
        }
    }
}

/// AAELF64: -2^31 <= X < 2^32.
#[inline(always)]
const fn word32(value: i64) -> Option<Field> {
    if value < -(1 << 31) || value >= 1 << 32 { None } else { Some(Field::Word(low32(value))) }
}

/// A word with the bits under a mask replaced.
#[inline(always)]
const fn with(old: u32, mask: u32, field: u32) -> Field {
    Field::Word((old & !mask) | (field & mask))
}

/// An `ADR` or `ADRP` with another immediate.
#[inline(always)]
const fn with_adr(old: u32, immediate: i64) -> Field {
    with(old, ADR_FIELD, adr_immediate(immediate))
}

/// The offset in its page in an `ADD` or an access, in units of `1 << log2` bytes.
#[inline(always)]
const fn with_offset(old: u32, value: u64, log2: u32) -> Option<Field> {
    if !value.is_multiple_of(1 << log2) {
        return None;
    }
    let offset = low32(value.cast_signed()) & 0xfff;
    Some(with(old, OFFSET_FIELD, (offset >> log2) << 10))
}

/// A distance in words, of `bits` bits at bit `low`.
#[inline(always)]
const fn with_distance(old: u32, distance: i64, bits: u32, low: u32) -> Option<Field> {
    let mask = (1 << bits) - 1;
    // Raised by the reach and turned by two bits, a distance that fits is a number of so many bits: neither a bit of a
    // fraction of a word nor one beyond the reach is left at the top.
    let turned = distance.wrapping_add(1 << (bits + 1)).cast_unsigned().rotate_right(2);
    if turned > mask as u64 {
        return None;
    }
    Some(with(old, mask << low, low32(distance >> 2) << low))
}

/// Puts an address into the field at the start of `bytes` and changes nothing else.
///
/// `place` is the address at which `bytes[0]` will be executed or read, `value` the symbol's address plus the
/// addend.
///
/// # Errors
/// [`RelocError`]; then `bytes` is as it was.
pub fn apply(kind: RelocKind, place: u64, value: u64, bytes: &mut [u8]) -> Result<(), RelocError> {
    let truncated = RelocError::Truncated(kind, place);
    if kind.width() > bytes.len() as u64 {
        return Err(truncated);
    }
    let old = bytes.first_chunk().ok_or(truncated)?;
    match kind.relocate(place, value, u32::from_le_bytes(*old))? {
        Field::Word(word) => *bytes.first_chunk_mut().ok_or(truncated)? = word.to_le_bytes(),
        Field::Double(double) => *bytes.first_chunk_mut().ok_or(truncated)? = double.to_le_bytes(),
    }
    Ok(())
}

/// What the relocated word is.
#[derive(Clone, Copy, Debug)]
enum Word {
    Data,
    /// An instruction that makes an address.
    Address,
    LoadStore,
    Branch,
}

/// The instructions that a relocation may stand on: a word belongs to the class if it has the bits of either pattern
/// under its mask.
#[derive(Clone, Copy, Debug)]
struct Class {
    one: (u32, u32),
    other: (u32, u32),
}

impl Class {
    const ANY: Self = Self::only(0, 0);
    /// No word has a bit that is masked out.
    const NOTHING: Self = Self::only(0, 1);

    const fn only(mask: u32, bits: u32) -> Self {
        Self { one: (mask, bits), other: (mask, bits) }
    }

    /// Load/store register (unsigned immediate): size 31:30, 111 29:27, V 26, 01 25:24, opc 23:22. With V, opc bit 1
    /// is set in the 128-bit form of size 0 only; with another size that is unallocated.
    const fn load_store(log2: u32) -> Self {
        let size = log2 << 30;
        Self { one: (0xff00_0000, size | 0x3900_0000), other: (0xff80_0000, size | 0x3d00_0000) }
    }
}

/// What is asked about the kind of each relocation of a load, in one place: a load is one lookup for each relocation.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub struct Traits {
    class: Class,
    kind: RelocKind,
    word: Word,
}

impl Traits {
    /// An ELF number of no kind: its relocation would stand on an instruction, and there is none that it may stand on.
    const NONE: Self = Self { class: Class::NOTHING, kind: RelocKind::Abs64, word: Word::Address };

    /// The traits of the kind that an ELF relocation number stands for. Where none are given, or such as accept no word,
    /// the linker refuses the type.
    #[must_use]
    #[inline]
    pub const fn from_elf(number: u32) -> Option<&'static Self> {
        let place = number.wrapping_sub(ELF_FIRST) as usize;
        if place < TRAITS.len() { Some(&TRAITS[place]) } else { None }
    }

    /// Whether these are a kind's.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.class.one.1 & !self.class.one.0 == 0
    }

    /// The kind. Means something where one exists.
    #[must_use]
    #[inline]
    pub const fn kind(&self) -> RelocKind {
        self.kind
    }

    /// As [`RelocKind::is_instruction`].
    #[must_use]
    #[inline]
    pub const fn is_instruction(&self) -> bool {
        !matches!(self.word, Word::Data)
    }

    /// As [`RelocKind::is_branch`].
    #[must_use]
    #[inline]
    pub const fn is_branch(&self) -> bool {
        matches!(self.word, Word::Branch)
    }

    /// As [`RelocKind::accepts`].
    #[must_use]
    #[inline]
    pub const fn accepts(&self, word: u32) -> bool {
        let Class { one, other } = self.class;
        word & one.0 == one.1 || word & other.0 == other.1
    }

    const fn of(kind: RelocKind) -> Self {
        use RelocKind as Kind;
        let (word, class) = match kind {
            Kind::Abs64 | Kind::Abs32 | Kind::Prel64 | Kind::Prel32 => (Word::Data, Class::ANY),
            Kind::AdrPrelLo21 => (Word::Address, Class::only(0x9f00_0000, 0x1000_0000)),
            Kind::AdrPrelPgHi21 | Kind::AdrPrelPgHi21Nc => {
                (Word::Address, Class::only(0x9f00_0000, 0x9000_0000))
            }
            // ADD (immediate), 32 or 64 bit, no shift, flags not set.
            Kind::AddAbsLo12Nc => (Word::Address, Class::only(0x7fc0_0000, 0x1100_0000)),
            Kind::Ldst8AbsLo12Nc => (Word::LoadStore, Class::load_store(0)),
            Kind::Ldst16AbsLo12Nc => (Word::LoadStore, Class::load_store(1)),
            Kind::Ldst32AbsLo12Nc => (Word::LoadStore, Class::load_store(2)),
            Kind::Ldst64AbsLo12Nc => (Word::LoadStore, Class::load_store(3)),
            Kind::Ldst128AbsLo12Nc => (Word::LoadStore, Class::only(0xff80_0000, 0x3d80_0000)),
            Kind::Tstbr14 => (Word::Branch, Class::only(0x7e00_0000, 0x3600_0000)),
            // B.cond (bit 4 clear: BC.cond is another instruction), or CBZ/CBNZ.
            Kind::Condbr19 => {
                (Word::Branch, Class { one: (0xff00_0010, 0x5400_0000), other: (0x7e00_0000, 0x3400_0000) })
            }
            Kind::Jump26 => (Word::Branch, Class::only(0xfc00_0000, 0x1400_0000)),
            Kind::Call26 => (Word::Branch, Class::only(0xfc00_0000, 0x9400_0000)),
        };
        Self { class, kind, word }
    }
}

/// The immediate of an `ADR` or `ADRP`.
const ADR_FIELD: u32 = 0x60ff_ffe0;
/// The immediate of an `ADD`, or the offset of an access.
const OFFSET_FIELD: u32 = 0x003f_fc00;

/// The smallest ELF number of a kind.
const ELF_FIRST: u32 = 257;
/// Places of the table of traits. With 64 or fewer the compiler would not look anything up, but build a mask of bits for
/// each question, which takes twice the instructions.
const PLACES: usize = 65;

/// The place of an ELF number in [`TRAITS`], which is what a [`RelocKind`] is in memory.
const fn place_of(number: u32) -> u8 {
    let [place, ..] = (number - ELF_FIRST).to_le_bytes();
    assert!((place as usize) < PLACES, "the table has a place for each kind");
    place
}

/// By ELF number, from the first on.
static TRAITS: [Traits; PLACES] = {
    let mut traits = [Traits::NONE; PLACES];
    let mut index = 0;
    while index < RelocKind::ALL.len() {
        let kind = RelocKind::ALL[index];
        traits[kind as usize] = Traits::of(kind);
        index += 1;
    }
    traits
};
