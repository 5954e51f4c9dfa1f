//! What clients ask.
//!
//! A badge names the client. Lists, STATUS and CANCEL are answered at once, whatever is under way; loads,
//! unloads and module commands take turns.

use crate::explain;
use crate::linker::{Answer, Linker, Pending, Work};
use linker_books::ledger::Account;
use linker_core::{CapRights, CapabilityId, Errno as CoreErrno};
use sel4_sys::{seL4_CapRights, seL4_MessageInfo};
use strata_protocol::caps::{linker_badge, slot};
use strata_protocol::domain::command;
use strata_protocol::linker::{DRAIN_MS_DEFAULT, DRAIN_MS_MAX, Reply, Request};
use strata_protocol::{DetailText, Errno, ModuleName, Refusal, caps};
use strata_runtime::ipc;

fn refuse(errno: Errno, name: &str, why: &str) -> Answer {
    Answer::Now(Reply::Refused(Refusal::new(errno, name, why)))
}

impl Linker<'_> {
    /// Takes a request; the reply capability is still at hand.
    pub fn request(&mut self, badge: u64, tag: seL4_MessageInfo) -> Answer {
        // Decoding copies: nothing below looks at the message again.
        let Ok(request) = ipc::get::<Request>(self.objects.ipc, tag) else {
            return refuse(Errno::EINVAL, "request", "the message is none of this service");
        };
        let Some(caller) = crate::caps::named_by(badge) else {
            return refuse(Errno::EPERM, "request", "nobody was given this badge");
        };
        let presented = self.presented(tag);
        if let Err(refusal) = self.permit(caller, &request) {
            return Answer::Now(Reply::Refused(refusal));
        }
        match request {
            Request::Load { name, domain, image } => {
                if !domain.is_empty() && domain.as_str() != crate::rows::DOMAIN_NAME {
                    return refuse(Errno::ENOENT, &domain, "no such link domain");
                }
                self.wait_for_turn(badge, Work::Load { name, image, caller, presented })
            }
            Request::Unload { name, drain_ms } => {
                if drain_ms > DRAIN_MS_MAX {
                    return refuse(Errno::ERANGE, &name, "the deadline is longer than DRAIN_MS_MAX");
                }
                self.wait_for_turn(badge, Work::Unload { name, drain_ms, thread: None, caller })
            }
            Request::Control { name, words } => {
                self.wait_for_turn(badge, Work::Command { name, command: command::CONTROL, words, caller })
            }
            Request::Stat { name } => {
                let words = [0; 4];
                self.wait_for_turn(badge, Work::Command { name, command: command::STAT, words, caller })
            }
            Request::Module { index } => Answer::Now(self.module_row(index)),
            Request::Alias { symbol, index } => Answer::Now(self.alias_row(&symbol, index)),
            Request::Symbol { index } => Answer::Now(self.symbol_row(index)),
            Request::Domain { index } => Answer::Now(self.domain_row(index)),
            Request::Thread { index } => Answer::Now(self.thread_row(index)),
            Request::Registration { index } => Answer::Now(self.registration_row(index)),
            Request::Ledger { index } => Answer::Now(self.ledger_row(index)),
            Request::Audit => Answer::Now(self.audit()),
            Request::FailAfter { steps } => {
                if self.objects.fail_after(steps) {
                    Answer::Now(Reply::Done)
                } else {
                    refuse(Errno::EPERM, "trial", "this boot runs no case")
                }
            }
            Request::Status => Answer::Now(self.status()),
            Request::Cancel => self.cancel(),
            Request::OpenDevice { name } => self.open_device(badge, &name),
            Request::DeviceSignal { name } => self.device_signal(&name),
            Request::SignalMe { name } => self.signal_me(badge, &name),
            Request::MapShared { name, page } => self.map_shared(badge, &name, page),
            Request::ReleaseShared { name } => self.release_shared(badge, &name),
            Request::LogRing { index } => self.log_ring(index),
            Request::StopDriver { name, drain_ms, again } => {
                if drain_ms > DRAIN_MS_MAX {
                    return refuse(Errno::ERANGE, &name, "the deadline is longer than DRAIN_MS_MAX");
                }
                self.wait_for_turn(badge, Work::Stop { name, drain_ms, again, caller })
            }
            Request::StartDriver { name } => Answer::Now(self.start_server(&name)),
            Request::Derive { object, rights, quota } => self.derive(caller, &object, rights, quota),
            Request::Revoke { capability, rights } => {
                let Some(rights) = CapRights::from_bits(rights) else {
                    return refuse(Errno::EINVAL, "capability", "no such right");
                };
                let capability = CapabilityId::from_bits(capability);
                self.wait_for_turn(badge, Work::Revoke { caller, capability, rights })
            }
            Request::Capability { index } => Answer::Now(self.capability_row(caller, index)),
            Request::Receipt { name, index } => Answer::Now(self.receipt_row(&name, index)),
        }
    }

    /// Saves the reply capability and puts the work into the queue.
    fn wait_for_turn(&mut self, badge: u64, work: Work) -> Answer {
        let busy = |name: &str| refuse(Errno::EBUSY, name, "too many requests wait for their turn");
        let name = match &work {
            Work::Load { name, .. }
            | Work::Unload { name, .. }
            | Work::Command { name, .. }
            | Work::Stop { name, .. } => name.clone(),
            Work::Pop { .. } | Work::Revoke { .. } => ModuleName::default(),
        };
        let Some(owed) = self.replies.save(self.objects) else { return busy(&name) };
        match self.queue.push(badge, Pending { work, owed }) {
            Ok(()) => Answer::Later,
            Err(linker_books::queue::Full(pending)) => {
                let refusal = Refusal::new(Errno::EBUSY, &name, "too many requests wait for their turn");
                self.replies.send(self.objects, pending.owed, &Reply::Refused(refusal));
                Answer::Later
            }
        }
    }

    /// A thread of the link domain asks for an unload. It never waits behind a transaction: it may be the
    /// worker that the transaction waits for, or be inside of what is being unloaded.
    pub fn asked_by_thread(&mut self, badge: u64, tag: seL4_MessageInfo) {
        let mut bytes = [0; 32];
        let length = usize::try_from(tag.get_length()).unwrap_or(0).min(4);
        for (chunk, word) in bytes.chunks_mut(8).zip(&self.objects.ipc.msg[..length]) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        let name = ModuleName::cut(strata_protocol::start::padded(&bytes));
        let thread = u32::try_from(badge & (caps::linker_badge::FAULT - 1)).ok();
        let busy = self.turn.is_some() || !self.queue.is_empty();
        let owed = if busy { None } else { self.replies.save(self.objects) };
        match owed {
            Some(owed) => {
                // A thread of the link domain is trusted as much as the modules in it.
                let caller = CapabilityId::ROOT;
                let work = Work::Unload { name, drain_ms: DRAIN_MS_DEFAULT, thread, caller };
                self.begin(work, Some(owed.in_registers()));
            }
            None => {
                let tag = seL4_MessageInfo::new(u64::from(Errno::EBUSY.number().unsigned_abs()), 0, 0, 0);
                self.objects.ipc.seL4_Reply(tag);
            }
        }
    }

    fn status(&self) -> Reply {
        let module = self.turn.as_ref().map(|turn| match &turn.work {
            Work::Load { name, .. }
            | Work::Unload { name, .. }
            | Work::Command { name, .. }
            | Work::Stop { name, .. } => name.clone(),
            Work::Pop { module } => self.name_of(*module),
            Work::Revoke { .. } => ModuleName::default(),
        });
        let step = self.transaction.current().map_or_else(DetailText::default, |step| {
            let back = if self.transaction.cause().is_some() { " (back)" } else { "" };
            DetailText::format(format_args!("{step:?}{back}"))
        });
        let generation = self.link.generation();
        Reply::Status {
            generation,
            module,
            step,
            loads: self.loads,
            unloads: self.unloads,
            trust_ticks: self.trust_ticks,
        }
    }

    /// Cancels what is under way, if it can still go back.
    fn cancel(&mut self) -> Answer {
        if self.turn.is_none() {
            return refuse(Errno::ENOENT, "transaction", "nothing is under way");
        }
        if matches!(self.turn.as_ref().map(|turn| &turn.work), Some(Work::Stop { .. })) {
            self.give_up_stop(Errno::ECANCELED, "cancelled; everything is as before");
            return Answer::Now(Reply::Done);
        }
        // Going back may give something back, which takes the capability to reply to this request.
        let Some(owed) = self.replies.save(self.objects) else {
            return refuse(Errno::EBUSY, "transaction", "too many answers are owed");
        };
        self.tell(linker_core::Event::Cancel(CoreErrno::ECANCELED));
        self.replies.send(self.objects, owed, &Reply::Done);
        Answer::Later
    }

    /// The endpoint of a driver server, and what it signals to its client.
    pub fn server(&self, name: &str) -> Option<(u64, u64)> {
        let server = self.space.servers.iter().find(|server| server.name.as_str() == name)?;
        Some((server.endpoint, server.signal))
    }

    fn open_device(&mut self, badge: u64, name: &str) -> Answer {
        let Some((endpoint, _)) = self.server(name) else {
            let registered = self.open_registered(name);
            return registered.unwrap_or_else(|| refuse(Errno::ENODEV, name, "no such device"));
        };
        // The client may call, and the answer may carry a capability; it may not receive or grant.
        let rights = seL4_CapRights::new(1, 0, 0, 1);
        self.lend(name, |linker| linker.objects.mint(endpoint, rights, badge, Account::LINKER))
    }

    fn device_signal(&mut self, name: &str) -> Answer {
        let Some((_, signal)) = self.server(name) else {
            return refuse(Errno::ENODEV, name, "no such device");
        };
        if self.space.signal_to(self.objects, name, None).is_err() {
            return refuse(Errno::EIO, name, "the driver server's signal cannot be led back");
        }
        // All rights: the client binds it to its thread or waits on it.
        self.lend(name, |linker| linker.objects.copy(signal, seL4_CapRights::all(), Account::LINKER))
    }

    /// Leads a driver server's signal to the notification of who asks.
    fn signal_me(&mut self, badge: u64, name: &str) -> Answer {
        let client = match badge {
            linker_badge::CONSOLE => slot::CONSOLE_SIGNAL,
            linker_badge::TEST_AGENT => slot::TEST_AGENT_SIGNAL,
            _ => return refuse(Errno::EPERM, name, "only console and test agent have a notification"),
        };
        if self.server(name).is_none() {
            return refuse(Errno::ENODEV, name, "no such device");
        }
        match self.space.signal_to(self.objects, name, Some(client)) {
            Ok(()) => Answer::Now(Reply::Done),
            Err(error) => Answer::Now(Reply::Refused(explain::object(name, error))),
        }
    }

    /// An answer with a capability that is made for it.
    pub fn lend(
        &mut self,
        name: &str,
        make: impl FnOnce(&mut Self) -> Result<u64, linker_space::error::ObjectError>,
    ) -> Answer {
        match make(self) {
            Ok(cap) => {
                Answer::Capability { reply: Reply::Capability { size: 0, stream: 0 }, cap, temporary: true }
            }
            Err(_) => refuse(Errno::ENOMEM, name, "no slot is left for the capability"),
        }
    }

    fn map_shared(&mut self, badge: u64, name: &str, page: u32) -> Answer {
        let module = self.module_named(name);
        let known =
            |region: &&mut linker_space::shared::Region| Some(region.module) == module && !region.orphan;
        let Some(region) = self.regions.iter_mut().find(known) else {
            return refuse(Errno::ENOENT, name, "no such module, or it shares nothing");
        };
        let (size, count) = (region.size(), region.count);
        match region.lend(self.objects, badge, page) {
            Ok(Some(cap)) => {
                Answer::Capability { reply: Reply::Capability { size, stream: 0 }, cap, temporary: true }
            }
            Ok(None) if page >= count => refuse(Errno::ERANGE, name, "the region has no such page"),
            Ok(None) => refuse(Errno::ENOMEM, name, "too many clients hold the region"),
            Err(_) => refuse(Errno::ENOMEM, name, "no slot is left for the capability"),
        }
    }

    fn release_shared(&mut self, badge: u64, name: &str) -> Answer {
        let mut held = false;
        for region in self.regions.iter_mut().filter(|region| region.name.as_str() == name) {
            held |= region.release(self.objects, badge).unwrap_or(false);
        }
        self.sweep_regions();
        if held {
            Answer::Now(Reply::Done)
        } else {
            refuse(Errno::ENOENT, name, "this client holds no page of it")
        }
    }

    /// Gives back the regions that nobody needs any more.
    pub fn sweep_regions(&mut self) {
        let mut at = 0;
        while at < self.regions.len() {
            if self.regions[at].is_unused() {
                let region = self.regions.swap_remove(at);
                let address = region.at;
                if region.destroy(self.objects).is_err() {
                    defmt::error!("a shared region was not given back whole");
                }
                self.space.window.poison(address);
            } else {
                at += 1;
            }
        }
    }

    fn log_ring(&mut self, index: u32) -> Answer {
        let Some(thread) = self.space.threads.get(index as usize) else { return Answer::Now(Reply::End) };
        let ring = thread.ring;
        let stream = u32::from(self.log_stream());
        match self.objects.copy(ring, seL4_CapRights::read_write(), Account::LINKER) {
            Ok(cap) => {
                let size = linker_space::objects::PAGE_SIZE;
                Answer::Capability { reply: Reply::Capability { size, stream }, cap, temporary: true }
            }
            Err(_) => refuse(Errno::ENOMEM, "log ring", "no slot is left for the capability"),
        }
    }
}
