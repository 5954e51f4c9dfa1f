//! The instructions that the linker writes: branches that are patched, and the words of veneers and slots.
//!
//! Encodings follow the Arm Architecture Reference Manual, chapter C6. A field that an operand does not fit is
//! refused with `None`; no encoder truncates.

/// `NOP`. One of the instructions that may be replaced while another core executes it (Arm ARM B2.2.5).
pub const NOP: u32 = 0xd503_201f;

/// `RET` (through x30).
pub const RET: u32 = 0xd65f_03c0;

/// How far a `B` or `BL` reaches in either direction, in bytes. Forwards the last reachable offset is four less.
pub const BRANCH_RANGE: u64 = 128 << 20;

/// How far an `ADRP` reaches in either direction, in bytes.
pub const ADRP_RANGE: u64 = 4 << 30;

const _: () = assert!(BRANCH_RANGE == 1 << (25 + 2));
const _: () = assert!(ADRP_RANGE == 1 << (20 + 12));

const BRANCH_OPCODE_MASK: u32 = 0xfc00_0000;
const B_OPCODE: u32 = 0x1400_0000;
const BL_OPCODE: u32 = 0x9400_0000;

/// Which of the two patchable branches: a patch never turns one into the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BranchKind {
    /// `B`: a tail call, or the word of an address slot.
    B,
    /// `BL`: a call.
    Bl,
}

impl BranchKind {
    const fn opcode(self) -> u32 {
        // They differ in bit 31 alone.
        B_OPCODE | (self as u32) << 31
    }
}

const _: () = assert!(BranchKind::B.opcode() == B_OPCODE && BranchKind::Bl.opcode() == BL_OPCODE);

/// A `B` or `BL`, decoded.
///
/// Holding one proves that the offset is a multiple of four within the reach of the instruction, so encoding
/// cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Branch {
    kind: BranchKind,
    offset: i32,
}

impl Branch {
    /// The branch at `from` that reaches `to`, or `None` where the distance is no multiple of four or beyond
    /// [`BRANCH_RANGE`].
    #[must_use]
    pub const fn between(kind: BranchKind, from: u64, to: u64) -> Option<Self> {
        let offset = to.wrapping_sub(from).cast_signed();
        if offset % 4 != 0 || !fits_signed(offset, 28) {
            return None;
        }
        Some(Self { kind, offset: low32(offset).cast_signed() })
    }

    /// The word of the branch at `from` that reaches `to`: [`Branch::between`] and [`Branch::encode`] at once, for whoever
    /// makes many of them.
    #[must_use]
    #[inline]
    pub const fn word_between(kind: BranchKind, from: u64, to: u64) -> Option<u32> {
        // Raised by the range and turned by two bits, a distance that fits is a number of 26 bits: neither a bit of a
        // fraction of a word nor one beyond the reach is left at the top.
        let turned = to.wrapping_sub(from).wrapping_add(BRANCH_RANGE).rotate_right(2);
        if turned > (!BRANCH_OPCODE_MASK) as u64 {
            return None;
        }
        Some(kind.opcode() | (low32(turned.cast_signed()) ^ (1 << 25)))
    }

    /// Reads a word; `None` where it is neither `B` nor `BL`.
    #[must_use]
    pub const fn decode(word: u32) -> Option<Self> {
        let kind = match word & BRANCH_OPCODE_MASK {
            B_OPCODE => BranchKind::B,
            BL_OPCODE => BranchKind::Bl,
            _ => return None,
        };
        // Six opcode bits leave at the top, then the arithmetic shift brings sign and scale.
        Some(Self { kind, offset: (word << 6).cast_signed() >> 4 })
    }

    /// The word of this branch.
    #[must_use]
    pub const fn encode(self) -> u32 {
        self.kind.opcode() | ((self.offset >> 2).cast_unsigned() & !BRANCH_OPCODE_MASK)
    }

    /// Call or tail call.
    #[must_use]
    pub const fn kind(self) -> BranchKind {
        self.kind
    }

    /// Distance in bytes from the branch to its target.
    #[must_use]
    pub const fn offset(self) -> i32 {
        self.offset
    }

    /// Where the branch goes when it stands at `from`.
    #[must_use]
    pub const fn target(self, from: u64) -> u64 {
        from.wrapping_add_signed(self.offset as i64)
    }
}

/// The branches to two targets from every place that reaches both: what a relink replaces and by what. One compare for
/// each place, whatever the two are.
#[derive(Clone, Copy, Debug)]
pub struct BranchPair {
    one: u64,
    other: u64,
    /// The first place that reaches both, and how many words from there do.
    first: u64,
    count: u64,
}

impl BranchPair {
    /// No branches, from nowhere.
    pub const NONE: Self = Self { one: 0, other: 0, first: 0, count: 0 };

    /// The branches to `one` and to `other`.
    #[must_use]
    pub const fn new(one: u64, other: u64) -> Self {
        let (low, high) = if one < other { (one, other) } else { (other, one) };
        // Where the address space ends, fewer places are said to reach them than do.
        let first = high.saturating_sub(BRANCH_RANGE - 4);
        let last = low.saturating_add(BRANCH_RANGE) & !3;
        let aligned = one.is_multiple_of(4) && other.is_multiple_of(4);
        let count = if aligned && first <= last { (last - first.next_multiple_of(4)) / 4 + 1 } else { 0 };
        Self { one, other, first: first.next_multiple_of(4), count }
    }

    /// The words of both at `from`; none where one of them is out of reach, or may be.
    #[must_use]
    #[inline]
    pub const fn words(&self, kind: BranchKind, from: u64) -> Option<(u32, u32)> {
        // Turned by two bits, what is no multiple of four is greater than any count.
        if from.wrapping_sub(self.first).rotate_right(2) >= self.count {
            return None;
        }
        Some((near(kind, from, self.one), near(kind, from, self.other)))
    }
}

/// The word of a branch that is known to reach.
const fn near(kind: BranchKind, from: u64, to: u64) -> u32 {
    kind.opcode() | low32((to.wrapping_sub(from) >> 2).cast_signed()) & !BRANCH_OPCODE_MASK
}

/// Whether a word may be stored over, or stored in place of, another while cores execute it: `B`, `BL` or `NOP`.
///
/// The architecture's short list is longer (Arm ARM B2.2.5); the linker uses these three only.
#[must_use]
pub const fn is_patchable(word: u32) -> bool {
    word == NOP || Branch::decode(word).is_some()
}

/// `ADRP Xd, page`, from the instruction's own address to the page of `to`.
#[must_use]
pub const fn adrp(rd: u32, from: u64, to: u64) -> Option<u32> {
    let pages = (to >> 12).wrapping_sub(from >> 12).cast_signed();
    // The difference of two 52-bit page numbers: bring the wrapped sign back before the range is checked.
    let pages = (pages << 12) >> 12;
    if rd > 31 || !fits_signed(pages, 21) {
        return None;
    }
    Some(0x9000_0000 | adr_immediate(pages) | rd)
}

/// `ADR Xd, to`.
#[must_use]
pub const fn adr(rd: u32, from: u64, to: u64) -> Option<u32> {
    let offset = to.wrapping_sub(from).cast_signed();
    if rd > 31 || !fits_signed(offset, 21) {
        return None;
    }
    Some(0x1000_0000 | adr_immediate(offset) | rd)
}

/// `ADD Xd, Xn, #immediate` with an unsigned 12-bit immediate.
#[must_use]
pub const fn add_immediate(rd: u32, rn: u32, immediate: u32) -> Option<u32> {
    if rd > 31 || rn > 31 || immediate > 0xfff {
        return None;
    }
    Some(0x9100_0000 | (immediate << 10) | (rn << 5) | rd)
}

/// `BR Xn`.
#[must_use]
pub const fn br(rn: u32) -> Option<u32> {
    if rn > 31 {
        return None;
    }
    Some(0xd61f_0000 | (rn << 5))
}

/// The page offset that a decoded `ADRP` word adds, in bytes; `None` for another instruction.
#[must_use]
pub const fn decode_adrp(word: u32) -> Option<i64> {
    if word & 0x9f00_0000 != 0x9000_0000 {
        return None;
    }
    Some(adr_offset(word) << 12)
}

/// The distance that a decoded `ADR` word adds, in bytes; `None` for another instruction.
#[must_use]
pub const fn decode_adr(word: u32) -> Option<i64> {
    if word & 0x9f00_0000 != 0x1000_0000 {
        return None;
    }
    Some(adr_offset(word))
}

/// Whether `value` is representable in `bits` bits of two's complement.
pub(crate) const fn fits_signed(value: i64, bits: u32) -> bool {
    let shift = 64 - bits;
    (value << shift) >> shift == value
}

/// The low half of a two's complement number.
pub(crate) const fn low32(value: i64) -> u32 {
    (value.cast_unsigned() & 0xffff_ffff) as u32
}

/// immlo in bits 30:29, immhi in bits 23:5.
pub(crate) const fn adr_immediate(value: i64) -> u32 {
    let bits = low32(value);
    ((bits & 3) << 29) | (((bits >> 2) & 0x7_ffff) << 5)
}

const fn adr_offset(word: u32) -> i64 {
    let bits = (((word >> 5) & 0x7_ffff) << 2) | ((word >> 29) & 3);
    ((bits << 11).cast_signed() >> 11) as i64
}
