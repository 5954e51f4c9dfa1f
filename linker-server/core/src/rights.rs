//! Bind rights: what the loader's capability allows a module to do with a symbol.

use core::ops::BitOr;

use crate::capability::{Capabilities, CapabilityId};
use crate::domain::SymbolId;
use crate::name::Name;

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

/// What a load is done with: the capability that it is asked by, and those that are presented with it.
#[derive(Clone, Copy, Debug)]
pub struct Rights<'a> {
    /// None for the link domain's own root: everything is allowed.
    table: Option<&'a Capabilities>,
    loader: CapabilityId,
    presented: &'a [CapabilityId],
}

impl<'a> Rights<'a> {
    /// The root's: everything.
    pub const ALL: Rights<'static> = Rights { table: None, loader: CapabilityId::ROOT, presented: &[] };

    /// Those of a loader's capability and of the capabilities that are presented with the request.
    #[must_use]
    pub const fn presented(
        table: &'a Capabilities,
        loader: CapabilityId,
        presented: &'a [CapabilityId],
    ) -> Self {
        Self { table: Some(table), loader, presented }
    }

    /// The capability that allows to bind to a symbol in this way, if there is one.
    #[must_use]
    pub fn grantor(&self, symbol: &Name, right: BindRights) -> Option<CapabilityId> {
        self.table
            .map_or(Some(CapabilityId::ROOT), |table| table.binds(self.loader, self.presented, symbol, right))
    }
}

/// One right that a module was loaded with, and by whose leave: a line of its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// To which symbol.
    pub symbol: SymbolId,
    /// Which right: exactly one.
    pub right: BindRights,
    /// The capability that allowed it.
    pub by: CapabilityId,
    /// It was revoked since: what needed it is bound to the layer below or to a stub.
    pub revoked: bool,
}
