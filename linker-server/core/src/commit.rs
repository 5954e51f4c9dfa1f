//! Carrying out plans: all of it, or none of it.
//!
//! ```text
//!  load:    plan_load ─► affix ─► (INIT) ─► commit ─► … ─► live        back: revert, then forget
//!  unload:  plan_unload ─► commit ─► (drain, FINI) ─► forget           back: revert
//! ```

use crate::branch::{Branch, OutOfRange, Va};
use crate::domain::{LinkDomain, Module, ModuleId, ModuleState};
use crate::errno::Errno;
use crate::plan::{LinkPlan, Patch, PlannedAlias, Stage};
use crate::site::CallSite;
use crate::text::{self, GATE_UNITS, STUB_UNITS};
use crate::unload::plan_rollback;

/// A word of text could not be written. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Why a word was not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Another word stands there; none where no text is.
    Found(Option<u32>),
    /// The word could not be written.
    Refused,
}

/// The text of a link domain, as the linker can read and write it.
///
/// A word that was written once can be written again for as long as a plan is carried out or taken back: the way
/// back relies on it.
pub trait TextSpace {
    /// Reads a word of text; none where no text is.
    fn read(&self, at: Va) -> Option<u32>;
    /// Replaces a word by one aligned store.
    fn write(&mut self, at: Va, bits: u32) -> Result<(), Refused>;
    /// Replaces a word in the same way if it is `old`; else nothing is written.
    #[inline(always)]
    fn replace(&mut self, at: Va, old: u32, new: u32) -> Result<(), Mismatch> {
        let found = self.read(at);
        if found != Some(old) {
            return Err(Mismatch::Found(found));
        }
        self.write(at, new).map_err(|Refused| Mismatch::Refused)
    }
    /// Returns once instruction fetch of every core sees what was written since the last call, should the core
    /// synchronise its context from now on.
    fn publish(&mut self);
    /// Returns once every core has synchronised its context since the last publication: no core executes, or ever will,
    /// a word that was there before.
    fn synchronise(&mut self);
}

/// Why a plan was not carried out. Text and link domain are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// The link domain has changed since the plan was made.
    StalePlan,
    /// The plan was carried out before, or its module was not affixed.
    WrongStage,
    /// Another word stands where a patch goes.
    Unexpected {
        /// Where.
        at: Va,
        /// What should stand there.
        expected: Branch,
        /// What stands there; none where no text is.
        found: Option<u32>,
    },
    /// A write was refused.
    Refused(Va),
    /// A gate does not reach its implementation.
    OutOfRange(OutOfRange),
}

impl CommitError {
    /// The errno-like word of the error.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::StalePlan => Errno::ESTALE,
            Self::WrongStage => Errno::EINVAL,
            Self::Unexpected { .. } => Errno::EFAULT,
            Self::Refused(_) => Errno::EIO,
            Self::OutOfRange(_) => Errno::ERANGE,
        }
    }
}

/// Puts the module of a load plan into its stacks, unlinked, and writes its gates, slots and veneers.
///
/// Afterwards the module's own text may run (INIT), and nobody else reaches it. [`forget`] is the inverse.
pub fn affix(
    plan: &mut LinkPlan,
    domain: &mut LinkDomain,
    text: &mut impl TextSpace,
) -> Result<(), CommitError> {
    if plan.generation != domain.generation {
        return Err(CommitError::StalePlan);
    }
    if plan.stage != Stage::Planned {
        return Err(CommitError::WrongStage);
    }
    write_fresh_text(plan, text)?;
    text.publish();
    let id = plan.module;
    for new in &plan.symbols {
        domain.add_symbol(new.id, new.name, new.fingerprint, new.may_block);
    }
    let module = domain.add_module(id, plan.facts);
    for own in &plan.aliases {
        module.aliases.push(own.symbol).expect("as many as a plan has");
    }
    for import in &plan.imports {
        module.imports.push(import.symbol).expect("as many as a plan has");
    }
    // By value: a module's receipt is as long as it is.
    module.grants.extend_from_slice(&plan.grants).expect("as many as a plan has");
    for import in &plan.imports {
        domain.symbols[import.symbol.index()].importers |= 1 << id.index;
    }
    for PlannedAlias { symbol, alias, .. } in &plan.aliases {
        domain.symbols[symbol.index()].stack.insert(*alias).expect("planning has tried it");
        if alias.entry != alias.target {
            domain.text.take(alias.entry, GATE_UNITS, id.index);
        }
    }
    for new in &plan.sites {
        domain.add_site(new.site);
        if new.site.slot {
            domain.text.take(new.site.at, 1, id.index);
        }
    }
    install_veneers(plan, domain);
    domain.generation += 1;
    plan.generation = domain.generation;
    plan.stage = Stage::Affixed;
    Ok(())
}

/// Carries out a plan: replaces each word by another where the one stands that it expects, then flips the marks.
///
/// A word that is not the expected one, or a refused write, ends it: what was replaced by then is put back. Somebody may
/// have taken a new branch meanwhile, so that the way back of a transaction passes a grace and a drain from here, too.
pub fn commit(
    plan: &mut LinkPlan,
    domain: &mut LinkDomain,
    text: &mut impl TextSpace,
) -> Result<(), CommitError> {
    if plan.generation != domain.generation {
        return Err(CommitError::StalePlan);
    }
    if plan.stage != Stage::Affixed {
        return Err(CommitError::WrongStage);
    }
    // A veneer is complete, and seen by instruction fetch, before a branch leads to it; and so is the text of a module that
    // is linked for the first time, with its gates and slots. Only branches may be replaced under a core that executes them
    // (Arm ARM B2.2.5): for everything else every core synchronises in between.
    for veneer in &plan.veneers {
        write_words(text, veneer.at, &text::veneer(veneer.target))?;
    }
    for stub in &plan.stubs {
        write_words(text, stub.at, &text::denied(stub.answer))?;
    }
    if !plan.veneers.is_empty() || !plan.stubs.is_empty() {
        text.publish();
    }
    if plan.links || !plan.veneers.is_empty() || !plan.stubs.is_empty() {
        text.synchronise();
    }
    replace_all(&plan.patches, text)?;
    text.publish();
    install_veneers(plan, domain);
    install_denials(plan, domain);
    flip(plan, domain);
    Ok(())
}

/// Takes a plan back that was carried out. Allocates nothing and cannot fail.
///
/// A veneer that the plan added stays: it belongs to the alias that it leads to.
pub fn revert(plan: &mut LinkPlan, domain: &mut LinkDomain, text: &mut impl TextSpace) {
    assert!(
        plan.generation == domain.generation,
        "one transaction at a time: nobody else has changed anything"
    );
    plan_rollback(domain, plan);
    for patch in &plan.patches {
        text.write(patch.at, patch.new.bits()).expect(AGAIN);
    }
    text.publish();
    flip(plan, domain);
}

/// Takes a module that does not answer any more out of its stacks, and gives its places back. Cannot fail.
///
/// The caller knows that nobody is inside: the gates and slots are used again.
pub fn forget(domain: &mut LinkDomain, id: ModuleId) {
    let Some(module) = domain.module_mut(id) else { return };
    assert!(!module.linked && module.state != ModuleState::Wedged, "what answers or is wedged stays");
    let (aliases, imports) = (core::mem::take(&mut module.aliases), core::mem::take(&mut module.imports));
    while let Some(site) = domain.take_site(id) {
        if site.slot {
            domain.text.release(site.at, 1, id.index);
        }
    }
    for symbol in &imports {
        let symbol = &mut domain.symbols[symbol.index()];
        symbol.importers &= !(1 << id.index);
        symbol.denial.forget(id);
    }
    for symbol in &aliases {
        let stack = &mut domain.symbols[symbol.index()].stack;
        let alias = stack.remove(id).expect("a module is in each of its stacks");
        let free = stack.aliases().is_empty();
        if alias.entry != alias.target {
            domain.text.release(alias.entry, GATE_UNITS, id.index);
        }
        if let Some(veneer) = alias.veneer {
            domain.text.release(veneer, 1, id.index);
        }
        if let Some(stub) = domain.symbols[symbol.index()].denial.stub().filter(|_| free) {
            domain.text.release(stub, STUB_UNITS, id.index);
        }
        if free {
            domain.remove_symbol(*symbol);
        }
    }
    domain.remove_module(id);
    domain.generation += 1;
}

/// Gates, slots and veneers of a load. Nobody reaches them yet, so a refused write leaves nothing to undo.
fn write_fresh_text(plan: &LinkPlan, text: &mut impl TextSpace) -> Result<(), CommitError> {
    for veneer in &plan.veneers {
        write_words(text, veneer.at, &text::veneer(veneer.target))?;
    }
    for PlannedAlias { alias, .. } in &plan.aliases {
        if alias.entry != alias.target {
            let words = text::gate(alias.entry, alias.target).map_err(CommitError::OutOfRange)?;
            write_words(text, alias.entry, &words)?;
        }
    }
    for new in &plan.sites {
        if let CallSite { slot: true, at, .. } = new.site {
            write_words(text, at, &text::slot(new.branch))?;
        }
    }
    Ok(())
}

fn write_words(text: &mut impl TextSpace, at: Va, words: &[u32]) -> Result<(), CommitError> {
    for (word, offset) in words.iter().zip((0..).step_by(4)) {
        let at = at.plus(offset);
        text.write(at, *word).map_err(|Refused| CommitError::Refused(at))?;
    }
    Ok(())
}

/// What the way back relies on.
const AGAIN: &str = "a text space takes again what it took before";

/// Makes every patch, or takes back those that were made.
fn replace_all(patches: &[Patch], text: &mut impl TextSpace) -> Result<(), CommitError> {
    let mut left = patches.iter();
    while let Some(patch) = left.next() {
        // `B` by `B` and `BL` by `BL`, under a core that executes it.
        assert!(patch.old.links() == patch.new.links(), "a patch keeps the opcode");
        if let Err(mismatch) = text.replace(patch.at, patch.old.bits(), patch.new.bits()) {
            let made = patches.len() - left.len() - 1;
            for done in patches[..made].iter().rev() {
                text.write(done.at, done.old.bits()).expect(AGAIN);
            }
            text.publish();
            let Patch { at, old: expected, .. } = *patch;
            return Err(match mismatch {
                Mismatch::Found(found) => CommitError::Unexpected { at, expected, found },
                Mismatch::Refused => CommitError::Refused(at),
            });
        }
    }
    Ok(())
}

fn install_veneers(plan: &mut LinkPlan, domain: &mut LinkDomain) {
    for veneer in &plan.veneers {
        domain.symbols[veneer.symbol.index()].stack.set_veneer(veneer.module, veneer.at);
        domain.text.take(veneer.at, 1, veneer.module.index);
    }
    plan.veneers.clear();
}

/// A revoke's: whom each symbol is denied to from now on, and which lines of which receipt do not count any more.
fn install_denials(plan: &LinkPlan, domain: &mut LinkDomain) {
    for stub in &plan.stubs {
        domain.text.take(stub.at, STUB_UNITS, stub.owner);
    }
    for (symbol, denial) in &plan.denials {
        domain.symbols[symbol.index()].denial = *denial;
    }
    if !plan.revokes {
        return;
    }
    for (index, revoked) in (0..).zip(&plan.revoked) {
        let Some(id) = domain.module_at(index).map(Module::id) else { continue };
        let Some(module) = domain.module_mut(id) else { continue };
        for (grant, revoked) in module.grants.iter_mut().zip(revoked) {
            grant.revoked |= revoked;
        }
    }
    for change in &plan.changes {
        domain.symbols[change.symbol.index()].stack.revoke(change.module);
    }
}

/// The marks of the aliases and the state of the module, after the text has changed.
fn flip(plan: &mut LinkPlan, domain: &mut LinkDomain) {
    for change in &plan.changes {
        domain.symbols[change.symbol.index()].stack.set_linked(change.module, change.linked);
    }
    let linked = plan.links;
    if let Some(module) = domain.module_mut(plan.module) {
        module.linked = linked;
        if module.state != ModuleState::Wedged {
            module.state = if linked { ModuleState::Live } else { ModuleState::Leaving };
        }
    }
    domain.generation += 1;
    plan.generation = domain.generation;
    plan.stage = Stage::Committed;
}
