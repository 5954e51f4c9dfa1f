//! Planning an unload, a pop and a way back: the same difference with the marks the other way round.

use crate::difference::difference;
use crate::domain::{LinkDomain, Module, ModuleId, ModuleState, Stale, SymbolId};
use crate::name::Name;
use crate::plan::{Change, LinkPlan, PlanError, Stage};

impl From<Stale> for PlanError {
    fn from(stale: Stale) -> Self {
        Self::Stale { generation: stale.generation }
    }
}

/// Plans the unlinking of a live module. May refuse; nothing has changed then.
pub fn plan_unload(domain: &LinkDomain, id: ModuleId, plan: &mut LinkPlan) -> Result<(), PlanError> {
    let module = domain.module(id)?;
    if id == ModuleId::BASE {
        return Err(PlanError::BaseImage);
    }
    if module.state != ModuleState::Live {
        return Err(PlanError::NotLive(module.state));
    }
    if let Some((symbol, by)) = dependency(domain, module) {
        return Err(PlanError::Dependency { symbol, by });
    }
    plan_unlink(domain, module, plan)
}

/// Plans the unlinking of a module whose text faulted: no command runs, and nobody is asked.
///
/// A symbol that the module introduced and that others still use keeps its only answer: the text stays mapped.
pub fn plan_pop(domain: &LinkDomain, id: ModuleId, plan: &mut LinkPlan) -> Result<(), PlanError> {
    let module = domain.module(id)?;
    if id == ModuleId::BASE {
        return Err(PlanError::BaseImage);
    }
    if !module.linked {
        return Err(PlanError::NotLive(module.state));
    }
    plan_unlink(domain, module, plan)
}

/// Turns a plan that was committed into the plan of its way back. Allocates nothing and cannot fail.
pub fn plan_rollback(domain: &LinkDomain, plan: &mut LinkPlan) {
    assert!(plan.stage == Stage::Committed, "there is a way back only from a plan that was carried out");
    plan.stage = Stage::Affixed;
    plan.generation = domain.generation;
    plan.links = !plan.links;
    for patch in &mut plan.patches {
        core::mem::swap(&mut patch.old, &mut patch.new);
    }
    for change in &mut plan.changes {
        change.linked = !change.linked;
    }
}

/// Who uses a symbol that a module introduces: the symbol's name and the user's.
#[must_use]
pub fn dependency(domain: &LinkDomain, module: &Module) -> Option<(Name, Name)> {
    let name = |index: u8| domain.module_at(index).map_or(Name::EMPTY, |module| module.facts.name);
    module.aliases.iter().find_map(|id| {
        let symbol = &domain.symbols[id.index()];
        let introduces = symbol.stack.of(module.id).is_some_and(|alias| alias.kind.introduces());
        let layer = || symbol.stack.aliases().iter().map(|alias| alias.module.index);
        let importers = || (0..32).filter(|index| symbol.importers & 1 << index != 0);
        let mut users = layer().chain(importers()).filter(|index| *index != module.id.index);
        users.next().filter(|_| introduces).map(|index| (symbol.name, name(index)))
    })
}

fn plan_unlink(domain: &LinkDomain, module: &Module, plan: &mut LinkPlan) -> Result<(), PlanError> {
    plan.begin(domain, module.id, false);
    for symbol in &module.aliases {
        unlink_one(domain, module.id, *symbol, plan)?;
    }
    // Everything that the way back needs is here.
    plan.stage = Stage::Affixed;
    Ok(())
}

fn unlink_one(
    domain: &LinkDomain,
    module: ModuleId,
    symbol: SymbolId,
    plan: &mut LinkPlan,
) -> Result<(), PlanError> {
    let before = &domain.symbols[symbol.index()].stack;
    let mut after = before.clone();
    after.set_linked(module, false);
    difference(domain, symbol, before, &after, domain.sites_in_place(symbol), plan)?;
    let change = Change { symbol, module, linked: false };
    plan.changes.push(change).map_err(|_| PlanError::TooManyAliases)
}
