//! Plans: what a commit will do, and why planning may refuse.

use aarch64_reloc::RelocError;
use heapless::Vec;
use kmod::ParseError;

use crate::alias::Alias;
use crate::branch::{Branch, OutOfRange, Va};
use crate::domain::{LinkDomain, ModuleId, ModuleState, SymbolId};
use crate::errno::Errno;
use crate::load::ModuleFacts;
use crate::name::Name;
use crate::revoke::{Denial, Stub};
use crate::rights::{BindRights, Grant};
use crate::site::CallSite;
use crate::{
    ALIASES_MAX, MODULE_ALIASES_MAX, MODULE_GRANTS_MAX, MODULE_IMPORTS_MAX, MODULE_SITES_MAX, MODULES_MAX,
    PATCHES_MAX, SYMBOLS_MAX, VENEERS_MAX,
};

/// The replacement of one branch.
///
/// `old` makes the patch checkable before it is made and reversible after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Where the branch stands.
    pub at: Va,
    /// What must stand there.
    pub old: Branch,
    /// What shall stand there.
    pub new: Branch,
}

/// A mark to flip: whether a module's alias of a symbol is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// In whose stack.
    pub symbol: SymbolId,
    /// Whose alias.
    pub module: ModuleId,
    /// Whether calls reach it afterwards.
    pub linked: bool,
}

/// A range extension to write before anything reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Veneer {
    /// Of which symbol.
    pub symbol: SymbolId,
    /// To whose alias it leads.
    pub module: ModuleId,
    /// Where it stands.
    pub at: Va,
    /// Where it goes.
    pub target: Va,
}

/// A symbol that a module introduces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewSymbol {
    pub(crate) id: SymbolId,
    pub(crate) name: Name,
    pub(crate) fingerprint: u64,
    pub(crate) may_block: bool,
}

/// A call site that a module brings, with the branch that its image gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewSite {
    pub(crate) site: CallSite,
    pub(crate) branch: Branch,
}

/// An alias that a load adds.
#[derive(Clone, Copy, Debug)]
pub struct PlannedAlias {
    /// To which stack.
    pub symbol: SymbolId,
    /// The entry, with its binding and its gate.
    pub alias: Alias,
    /// What its `super_` is bound to in the image.
    pub(crate) below: Option<Alias>,
    /// The permanent slot of its `super_` (in a base image: of the symbol), if the image takes that address.
    pub(crate) slot: Option<Va>,
}

/// An import of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedImport {
    pub(crate) symbol: SymbolId,
    /// Who answers until the module is linked.
    pub(crate) initial: Alias,
    /// The permanent slot of the symbol, if the image takes its address.
    pub(crate) slot: Option<Va>,
}

/// How far a plan has been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was done.
    Planned,
    /// The module of a load stands in its stacks, unlinked.
    Affixed,
    /// The patches are made.
    Committed,
}

/// Marks of one plan: those of one module; or, of a revoke, those of all modules.
const CHANGES_MAX: usize = SYMBOLS_MAX * ALIASES_MAX;

/// The difference between two sets of alias stacks, seen from every call site; and, for a load, what the module
/// adds.
///
/// Large (some hundred KiB): the server keeps one in a static for the transaction that is under way. Holding a plan
/// proves nothing about the link domain by itself: the generation that it carries is compared when it is used.
pub struct LinkPlan {
    pub(crate) generation: u64,
    pub(crate) stage: Stage,
    pub(crate) module: ModuleId,
    /// Whether the module answers calls afterwards.
    pub(crate) links: bool,
    pub(crate) facts: ModuleFacts,
    pub(crate) symbols: Vec<NewSymbol, MODULE_ALIASES_MAX>,
    /// In the order of the alias records.
    pub(crate) aliases: Vec<PlannedAlias, MODULE_ALIASES_MAX>,
    /// In the order of the import records.
    pub(crate) imports: Vec<PlannedImport, MODULE_IMPORTS_MAX>,
    pub(crate) sites: Vec<NewSite, MODULE_SITES_MAX>,
    pub(crate) veneers: Vec<Veneer, VENEERS_MAX>,
    pub(crate) changes: Vec<Change, CHANGES_MAX>,
    pub(crate) patches: Vec<Patch, PATCHES_MAX>,
    /// A load's: the rights that it uses, each with the capability that allows it.
    pub(crate) grants: Vec<Grant, MODULE_GRANTS_MAX>,
    /// A revoke's: stubs to write, whom each symbol is denied to afterwards.
    pub(crate) stubs: Vec<Stub, SYMBOLS_MAX>,
    pub(crate) denials: Vec<(SymbolId, Denial), SYMBOLS_MAX>,
    /// A revoke's: which rights of which module are gone afterwards, by index.
    pub(crate) revoked: [[bool; MODULE_GRANTS_MAX]; MODULES_MAX],
    /// Whether the plan is a revoke's; `revoked` means nothing otherwise.
    pub(crate) revokes: bool,
    /// Units of linker-owned text before this one are taken, by others or by this plan.
    pub(crate) cursor: usize,
}

impl LinkPlan {
    /// A plan that does nothing, for a static.
    pub const EMPTY: Self = Self {
        generation: 0,
        stage: Stage::Planned,
        module: ModuleId::BASE,
        links: false,
        facts: ModuleFacts::EMPTY,
        symbols: Vec::new(),
        aliases: Vec::new(),
        imports: Vec::new(),
        sites: Vec::new(),
        veneers: Vec::new(),
        changes: Vec::new(),
        patches: Vec::new(),
        grants: Vec::new(),
        stubs: Vec::new(),
        denials: Vec::new(),
        revoked: [[false; MODULE_GRANTS_MAX]; MODULES_MAX],
        revokes: false,
        cursor: 0,
    };

    /// The module that is loaded or unloaded.
    #[must_use]
    pub const fn module(&self) -> ModuleId {
        self.module
    }

    /// The branches that change.
    #[must_use]
    pub fn patches(&self) -> &[Patch] {
        &self.patches
    }

    /// The marks that change.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The entries that a load adds, each with its binding and its gate.
    #[must_use]
    pub fn aliases(&self) -> &[PlannedAlias] {
        &self.aliases
    }

    /// The range extensions that are added.
    #[must_use]
    pub fn veneers(&self) -> &[Veneer] {
        &self.veneers
    }

    /// The rights that a load uses, each with the capability that allows it.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// How many rights a revoke takes away.
    #[must_use]
    pub fn revoked_count(&self) -> usize {
        if self.revokes { self.revoked.as_flattened().iter().filter(|revoked| **revoked).count() } else { 0 }
    }

    /// How many symbols a load introduces.
    #[must_use]
    pub fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// How many call sites and address slots a load adds.
    #[must_use]
    pub fn site_count(&self) -> usize {
        self.sites.len()
    }

    pub(crate) fn begin(&mut self, domain: &LinkDomain, module: ModuleId, links: bool) {
        self.generation = domain.generation;
        self.stage = Stage::Planned;
        self.module = module;
        self.links = links;
        self.facts = ModuleFacts::EMPTY;
        self.symbols.clear();
        self.aliases.clear();
        self.imports.clear();
        self.sites.clear();
        self.veneers.clear();
        self.changes.clear();
        self.patches.clear();
        self.grants.clear();
        self.stubs.clear();
        self.denials.clear();
        self.revokes = false;
        self.cursor = 0;
    }

    /// Reserves units of linker-owned text for this plan.
    pub(crate) fn reserve(&mut self, domain: &LinkDomain, units: usize) -> Result<Va, PlanError> {
        let unit = domain.text.find(self.cursor, units).ok_or(PlanError::NoLinkerText)?;
        self.cursor = unit + units;
        Ok(domain.text.address(unit))
    }
}

/// Why a plan was refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// A module of that name is loaded.
    ModuleExists(Name),
    /// [`crate::MODULES_MAX`] modules are there.
    TooManyModules,
    /// [`crate::SYMBOLS_MAX`] symbols are there.
    TooManySymbols,
    /// [`crate::SITES_MAX`] or [`crate::MODULE_SITES_MAX`] call sites are there.
    TooManySites,
    /// The image has more alias records than [`crate::MODULE_ALIASES_MAX`].
    TooManyAliases,
    /// The image has more import records than [`crate::MODULE_IMPORTS_MAX`].
    TooManyImports,
    /// The symbol has [`crate::REFINERS_MAX`] refiners.
    TooManyRefiners(Name),
    /// The plan needs more veneers than [`crate::VENEERS_MAX`].
    TooManyVeneers,
    /// The window of linker-owned text is full.
    NoLinkerText,
    /// The base image has no INIT or FINI, which are mandatory in a module.
    MissingCommand,
    /// Somebody introduced the symbol before.
    AlreadyIntroduced {
        /// The symbol.
        symbol: Name,
        /// Whose default it is.
        by: Name,
    },
    /// A second `strong` alias of one symbol.
    SecondStrong {
        /// The symbol.
        symbol: Name,
        /// Who provides it now.
        by: Name,
    },
    /// A `strong` alias of a symbol that nobody introduced.
    NothingToProvide(Name),
    /// A `refine` alias of a symbol that nobody introduced.
    NothingToRefine(Name),
    /// An alias of an export, which is bound and never layered.
    NotOverridable(Name),
    /// The record's ABI fingerprint is not the symbol's.
    Fingerprint {
        /// The symbol.
        symbol: Name,
        /// What the symbol has.
        expected: u64,
        /// What the record has.
        found: u64,
    },
    /// An alias that may block, of a symbol that does not.
    MayBlock(Name),
    /// Two alias records of one symbol in one module.
    DuplicateAlias(Name),
    /// `super_X` is used and X is not refined.
    SuperWithoutRefine(Name),
    /// An import of a symbol that nobody introduced.
    UnknownImport(Name),
    /// A reference to a record that the image does not have.
    UnknownReference(Va),
    /// The loader's capability does not allow it.
    NotPermitted {
        /// The symbol.
        symbol: Name,
        /// What is missing.
        right: BindRights,
    },
    /// Isolated binding is not in this version.
    IsolatedUnsupported,
    /// Direct binding was asked for a symbol whose calls may block.
    DirectMayBlock(Name),
    /// A branch reaches neither its callee nor linker-owned text.
    OutOfRange(OutOfRange),
    /// The image breaks a rule of the format.
    Image(ParseError),
    /// A value does not fit its field.
    Field(Va, RelocError),
    /// There is no room for the bytes of the section at this address.
    NoRoom(Va),
    /// The module is gone; its place has another generation.
    Stale {
        /// The generation that has the place now, or will have it next.
        generation: u32,
    },
    /// The base image is never unloaded.
    BaseImage,
    /// The module is not live.
    NotLive(ModuleState),
    /// Another module imports or refines a symbol that this one introduces.
    Dependency {
        /// The symbol.
        symbol: Name,
        /// Who depends on it.
        by: Name,
    },
}

impl From<ParseError> for PlanError {
    fn from(error: ParseError) -> Self {
        Self::Image(error)
    }
}

impl PlanError {
    /// The errno-like word of the error.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::ModuleExists(_) | Self::AlreadyIntroduced { .. } | Self::SecondStrong { .. } => {
                Errno::EEXIST
            }
            Self::TooManyModules
            | Self::TooManySymbols
            | Self::TooManySites
            | Self::TooManyAliases
            | Self::TooManyImports
            | Self::TooManyRefiners(_)
            | Self::TooManyVeneers
            | Self::NoLinkerText => Errno::ENOSPC,
            Self::NothingToProvide(_) | Self::NothingToRefine(_) | Self::UnknownImport(_) => Errno::ENOENT,
            Self::NotOverridable(_) | Self::NotPermitted { .. } => Errno::EPERM,
            Self::MissingCommand
            | Self::Fingerprint { .. }
            | Self::MayBlock(_)
            | Self::DuplicateAlias(_)
            | Self::SuperWithoutRefine(_)
            | Self::UnknownReference(_)
            | Self::Image(_)
            | Self::Field(..) => Errno::ENOEXEC,
            Self::IsolatedUnsupported => Errno::ENOSYS,
            Self::DirectMayBlock(_) => Errno::EINVAL,
            Self::NoRoom(_) => Errno::ENOMEM,
            Self::OutOfRange(_) => Errno::ERANGE,
            Self::Stale { .. } => Errno::ESTALE,
            Self::BaseImage | Self::NotLive(_) | Self::Dependency { .. } => Errno::EBUSY,
        }
    }
}
