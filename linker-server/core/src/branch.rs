//! Branches: the one kind of instruction that a patch may replace, and the addresses that it joins.

use core::fmt;

/// An address in a link domain.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Va(pub u64);

impl Va {
    /// The address `bytes` further up. Saturates: an address at the end of the address space is in no window.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }
}

impl fmt::Debug for Va {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// How far a `B` or `BL` reaches in either direction (AAELF64, R_AARCH64_CALL26: -2^27 <= X < 2^27).
pub const RANGE: u64 = 1 << 27;
const _: () = assert!(RANGE == 128 << 20);

const OPCODE_B: u32 = 0x1400_0000;
const OPCODE_BL: u32 = 0x9400_0000;
const OPCODE_MASK: u32 = 0xfc00_0000;
const IMMEDIATE_MASK: u32 = 0x03ff_ffff;

/// A branch cannot reach its target without a veneer, or one of its ends is not aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// Where the branch stands.
    pub at: Va,
    /// Where it should go.
    pub target: Va,
}

/// A `B` or `BL` instruction with its displacement.
///
/// Holding one proves that the bits decode as `B` or `BL`: nothing else is ever written over live text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Branch(u32);

impl Branch {
    /// Encodes the branch that stands at `at` and goes to `target`; with `link`, a `BL`.
    pub fn encode(at: Va, target: Va, link: bool) -> Result<Self, OutOfRange> {
        let displacement = target.0.wrapping_sub(at.0);
        let reaches = displacement.wrapping_add(RANGE) < 2 * RANGE;
        if !reaches || (at.0 | target.0) & 3 != 0 {
            return Err(OutOfRange { at, target });
        }
        let opcode = if link { OPCODE_BL } else { OPCODE_B };
        // The displacement is within 28 bits, so its low half holds all of the immediate.
        let immediate = ((displacement & 0x0fff_ffff) >> 2) as u32 & IMMEDIATE_MASK;
        let branch = Self(opcode | immediate);
        assert!(branch.target(at) == target, "an encoded branch must decode to its target");
        Ok(branch)
    }

    /// Reads a branch from memory; none if the bits are another instruction.
    #[must_use]
    pub const fn decode(bits: u32) -> Option<Self> {
        match bits & OPCODE_MASK {
            OPCODE_B | OPCODE_BL => Some(Self(bits)),
            _ => None,
        }
    }

    /// The instruction word.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether this is a `BL`.
    #[must_use]
    pub const fn links(self) -> bool {
        self.0 & OPCODE_MASK == OPCODE_BL
    }

    /// Where the branch goes when it stands at `at`.
    #[must_use]
    pub const fn target(self, at: Va) -> Va {
        // Sign-extends the 26-bit immediate and multiplies it by four.
        let displacement = (((self.0 & IMMEDIATE_MASK) as i32) << 6 >> 4) as i64;
        Va(at.0.wrapping_add_signed(displacement))
    }
}

impl fmt::Debug for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Branch({:#010x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    //! Goal: every immediate survives, the range ends where the architecture says. Method: exhaust 2^26.
    use super::*;

    #[test]
    fn every_displacement_survives() {
        let at = Va(0x4_0000_0000);
        for step in 0..(1_u64 << 26) {
            let target = Va(at.0 - RANGE + step * 4);
            let branch = Branch::encode(at, target, step & 1 == 0).unwrap();
            assert_eq!(branch.target(at), target);
            assert_eq!(branch.links(), step & 1 == 0);
        }
    }

    #[test]
    fn range_and_alignment_are_refused() {
        let at = Va(0x4_0000_0000);
        for target in [Va(at.0 + RANGE), Va(at.0 - RANGE - 4), Va(at.0 + 2), Va(at.0 + 1)] {
            assert_eq!(Branch::encode(at, target, true), Err(OutOfRange { at, target }));
        }
        assert!(Branch::encode(Va(2), Va(6), true).is_err());
        assert_eq!(Branch::decode(0xd503_201f), None);
        assert_eq!(Branch::decode(0x1400_0001).map(|b| b.target(Va(8))), Some(Va(12)));
    }
}
