//! The linker's core: alias stacks, plans, commits and transactions. Pure: it knows neither seL4 nor IPC.
//!
//! # Reading order
//!
//! 1. [`alias`]: who answers to a symbol, and whom they refined.
//! 2. [`domain`]: the symbols, modules, call sites and linker-owned text of one link domain; [`check`] says what
//!    always holds in it.
//! 3. [`plan`] and [`difference`]: a plan is the difference between two sets of alias stacks seen from every call
//!    site. [`load`] and [`unload`] only say which sets.
//! 4. [`mod@commit`]: all of a plan, or none of it.
//! 5. [`transaction`]: the steps of a load and an unload, and the way back from each of them.
//! 6. [`capability`]: who may load, bind and unload; [`revoke`]: what happens to bindings when a right is taken away.
//! 7. [`mod@layout`], [`image`], [`mod@relocate`]: a parsed image, where it lies, its bytes. [`text`]: the bytes of gates, slots and veneers.
//!
//! # The idea in one paragraph
//!
//! A module that is being loaded stands in its alias stacks *unlinked* from the moment its text exists
//! ([`commit::affix`]), and a module that is being unloaded stays in them, unlinked, until nobody is inside
//! ([`commit::forget`]). Linking and unlinking flip a mark on each of the module's aliases and re-point the call
//! sites that see the difference. So the way back never allocates, finds the same index in each stack, and is the
//! same list of patches read backwards; and a layer that is on its way out still has a place from which its
//! `super_` calls are resolved, so nobody is left unbound.
//!
//! # Invariants
//!
//! [`domain::LinkDomain::check`] states and tests them. The most important: every call site of every module whose
//! text is mapped holds a branch to an alias whose text is mapped, and that alias is the one that the stacks name.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod alias;
pub mod branch;
pub mod callback;
pub mod capability;
pub mod check;
pub mod commit;
pub mod difference;
pub mod domain;
pub mod errno;
pub mod image;
pub mod layout;
pub mod load;
pub mod name;
pub mod plan;
pub mod relocate;
pub mod revoke;
pub mod rights;
pub mod site;
pub mod steps;
pub mod text;
pub mod transaction;
pub mod unload;
pub mod unwind;

pub use alias::{Alias, AliasKind, AliasStack, Binding};
pub use branch::{Branch, OutOfRange, Va};
pub use callback::{CALLBACKS_MAX, Callback, CallbackError};
pub use capability::{CapRights, Capabilities, CapabilityError, CapabilityId, Quota};
pub use commit::{CommitError, Mismatch, Refused, TextSpace, affix, commit, forget, revert};
pub use domain::{LinkDomain, Module, ModuleId, ModuleState, Symbol, SymbolId};
pub use errno::Errno;
pub use image::{BaseSource, ObjectSource};
pub use layout::{Extent, Layout, LayoutError, Window, layout};
pub use load::{
    AliasFacts, ImportFacts, LoadOptions, ModuleFacts, Reference, ReferenceKind, Referent, Source,
    binding_of, plan_base, plan_load,
};
pub use name::Name;
pub use plan::{LinkPlan, Patch, PlanError, PlannedAlias};
pub use relocate::{linked_size, relocate};
pub use revoke::plan_revoke;
pub use rights::{BindRights, Grant, Rights};
pub use site::{CallSite, Callee};
pub use text::LinkerText;
pub use transaction::{Action, Command, Event, Outcome, Step, Transaction};
pub use unload::{plan_pop, plan_unload};
pub use unwind::{relocate_tables, tables_size};

/// Modules of one link domain, the base image included, the wedged ones included.
pub const MODULES_MAX: usize = 32;
/// Symbols of one link domain: aliasable ones and exports.
pub const SYMBOLS_MAX: usize = 256;
/// Refiners in one alias stack.
pub const REFINERS_MAX: usize = 8;
/// Entries of one alias stack: the default, one `strong`, the refiners.
pub const ALIASES_MAX: usize = REFINERS_MAX + 2;
/// Call sites and address slots of one link domain.
pub const SITES_MAX: usize = 4096;
/// Patches of one plan. No site is patched twice by one plan, so this cannot be reached.
pub const PATCHES_MAX: usize = SITES_MAX;
/// Alias records of one module or base image.
pub const MODULE_ALIASES_MAX: usize = kmod::ALIASES_MAX;
/// Import records of one module.
pub const MODULE_IMPORTS_MAX: usize = kmod::IMPORTS_MAX;
/// Rights in one module's receipt: one for each alias and import, and one more for each address that is taken.
pub const MODULE_GRANTS_MAX: usize = MODULE_ALIASES_MAX + MODULE_IMPORTS_MAX + 64;
/// Call sites and address slots that one module or base image brings along.
pub const MODULE_SITES_MAX: usize = 2048;
/// Veneers that one plan may add.
pub const VENEERS_MAX: usize = 64;
/// Bytes of linker-owned text (gates, address slots, veneers) in one link domain.
pub const LINKER_TEXT_SIZE_MAX: usize = 128 << 10;
/// Blockers that one refused drain names.
pub const BLOCKERS_MAX: usize = 16;
