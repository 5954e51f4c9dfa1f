//! What always holds in a link domain.

use crate::alias::{AliasKind, AliasStack};
use crate::branch::{Branch, Va};
use crate::callback::CALLBACK_UNITS;
use crate::commit::TextSpace;
use crate::difference::{answer, branch_of};
use crate::domain::{LinkDomain, Module, ModuleId, ModuleState, Symbol, SymbolId};
use crate::site::CallSite;
use crate::text::{GATE_UNITS, STUB_UNITS};
use crate::{REFINERS_MAX, SYMBOLS_MAX};

/// A rule that does not hold, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// 1. A stack is `[default] [strong …] [refine …]`, refiners in ascending position, each module at most once,
    ///    at most one linked `strong`.
    StackOrder(SymbolId),
    /// 2. An alias and its module agree: the module is there, lists the symbol, and is linked when the alias is.
    AliasOwner(SymbolId, ModuleId),
    /// 3. Live is linked; affixed and leaving are not.
    State(ModuleId),
    /// 4. Whatever refines or imports a symbol keeps its introducer from leaving.
    Dependency(SymbolId),
    /// 5. Each site is in its symbol's list and its caller's, and in no other; the counts are right.
    Site(Va),
    /// 6. Each site has an answer, in the stack of a symbol that its caller imports or refines.
    Unbound(Va),
    /// 7. Each unit of linker-owned text belongs to a gate, a slot, a veneer or a callback of its owner.
    LinkerText(u8),
    /// 8. The name index names exactly the symbols in use.
    NameIndex,
    /// 9. Each site holds the branch to its answer, and each callback's slot that to its function or to its stub.
    Text(Va),
}

impl LinkDomain {
    /// Checks every rule but the one about text. Meant for tests and debug builds: it looks at everything.
    pub fn check(&self) -> Result<(), Violation> {
        for (id, symbol) in self.symbols() {
            check_order(id, &symbol.stack)?;
            self.check_owners(id, symbol)?;
        }
        let mut listed = 0;
        for module in self.modules() {
            let by_state = match module.state() {
                ModuleState::Live => module.linked(),
                ModuleState::Affixed | ModuleState::Leaving => !module.linked(),
                ModuleState::Wedged => true,
            };
            if !by_state {
                return Err(Violation::State(module.id()));
            }
            listed += self.check_sites(module)?;
            self.check_linker_text(module)?;
        }
        let by_symbol: usize = self.symbols().map(|(_, symbol)| symbol.site_count()).sum();
        if listed != self.site_count() || by_symbol != listed {
            return Err(Violation::Site(Va(0)));
        }
        self.check_name_index()
    }

    /// Checks that each site holds the branch to its answer.
    pub fn check_text(&self, text: &impl TextSpace) -> Result<(), Violation> {
        for (id, symbol) in self.symbols() {
            for site in self.sites_of_symbol(id) {
                let expected = match symbol.denial.stub().filter(|_| symbol.denial.denies(&site)) {
                    Some(stub) => Branch::encode(site.at, stub, site.link).ok(),
                    None => answer(&symbol.stack, &site).and_then(|alias| branch_of(&site, alias)),
                };
                if expected.is_none() || text.read(site.at) != expected.map(|branch| branch.bits()) {
                    return Err(Violation::Text(site.at));
                }
            }
        }
        for callback in self.callbacks() {
            let expected = self.callback_branch(callback).map(|branch| branch.bits());
            if expected.is_none() || text.read(callback.at) != expected {
                return Err(Violation::Text(callback.at));
            }
        }
        Ok(())
    }

    fn check_owners(&self, id: SymbolId, symbol: &Symbol) -> Result<(), Violation> {
        for alias in symbol.stack.aliases() {
            let agrees = |module: &Module| {
                (module.linked() && !alias.revoked) == alias.linked && module.aliases().contains(&id)
            };
            if !self.module(alias.module).is_ok_and(agrees) {
                return Err(Violation::AliasOwner(id, alias.module));
            }
        }
        let importers = self.modules().filter(|module| module.imports().contains(&id));
        let mask = importers.fold(0, |mask, module| mask | 1 << module.id().index);
        if mask != symbol.importers {
            return Err(Violation::Dependency(id));
        }
        // An introducer that is not wedged leaves only when nobody else uses the symbol.
        let introducer = symbol.stack.aliases()[0].module;
        let used = symbol.stack.aliases().len() > 1 || mask & !(1 << introducer.index) != 0;
        let leaving = self.module(introducer).is_ok_and(|m| !m.linked() && m.state() != ModuleState::Wedged);
        if used && leaving { Err(Violation::Dependency(id)) } else { Ok(()) }
    }

    fn check_sites(&self, module: &Module) -> Result<usize, Violation> {
        let mut count = 0;
        for site in self.sites_of_module(module) {
            count += 1;
            let id = site.callee.symbol();
            let symbol = self.symbol(id).ok_or(Violation::Unbound(site.at))?;
            let listed = self.sites_of_symbol(id).filter(|other: &CallSite| *other == site).count();
            if site.caller != module.id() || listed != 1 {
                return Err(Violation::Site(site.at));
            }
            let base = module.id() == ModuleId::BASE;
            let bound = base || module.imports().contains(&id) || module.aliases().contains(&id);
            if !bound || answer(&symbol.stack, &site).is_none() {
                return Err(Violation::Unbound(site.at));
            }
        }
        if count == module.site_count() { Ok(count) } else { Err(Violation::Site(module.facts.start)) }
    }

    fn check_linker_text(&self, module: &Module) -> Result<(), Violation> {
        let owner = module.id().index;
        let slots = self.sites_of_module(module).filter(|site| site.slot);
        let mut units = slots.filter(|site| self.text.owner(site.at) == Some(owner)).count();
        for symbol in module.aliases() {
            let Some(alias) = self.symbols[symbol.index()].stack.of(module.id()) else { continue };
            if alias.entry != alias.target && self.text.owner(alias.entry) == Some(owner) {
                units += GATE_UNITS;
            }
            units += alias.veneer.into_iter().filter(|at| self.text.owner(*at) == Some(owner)).count();
        }
        let introduced = module.aliases().iter().filter(|symbol| {
            self.symbols[symbol.index()].stack.of(module.id()).is_some_and(|alias| alias.kind.introduces())
        });
        units += self.callbacks().filter(|callback| callback.owner == module.id()).count() * CALLBACK_UNITS;
        units += introduced.filter(|symbol| self.symbols[symbol.index()].denial.stub().is_some()).count()
            * STUB_UNITS;
        if units == self.text.units_of(owner) { Ok(()) } else { Err(Violation::LinkerText(owner)) }
    }

    fn check_name_index(&self) -> Result<(), Violation> {
        let ascending = self.by_hash.is_sorted_by_key(|(hash, _)| *hash);
        let found = self.symbols().all(|(id, symbol)| self.find_symbol(&symbol.name) == Some(id));
        let count = self.symbols().take(SYMBOLS_MAX).count();
        if ascending && found && count == self.by_hash.len() { Ok(()) } else { Err(Violation::NameIndex) }
    }
}

fn check_order(id: SymbolId, stack: &AliasStack) -> Result<(), Violation> {
    let aliases = stack.aliases();
    let rank = |kind: AliasKind| match kind {
        AliasKind::Weak | AliasKind::Export => 0,
        AliasKind::Strong => 1,
        AliasKind::Refine => 2,
    };
    let defaults = aliases.iter().filter(|alias| alias.kind.introduces()).count();
    let strong = aliases.iter().filter(|alias| alias.kind == AliasKind::Strong && alias.linked).count();
    let refiners = aliases.iter().filter(|alias| alias.kind == AliasKind::Refine);
    let once =
        aliases.iter().all(|a| aliases.iter().filter(|b| a.module.index == b.module.index).count() == 1);
    let right = aliases.first().is_some_and(|alias| alias.kind.introduces())
        && defaults == 1
        && strong <= 1
        && once
        && refiners.clone().count() <= REFINERS_MAX
        && aliases.is_sorted_by_key(|alias| rank(alias.kind))
        && refiners.is_sorted_by_key(|alias| alias.position);
    if right { Ok(()) } else { Err(Violation::StackOrder(id)) }
}
