//! Turns: driving the core's transaction by events, one at a time.
//!
//! The core says what to do next ([`Action`]); this file does it and tells what came of it ([`Event`]),
//! until the core waits for something from outside: a worker, a deadline, somebody who leaves.

use crate::deadlines::Purpose;
use crate::explain;
use crate::linker::{Linker, Turn, Work, sight, text};
use crate::registrations::thread_record;
use crate::replies::Owed;
use linker_core::transaction::{Blocker, Why};
use linker_core::{
    Action, CapRights, Command, Errno as CoreErrno, Event, ModuleId, Name, Outcome, Va, commit, forget,
    plan_pop, plan_unload, revert,
};
use linker_space::asm::ticks;
use linker_space::look::look;
use linker_space::text::synchronise;
use linker_space::thread::THREADS_MAX;
use linker_space::worker::{self, Job};
use strata_protocol::linker::{self as protocol, Reply};
use strata_protocol::store::ImageRef;
use strata_protocol::{Errno, ModuleName, Refusal};

/// How long after a look that found somebody inside the next one comes, in milliseconds.
const LOOK_AGAIN_MS: u32 = 2;

impl Linker<'_> {
    /// Begins a turn.
    pub fn begin(&mut self, work: Work, owed: Option<Owed>) {
        let mut turn = Turn {
            caller: match &work {
                Work::Load { caller, .. }
                | Work::Unload { caller, .. }
                | Work::Command { caller, .. }
                | Work::Stop { caller, .. }
                | Work::Revoke { caller, .. } => Some(*caller),
                Work::Pop { .. } => None,
            },
            work,
            owed,
            module: None,
            addresses: None,
            authentic: None,
            planned: None,
            refusal: None,
            denied: None,
            worker: None,
            gone: None,
            popping: false,
            left: None,
            since: [0; THREADS_MAX],
        };
        let started = match &turn.work {
            Work::Load { .. } => self.transaction.start_load().map_err(|_| None),
            Work::Unload { name, caller, .. } => match self.module_named(name) {
                Some(module) => {
                    let permitted = self.permit_about(*caller, name, CapRights::UNLOAD);
                    if let Err(refusal) = permitted {
                        self.turn = Some(turn);
                        return self.end(&Reply::Refused(refusal));
                    }
                    turn.module = Some(module);
                    let commands = self.link.module(module).map_or(0, |module| module.facts.commands);
                    self.transaction.start_unload(commands).map_err(|_| None)
                }
                None => Err(Some(Refusal::new(Errno::ENOENT, name, "no such module"))),
            },
            Work::Pop { module } => {
                turn.module = Some(*module);
                match self.link.module(*module) {
                    Ok(module) if module.linked() => self.transaction.start_pop().map_err(|_| None),
                    _ => Err(None),
                }
            }
            Work::Command { .. } => {
                self.turn = Some(turn);
                self.begin_command();
                return;
            }
            Work::Revoke { .. } => {
                self.turn = Some(turn);
                self.begin_revoke();
                return;
            }
            Work::Stop { .. } => {
                self.turn = Some(turn);
                self.begin_stop();
                return;
            }
        };
        self.turn = Some(turn);
        match started {
            Ok(action) => self.drive(action),
            Err(refusal) => {
                let refusal = refusal
                    .unwrap_or_else(|| Refusal::new(Errno::EBUSY, "transaction", "another one is under way"));
                self.end(&Reply::Refused(refusal));
            }
        }
    }

    /// Tells the transaction of something from outside.
    pub fn tell(&mut self, event: Event) {
        if self.turn.is_some() {
            let action = self.transaction.step(event);
            self.drive(action);
        }
    }

    fn drive(&mut self, mut action: Action) {
        loop {
            let event = match action {
                Action::Wait => return,
                Action::Finish(outcome) => return self.finish(outcome),
                Action::Copy => self.step_copy(),
                Action::Plan => self.step_plan(),
                Action::Map => self.step_map(),
                Action::Command { command, ticket } => match self.step_command(command, ticket) {
                    Some(event) => event,
                    None => return,
                },
                Action::Relink => self.step_relink(),
                Action::Grace => {
                    self.grace();
                    Event::Done
                }
                Action::Drain { ticket } => {
                    let looked = self.step_look();
                    // Mostly nobody is inside, and nobody waits.
                    if looked == Event::SomebodyInside {
                        let drain_ms = match self.turn.as_ref().map(|turn| &turn.work) {
                            Some(Work::Unload { drain_ms, .. }) => *drain_ms,
                            _ => protocol::DRAIN_MS_DEFAULT,
                        };
                        self.deadlines.set(Purpose::Drain, drain_ms, ticket);
                    }
                    looked
                }
                Action::Look => self.step_look(),
                Action::Revert => self.step_revert(),
                Action::Check => self.step_check(),
                Action::Unmap => self.step_unmap(),
                Action::Reclaim => self.step_reclaim(),
                Action::Abandon => self.step_abandon(),
                Action::Revoke => self.step_revoke(),
            };
            action = self.transaction.step(event);
        }
    }

    /// Sees to it that every core has synchronised since the last patch. On the linker server's own core the kernel
    /// entries of the invocations since then have synchronised the context of whoever runs next.
    pub fn grace(&mut self) {
        synchronise(self.objects, &self.space.threads);
    }

    /// Notes why a step refuses.
    fn refuse(&mut self, refusal: Refusal) -> Event {
        let event = Event::Refused(explain::core_errno(refusal.errno));
        if let Some(turn) = self.turn.as_mut() {
            turn.refusal = Some(refusal);
        }
        event
    }

    fn load_work(&self) -> Option<(ModuleName, ImageRef)> {
        let turn = self.turn.as_ref()?;
        match &turn.work {
            Work::Load { name, image, .. } => {
                // Once its signature is checked, the image is what it covers.
                let size = turn.authentic.map_or(image.size, |authentic| authentic.size);
                Some((name.clone(), ImageRef { size, ..*image }))
            }
            _ => None,
        }
    }

    fn step_copy(&mut self) -> Event {
        let Some((name, image)) = self.load_work() else { return Event::Done };
        match self.load_copy(&name, image).and_then(|()| self.authenticate(&name, image.size)) {
            Ok(authentic) => {
                if let Some(turn) = self.turn.as_mut() {
                    turn.authentic = Some(authentic);
                }
                Event::Done
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn step_plan(&mut self) -> Event {
        if let Some((name, image)) = self.load_work() {
            return match self.load_plan(&name, image) {
                Ok((at, planned)) => {
                    if let Some(turn) = self.turn.as_mut() {
                        turn.addresses = Some(at);
                        turn.planned = Some(planned);
                    }
                    Event::Done
                }
                Err(refusal) => self.refuse(refusal),
            };
        }
        match self.plan_departure() {
            Ok(()) => Event::Done,
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Plans an unload, and sees that the thread that asks for it is not inside.
    fn plan_departure(&mut self) -> Result<(), Refusal> {
        let Some(turn) = self.turn.as_ref() else { return Ok(()) };
        let (Some(module), Work::Unload { name, thread, .. }) = (turn.module, &turn.work) else {
            return Ok(());
        };
        let thread = thread.and_then(|thread| self.space.threads.get(thread as usize));
        if let Some(thread) = thread {
            let one = core::iter::once(thread);
            let mut inside = false;
            look(self.objects, one, &sight!(self), Some(module), self.scratch, |seen| {
                inside = seen.inside.is_some();
            })
            .map_err(|error| explain::object(name, error))?;
            if inside {
                return Err(Refusal::new(Errno::EDEADLK, name, "the thread that asks is inside of it"));
            }
        }
        plan_unload(self.link, module, self.plan).map_err(|error| explain::plan(name, &error))
    }

    fn step_map(&mut self) -> Event {
        let Some((name, image)) = self.load_work() else { return Event::Done };
        let turn = self.turn.as_ref();
        let Some((at, planned)) = turn.and_then(|turn| Some((turn.addresses?, turn.planned?))) else {
            return Event::Refused(CoreErrno::EINVAL);
        };
        match self.load_map(&name, image.area, at, &planned) {
            Ok(()) => {
                let module = self.plan.module();
                if let Some(turn) = self.turn.as_mut() {
                    turn.module = Some(module);
                    // The addresses are the module's now.
                    turn.addresses = None;
                }
                Event::Done
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Hands a command to a worker; the event comes later, unless there is no worker.
    fn step_command(&mut self, command: Command, ticket: u32) -> Option<Event> {
        let module = self.turn.as_ref().and_then(|turn| turn.module)?;
        let job = self.job(module, command as u32, [0; 4]);
        match worker::begin(&self.space.threads, &job) {
            Ok(worker) => {
                self.deadlines.set(Purpose::Command, self.command_ms(module), ticket);
                if let Some(turn) = self.turn.as_mut() {
                    turn.worker = Some((worker, ticket));
                }
                None
            }
            Err(worker::NoWorker) => {
                let name = self.name_of(module);
                let refusal = Refusal::new(Errno::ENOMEM, &name, "every worker has faulted or overrun");
                if let Some(turn) = self.turn.as_mut() {
                    turn.refusal = Some(refusal);
                }
                // UNCATCH has no error to return: a module that cannot be told to resume is beyond help.
                Some(match command {
                    Command::Uncatch => Event::WorkerFaulted { ticket },
                    _ => Event::Returned { ticket, result: CoreErrno::ENOMEM.number() },
                })
            }
        }
    }

    /// What a worker is told.
    pub fn job(&self, module: ModuleId, command: u32, arguments: [u64; 4]) -> Job {
        let entry = self.link.module(module).map_or(0, |module| module.facts.entry.0);
        let region = self.region_of(module);
        let mut words = [0; strata_protocol::domain::COMMAND_WORDS];
        words[..arguments.len()].copy_from_slice(&arguments);
        Job {
            command,
            entry,
            words,
            shared_address: region.map_or(0, |region| region.at),
            shared_size: region.map_or(0, linker_space::shared::Region::size),
        }
    }

    fn step_relink(&mut self) -> Event {
        let module = self.turn.as_ref().and_then(|turn| turn.module).unwrap_or(ModuleId::BASE);
        if (matches!(self.turn.as_ref().map(|turn| &turn.work), Some(Work::Pop { .. }))
            || self.turn.as_ref().is_some_and(|turn| turn.popping))
            && let Err(error) = plan_pop(self.link, module, self.plan)
        {
            return self.refuse(explain::plan(&self.name_of(module), &error));
        }
        let mut text = text!(self);
        match commit(self.plan, self.link, &mut text) {
            Ok(()) => {
                self.point_callbacks(module);
                self.tell_exits(module);
                self.tell_servers();
                Event::Done
            }
            Err(error) => self.refuse(explain::commit(&self.name_of(module), &error)),
        }
    }

    fn step_revert(&mut self) -> Event {
        let mut text = text!(self);
        revert(self.plan, self.link, &mut text);
        self.point_callbacks(self.plan.module());
        self.tell_exits(self.plan.module());
        self.tell_servers();
        Event::Done
    }

    /// Looks who is inside of the module.
    fn step_look(&mut self) -> Event {
        let Some(turn) = self.turn.as_mut() else { return Event::NobodyInside };
        let target = turn.module;
        let threads = &self.space.threads;
        let registrations = &self.registrations;
        // A thread of the module is inside until it has left, wherever it is.
        let is_own = |number| {
            threads.guest(number).is_some()
                && thread_record(registrations, number).is_some_and(|held| Some(held.owner) == target)
        };
        self.transaction.clear_blockers();
        let mut somebody = false;
        let looked = look(self.objects, threads.all(), &sight!(self), target, self.scratch, |seen| {
            let since = &mut turn.since[seen.thread as usize];
            let entry = match seen.inside {
                Some((_, entry)) => entry,
                None if is_own(seen.thread) => None,
                None => {
                    *since = 0;
                    return;
                }
            };
            somebody = true;
            if *since == 0 {
                *since = ticks();
            }
            let entry = entry.and_then(|symbol| self.link.symbol(symbol));
            self.transaction.add_blocker(Blocker {
                thread: seen.thread,
                pc: Va(seen.pc),
                entry: entry.map_or(Name::EMPTY, |symbol| symbol.name),
                since: *since,
            });
        });
        // Not knowing is "somebody": it can only be reported too often.
        if somebody || looked.is_err() {
            self.deadlines.set(Purpose::Look, LOOK_AGAIN_MS, 0);
            Event::SomebodyInside
        } else {
            self.deadlines.clear(Purpose::Drain);
            self.deadlines.clear(Purpose::Look);
            Event::NobodyInside
        }
    }

    /// Revokes what the module has left registered.
    fn step_check(&mut self) -> Event {
        let Some(module) = self.turn.as_ref().and_then(|turn| turn.module) else { return Event::Done };
        let left = self.revoke_registrations(module);
        if let Some(turn) = self.turn.as_mut() {
            turn.left = left;
        }
        Event::Done
    }

    fn step_unmap(&mut self) -> Event {
        let Some(module) = self.turn.as_ref().and_then(|turn| turn.module) else { return Event::Done };
        // An INIT that refuses is not asked to FINI.
        self.revoke_registrations(module);
        if let Some(loaded) = self.modules[usize::from(module.index)].as_ref()
            && loaded.space.unmap(self.objects).is_err()
        {
            defmt::error!("a page of a module could not be unmapped; reclaiming deletes it");
        }
        if let Some(turn) = self.turn.as_mut() {
            turn.gone = Some(module);
        }
        forget(self.link, module);
        self.capabilities.forget_module(module);
        self.drop_region(module);
        Event::Done
    }

    fn step_reclaim(&mut self) -> Event {
        let Some(turn) = self.turn.as_mut() else { return Event::Done };
        if let Some(at) = turn.addresses.take() {
            // Nothing was ever mapped there.
            self.space.window.give_back(at);
        }
        let Some(module) = turn.gone.take() else { return Event::Done };
        if let Some(loaded) = self.take_loaded(module) {
            self.capabilities.credit(loaded.owner, loaded.usage);
            let at = loaded.space.at;
            self.destroy(loaded.space);
            self.space.window.poison(at);
        }
        Event::Done
    }

    fn step_abandon(&mut self) -> Event {
        self.deadlines.clear(Purpose::Command);
        let worker = self.turn.as_mut().and_then(|turn| turn.worker.take());
        if let Some((number, _)) = worker {
            self.abandon(number);
        }
        Event::Done
    }

    /// Gives up a worker.
    pub fn abandon(&mut self, number: u32) {
        if let Some(thread) = self.space.threads.get_mut(number as usize)
            && worker::abandon(thread, self.objects).is_err()
        {
            defmt::error!("worker thread {} could not be stopped", number);
        }
    }

    fn step_revoke(&mut self) -> Event {
        if let Some(module) = self.turn.as_ref().and_then(|turn| turn.module) {
            self.link.wedge(module);
            self.revoke_registrations(module);
        }
        Event::Done
    }

    /// A worker may have finished.
    pub fn poll_worker(&mut self) {
        let Some((number, ticket)) = self.turn.as_ref().and_then(|turn| turn.worker) else { return };
        let Some(thread) = self.space.threads.get(number as usize) else { return };
        let Some(done) = worker::poll(thread) else { return };
        self.deadlines.clear(Purpose::Command);
        if let Some(turn) = self.turn.as_mut() {
            turn.worker = None;
        }
        if matches!(self.turn.as_ref().map(|turn| &turn.work), Some(Work::Command { .. })) {
            self.end_command(done.result, done.words);
        } else {
            self.tell(Event::Returned { ticket, result: done.result });
        }
    }

    /// A deadline has passed.
    pub fn deadline(&mut self, purpose: Purpose, ticket: u32) {
        let stopping = matches!(self.turn.as_ref().map(|turn| &turn.work), Some(Work::Stop { .. }));
        match purpose {
            Purpose::Sample => self.sample(),
            Purpose::Timers => self.timers_passed(),
            Purpose::Look if stopping => self.ask_to_stop(),
            Purpose::Drain if stopping => {
                let why = "it is in the middle of a request; everything is as before";
                self.give_up_stop(Errno::ETIMEDOUT, why);
            }
            Purpose::Look => self.tell(Event::LookAgain),
            Purpose::Drain => self.tell(Event::Deadline { ticket }),
            Purpose::Command => {
                // The worker may have finished in the same moment; then there is nothing to give up.
                self.poll_worker();
                let busy = self.turn.as_ref().and_then(|turn| turn.worker);
                if busy.is_none_or(|(_, waiting)| waiting != ticket) {
                    return;
                }
                if matches!(self.turn.as_ref().map(|turn| &turn.work), Some(Work::Command { .. })) {
                    self.wedge_by_command(Why::Overran);
                } else {
                    self.tell(Event::Deadline { ticket });
                }
            }
        }
    }

    /// The transaction is over.
    fn finish(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Live => {
                self.loads += 1;
                if let Some(authentic) = self.turn.as_ref().and_then(|turn| turn.authentic) {
                    self.versions.note(&self.turn_name(), authentic.version);
                }
            }
            Outcome::Gone => self.unloads += 1,
            Outcome::Undone(_) | Outcome::Wedged(_) => {}
        }
        let reply = match outcome {
            Outcome::Live | Outcome::Gone => match self.turn.as_mut().and_then(|turn| turn.left.take()) {
                Some(remark) => Reply::DoneWith { remark },
                None => Reply::Done,
            },
            Outcome::Undone(cause) => self.undone(cause),
            Outcome::Wedged(cause) => self.wedged(cause),
        };
        self.end(&reply);
    }

    /// Ends the turn with an answer.
    pub fn end(&mut self, reply: &Reply) {
        for purpose in [Purpose::Command, Purpose::Drain, Purpose::Look] {
            self.deadlines.clear(purpose);
        }
        let turn = self.turn.take();
        if let Some(owed) = turn.and_then(|turn| turn.owed) {
            self.replies.send(self.objects, owed, reply);
        }
        self.restart_parked();
    }

    /// The name that the turn is about.
    pub fn turn_name(&self) -> ModuleName {
        match self.turn.as_ref().map(|turn| &turn.work) {
            Some(
                Work::Load { name, .. }
                | Work::Unload { name, .. }
                | Work::Command { name, .. }
                | Work::Stop { name, .. },
            ) => name.clone(),
            Some(Work::Pop { module }) => self.name_of(*module),
            Some(Work::Revoke { .. }) | None => ModuleName::default(),
        }
    }
}
