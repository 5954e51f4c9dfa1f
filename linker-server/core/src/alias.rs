//! Alias stacks: who answers to a symbol, and whom they refined.

use heapless::Vec;

use crate::branch::Va;
use crate::domain::ModuleId;
use crate::{ALIASES_MAX, REFINERS_MAX};

/// What an alias is to its symbol, and so where it stands in the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AliasKind {
    /// The default, in slot 0, of the base image or of the module that introduces the symbol.
    Weak,
    /// A default that nobody may override: it is bound, never layered.
    Export,
    /// A full replacement of a stub, in slot 1.
    Strong,
    /// Builds on what it overrides; above the others.
    Refine,
}

impl AliasKind {
    /// Whether an alias of this kind introduces its symbol.
    #[must_use]
    pub const fn introduces(self) -> bool {
        matches!(self, Self::Weak | Self::Export)
    }
}

/// How a call site reaches its callee (DESIGN section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binding {
    /// The site's branch goes to the implementation itself: no extra instruction.
    Direct,
    /// The site's branch goes to a gate that keeps a record of who is inside.
    Counted,
    /// The module lives in a link domain of its own. Not in this version: planning refuses it.
    Isolated,
}

/// One entry of an alias stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alias {
    /// Who brought it.
    pub module: ModuleId,
    /// Default, replacement or layer.
    pub kind: AliasKind,
    /// How call sites reach it.
    pub binding: Binding,
    /// Whether calls may reach it. An unlinked alias keeps its place: its module is being loaded or unloaded, or it
    /// is wedged.
    pub linked: bool,
    /// The record says that a call of it may block.
    pub may_block: bool,
    /// The record's wish for a place among the refiners: a greater one stands nearer to the top; equal ones stand
    /// in load order.
    pub position: u32,
    /// The implementation.
    pub target: Va,
    /// What a branch goes to: the gate of a counted alias, else the implementation.
    pub entry: Va,
    /// A range extension that leads to `entry`, once some call site needed one. It lives as long as the alias.
    pub veneer: Option<Va>,
    /// The right to stand here was revoked: it is never linked again.
    pub revoked: bool,
    /// What a call returns when the implementation faults.
    pub fault_value: u64,
}

/// All answers to one symbol: `[default] [strong?] [refine …]`, bottom first.
#[derive(Clone, Debug, Default)]
pub struct AliasStack {
    aliases: Vec<Alias, ALIASES_MAX>,
}

/// The stack already holds as many refiners as [`REFINERS_MAX`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackFull;

impl AliasStack {
    /// A stack of nothing: its symbol is free.
    pub const EMPTY: Self = Self { aliases: Vec::new() };

    /// Every entry, bottom first, the unlinked ones included.
    #[must_use]
    pub fn aliases(&self) -> &[Alias] {
        &self.aliases
    }

    /// Where a module's entry stands.
    #[must_use]
    pub fn index_of(&self, module: ModuleId) -> Option<usize> {
        self.aliases.iter().position(|alias| alias.module == module)
    }

    /// A module's entry.
    #[must_use]
    pub fn of(&self, module: ModuleId) -> Option<&Alias> {
        self.aliases.iter().find(|alias| alias.module == module)
    }

    /// The alias that answers a call of the symbol: the highest linked one.
    ///
    /// Slot 0 is the last resort, linked or not. It matters to a module's own calls of a symbol that it introduces,
    /// and to a symbol whose introducing module was popped: its text stays mapped, and nobody else can answer.
    #[must_use]
    pub fn top(&self) -> Option<&Alias> {
        Self::highest_linked(&self.aliases)
    }

    /// The alias that answers `super_` in `module`: the highest linked one under the module's own.
    #[must_use]
    pub fn below(&self, module: ModuleId) -> Option<&Alias> {
        Self::highest_linked(self.aliases.get(..self.index_of(module)?)?)
    }

    fn highest_linked(aliases: &[Alias]) -> Option<&Alias> {
        aliases.iter().rev().find(|alias| alias.linked).or(aliases.first())
    }

    /// The linked replacement of the default, if there is one.
    #[must_use]
    pub fn strong(&self) -> Option<&Alias> {
        self.aliases.iter().find(|alias| alias.kind == AliasKind::Strong && alias.linked)
    }

    /// Where a new alias of this kind and position goes: above its equals, under its betters.
    #[must_use]
    pub fn place_for(&self, kind: AliasKind, position: u32) -> usize {
        let rank = |kind| match kind {
            AliasKind::Weak | AliasKind::Export => 0,
            AliasKind::Strong => 1,
            AliasKind::Refine => 2,
        };
        let key = (rank(kind), if kind == AliasKind::Refine { position } else { 0 });
        let above = |alias: &Alias| {
            (rank(alias.kind), if alias.kind == AliasKind::Refine { alias.position } else { 0 }) > key
        };
        self.aliases.iter().position(above).unwrap_or(self.aliases.len())
    }

    /// Puts an alias where its kind and position say.
    pub fn insert(&mut self, alias: Alias) -> Result<(), StackFull> {
        let refiners = self.aliases.iter().filter(|other| other.kind == AliasKind::Refine).count();
        if alias.kind == AliasKind::Refine && refiners >= REFINERS_MAX {
            return Err(StackFull);
        }
        let place = self.place_for(alias.kind, alias.position);
        self.aliases.insert(place, alias).map_err(|_| StackFull)
    }

    /// Takes a module's alias out; the others keep their order.
    pub fn remove(&mut self, module: ModuleId) -> Option<Alias> {
        let index = self.index_of(module)?;
        Some(self.aliases.remove(index))
    }

    /// Marks a module's alias as reachable or not. Its place does not change; one that was revoked stays unreachable.
    pub fn set_linked(&mut self, module: ModuleId, linked: bool) {
        if let Some(alias) = self.aliases.iter_mut().find(|alias| alias.module == module) {
            alias.linked = linked && !alias.revoked;
        }
    }

    /// Marks a module's alias as revoked: calls do not reach it any more, whatever becomes of its module.
    pub(crate) fn revoke(&mut self, module: ModuleId) {
        if let Some(alias) = self.aliases.iter_mut().find(|alias| alias.module == module) {
            alias.revoked = true;
            alias.linked = false;
        }
    }

    /// Notes the veneer that leads to a module's alias.
    pub(crate) fn set_veneer(&mut self, module: ModuleId, veneer: Va) {
        if let Some(alias) = self.aliases.iter_mut().find(|alias| alias.module == module) {
            alias.veneer = Some(veneer);
        }
    }
}
