//! Planning a load: what the records of an image ask for, checked against the link domain, rule by rule.

use crate::alias::{Alias, AliasKind, AliasStack, Binding};
use crate::branch::Va;
use crate::capability::CapabilityId;
use crate::difference::{branch_to, difference};
use crate::domain::{LinkDomain, ModuleId, ModuleState, SymbolId};
use crate::name::Name;
use crate::plan::{Change, LinkPlan, NewSite, NewSymbol, PlanError, PlannedAlias, PlannedImport};
use crate::rights::{BindRights, Grant, Rights};
use crate::site::{CallSite, Callee};
use crate::text::{self, GATE_UNITS};
use crate::transaction::Command;
use crate::{SITES_MAX, SYMBOLS_MAX};

/// What an image says of itself, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleFacts {
    /// Its name.
    pub name: Name,
    /// Its class: 1 miscellaneous, 2 bus, 3 driver.
    pub class: u8,
    /// Its flags; bit 0 is a fix-up policy.
    pub flags: u8,
    /// Pages of its shared region.
    pub shared_pages: u16,
    /// Its version.
    pub version: u32,
    /// Bit n is set if it understands command n.
    pub commands: u32,
    /// Names the build, for the host's log tables.
    pub build_id: u64,
    /// Its entry for commands.
    pub entry: Va,
    /// Where its pages begin.
    pub start: Va,
    /// Bytes of all its pages.
    pub size: u64,
    /// Where its text begins.
    pub text_start: Va,
    /// Bytes of its text.
    pub text_size: u64,
    /// It has unwind tables.
    pub unwind_tables: bool,
}

impl ModuleFacts {
    /// Facts of nothing.
    pub const EMPTY: Self = Self {
        name: Name::EMPTY,
        class: 0,
        flags: 0,
        shared_pages: 0,
        version: 0,
        commands: 0,
        build_id: 0,
        entry: Va(0),
        start: Va(0),
        size: 0,
        text_start: Va(0),
        text_size: 0,
        unwind_tables: false,
    };

    /// Whether an address is in its text.
    #[must_use]
    pub const fn text_contains(&self, at: Va) -> bool {
        at.0 >= self.text_start.0 && at.0 - self.text_start.0 < self.text_size
    }

    /// Whether it understands a command.
    #[must_use]
    pub const fn understands(&self, command: Command) -> bool {
        self.commands & 1 << command as u32 != 0
    }
}

/// An alias record, with its implementation's address.
#[derive(Clone, Copy, Debug)]
pub struct AliasFacts {
    /// The symbol.
    pub symbol: Name,
    /// Default, replacement or layer.
    pub kind: AliasKind,
    /// Calls may block.
    pub may_block: bool,
    /// Its wish for a place among the refiners.
    pub position: u32,
    /// The ABI fingerprint.
    pub fingerprint: u64,
    /// What a call returns when the implementation faults.
    pub fault_value: u64,
    /// The implementation.
    pub target: Va,
}

/// An import record.
#[derive(Clone, Copy, Debug)]
pub struct ImportFacts {
    /// The symbol.
    pub symbol: Name,
    /// The ABI fingerprint.
    pub fingerprint: u64,
}

/// What an image refers to outside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referent {
    /// The symbol of the import record with this index.
    Import(usize),
    /// What the `refine` alias with this index overrides: `super_X`.
    Super(usize),
    /// The symbol of the image's own alias record with this index. Only a base image refers so.
    Own(usize),
}

/// How an image refers to a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    /// A `BL`: R_AARCH64_CALL26.
    Call,
    /// A `B`: R_AARCH64_JUMP26, a tail call.
    Jump,
    /// Anything else takes the address.
    Address,
}

/// One reference to something outside the image.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// Where it stands.
    pub at: Va,
    /// To what.
    pub referent: Referent,
    /// How it refers.
    pub kind: ReferenceKind,
}

/// What planning wants to know of a laid-out image.
///
/// Each list is asked for index 0, 1, … until none is returned.
pub trait Source {
    /// What the image says of itself.
    fn facts(&self) -> ModuleFacts;
    /// Its alias records.
    fn alias(&self, index: usize) -> Option<AliasFacts>;
    /// Its import records.
    fn import(&self, index: usize) -> Option<ImportFacts>;
    /// Makes the image's bytes. `each` is asked, for every reference to something outside, which address it gets.
    ///
    /// # Errors
    /// What `each` says, and what is wrong with the image itself.
    fn link(&mut self, each: &mut dyn FnMut(Reference) -> Result<Va, PlanError>) -> Result<(), PlanError>;
}

/// How a module is loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions<'a> {
    /// What the loader's capability allows.
    pub rights: Rights<'a>,
    /// How call sites reach the module's aliases; by the rule ([`binding_of`]) unless it is said.
    pub binding: Option<Binding>,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self { rights: Rights::ALL, binding: None }
    }
}

/// Plans the load of a module. May refuse; nothing has changed then.
///
/// Afterwards the source has the bytes that the image gets, and the plan says what [`crate::affix()`] adds and what
/// [`crate::commit()`] patches.
pub fn plan_load(
    domain: &LinkDomain,
    source: &mut impl Source,
    options: &LoadOptions<'_>,
    plan: &mut LinkPlan,
) -> Result<(), PlanError> {
    let facts = source.facts();
    if !facts.understands(Command::Init) || !facts.understands(Command::Fini) {
        return Err(PlanError::MissingCommand);
    }
    if options.binding == Some(Binding::Isolated) {
        return Err(PlanError::IsolatedUnsupported);
    }
    plan_image(domain, source, options, plan)
}

/// How call sites reach an alias unless the loader says otherwise (DESIGN section 3): straight, without an instruction
/// more. A thread that is inside is found by its stack then, so the module has unwind tables; and calls do not block,
/// because a thread that stays inside for long is looked at again and again, where a gate would tell of its exit.
#[must_use]
pub const fn binding_of(may_block: bool, facts: &ModuleFacts) -> Binding {
    if may_block || !facts.unwind_tables { Binding::Counted } else { Binding::Direct }
}

/// Plans the base image of an empty link domain: every default is bound directly.
pub fn plan_base(
    domain: &LinkDomain,
    source: &mut impl Source,
    plan: &mut LinkPlan,
) -> Result<(), PlanError> {
    plan_image(domain, source, &LoadOptions { rights: Rights::ALL, binding: Some(Binding::Direct) }, plan)?;
    if plan.module == ModuleId::BASE { Ok(()) } else { Err(PlanError::BaseImage) }
}

fn plan_image(
    domain: &LinkDomain,
    source: &mut impl Source,
    options: &LoadOptions<'_>,
    plan: &mut LinkPlan,
) -> Result<(), PlanError> {
    let facts = source.facts();
    // A wedged module that answers no call keeps its place, but not its name: what replaces it may be loaded.
    let taken = |name| domain.find_module(name).filter(|m| m.linked() || m.state() != ModuleState::Wedged);
    if taken(facts.name.bytes()).is_some() {
        return Err(PlanError::ModuleExists(facts.name));
    }
    plan.begin(domain, domain.free_module().ok_or(PlanError::TooManyModules)?, true);
    plan.facts = facts;
    for index in 0.. {
        let Some(record) = source.alias(index) else { break };
        plan_alias(domain, &record, options, plan)?;
    }
    for index in 0.. {
        let Some(record) = source.import(index) else { break };
        plan_import(domain, &record, options, plan)?;
    }
    source.link(&mut |reference| plan_reference(domain, &reference, options, plan))?;
    if domain.site_count() + plan.sites.len() > SITES_MAX {
        return Err(PlanError::TooManySites);
    }
    plan_link(domain, plan)
}

/// The capability that allows it; the plan fails without one.
fn permit(rights: &Rights<'_>, symbol: Name, right: BindRights) -> Result<CapabilityId, PlanError> {
    rights.grantor(&symbol, right).ok_or(PlanError::NotPermitted { symbol, right })
}

/// Notes in the module's receipt by whose leave it binds.
fn note(plan: &mut LinkPlan, symbol: SymbolId, right: BindRights, by: CapabilityId) -> Result<(), PlanError> {
    plan.grants.push(Grant { symbol, right, by, revoked: false }).map_err(|_| PlanError::TooManyImports)
}

/// Finds a symbol of the link domain, or one that the plan introduces.
fn find(domain: &LinkDomain, plan: &LinkPlan, name: &Name) -> Option<SymbolId> {
    let introduced = || plan.symbols.iter().find(|symbol| symbol.name == *name).map(|symbol| symbol.id);
    domain.find_symbol(name).or_else(introduced)
}

/// The stack of a symbol with the plan's own alias in it, unlinked.
fn stack_before(domain: &LinkDomain, plan: &LinkPlan, symbol: SymbolId) -> AliasStack {
    let mut stack = domain.symbols[symbol.index()].stack.clone();
    if let Some(own) = plan.aliases.iter().find(|own| own.symbol == symbol) {
        stack.insert(own.alias).expect("the alias was refused when the stack was full");
    }
    stack
}

fn check_fingerprint(symbol: Name, expected: u64, found: u64) -> Result<(), PlanError> {
    if expected == found { Ok(()) } else { Err(PlanError::Fingerprint { symbol, expected, found }) }
}

fn plan_alias(
    domain: &LinkDomain,
    record: &AliasFacts,
    options: &LoadOptions<'_>,
    plan: &mut LinkPlan,
) -> Result<(), PlanError> {
    let name = record.symbol;
    let right = match record.kind {
        AliasKind::Weak | AliasKind::Export => BindRights::EXPORT,
        AliasKind::Strong => BindRights::PROVIDE,
        AliasKind::Refine => BindRights::REFINE,
    };
    let by = permit(&options.rights, name, right)?;
    let symbol = if record.kind.introduces() {
        introduce(domain, record, plan)?
    } else {
        override_symbol(domain, record, plan)?
    };
    note(plan, symbol, right, by)?;
    let introduced = plan.symbols.iter().find(|new| new.id == symbol).map(|new| new.may_block);
    let may_block = introduced.unwrap_or(domain.symbols[symbol.index()].may_block);
    let binding = options.binding.unwrap_or(binding_of(may_block, &plan.facts));
    if binding == Binding::Direct && may_block && plan.module != ModuleId::BASE {
        return Err(PlanError::DirectMayBlock(name));
    }
    let entry = if binding == Binding::Counted {
        let gate = plan.reserve(domain, GATE_UNITS)?;
        text::gate(gate, record.target).map_err(PlanError::OutOfRange)?;
        gate
    } else {
        record.target
    };
    let alias = Alias {
        module: plan.module,
        kind: record.kind,
        binding,
        linked: false,
        may_block: record.may_block,
        position: record.position,
        target: record.target,
        entry,
        veneer: None,
        revoked: false,
        fault_value: record.fault_value,
    };
    let mut stack = domain.symbols[symbol.index()].stack.clone();
    stack.insert(alias).map_err(|_| PlanError::TooManyRefiners(name))?;
    let below = stack.below(plan.module).copied();
    let planned = PlannedAlias { symbol, alias, below, slot: None };
    plan.aliases.push(planned).map_err(|_| PlanError::TooManyAliases)
}

/// The rules for an alias that brings its symbol along.
fn introduce(domain: &LinkDomain, record: &AliasFacts, plan: &mut LinkPlan) -> Result<SymbolId, PlanError> {
    let name = record.symbol;
    if let Some(symbol) = domain.find_symbol(&name) {
        let by = domain.symbols[symbol.index()].stack.aliases()[0].module;
        let by = domain.module(by).map_or(Name::EMPTY, |module| module.facts.name);
        return Err(PlanError::AlreadyIntroduced { symbol: name, by });
    }
    if plan.symbols.iter().any(|symbol| symbol.name == name) {
        return Err(PlanError::DuplicateAlias(name));
    }
    let from = plan.symbols.last().map_or(0, |symbol| symbol.id.index() + 1);
    let id = (0..)
        .map(SymbolId)
        .take(SYMBOLS_MAX)
        .skip(from)
        .find(|id| domain.symbol(*id).is_none())
        .ok_or(PlanError::TooManySymbols)?;
    let new = NewSymbol { id, name, fingerprint: record.fingerprint, may_block: record.may_block };
    plan.symbols.push(new).map_err(|_| PlanError::TooManyAliases)?;
    Ok(id)
}

/// The rules for an alias of a symbol that somebody else introduced.
fn override_symbol(domain: &LinkDomain, record: &AliasFacts, plan: &LinkPlan) -> Result<SymbolId, PlanError> {
    let name = record.symbol;
    let Some(id) = domain.find_symbol(&name) else {
        return Err(if plan.symbols.iter().any(|symbol| symbol.name == name) {
            PlanError::DuplicateAlias(name)
        } else if record.kind == AliasKind::Strong {
            PlanError::NothingToProvide(name)
        } else {
            PlanError::NothingToRefine(name)
        });
    };
    if plan.aliases.iter().any(|own| own.symbol == id) {
        return Err(PlanError::DuplicateAlias(name));
    }
    let symbol = &domain.symbols[id.index()];
    if !symbol.overridable() {
        return Err(PlanError::NotOverridable(name));
    }
    check_fingerprint(name, symbol.fingerprint, record.fingerprint)?;
    if record.may_block && !symbol.may_block {
        return Err(PlanError::MayBlock(name));
    }
    if let (AliasKind::Strong, Some(strong)) = (record.kind, symbol.stack.strong()) {
        let by = domain.module(strong.module).map_or(Name::EMPTY, |module| module.facts.name);
        return Err(PlanError::SecondStrong { symbol: name, by });
    }
    Ok(id)
}

fn plan_import(
    domain: &LinkDomain,
    record: &ImportFacts,
    options: &LoadOptions<'_>,
    plan: &mut LinkPlan,
) -> Result<(), PlanError> {
    let name = record.symbol;
    let id = find(domain, plan, &name).ok_or(PlanError::UnknownImport(name))?;
    let introduced = plan.symbols.iter().find(|symbol| symbol.id == id).map(|symbol| symbol.fingerprint);
    check_fingerprint(
        name,
        introduced.unwrap_or(domain.symbols[id.index()].fingerprint),
        record.fingerprint,
    )?;
    if domain.symbols[id.index()].denial.withdrawn() {
        return Err(PlanError::NotPermitted { symbol: name, right: BindRights::EXPORT });
    }
    let by = permit(&options.rights, name, BindRights::CALL)?;
    note(plan, id, BindRights::CALL, by)?;
    let stack = stack_before(domain, plan, id);
    let initial = *stack.top().expect("a symbol in use has an alias");
    let bound = PlannedImport { symbol: id, initial, slot: None };
    plan.imports.push(bound).map_err(|_| PlanError::TooManyImports)
}

/// Plans a call site, or the permanent slot of a symbol whose address is taken; gives the address to put there.
fn plan_reference(
    domain: &LinkDomain,
    reference: &Reference,
    options: &LoadOptions<'_>,
    plan: &mut LinkPlan,
) -> Result<Va, PlanError> {
    let unknown = PlanError::UnknownReference(reference.at);
    let (callee, initial, slot) = match reference.referent {
        Referent::Import(index) => {
            let import = plan.imports.get(index).ok_or(unknown)?;
            (Callee::Symbol(import.symbol), import.initial, import.slot)
        }
        Referent::Super(index) => {
            let own = plan.aliases.get(index).ok_or(unknown)?;
            let refused = PlanError::SuperWithoutRefine(name_of(domain, plan, own.symbol));
            let below = own.below.filter(|_| own.alias.kind == AliasKind::Refine).ok_or(refused)?;
            (Callee::Super(own.symbol), below, own.slot)
        }
        Referent::Own(index) => {
            let own = plan.aliases.get(index).ok_or(unknown)?;
            (Callee::Symbol(own.symbol), own.alias, own.slot)
        }
    };
    let takes_address = reference.kind == ReferenceKind::Address;
    if takes_address && let Some(slot) = slot {
        return Ok(slot);
    }
    let at = if takes_address {
        // The address of one's own `super_` needs no right beyond `refine`.
        if let Callee::Symbol(id) = callee {
            let by = permit(&options.rights, name_of(domain, plan, id), BindRights::TAKE_ADDRESS)?;
            if plan.module != ModuleId::BASE {
                note(plan, id, BindRights::TAKE_ADDRESS, by)?;
            }
        }
        let at = plan.reserve(domain, 1)?;
        match reference.referent {
            Referent::Import(index) => plan.imports[index].slot = Some(at),
            Referent::Super(index) | Referent::Own(index) => plan.aliases[index].slot = Some(at),
        }
        at
    } else {
        reference.at
    };
    let link = reference.kind == ReferenceKind::Call;
    let site = CallSite { caller: plan.module, at, callee, link, slot: takes_address };
    let branch = branch_to(domain, plan, &site, &initial)?;
    plan.sites.push(NewSite { site, branch }).map_err(|_| PlanError::TooManySites)?;
    Ok(if takes_address { at } else { branch.target(at) })
}

fn name_of(domain: &LinkDomain, plan: &LinkPlan, id: SymbolId) -> Name {
    let introduced = plan.symbols.iter().find(|symbol| symbol.id == id).map(|symbol| symbol.name);
    introduced.unwrap_or(domain.symbols[id.index()].name)
}

/// The difference that linking the module makes: to the sites that are there, and to the ones it brings.
fn plan_link(domain: &LinkDomain, plan: &mut LinkPlan) -> Result<(), PlanError> {
    for index in 0..plan.aliases.len() {
        let PlannedAlias { symbol, alias, .. } = plan.aliases[index];
        let before = stack_before(domain, plan, symbol);
        let mut after = before.clone();
        after.set_linked(alias.module, true);
        difference(domain, symbol, &before, &after, domain.sites_in_place(symbol), plan)?;
        // A module that refines what it calls: its own calls go to the top as well (open recursion).
        if plan.imports.iter().any(|import| import.symbol == symbol) {
            for own in 0..plan.sites.len() {
                let site = plan.sites[own].site;
                if site.callee == Callee::Symbol(symbol) {
                    difference(domain, symbol, &before, &after, core::iter::once(&site), plan)?;
                }
            }
        }
        let change = Change { symbol, module: alias.module, linked: true };
        plan.changes.push(change).map_err(|_| PlanError::TooManyAliases)?;
    }
    Ok(())
}
