//! A link domain: its symbols with their alias stacks, its modules, its call sites, its linker-owned text.
//!
//! A `LinkDomain` is large (some hundred KiB) and nothing but zeros when empty: the server keeps it in a static and
//! calls [`LinkDomain::open`] once.

use core::ops::Range;

use heapless::Vec;
use kmod::records::fnv1a;

use crate::alias::{AliasKind, AliasStack, Binding};
use crate::branch::Va;
use crate::callback::Callbacks;
use crate::load::ModuleFacts;
use crate::name::Name;
use crate::revoke::Denial;
use crate::rights::Grant;
use crate::site::{CallSite, SiteList, SiteTable};
use crate::text::{GATE_SIZE, LinkerText};
use crate::{MODULE_ALIASES_MAX, MODULE_GRANTS_MAX, MODULE_IMPORTS_MAX, MODULES_MAX, SYMBOLS_MAX};

/// Names a module of one link domain for good: the index is used again, with another generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId {
    /// Which place of the module table.
    pub index: u8,
    /// How often that place has been given out before.
    pub generation: u32,
}

impl ModuleId {
    /// The base image.
    pub const BASE: Self = Self { index: 0, generation: 0 };
}

/// Names a symbol of one link domain while it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolId(pub(crate) u16);

impl SymbolId {
    /// The place in the symbol table, for shared tables and messages.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a module stands between being laid out and being gone.
///
/// ```text
///          1              2
///  (none) ───► Affixed ──────► Live        1 affix       2 commit of plan_load
///    ▲            ▲   │ 3        │  ▲      3 forget (load undone)
///    │ 6          └───┼─ 2r      │4 │4r    4 commit of plan_unload, plan_pop   2r, 4r revert
///    └────────── Leaving ◄───────┘──┘      5 wedge (from any)                  6 forget
///                     Wedged: mapped, charged, listed until the link domain goes
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModuleState {
    /// Its text exists and nobody but its own INIT has run in it.
    Affixed,
    /// Linked: it answers.
    Live,
    /// Unlinked; threads may still be inside.
    Leaving,
    /// A command of it failed to come back, or its text faulted. No command of it runs again.
    Wedged,
}

/// A module of a link domain, or its base image.
pub struct Module {
    pub(crate) id: ModuleId,
    /// What its image says of itself, and where it lies.
    pub facts: ModuleFacts,
    pub(crate) state: ModuleState,
    pub(crate) linked: bool,
    pub(crate) aliases: Vec<SymbolId, MODULE_ALIASES_MAX>,
    pub(crate) imports: Vec<SymbolId, MODULE_IMPORTS_MAX>,
    pub(crate) grants: Vec<Grant, MODULE_GRANTS_MAX>,
    pub(crate) sites: SiteList,
}

impl Module {
    const EMPTY: Self = Self {
        id: ModuleId::BASE,
        facts: ModuleFacts::EMPTY,
        state: ModuleState::Affixed,
        linked: false,
        aliases: Vec::new(),
        imports: Vec::new(),
        grants: Vec::new(),
        sites: SiteList::EMPTY,
    };

    /// Its name for good.
    #[must_use]
    pub const fn id(&self) -> ModuleId {
        self.id
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> ModuleState {
        self.state
    }

    /// Whether its aliases answer calls.
    #[must_use]
    pub const fn linked(&self) -> bool {
        self.linked
    }

    /// The symbols in whose stacks it has an alias, in the order of its records.
    #[must_use]
    pub fn aliases(&self) -> &[SymbolId] {
        &self.aliases
    }

    /// The symbols that it imports.
    #[must_use]
    pub fn imports(&self) -> &[SymbolId] {
        &self.imports
    }

    /// The rights that it was loaded with, each with the capability that allowed it.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// How many call sites and address slots are its own.
    #[must_use]
    pub fn site_count(&self) -> usize {
        usize::from(self.sites.count)
    }
}

struct ModuleSlot {
    used: bool,
    generation: u32,
    // The next module whose name has the same place among `by_name`; index plus one.
    next_named: u8,
    module: Module,
}

/// A symbol of a link domain.
pub struct Symbol {
    /// Its name.
    pub name: Name,
    /// The ABI fingerprint that every alias and every import of it must carry.
    pub fingerprint: u64,
    /// Calls of it may block.
    pub may_block: bool,
    pub(crate) stack: AliasStack,
    pub(crate) sites: SiteList,
    // One bit for each module index that imports it.
    pub(crate) importers: u32,
    pub(crate) denial: Denial,
}

const _: () = assert!(MODULES_MAX <= 32, "`importers` has one bit for each module");

impl Symbol {
    const EMPTY: Self = Self {
        name: Name::EMPTY,
        fingerprint: 0,
        may_block: false,
        stack: AliasStack::EMPTY,
        sites: SiteList::EMPTY,
        importers: 0,
        denial: Denial::NONE,
    };

    /// Whom the symbol is denied to.
    #[must_use]
    pub const fn denial(&self) -> &Denial {
        &self.denial
    }

    /// Who answers, and whom they refined.
    #[must_use]
    pub const fn stack(&self) -> &AliasStack {
        &self.stack
    }

    /// How many call sites and address slots name it, `super_` sites included.
    #[must_use]
    pub fn site_count(&self) -> usize {
        usize::from(self.sites.count)
    }

    /// Whether it may be layered; an export may not.
    #[must_use]
    pub fn overridable(&self) -> bool {
        self.stack.aliases().first().is_some_and(|alias| alias.kind == AliasKind::Weak)
    }
}

/// Where to look for a module of this name.
fn place_of(name: &[u8]) -> usize {
    let [low, ..] = fnv1a(name).to_le_bytes();
    usize::from(low) % NAME_PLACES
}

/// A module was named that is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The generation that has the place now, or will have it next.
    pub generation: u32,
}

/// Places for names of modules: twice as many as there are modules.
const NAME_PLACES: usize = 2 * MODULES_MAX;
const _: () = assert!(NAME_PLACES.is_power_of_two() && MODULES_MAX < u8::MAX as usize);

/// An address space that modules share, as the linker knows it.
pub struct LinkDomain {
    pub(crate) generation: u64,
    modules: [ModuleSlot; MODULES_MAX],
    // One bit for each index in use.
    used: u32,
    // The modules of each low part of a name's hash; index plus one, 0 is none.
    by_name: [u8; NAME_PLACES],
    pub(crate) symbols: [Symbol; SYMBOLS_MAX],
    // Hashes of the names in use, ascending.
    pub(crate) by_hash: Vec<(u64, SymbolId), SYMBOLS_MAX>,
    pub(crate) sites: SiteTable,
    pub(crate) text: LinkerText,
    pub(crate) callbacks: Callbacks,
}

impl LinkDomain {
    /// A link domain without a window.
    pub const EMPTY: Self = Self {
        generation: 0,
        modules: [const { ModuleSlot { used: false, generation: 0, next_named: 0, module: Module::EMPTY } };
            MODULES_MAX],
        used: 0,
        by_name: [0; NAME_PLACES],
        symbols: [const { Symbol::EMPTY }; SYMBOLS_MAX],
        by_hash: Vec::new(),
        sites: SiteTable::EMPTY,
        text: LinkerText::EMPTY,
        callbacks: Callbacks::EMPTY,
    };

    /// Gives the window of linker-owned text: `size` bytes from `start`, of which the caller holds all mapped.
    pub fn open(&mut self, start: Va, size: usize) {
        self.text.open(start, size);
    }

    /// Counts the changes so far. A plan made for another generation is refused.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The module of that name for good.
    pub fn module(&self, id: ModuleId) -> Result<&Module, Stale> {
        let slot = self.modules.get(usize::from(id.index)).ok_or(Stale { generation: 0 })?;
        if slot.used && slot.generation == id.generation {
            Ok(&slot.module)
        } else {
            Err(Stale { generation: slot.generation })
        }
    }

    /// The module at an index, whatever its generation.
    #[must_use]
    pub fn module_at(&self, index: u8) -> Option<&Module> {
        self.modules.get(usize::from(index)).filter(|slot| slot.used).map(|slot| &slot.module)
    }

    /// All modules, the base image first.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().filter(|slot| slot.used).map(|slot| &slot.module)
    }

    /// The module of that name that a user means: a wedged one only if there is no other.
    #[must_use]
    pub fn find_module(&self, name: &[u8]) -> Option<&Module> {
        let named = || self.named(place_of(name)).filter(|module| module.facts.name.bytes() == name);
        named().find(|module| module.state != ModuleState::Wedged).or_else(|| named().next())
    }

    /// The modules whose names have a place, the latest first.
    fn named(&self, place: usize) -> impl Iterator<Item = &Module> {
        let mut link = self.by_name[place];
        core::iter::from_fn(move || {
            let slot = &self.modules[usize::from(link.checked_sub(1)?)];
            link = slot.next_named;
            Some(&slot.module)
        })
    }

    /// A symbol of this link domain; none once it is gone.
    #[must_use]
    pub fn symbol(&self, id: SymbolId) -> Option<&Symbol> {
        self.symbols.get(id.index()).filter(|symbol| !symbol.stack.aliases().is_empty())
    }

    /// All symbols.
    pub fn symbols(&self) -> impl Iterator<Item = (SymbolId, &Symbol)> {
        (0..).map(SymbolId).zip(&self.symbols).filter(|(_, symbol)| !symbol.stack.aliases().is_empty())
    }

    /// Finds a symbol by name.
    #[must_use]
    pub fn find_symbol(&self, name: &Name) -> Option<SymbolId> {
        let hash = name.hash();
        let first = self.by_hash.partition_point(|(other, _)| *other < hash);
        self.by_hash[first..]
            .iter()
            .take_while(|(other, _)| *other == hash)
            .map(|(_, id)| *id)
            .find(|id| self.symbols[id.index()].name == *name)
    }

    /// The call sites and address slots that name a symbol.
    pub fn sites_of_symbol(&self, id: SymbolId) -> impl Iterator<Item = CallSite> + '_ {
        self.sites_in_place(id).copied()
    }

    /// The same where they are: a relink passes many and takes little of each.
    pub(crate) fn sites_in_place(&self, id: SymbolId) -> impl Iterator<Item = &CallSite> {
        self.sites.of_symbol(self.symbols[id.index()].sites)
    }

    /// The call sites and address slots of a module.
    pub fn sites_of_module<'a>(&'a self, module: &Module) -> impl Iterator<Item = CallSite> + 'a {
        self.sites.of_caller(module.sites).copied()
    }

    /// Call sites and address slots in use.
    #[must_use]
    pub fn site_count(&self) -> usize {
        self.sites.count()
    }

    /// Bytes of linker-owned text in use.
    #[must_use]
    pub const fn linker_text_used(&self) -> usize {
        self.text.used()
    }

    /// The module that a thread with this program counter is inside of: its text, its gates, the slots that it
    /// holds, the veneers that lead to it. The base image counts for its text only if asked for by range.
    #[must_use]
    pub fn inside(&self, at: Va) -> Option<&Module> {
        if let Some(owner) = self.text.owner(at) {
            return self.module_at(owner);
        }
        self.modules().find(|module| module.facts.text_contains(at))
    }

    /// The module and the symbol behind a gate: what a record of a shadow stack names.
    #[must_use]
    pub fn gate(&self, at: Va) -> Option<(&Module, SymbolId)> {
        let module = self.module_at(self.text.owner(at)?)?;
        let symbol = module.aliases.iter().find(|symbol| {
            self.symbols[symbol.index()].stack.of(module.id).is_some_and(|alias| alias.entry == at)
        })?;
        Some((module, *symbol))
    }

    /// Whether an address is in a module's text or in a piece of linker-owned text that is its: what a thread must be
    /// out of before the module's memory may go.
    #[must_use]
    pub fn holds(&self, module: &Module, at: Va) -> bool {
        module.facts.text_contains(at) || self.text.owner(at) == Some(module.id.index)
    }

    /// A range outside of which a module [holds](Self::holds) nothing.
    #[must_use]
    pub fn hull(&self, module: &Module) -> Range<u64> {
        let text = module.facts.text_start.0..module.facts.text_start.plus(module.facts.text_size).0;
        let window = self.text.window();
        window.start.min(text.start)..window.end.max(text.end)
    }

    /// The gate that an address lies in, and which of its words; none in slots, veneers and outside.
    #[must_use]
    pub fn gate_word(&self, at: Va) -> Option<(Va, usize)> {
        let module = self.module_at(self.text.owner(at)?)?;
        module.aliases.iter().find_map(|symbol| {
            let gate = self.symbols[symbol.index()].stack.of(module.id)?.entry;
            let into = at.0.checked_sub(gate.0).filter(|into| *into < GATE_SIZE)?;
            Some((gate, usize::try_from(into / 4).ok()?))
        })
    }

    /// The gates of a module.
    pub fn gates(&self, module: ModuleId) -> impl Iterator<Item = Va> + '_ {
        let aliases = self.module(module).map_or(&[][..], Module::aliases);
        let of = move |symbol: &SymbolId| self.symbols[symbol.index()].stack.of(module);
        aliases
            .iter()
            .filter_map(of)
            .filter(|alias| alias.binding == Binding::Counted)
            .map(|alias| alias.entry)
    }

    /// Whether an address is in linker-owned text that somebody owns.
    #[must_use]
    pub fn is_linker_text(&self, at: Va) -> bool {
        self.text.owner(at).is_some()
    }

    /// The symbol through which a call came into a module that will return to `caller`: the symbol of the call site
    /// in front of it, if the module has an alias of it. Nothing tells it of a call through a pointer.
    #[must_use]
    pub fn entrance(&self, module: ModuleId, caller: Va) -> Option<SymbolId> {
        let at = Va(caller.0.checked_sub(4)?);
        let holder = self.inside(at)?;
        let site = self.sites_of_module(holder).find(|site| site.at == at && site.link)?;
        let symbol = site.callee.symbol();
        self.symbols[symbol.index()].stack.of(module).map(|_| symbol)
    }

    /// The symbols that a function of a module implements.
    pub fn implemented(&self, module: ModuleId, function: Va) -> impl Iterator<Item = SymbolId> + '_ {
        let aliases = self.module(module).map_or(&[][..], Module::aliases);
        let by_function = move |symbol: &&SymbolId| {
            self.symbols[symbol.index()].stack.of(module).is_some_and(|alias| alias.target == function)
        };
        aliases.iter().filter(by_function).copied()
    }

    /// Marks a module as beyond help: it keeps what it has and no command of it runs again.
    pub fn wedge(&mut self, id: ModuleId) {
        if let Some(module) = self.module_mut(id) {
            module.state = ModuleState::Wedged;
            self.generation += 1;
        }
    }

    /// The identifier that the next module gets.
    pub(crate) fn free_module(&self) -> Option<ModuleId> {
        let index = u8::try_from(self.used.trailing_ones()).ok()?;
        let slot = self.modules.get(usize::from(index))?;
        Some(ModuleId { index, generation: slot.generation })
    }

    pub(crate) fn module_mut(&mut self, id: ModuleId) -> Option<&mut Module> {
        let slot = self.modules.get_mut(usize::from(id.index))?;
        (slot.used && slot.generation == id.generation).then_some(&mut slot.module)
    }

    pub(crate) fn add_module(&mut self, id: ModuleId, facts: ModuleFacts) -> &mut Module {
        let slot = &mut self.modules[usize::from(id.index)];
        assert!(!slot.used && slot.generation == id.generation, "a plan takes a free place");
        slot.used = true;
        self.used |= 1 << id.index;
        let first = &mut self.by_name[place_of(facts.name.bytes())];
        slot.next_named = core::mem::replace(first, id.index + 1);
        slot.module.id = id;
        slot.module.facts = facts;
        slot.module.state = ModuleState::Affixed;
        slot.module.linked = false;
        slot.module.aliases.clear();
        slot.module.imports.clear();
        slot.module.grants.clear();
        slot.module.sites = SiteList::EMPTY;
        &mut slot.module
    }

    pub(crate) fn remove_module(&mut self, id: ModuleId) {
        let slot = &mut self.modules[usize::from(id.index)];
        assert!(slot.used && slot.generation == id.generation, "only what is there is removed");
        slot.used = false;
        slot.generation = slot.generation.wrapping_add(1);
        self.used &= !(1 << id.index);
        let (place, next) = (place_of(slot.module.facts.name.bytes()), slot.next_named);
        let mut link = &mut self.by_name[place];
        while *link != id.index + 1 {
            let other = link.checked_sub(1).expect("a module is among those of its name");
            link = &mut self.modules[usize::from(other)].next_named;
        }
        *link = next;
    }

    pub(crate) fn add_symbol(&mut self, id: SymbolId, name: Name, fingerprint: u64, may_block: bool) {
        let symbol = &mut self.symbols[id.index()];
        assert!(symbol.stack.aliases().is_empty(), "a plan takes a free place");
        symbol.name = name;
        symbol.fingerprint = fingerprint;
        symbol.may_block = may_block;
        symbol.sites = SiteList::EMPTY;
        symbol.importers = 0;
        symbol.denial = Denial::NONE;
        let hash = name.hash();
        let place = self.by_hash.partition_point(|(other, _)| *other <= hash);
        self.by_hash.insert(place, (hash, id)).expect("there are as many hashes as symbols");
    }

    pub(crate) fn remove_symbol(&mut self, id: SymbolId) {
        let symbol = &mut self.symbols[id.index()];
        assert!(symbol.stack.aliases().is_empty() && symbol.sites.count == 0, "nobody uses it any more");
        symbol.name = Name::EMPTY;
        self.by_hash.retain(|(_, other)| *other != id);
    }

    pub(crate) fn add_site(&mut self, site: CallSite) {
        let symbol = &mut self.symbols[site.callee.symbol().index()];
        let module = &mut self.modules[usize::from(site.caller.index)].module;
        self.sites.add(site, &mut symbol.sites, &mut module.sites);
    }

    /// Takes a module's sites out one by one.
    pub(crate) fn take_site(&mut self, id: ModuleId) -> Option<CallSite> {
        let module = &mut self.modules[usize::from(id.index)].module;
        let (number, site) = self.sites.take_of_caller(&mut module.sites)?;
        self.sites.unlink(number, &mut self.symbols[site.callee.symbol().index()].sites);
        Some(site)
    }
}
