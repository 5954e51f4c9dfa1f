//! What modules register: the requests about it, and what is left of it when they have gone.
//!
//! ```text
//! INIT, START on a worker ─ register ─► record ─ deregister ─► gone
//!                                         └─ CHECK, or the module is wedged: revoked, and named as its defect
//! ```
//! A module asks by a call of the endpoint that the faults of its thread go to (`docs/adr/0021`). The worker on which a
//! command runs names the module, so that nobody registers for another; and only INIT and START may, so that nothing is
//! added behind CATCH. [`crate::registered`] makes and gives back what stands behind a record.

use crate::deadlines::Purpose;
use crate::linker::{Answer, Linker, Work, text};
use crate::registered::{Record, What};
use linker_books::ledger::Account;
use linker_books::registrations::{Handle, Registration, RegistrationError, Registrations};
use linker_core::{ModuleId, Step};
use linker_space::asm::{ticks, ticks_a_second};
use sel4_sys::{seL4_CapRights, seL4_MessageInfo};
use strata_protocol::caps::linker_badge::FAULT;
use strata_protocol::linker::{Reply, thread_request};
use strata_protocol::registration::{Kind, RegistrationRow, name_of};
use strata_protocol::{DetailText, Errno, Refusal, Text as Short, timer};

/// The word for what the book says.
pub(crate) const fn errno(error: RegistrationError) -> Errno {
    match error {
        RegistrationError::Full | RegistrationError::TooMany => Errno::ENOSPC,
        RegistrationError::Stale(_) => Errno::ESTALE,
        RegistrationError::InUse(_) => Errno::EBUSY,
    }
}

/// The handle in a message word; one that names nothing if it is too large.
pub(crate) fn handle(word: u64) -> Handle {
    Handle::from_bits(u32::try_from(word).unwrap_or(0))
}

/// The record of a guest.
pub(crate) fn thread_record(
    registrations: &Registrations<ModuleId, Record>,
    number: u32,
) -> Option<&Registration<ModuleId, Record>> {
    let is = |what: &What| matches!(what, What::Thread { number: other } if *other == number);
    registrations.all().find(|held| is(&held.what.what))
}

/// Whether a request of a thread is about registrations.
pub(crate) const fn is_about(label: u64) -> bool {
    matches!(label, thread_request::DEREGISTER..=thread_request::INTERRUPT_DONE)
        || (label >= thread_request::REGISTER && label <= thread_request::LEFT)
}

impl Linker<'_> {
    /// A thread of the link domain asks for something about registrations. It is answered at once.
    pub fn asked_about_registrations(&mut self, badge: u64, tag: seL4_MessageInfo) {
        let number = u32::try_from(badge & (FAULT - 1)).unwrap_or(u32::MAX);
        let label = tag.get_label();
        if label == thread_request::LEFT {
            return self.guest_left(number);
        }
        let mut words = [0; 4];
        let length = usize::try_from(tag.get_length()).unwrap_or(0).min(words.len());
        words[..length].copy_from_slice(&self.objects.ipc.msg[..length]);
        if label == thread_request::DEREGISTER {
            // Whoever waits at what goes is answered first, which takes the capability to reply to this request.
            let Some(owed) = self.replies.save(self.objects) else {
                return self.answer_thread(Err(Errno::EBUSY));
            };
            let reply = match self.deregister(handle(words[0])) {
                Ok(()) => Reply::Done,
                Err(errno) => Reply::Refused(Refusal::new(errno, "registration", "it cannot be given back")),
            };
            return self.replies.send(self.objects, owed.in_registers(), &reply);
        }
        let answer = match label {
            thread_request::TIMER_SET => self.set_timer(handle(words[0]), words[1]),
            thread_request::THREAD_START => self.start_guest(handle(words[0])),
            thread_request::INTERRUPT_DONE => self.interrupt_done(handle(words[0])),
            _ => self.register(number, label - thread_request::REGISTER, words),
        };
        self.answer_thread(answer);
    }

    fn answer_thread(&mut self, answer: Result<[u64; 2], Errno>) {
        let (label, words) = match answer {
            Ok(words) => (0, words),
            Err(errno) => (u64::from(errno.number().unsigned_abs()), [0; 2]),
        };
        self.objects.ipc.msg[..2].copy_from_slice(&words);
        self.objects.ipc.seL4_Reply(seL4_MessageInfo::new(label, 0, 0, 2));
    }

    /// The module whose INIT or START runs on this thread.
    fn registering(&self, number: u32) -> Option<ModuleId> {
        let turn = self.turn.as_ref()?;
        let loads = matches!(turn.work, Work::Load { .. });
        let begins = matches!(self.transaction.current(), Some(Step::Init | Step::Start));
        let runs = turn.worker.is_some_and(|(worker, _)| worker == number);
        turn.module.filter(|_| loads && begins && runs)
    }

    fn register(&mut self, number: u32, kind: u64, words: [u64; 4]) -> Result<[u64; 2], Errno> {
        let owner = self.registering(number).ok_or(Errno::EPERM)?;
        let kind = Kind::from_number(kind).ok_or(Errno::EINVAL)?;
        let name = name_of([words[0], words[1]]);
        if name.is_empty() {
            return Err(Errno::EINVAL);
        }
        let on = match kind {
            Kind::Timer | Kind::Device => Some(handle(words[2])),
            Kind::Interrupt => Some(handle(words[3])),
            Kind::Callback | Kind::Thread | Kind::Endpoint | Kind::Mapping => None,
        };
        self.registrations.admits(owner, on).map_err(errno)?;
        let record = self.make_registered(owner, kind, name, on, [words[2], words[3]])?;
        let value = record.value;
        match self.registrations.add(owner, on, record) {
            Ok(handle) => Ok([u64::from(handle.bits()), value]),
            Err((error, record)) => {
                self.give_back(owner, record);
                Err(errno(error))
            }
        }
    }

    fn deregister(&mut self, handle: Handle) -> Result<(), Errno> {
        if let What::Thread { number } = self.registrations.get(handle).map_err(errno)?.what.what
            && self.space.threads.guest(number).is_some_and(|guest| guest.inside)
        {
            return Err(Errno::EBUSY);
        }
        let Registration { owner, what, .. } = self.registrations.take(handle).map_err(errno)?;
        self.give_back(owner, what);
        Ok(())
    }

    /// Whether a module's aliases answer calls: only then its threads are started and its timers set.
    fn is_linked(&self, module: ModuleId) -> bool {
        self.link.module(module).is_ok_and(linker_core::Module::linked)
    }

    fn set_timer(&mut self, handle: Handle, microseconds: u64) -> Result<[u64; 2], Errno> {
        let timer = self.registrations.get(handle).map_err(errno)?;
        if !matches!(timer.what.what, What::Timer { .. }) || microseconds > timer::SLEEP_US_MAX {
            return Err(Errno::EINVAL);
        }
        if microseconds != 0 && !self.is_linked(timer.owner) {
            return Err(Errno::EPERM);
        }
        let at = match microseconds {
            0 => 0,
            some => ticks() + timer::to_ticks(some, ticks_a_second()),
        };
        self.registrations.set_due(handle, at).map_err(errno)?;
        self.set_timers_deadline();
        Ok([0; 2])
    }

    fn set_timers_deadline(&mut self) {
        match self.registrations.earliest() {
            0 => self.deadlines.clear(Purpose::Timers),
            at => self.deadlines.set_at(Purpose::Timers, at, 0),
        }
    }

    /// Wakes the threads whose timers have come.
    pub fn timers_passed(&mut self) {
        while let Some(handle) = self.registrations.pass(ticks()) {
            if let Ok(Registration { what: Record { what: What::Timer { signal }, .. }, .. }) =
                self.registrations.get(handle)
            {
                sel4_sys::seL4_Signal(*signal);
            }
        }
        self.set_timers_deadline();
    }

    fn start_guest(&mut self, handle: Handle) -> Result<[u64; 2], Errno> {
        let thread = self.registrations.get(handle).map_err(errno)?;
        let What::Thread { number } = thread.what.what else { return Err(Errno::EINVAL) };
        if thread.what.leaving || !self.is_linked(thread.owner) {
            return Err(Errno::EPERM);
        }
        let guest = self.space.threads.guest_mut(number).filter(|guest| !guest.inside).ok_or(Errno::EBUSY)?;
        guest.start(self.objects).map_err(|_| Errno::EIO)?;
        Ok([0; 2])
    }

    fn interrupt_done(&mut self, handle: Handle) -> Result<[u64; 2], Errno> {
        match &self.registrations.get(handle).map_err(errno)?.what.what {
            What::Interrupt(interrupt) => {
                interrupt.acknowledge(self.objects).map_err(|_| Errno::EIO)?;
                Ok([0; 2])
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// The module whose thread a guest is.
    pub fn owner_of_guest(&self, number: u32) -> Option<ModuleId> {
        thread_record(&self.registrations, number).map(|held| held.owner)
    }

    /// A guest has returned from its module's function.
    fn guest_left(&mut self, number: u32) {
        if let Some(guest) = self.space.threads.guest_mut(number) {
            guest.inside = false;
        }
        let leaving = thread_record(&self.registrations, number)
            .filter(|held| held.what.leaving)
            .map(|held| held.handle);
        if let Some(handle) = leaving
            && self.deregister(handle).is_err()
        {
            defmt::error!("thread {=u32} has left and is not given back", number);
        }
        self.exited();
    }

    /// Revokes what a module has registered, and says what that was; nothing if nothing.
    ///
    /// A thread that has not left, of a module that is wedged, is led out and goes when it has left.
    pub fn revoke_registrations(&mut self, owner: ModuleId) -> Option<DetailText> {
        let left = self.registrations.newest_first(owner);
        if left.is_empty() {
            return None;
        }
        let module = self.name_of(owner);
        let (mut count, mut names) = (0, Short::<80>::default());
        for handle in left {
            let Ok(held) = self.registrations.get_mut(handle) else { continue };
            if held.what.leaving {
                continue;
            }
            let (kind, name) = (held.what.kind(), held.what.name.clone());
            defmt::warn!(
                "{=str} has left {=str} {=str} registered: revoked",
                module.as_str(),
                kind.word(),
                name.as_str()
            );
            count += 1;
            let comma = if names.is_empty() { "" } else { ", " };
            names = Short::format(format_args!("{names}{comma}{} {name}", kind.word()));
            if let What::Thread { number } = held.what.what
                && let Some(guest) = self.space.threads.guest(number).filter(|guest| guest.inside)
            {
                held.what.leaving = true;
                if guest.lead_out(self.objects).is_err() {
                    defmt::error!("thread {=u32} cannot be led out", number);
                }
            } else if self.deregister(handle).is_err() {
                defmt::error!("a registration of {=str} cannot be taken back", module.as_str());
            }
        }
        (count != 0)
            .then(|| DetailText::format(format_args!("defect: it left {count} registered, revoked: {names}")))
    }

    /// Points the callbacks of a module to where they belong, when it has been linked or unlinked.
    pub fn point_callbacks(&mut self, module: ModuleId) {
        let mut text = text!(self);
        if !self.link.point_callbacks(module, &mut text) {
            defmt::error!("a callback cannot be pointed elsewhere");
        }
    }

    /// The endpoint of a device that a module has registered, for a client.
    pub fn open_registered(&mut self, name: &str) -> Option<Answer> {
        let named = |held: &&Registration<ModuleId, Record>| {
            held.what.name.as_str() == name && matches!(held.what.what, What::Device { .. })
        };
        let held = self.registrations.all().find(named)?;
        let What::Device { client, .. } = held.what.what else { return None };
        if !self.is_linked(held.owner) {
            return None;
        }
        Some(self.lend(name, |linker| linker.objects.copy(client, seL4_CapRights::all(), Account::LINKER)))
    }

    /// What a module has registered, at a position.
    pub fn registration_row(&self, index: u32) -> Reply {
        let Some(held) = self.registrations.all().nth(index as usize) else { return Reply::End };
        Reply::Registration(RegistrationRow {
            module: self.name_of(held.owner),
            kind: held.what.kind(),
            name: held.what.name.clone(),
            handle: held.handle.bits(),
            on: held.on.map_or(0, Handle::bits),
            value: held.what.value,
        })
    }
}
