//! The difference between two alias stacks, seen from call sites. Every plan is made of it.

use aarch64_reloc::BranchPair;
use heapless::Vec;

use crate::PATCHES_MAX;
use crate::alias::{Alias, AliasStack};
use crate::branch::{Branch, OutOfRange, Va};
use crate::domain::{LinkDomain, SymbolId};
use crate::plan::{LinkPlan, Patch, PlanError, Veneer};
use crate::revoke::Denial;
use crate::site::{CallSite, Callee};

/// The alias that a call site reaches when the stack of its symbol is this one.
///
/// None for a `super_` site whose caller has no alias in the stack: such a site does not exist in a link domain.
#[must_use]
pub fn answer<'a>(stack: &'a AliasStack, site: &CallSite) -> Option<&'a Alias> {
    match site.callee {
        Callee::Symbol(_) => stack.top(),
        Callee::Super(_) => stack.below(site.caller),
    }
}

/// Adds a patch to the plan for each of a symbol's sites that reaches another alias after than before.
pub(crate) fn difference<'s>(
    domain: &LinkDomain,
    symbol: SymbolId,
    before: &AliasStack,
    after: &AliasStack,
    mut sites: impl Iterator<Item = &'s CallSite>,
    plan: &mut LinkPlan,
) -> Result<(), PlanError> {
    let denial = &domain.symbols[symbol.index()].denial;
    // Most sites name the symbol and not what their own alias refined, are not denied, and reach both: all that they
    // take is these two branches.
    let tops = moved(before.top(), after.top());
    let common = tops.filter(|_| !denial.is_any());
    let pair = common.map_or(BranchPair::NONE, |(old, new)| BranchPair::new(old.entry.0, new.entry.0));
    while let Some(site) = common_sites(&pair, &mut sites, &mut plan.patches)? {
        if let Some(patch) = rare(domain, denial, (before, after), site, plan)? {
            plan.patches.push(patch).map_err(|_| PlanError::TooManySites)?;
        }
    }
    Ok(())
}

/// Adds the patches of sites for as long as those take nothing but the branches of a pair, and returns the first that takes
/// more. A relink consists of this: on its own, it has what it needs in registers.
#[inline(never)]
fn common_sites<'s>(
    pair: &BranchPair,
    sites: &mut impl Iterator<Item = &'s CallSite>,
    patches: &mut Vec<Patch, PATCHES_MAX>,
) -> Result<Option<&'s CallSite>, PlanError> {
    let pair = *pair;
    for site in sites {
        match Branch::both(&pair, site.at, site.link) {
            Some((old, new)) if matches!(site.callee, Callee::Symbol(_)) => {
                let patch = Patch { at: site.at, old, new };
                patches.push(patch).map_err(|_| PlanError::TooManySites)?;
            }
            _ => return Ok(Some(site)),
        }
    }
    Ok(None)
}

/// The patch of any site, if it takes one.
#[inline(never)]
fn rare(
    domain: &LinkDomain,
    denial: &Denial,
    (before, after): (&AliasStack, &AliasStack),
    site: &CallSite,
    plan: &mut LinkPlan,
) -> Result<Option<Patch>, PlanError> {
    // What is denied stays bound to the stub, whoever answers.
    let moved = moved(answer(before, site), answer(after, site)).filter(|_| !denial.denies(site));
    let Some((old, new)) = moved else { return Ok(None) };
    let (old, new) = (branch_to(domain, plan, site, old)?, branch_to(domain, plan, site, new)?);
    Ok(Some(Patch { at: site.at, old, new }))
}

/// Who answers before and after, where that is not the same one.
fn moved<'a>(before: Option<&'a Alias>, after: Option<&'a Alias>) -> Option<(&'a Alias, &'a Alias)> {
    before.zip(after).filter(|(before, after)| before.module != after.module)
}

/// The branch that a site holds when it is bound to an alias: to its entry, or to its veneer where the entry is out
/// of reach. A veneer that is missing is added to the plan.
pub(crate) fn branch_to(
    domain: &LinkDomain,
    plan: &mut LinkPlan,
    site: &CallSite,
    alias: &Alias,
) -> Result<Branch, PlanError> {
    match Branch::encode(site.at, alias.entry, site.link) {
        Ok(branch) => Ok(branch),
        Err(out_of_range) => far_branch_to(domain, plan, site, alias, out_of_range),
    }
}

#[cold]
fn far_branch_to(
    domain: &LinkDomain,
    plan: &mut LinkPlan,
    site: &CallSite,
    alias: &Alias,
    out_of_range: OutOfRange,
) -> Result<Branch, PlanError> {
    let veneer = veneer_to(domain, plan, site.callee.symbol(), alias)?;
    Branch::encode(site.at, veneer, site.link).map_err(|_| PlanError::OutOfRange(out_of_range))
}

/// The branch that a site holds when nothing is being planned: the veneer, if it takes one, is there.
#[must_use]
pub fn branch_of(site: &CallSite, alias: &Alias) -> Option<Branch> {
    Branch::encode(site.at, alias.entry, site.link)
        .or_else(|out_of_range| Branch::encode(site.at, alias.veneer.ok_or(out_of_range)?, site.link))
        .ok()
}

fn veneer_to(
    domain: &LinkDomain,
    plan: &mut LinkPlan,
    symbol: SymbolId,
    alias: &Alias,
) -> Result<Va, PlanError> {
    if let Some(veneer) = alias.veneer {
        return Ok(veneer);
    }
    let planned = |veneer: &&Veneer| veneer.symbol == symbol && veneer.module == alias.module;
    if let Some(veneer) = plan.veneers.iter().find(planned) {
        return Ok(veneer.at);
    }
    let at = plan.reserve(domain, 1)?;
    let veneer = Veneer { symbol, module: alias.module, at, target: alias.entry };
    plan.veneers.push(veneer).map_err(|_| PlanError::TooManyVeneers)?;
    Ok(at)
}
