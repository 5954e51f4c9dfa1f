//! Branches: the one kind of instruction that a patch may replace, and the addresses that it joins.

use core::fmt;

use aarch64_reloc::{BranchKind, BranchPair};

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

/// A branch cannot reach its target without a veneer, or one of its ends is not aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// Where the branch stands.
    pub at: Va,
    /// Where it should go.
    pub target: Va,
}

/// A `B` or `BL` instruction word.
///
/// Holding one proves that the bits decode as `B` or `BL`: nothing else is ever written over live text. It is the
/// word, and not [`aarch64_reloc::Branch`], so that a plan's patches stay small.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Branch(u32);

impl Branch {
    /// Encodes the branch that stands at `at` and goes to `target`; with `link`, a `BL`.
    #[inline]
    pub fn encode(at: Va, target: Va, link: bool) -> Result<Self, OutOfRange> {
        let kind = if link { BranchKind::Bl } else { BranchKind::B };
        let out_of_range = OutOfRange { at, target };
        if !at.0.is_multiple_of(4) {
            return Err(out_of_range);
        }
        let branch = Self(aarch64_reloc::Branch::word_between(kind, at.0, target.0).ok_or(out_of_range)?);
        debug_assert!(branch.target(at) == target, "an encoded branch must decode to its target");
        Ok(branch)
    }

    /// The branches to two targets at `at`, where both are in reach.
    #[inline]
    pub(crate) fn both(pair: &BranchPair, at: Va, link: bool) -> Option<(Self, Self)> {
        let kind = if link { BranchKind::Bl } else { BranchKind::B };
        pair.words(kind, at.0).map(|(one, other)| (Self(one), Self(other)))
    }

    /// Reads a branch from memory; none if the bits are another instruction.
    #[must_use]
    pub fn decode(bits: u32) -> Option<Self> {
        aarch64_reloc::Branch::decode(bits).map(|_| Self(bits))
    }

    /// The instruction word.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    fn decoded(self) -> aarch64_reloc::Branch {
        aarch64_reloc::Branch::decode(self.0).expect("a branch holds the word of a branch")
    }

    /// Whether this is a `BL`: bit 31 (Arm ARM C6.2.35).
    #[must_use]
    pub const fn links(self) -> bool {
        self.0 >> 31 == 1
    }

    /// Where the branch goes when it stands at `at`.
    #[must_use]
    pub fn target(self, at: Va) -> Va {
        Va(self.decoded().target(at.0))
    }
}

impl fmt::Debug for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Branch({:#010x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    //! Goal: the reach ends where the architecture says. (Every immediate is exhausted in `aarch64-reloc`.)
    use aarch64_reloc::insn::BRANCH_RANGE as RANGE;

    use super::{Branch, OutOfRange, Va};

    #[test]
    fn range_and_alignment_are_refused() {
        let at = Va(0x4_0000_0000);
        for target in [Va(at.0 + RANGE), Va(at.0 - RANGE - 4), Va(at.0 + 2), Va(at.0 + 1)] {
            assert_eq!(Branch::encode(at, target, true), Err(OutOfRange { at, target }));
        }
        for target in [Va(at.0 + RANGE - 4), Va(at.0 - RANGE), at] {
            let branch = Branch::encode(at, target, false).unwrap();
            assert_eq!((branch.target(at), branch.links()), (target, false));
        }
        assert!(Branch::encode(Va(2), Va(6), true).is_err());
        assert_eq!(Branch::decode(0xd503_201f), None);
    }
}
