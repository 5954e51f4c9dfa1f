//! Bind rights: what the loader's capability allows a module to do with a symbol.

use core::ops::BitOr;

/// A set of bind rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindRights(u8);

impl BindRights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Call the symbol.
    pub const CALL: Self = Self(1);
    /// Replace a stub (`strong`).
    pub const PROVIDE: Self = Self(2);
    /// Build on what it overrides (`refine`).
    pub const REFINE: Self = Self(4);
    /// Introduce a symbol (`weak`) or an export.
    pub const EXPORT: Self = Self(8);
    /// Take the symbol's address.
    pub const TAKE_ADDRESS: Self = Self(16);
    /// Every right.
    pub const ALL: Self = Self(31);

    /// Whether all rights of `wanted` are here.
    #[must_use]
    pub const fn contains(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// The set as bits, for a badge.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set from bits; unknown bits are dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }
}

impl BitOr for BindRights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The rights that one load is done with: an interface is a prefix of symbol names.
#[derive(Clone, Copy, Debug)]
pub struct Rights<'a> {
    /// Interfaces with their rights; the first prefix that fits decides.
    pub interfaces: &'a [(&'a [u8], BindRights)],
    /// Rights to symbols of no listed interface.
    pub otherwise: BindRights,
}

impl Rights<'_> {
    /// A link domain's own capability: everything.
    pub const ALL: Rights<'static> = Rights { interfaces: &[], otherwise: BindRights::ALL };

    /// The rights to one symbol.
    #[must_use]
    pub fn to(&self, symbol: &[u8]) -> BindRights {
        self.interfaces
            .iter()
            .find(|(prefix, _)| symbol.starts_with(prefix))
            .map_or(self.otherwise, |(_, rights)| *rights)
    }
}
