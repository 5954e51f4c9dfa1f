//! Revoking rights: what needed them is bound elsewhere at once, and the request that revokes returns after the grace.
//!
//! | right that is gone | afterwards |
//! |---|---|
//! | `call` | the module's call sites and slots of the symbol lead to a stub that answers with an error |
//! | `take_address` | its slot of the symbol leads to the stub, its own calls do not |
//! | `provide`, `refine` | its alias is unlinked for good: callers reach the layer below |
//! | `export` | everybody else's call sites and slots of the symbol lead to the stub; nobody may import it any more |
//!
//! A `super_` call goes with `refine`: whoever is still inside goes on to the layer below. A revoke is a difference like
//! any other, and a stub is text like a veneer: complete before a branch leads to it.

use crate::SYMBOLS_MAX;
use crate::branch::{Branch, Va};
use crate::difference::{answer, branch_to};
use crate::domain::{LinkDomain, Module, ModuleId, SymbolId};
use crate::name::Name;
use crate::plan::{Change, LinkPlan, Patch, PlanError, Stage};
use crate::rights::{BindRights, Grant};
use crate::site::{CallSite, Callee};
use crate::text::STUB_UNITS;

/// Whom a symbol is denied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    // One bit for each module index.
    calls: u32,
    addresses: u32,
    // The index of the module that may not offer it any more, plus one.
    withdrawn: u8,
    stub: Option<Va>,
}

impl Denial {
    /// Nobody.
    pub(crate) const NONE: Self = Self { calls: 0, addresses: 0, withdrawn: 0, stub: None };

    /// Whether a call site leads to the stub.
    #[must_use]
    pub const fn denies(&self, site: &CallSite) -> bool {
        let bit = 1 << site.caller.index;
        let withdrawn = self.withdrawn != 0 && self.withdrawn != site.caller.index + 1;
        matches!(site.callee, Callee::Symbol(_))
            && (withdrawn || self.calls & bit != 0 || site.slot && self.addresses & bit != 0)
    }

    /// Whether anything is denied to anybody.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.calls | self.addresses != 0 || self.withdrawn != 0
    }

    /// Whether nobody may import the symbol any more.
    #[must_use]
    pub const fn withdrawn(&self) -> bool {
        self.withdrawn != 0
    }

    /// Where the stub stands, once there is one.
    #[must_use]
    pub const fn stub(&self) -> Option<Va> {
        self.stub
    }

    /// The module is gone.
    pub(crate) const fn forget(&mut self, module: ModuleId) {
        self.calls &= !(1 << module.index);
        self.addresses &= !(1 << module.index);
    }
}

/// A stub to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stub {
    pub(crate) at: Va,
    /// What it answers.
    pub(crate) answer: u64,
    /// The index of the module that introduces the symbol.
    pub(crate) owner: u8,
}

/// Plans the revoke of every right that does not hold any more, asked as `(grant, symbol's name)`. May refuse; nothing
/// has changed then. The plan of a revoke has no way back: it is committed or dropped.
pub fn plan_revoke(
    domain: &LinkDomain,
    mut holds: impl FnMut(&Grant, &Name) -> bool,
    plan: &mut LinkPlan,
) -> Result<(), PlanError> {
    plan.begin(domain, ModuleId::BASE, true);
    plan.revokes = true;
    plan.revoked.as_flattened_mut().fill(false);
    let mut after: [Denial; SYMBOLS_MAX] = core::array::from_fn(|index| domain.symbols[index].denial);
    for module in domain.modules().filter(|module| module.id() != ModuleId::BASE) {
        let revoked = &mut plan.revoked[usize::from(module.id().index)];
        for (grant, revoked) in module.grants().iter().zip(revoked) {
            let symbol = &domain.symbols[grant.symbol.index()];
            if grant.revoked || holds(grant, &symbol.name) {
                continue;
            }
            *revoked = true;
            deny(module, grant, &mut after[grant.symbol.index()]);
            if matches!(grant.right, BindRights::REFINE | BindRights::PROVIDE) {
                let change = Change { symbol: grant.symbol, module: module.id(), linked: false };
                plan.changes.push(change).map_err(|_| PlanError::TooManyAliases)?;
            }
        }
    }
    for (id, _) in domain.symbols() {
        plan_symbol(domain, id, &mut after[id.index()], plan)?;
    }
    // Nothing is affixed: a revoke brings no module.
    plan.stage = Stage::Affixed;
    Ok(())
}

fn deny(module: &Module, grant: &Grant, denial: &mut Denial) {
    let index = module.id().index;
    match grant.right {
        BindRights::CALL => denial.calls |= 1 << index,
        BindRights::TAKE_ADDRESS => denial.addresses |= 1 << index,
        BindRights::EXPORT => denial.withdrawn = index + 1,
        _ => {}
    }
}

/// The difference that the revoke makes to the call sites of one symbol.
fn plan_symbol(
    domain: &LinkDomain,
    id: SymbolId,
    after: &mut Denial,
    plan: &mut LinkPlan,
) -> Result<(), PlanError> {
    let symbol = &domain.symbols[id.index()];
    let mut stack = symbol.stack.clone();
    let unlinks = plan.changes.iter().filter(|change| change.symbol == id);
    unlinks.for_each(|change| stack.revoke(change.module));
    let before = &symbol.denial;
    let sites = || domain.sites_of_symbol(id);
    if after.stub.is_none() && sites().any(|site| after.denies(&site)) {
        let at = plan.reserve(domain, STUB_UNITS)?;
        let introducer = stack.aliases()[0];
        let stub = Stub { at, answer: introducer.fault_value, owner: introducer.module.index };
        plan.stubs.push(stub).map_err(|_| PlanError::NoLinkerText)?;
        after.stub = Some(at);
    }
    if after != before {
        plan.denials.push((id, *after)).map_err(|_| PlanError::TooManySymbols)?;
    }
    for site in sites() {
        // What leads to the stub stays there: a right that was revoked does not come back.
        if before.denies(&site) {
            continue;
        }
        let (Some(old), Some(new)) = (answer(&symbol.stack, &site), answer(&stack, &site)) else { continue };
        let denied = after.stub.filter(|_| after.denies(&site));
        if denied.is_none() && old.module == new.module {
            continue;
        }
        let new = match denied {
            Some(stub) => Branch::encode(site.at, stub, site.link).map_err(PlanError::OutOfRange)?,
            None => branch_to(domain, plan, &site, new)?,
        };
        let old = branch_to(domain, plan, &site, old)?;
        plan.patches.push(Patch { at: site.at, old, new }).map_err(|_| PlanError::TooManySites)?;
    }
    Ok(())
}
