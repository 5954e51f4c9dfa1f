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
pub enum RelocKind {
    /// `R_AARCH64_ABS64`: 64 bits of the address.
    Abs64,
    /// `R_AARCH64_ABS32`: 32 bits of the address, which must fit as a signed or an unsigned number.
    Abs32,
    /// `R_AARCH64_PREL64`: 64 bits of the distance.
    Prel64,
    /// `R_AARCH64_PREL32`: 32 bits of the distance.
    Prel32,
    /// `R_AARCH64_ADR_PREL_LO21`: the distance in an `ADR`.
    AdrPrelLo21,
    /// `R_AARCH64_ADR_PREL_PG_HI21`: the distance in pages in an `ADRP`.
    AdrPrelPgHi21,
    /// `R_AARCH64_ADR_PREL_PG_HI21_NC`: the same without an overflow check.
    AdrPrelPgHi21Nc,
    /// `R_AARCH64_ADD_ABS_LO12_NC`: the offset in its page in an `ADD` (immediate).
    AddAbsLo12Nc,
    /// `R_AARCH64_LDST8_ABS_LO12_NC`: the offset in its page in a load or store of one byte.
    Ldst8AbsLo12Nc,
    /// `R_AARCH64_LDST16_ABS_LO12_NC`: the same for two bytes.
    Ldst16AbsLo12Nc,
    /// `R_AARCH64_LDST32_ABS_LO12_NC`: the same for four bytes.
    Ldst32AbsLo12Nc,
    /// `R_AARCH64_LDST64_ABS_LO12_NC`: the same for eight bytes.
    Ldst64AbsLo12Nc,
    /// `R_AARCH64_LDST128_ABS_LO12_NC`: the same for sixteen bytes.
    Ldst128AbsLo12Nc,
    /// `R_AARCH64_TSTBR14`: the distance in a `TBZ` or `TBNZ`.
    Tstbr14,
    /// `R_AARCH64_CONDBR19`: the distance in a `B.cond`, `CBZ` or `CBNZ`.
    Condbr19,
    /// `R_AARCH64_JUMP26`: the distance in a `B`.
    Jump26,
    /// `R_AARCH64_CALL26`: the distance in a `BL`.
    Call26,
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
        let place = number.wrapping_sub(ELF_FIRST) as usize;
        if place < BY_ELF.len() { BY_ELF[place] } else { None }
    }

    /// The ELF relocation number.
    #[must_use]
    pub const fn elf(self) -> u32 {
        match self {
            Self::Abs64 => 257,
            Self::Abs32 => 258,
            Self::Prel64 => 260,
            Self::Prel32 => 261,
            Self::AdrPrelLo21 => 274,
            Self::AdrPrelPgHi21 => 275,
            Self::AdrPrelPgHi21Nc => 276,
            Self::AddAbsLo12Nc => 277,
            Self::Ldst8AbsLo12Nc => 278,
            Self::Tstbr14 => 279,
            Self::Condbr19 => 280,
            Self::Jump26 => 282,
            Self::Call26 => 283,
            Self::Ldst16AbsLo12Nc => 284,
            Self::Ldst32AbsLo12Nc => 285,
            Self::Ldst64AbsLo12Nc => 286,
            Self::Ldst128AbsLo12Nc => 299,
        }
    }

    /// How many bytes the relocated word has: 4, or 8 for the 64-bit data kinds.
    #[must_use]
    pub const fn width(self) -> u64 {
        match self {
            Self::Abs64 | Self::Prel64 => 8,
            _ => 4,
        }
    }

    /// Whether the word is an instruction (and not data).
    #[must_use]
    pub const fn is_instruction(self) -> bool {
        !matches!(self, Self::Abs64 | Self::Abs32 | Self::Prel64 | Self::Prel32)
    }

    /// Whether this is `CALL26` or `JUMP26`: a site that the linker patches when the target's alias stack changes.
    /// Any other kind against an aliasable name means that its address is taken.
    #[must_use]
    pub const fn is_call(self) -> bool {
        matches!(self, Self::Jump26 | Self::Call26)
    }

    /// The bits of the word that the relocation writes; all others stay.
    #[must_use]
    #[inline]
    pub const fn field_mask(self) -> u64 {
        FIELD_MASKS[self as usize]
    }

    const fn mask_of(self) -> u64 {
        match self {
            Self::Abs64 | Self::Prel64 => u64::MAX,
            Self::Abs32 | Self::Prel32 => 0xffff_ffff,
            Self::AdrPrelLo21 | Self::AdrPrelPgHi21 | Self::AdrPrelPgHi21Nc => 0x60ff_ffe0,
            Self::AddAbsLo12Nc
            | Self::Ldst8AbsLo12Nc
            | Self::Ldst16AbsLo12Nc
            | Self::Ldst32AbsLo12Nc
            | Self::Ldst64AbsLo12Nc
            | Self::Ldst128AbsLo12Nc => 0x003f_fc00,
            Self::Tstbr14 => 0x0007_ffe0,
            Self::Condbr19 => 0x00ff_ffe0,
            Self::Jump26 | Self::Call26 => 0x03ff_ffff,
        }
    }

    /// Whether this is a branch: its target is an instruction.
    #[must_use]
    pub const fn is_branch(self) -> bool {
        matches!(self, Self::Tstbr14 | Self::Condbr19 | Self::Jump26 | Self::Call26)
    }

    /// Whether the instruction reads or writes what the symbol names.
    #[must_use]
    pub const fn is_load_store(self) -> bool {
        matches!(
            self,
            Self::Ldst8AbsLo12Nc
                | Self::Ldst16AbsLo12Nc
                | Self::Ldst32AbsLo12Nc
                | Self::Ldst64AbsLo12Nc
                | Self::Ldst128AbsLo12Nc
        )
    }

    /// Whether `word` is an instruction that this relocation may stand on. Data kinds accept any word.
    #[must_use]
    pub const fn accepts(self, word: u32) -> bool {
        let Class { one, other } = CLASSES[self as usize];
        word & one.0 == one.1 || word & other.0 == other.1
    }

    /// The word after relocation: `old` with the field replaced.
    ///
    /// `place` is the address of the word, `value` the symbol's address plus the addend (AAELF64: S + A).
    ///
    /// # Errors
    /// [`RelocError`], except `Truncated`.
    pub const fn relocate(self, place: u64, value: u64, old: u64) -> Result<u64, RelocError> {
        if self.is_instruction() {
            if !place.is_multiple_of(4) {
                return Err(RelocError::MisalignedPlace(self, place));
            }
            if !self.accepts(low32(old.cast_signed())) {
                return Err(RelocError::WrongInstruction(self, place));
            }
        }
        self.insert(place, value, old)
    }

    /// The same where it is known that `old` is of the kind's class and stands at a multiple of four.
    ///
    /// # Errors
    /// [`RelocError::OutOfRange`], [`RelocError::MisalignedValue`].
    #[inline]
    pub const fn insert(self, place: u64, value: u64, old: u64) -> Result<u64, RelocError> {
        match self.field(place, value) {
            Ok(field) => Ok((old & !self.field_mask()) | field),
            Err(error) => Err(error),
        }
    }

    /// The bits of the field, in place.
    #[inline]
    const fn field(self, place: u64, value: u64) -> Result<u64, RelocError> {
        let distance = value.wrapping_sub(place).cast_signed();
        Ok(match self {
            Self::Abs64 => value,
            Self::Prel64 => distance.cast_unsigned(),
            Self::Abs32 => return self.word32(place, value.cast_signed()),
            Self::Prel32 => return self.word32(place, distance),
            Self::AdrPrelLo21 => {
                if !fits_signed(distance, 21) {
                    return Err(RelocError::OutOfRange(self, place));
                }
                adr_immediate(distance) as u64
            }
            Self::AdrPrelPgHi21 | Self::AdrPrelPgHi21Nc => {
                let bytes = (value & !0xfff).wrapping_sub(place & !0xfff).cast_signed();
                if matches!(self, Self::AdrPrelPgHi21) && !fits_signed(bytes, 33) {
                    return Err(RelocError::OutOfRange(self, place));
                }
                adr_immediate(bytes >> 12) as u64
            }
            Self::AddAbsLo12Nc | Self::Ldst8AbsLo12Nc => (value & 0xfff) << 10,
            Self::Ldst16AbsLo12Nc => return self.scaled(place, value, 1),
            Self::Ldst32AbsLo12Nc => return self.scaled(place, value, 2),
            Self::Ldst64AbsLo12Nc => return self.scaled(place, value, 3),
            Self::Ldst128AbsLo12Nc => return self.scaled(place, value, 4),
            Self::Tstbr14 => return self.branch(place, distance, 14, 5),
            Self::Condbr19 => return self.branch(place, distance, 19, 5),
            Self::Jump26 | Self::Call26 => return self.branch(place, distance, 26, 0),
        })
    }

    /// AAELF64: -2^31 <= X < 2^32.
    const fn word32(self, place: u64, value: i64) -> Result<u64, RelocError> {
        if value < -(1 << 31) || value >= 1 << 32 {
            return Err(RelocError::OutOfRange(self, place));
        }
        Ok(low32(value) as u64)
    }

    /// The offset in the page, in units of the access.
    const fn scaled(self, place: u64, value: u64, log2: u32) -> Result<u64, RelocError> {
        if !value.is_multiple_of(1 << log2) {
            return Err(RelocError::MisalignedValue(self, place));
        }
        Ok(((value & 0xfff) >> log2) << 10)
    }

    /// A distance in words of `bits` bits at bit `low`.
    const fn branch(self, place: u64, distance: i64, bits: u32, low: u32) -> Result<u64, RelocError> {
        if distance % 4 != 0 {
            return Err(RelocError::MisalignedValue(self, place));
        }
        if !fits_signed(distance, bits + 2) {
            return Err(RelocError::OutOfRange(self, place));
        }
        let mask = (1u64 << bits) - 1;
        Ok(((distance >> 2).cast_unsigned() & mask) << low)
    }
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
    if kind.width() == 8 {
        let field = bytes.first_chunk_mut::<8>().ok_or(truncated)?;
        *field = kind.relocate(place, value, u64::from_le_bytes(*field))?.to_le_bytes();
    } else {
        let field = bytes.first_chunk_mut::<4>().ok_or(truncated)?;
        let new = kind.relocate(place, value, u64::from(u32::from_le_bytes(*field)))?;
        *field = low32(new.cast_signed()).to_le_bytes();
    }
    Ok(())
}

/// The instructions that a relocation may stand on: a word belongs to the class if it has the bits of either pattern
/// under its mask.
#[derive(Clone, Copy)]
struct Class {
    one: (u32, u32),
    other: (u32, u32),
}

impl Class {
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

/// The smallest and the largest ELF number of a kind.
const ELF_FIRST: u32 = RelocKind::Abs64.elf();
const ELF_LAST: u32 = RelocKind::Ldst128AbsLo12Nc.elf();

/// The kind of each ELF number from the first on. A load is one lookup of this table for each relocation.
static BY_ELF: [Option<RelocKind>; (ELF_LAST - ELF_FIRST + 1) as usize] = {
    let mut kinds = [None; (ELF_LAST - ELF_FIRST + 1) as usize];
    let mut index = 0;
    while index < RelocKind::ALL.len() {
        let kind = RelocKind::ALL[index];
        kinds[(kind.elf() - ELF_FIRST) as usize] = Some(kind);
        index += 1;
    }
    kinds
};

/// The mask of each kind, in the order of the enum.
static FIELD_MASKS: [u64; RelocKind::ALL.len()] = {
    let mut masks = [0; RelocKind::ALL.len()];
    let mut index = 0;
    while index < masks.len() {
        masks[index] = RelocKind::ALL[index].mask_of();
        index += 1;
    }
    masks
};

/// The class of each kind, in the order of the enum.
const CLASSES: [Class; 17] = {
    let any = Class::only(0, 0);
    let adrp = Class::only(0x9f00_0000, 0x9000_0000);
    [
        any,
        any,
        any,
        any,
        Class::only(0x9f00_0000, 0x1000_0000),
        adrp,
        adrp,
        // ADD (immediate), 32 or 64 bit, no shift, flags not set.
        Class::only(0x7fc0_0000, 0x1100_0000),
        Class::load_store(0),
        Class::load_store(1),
        Class::load_store(2),
        Class::load_store(3),
        Class::only(0xff80_0000, 0x3d80_0000),
        Class::only(0x7e00_0000, 0x3600_0000),
        // B.cond (bit 4 clear: BC.cond is another instruction), or CBZ/CBNZ.
        Class { one: (0xff00_0010, 0x5400_0000), other: (0x7e00_0000, 0x3400_0000) },
        Class::only(0xfc00_0000, 0x1400_0000),
        Class::only(0xfc00_0000, 0x9400_0000),
    ]
};
const _: () = assert!(RelocKind::ALL[16] as usize == 16 && RelocKind::Ldst128AbsLo12Nc as usize == 12);
