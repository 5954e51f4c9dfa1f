//! Who asks, and by whose leave: badges, grants, revokes, receipts.
//!
//! The decisions are `linker_core::capability`'s; here they meet endpoints and rows.

use crate::explain;
use crate::linker::{Answer, Linker, Work, text};
use linker_books::ledger::Account;
use linker_core::capability::{Object, PRESENTED_MAX, Usage};
use linker_core::difference::answer;
use linker_core::{
    BindRights, CallSite, Callee, CapRights, Capabilities, CapabilityError, CapabilityId, ModuleId, Name,
    Quota, commit, plan_revoke,
};
use sel4_sys::{seL4_CapRights, seL4_MessageInfo};
use strata_protocol::capability::{CapObject, CapQuota, CapRow, ReceiptRow, right};
use strata_protocol::caps::linker_badge;
use strata_protocol::linker::{Reply, Request};
use strata_protocol::{DetailText, Errno, ModuleName, Refusal, SymbolName, caps};

/// Capabilities that a request presents.
pub type Presented = heapless::Vec<CapabilityId, PRESENTED_MAX>;

/// What the log server may: read rings and open the UART.
const LOG: CapabilityId = CapabilityId { index: 1, generation: 0 };

const _: () = assert!(PRESENTED_MAX == strata_protocol::capability::PRESENTED_MAX);
const _: () = assert!(CapRights::ALL.bits() == right::ALL && CapRights::OPEN.bits() == right::OPEN);
const _: () = assert!(BindRights::TAKE_ADDRESS.bits() as u16 == right::TAKE_ADDRESS);

/// The capabilities that are there from the start: the root, and the log server's.
#[must_use]
pub fn first() -> Capabilities {
    let mut table = Capabilities::new();
    let rights = CapRights::OPEN.with(CapRights::STATUS);
    let made = table.derive(CapabilityId::ROOT, Object::Domain, rights, Quota::UNLIMITED);
    assert!(made == Ok(LOG), "the first place behind the root's is the log server's");
    table
}

/// The capability that a badge names; none for a badge that nobody was given.
#[must_use]
pub fn named_by(badge: u64) -> Option<CapabilityId> {
    match badge {
        linker_badge::CONSOLE | linker_badge::TEST_AGENT | linker_badge::TEST_AGENT_2 => {
            Some(CapabilityId::ROOT)
        }
        linker_badge::LOG => Some(LOG),
        _ if badge & linker_badge::ISSUED != 0 => {
            u32::try_from(badge & !linker_badge::ISSUED).ok().map(CapabilityId::from_bits)
        }
        _ => None,
    }
}

fn badge_of(id: CapabilityId) -> u64 {
    linker_badge::ISSUED | u64::from(id.bits())
}

/// An error in words.
#[must_use]
pub fn refusal(name: &str, error: CapabilityError) -> Refusal {
    match error {
        CapabilityError::Stale { generation } => {
            let why = format_args!("the capability is gone; its place is at generation {generation}");
            Refusal::format(Errno::ESTALE, name, why)
        }
        CapabilityError::Denied(rights) => {
            let words = Rights(rights.bits());
            Refusal::format(
                Errno::EPERM,
                name,
                format_args!("the capability does not allow it: {words} is missing"),
            )
        }
        CapabilityError::NotYours => {
            Refusal::new(Errno::EPERM, name, "it is not derived from the capability that you ask by")
        }
        CapabilityError::Senseless => Refusal::new(Errno::EINVAL, name, "the rights make no sense for it"),
        CapabilityError::Outside => {
            Refusal::new(Errno::EPERM, name, "it is not within what the capability is about")
        }
        CapabilityError::Full => Refusal::new(Errno::ENOSPC, name, "too many capabilities"),
        CapabilityError::Quota(what) => {
            Refusal::format(Errno::ENOMEM, name, format_args!("the quota of {what} is used up"))
        }
    }
}

/// Rights by their words.
struct Rights(u16);

impl core::fmt::Display for Rights {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut separator = "";
        for (word, _) in right::WORDS.iter().filter(|(_, bit)| self.0 & bit != 0) {
            write!(f, "{separator}{word}")?;
            separator = ",";
        }
        Ok(())
    }
}

fn refuse(refusal: Refusal) -> Answer {
    Answer::Now(Reply::Refused(refusal))
}

impl Linker<'_> {
    /// The capabilities that a message presents besides the one that it came through. Their badges are the kernel's word;
    /// what is no capability of this endpoint is not looked at.
    pub fn presented(&self, tag: seL4_MessageInfo) -> Presented {
        let count = usize::try_from(tag.get_extraCaps()).unwrap_or(0);
        let unwrapped = |at: &usize| tag.get_capsUnwrapped() >> at & 1 != 0;
        let badges =
            (0..count.min(PRESENTED_MAX)).filter(unwrapped).map(|at| self.objects.ipc.caps_or_badges[at]);
        badges.filter_map(named_by).collect()
    }

    /// Whether a request may be made by a capability at all; what is about one module is asked again when its turn comes.
    ///
    /// # Errors
    /// The refusal for the caller.
    pub fn permit(&self, caller: CapabilityId, request: &Request) -> Result<(), Refusal> {
        let wanted = match request {
            Request::Load { .. } => CapRights::LOAD,
            Request::OpenDevice { .. }
            | Request::DeviceSignal { .. }
            | Request::SignalMe { .. }
            | Request::LogRing { .. } => CapRights::OPEN,
            Request::Module { .. }
            | Request::Alias { .. }
            | Request::Symbol { .. }
            | Request::Domain { .. }
            | Request::Thread { .. }
            | Request::Registration { .. }
            | Request::Ledger { .. }
            | Request::Audit
            | Request::FailAfter { .. } => CapRights::STATUS,
            // Everybody in the link domain depends on its drivers.
            Request::StopDriver { .. } | Request::StartDriver { .. } => CapRights::ALL,
            Request::MapShared { name, .. } | Request::Receipt { name, .. } => {
                return self.permit_about(caller, name, CapRights::STATUS);
            }
            Request::Cancel => {
                let turn = self.turn.as_ref().and_then(|turn| turn.caller);
                let own = turn.is_none_or(|turn| self.capabilities.descends(turn, caller));
                return if own { Ok(()) } else { Err(refusal("transaction", CapabilityError::NotYours)) };
            }
            // Asked when their turn comes, or by the table itself; STATUS is answered to everybody who may ask at all, and
            // a region is given back by whoever holds it, also when its module has gone.
            Request::ReleaseShared { .. }
            | Request::Unload { .. }
            | Request::Control { .. }
            | Request::Stat { .. }
            | Request::Status
            | Request::Capability { .. }
            | Request::Derive { .. }
            | Request::Revoke { .. } => {
                return self.capabilities.get(caller).map(drop).map_err(|error| refusal("capability", error));
            }
        };
        self.capabilities.permit(caller, wanted).map_err(|error| refusal("link domain", error))
    }

    /// Whether a request about a module may be made. Who may not even ask for rows hears nothing about what there is.
    ///
    /// # Errors
    /// The refusal for the caller.
    pub fn permit_about(&self, caller: CapabilityId, name: &str, wanted: CapRights) -> Result<(), Refusal> {
        let Some(module) = self.module_named(name) else {
            self.capabilities.permit(caller, wanted).map_err(|error| refusal(name, error))?;
            return Err(Refusal::new(Errno::ENOENT, name, "no such module"));
        };
        let permitted = self.capabilities.permit_module(caller, module, self.owner_of(module), wanted);
        permitted.map_err(|error| refusal(name, error))
    }

    /// By which capability a module was loaded.
    pub fn owner_of(&self, module: ModuleId) -> CapabilityId {
        self.modules[usize::from(module.index)].as_ref().map_or(CapabilityId::ROOT, |loaded| loaded.owner)
    }

    /// How long a command of a module may take, in milliseconds.
    pub fn command_ms(&self, module: ModuleId) -> u32 {
        let quota =
            self.capabilities.get(self.owner_of(module)).map_or(u32::MAX, |owner| owner.quota.command_ms);
        quota.min(strata_protocol::linker::COMMAND_MS_MAX)
    }

    /// Hands out a capability that allows no more than the caller's.
    pub fn derive(
        &mut self,
        caller: CapabilityId,
        object: &CapObject,
        rights: u16,
        quota: CapQuota,
    ) -> Answer {
        let (name, made) = match object {
            CapObject::Domain => ("link domain", Ok(Object::Domain)),
            CapObject::Interface(prefix) => {
                let named = Name::new(prefix.as_bytes()).map(Object::Interface);
                (prefix.as_str(), named.ok_or(CapabilityError::Senseless))
            }
            CapObject::Module(name) => {
                let wanted = CapRights::from_bits(rights).unwrap_or(CapRights::ALL);
                if let Err(refusal) = self.permit_about(caller, name, wanted) {
                    return refuse(refusal);
                }
                let named = self.module_named(name).map(Object::Module);
                (name.as_str(), named.ok_or(CapabilityError::Senseless))
            }
        };
        let quota = Quota {
            modules: quota.modules,
            frames: quota.frames,
            symbols: quota.symbols,
            command_ms: quota.command_ms,
        };
        let derived = made.and_then(|object| {
            let rights = CapRights::from_bits(rights).ok_or(CapabilityError::Senseless)?;
            self.capabilities.derive(caller, object, rights, quota)
        });
        let id = match derived {
            Ok(id) => id,
            Err(error) => return refuse(refusal(name, error)),
        };
        // The holder may call, be answered, and present other capabilities; it may not receive.
        let endpoint = seL4_CapRights::new(1, 1, 0, 1);
        match self.objects.mint(caps::slot::SERVICE, endpoint, badge_of(id), Account::LINKER) {
            Ok(cap) => {
                Answer::Capability { reply: Reply::Issued { capability: id.bits() }, cap, temporary: true }
            }
            Err(error) => {
                let gone = self.capabilities.revoke(CapabilityId::ROOT, id, CapRights::ALL);
                assert!(gone.is_ok(), "what was just derived is there");
                refuse(explain::object(name, error))
            }
        }
    }

    /// The turn of a revoke: decides, relinks, and answers after the grace.
    pub fn begin_revoke(&mut self) {
        let turn = self.turn.as_ref();
        let Some(Work::Revoke { caller, capability, rights }) = turn.map(|turn| turn.work.clone()) else {
            return;
        };
        let reply = match self.revoke(caller, capability, rights) {
            Ok(remark) => Reply::DoneWith { remark },
            Err(refusal) => Reply::Refused(refusal),
        };
        self.end(&reply);
    }

    fn revoke(
        &mut self,
        caller: CapabilityId,
        id: CapabilityId,
        rights: CapRights,
    ) -> Result<DetailText, Refusal> {
        const WHAT: &str = "capability";
        let mut after = self.capabilities.clone();
        let gone = after.revoke(caller, id, rights).map_err(|error| refusal(WHAT, error))?;
        plan_revoke(self.link, |grant, symbol| after.allows(grant.by, symbol, grant.right), self.plan)
            .map_err(|error| explain::plan(WHAT, &error))?;
        let (bindings, sites) = (self.plan.revoked_count(), self.plan.patches().len());
        let mut text = text!(self);
        commit(self.plan, self.link, &mut text).map_err(|error| explain::commit(WHAT, &error))?;
        self.tell_servers();
        self.grace();
        for loaded in self.modules.iter_mut().flatten() {
            // What was loaded by a capability that is gone belongs to the one that it came from.
            while gone.contains(&loaded.owner) {
                let parent =
                    self.capabilities.get(loaded.owner).ok().and_then(|capability| capability.parent);
                loaded.owner = parent.unwrap_or(CapabilityId::ROOT);
            }
        }
        self.capabilities = after;
        for region in &mut self.regions {
            for id in &gone {
                if region.release(self.objects, badge_of(*id)).is_err() {
                    defmt::error!("a page that was lent could not be taken back");
                }
            }
        }
        self.sweep_regions();
        let count = gone.len();
        Ok(DetailText::format(format_args!(
            "{count} capabilities gone, {bindings} bindings revoked, {sites} call sites re-pointed"
        )))
    }

    /// The capability at a position: the caller's own, and what was derived from it.
    pub fn capability_row(&self, caller: CapabilityId, index: u32) -> Reply {
        let mut own = self.capabilities.all().filter(|(id, _)| self.capabilities.descends(*id, caller));
        let Some((id, capability)) = own.nth(index as usize) else { return Reply::End };
        let Usage { modules, frames, symbols } = capability.used;
        Reply::CapabilityRow(CapRow {
            capability: id.bits(),
            parent: capability.parent.map(CapabilityId::bits),
            object: match capability.object {
                Object::Domain => CapObject::Domain,
                Object::Interface(prefix) => CapObject::Interface(SymbolName::cut(prefix.text())),
                Object::Module(module) => CapObject::Module(self.name_of(module)),
            },
            rights: capability.rights.bits(),
            quota: CapQuota {
                modules: capability.quota.modules,
                frames: capability.quota.frames,
                symbols: capability.quota.symbols,
                command_ms: capability.quota.command_ms,
            },
            modules,
            frames,
            symbols,
        })
    }

    /// The line at a position of a module's receipt.
    pub fn receipt_row(&self, name: &str, index: u32) -> Reply {
        let module = self.module_named(name).and_then(|module| self.link.module(module).ok());
        let grant = module.and_then(|module| Some((module, module.grants().get(index as usize)?)));
        let Some((module, grant)) = grant else { return Reply::End };
        let Some(symbol) = self.link.symbol(grant.symbol) else { return Reply::End };
        let callee = match grant.right {
            BindRights::CALL | BindRights::TAKE_ADDRESS => Callee::Symbol(grant.symbol),
            _ => Callee::Super(grant.symbol),
        };
        let site = CallSite { caller: module.id(), at: linker_core::Va(0), callee, link: true, slot: false };
        let reached = match grant.right {
            // Who introduces or provides a symbol calls nothing below.
            BindRights::EXPORT | BindRights::PROVIDE => Some(module.id()),
            _ => answer(symbol.stack(), &site).map(|alias| alias.module),
        };
        let bound =
            reached.filter(|_| !grant.revoked).map_or_else(ModuleName::default, |id| self.name_of(id));
        Reply::Receipt(ReceiptRow {
            symbol: SymbolName::cut(symbol.name.text()),
            right: grant.right.bits().into(),
            capability: grant.by.bits(),
            bound,
            revoked: grant.revoked,
        })
    }
}
