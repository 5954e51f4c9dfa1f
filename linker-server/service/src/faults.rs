//! Faults of link-domain threads.
//!
//! ```text
//! data abort in an accessor, a layer with a fix-up policy is live or the thread bears it ─► resume at the fix-up
//! in a module's text  ─► pop the module (it is wedged), then return the fault value from the call that entered it
//! in no text by a wild call of a module ─► the same
//! ... where the tables do not lead out  ─► pop the module, then start the server again
//! anywhere else       ─► start the server again, with the fault in its thread block
//! on a worker         ─► give the worker up; the module whose command it ran is wedged
//! ```
//! A server that starts again finds the fault in its thread block and answers EFAULT to the client that
//! it was serving: the reply capability is still in its TCB. After RESTARTS_MAX faults it only answers, ENXIO from then on,
//! until somebody starts it.

use crate::linker::{Linker, Parked, Work, sight};
use core::sync::atomic::Ordering;
use linker_core::transaction::Why;
use linker_core::{Errno as CoreErrno, Event, ModuleId, ModuleState, Va};
use linker_space::look::{culprit, way_out};
use linker_space::thread::{RESTARTS_MAX, Role};
use sel4_sys::{seL4_Fault, seL4_MessageInfo, seL4_UserContext};
use strata_protocol::fault::{FaultClass, FaultRow};
use strata_protocol::{Errno, caps};

/// A fault, as far as the linker server looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// 1 memory, 2 anything else ([`strata_protocol::domain::FaultRecord`]).
    kind: u64,
    row: FaultRow,
    /// A load or store, not a fetch.
    data: bool,
}

impl Fault {
    /// A call that does not return: nothing has faulted.
    pub const fn overrun(pc: u64) -> Self {
        let row = FaultRow { class: FaultClass::Overrun, pc, address: 0, status: 0 };
        Self { kind: 2, row, data: false }
    }

    fn of(fault: &seL4_Fault) -> Self {
        let other = |class, pc, status| Self {
            kind: 2,
            row: FaultRow { class, pc, address: 0, status },
            data: false,
        };
        match fault {
            seL4_Fault::NullFault => other(FaultClass::Other, 0, 0),
            seL4_Fault::CapFault(fault) => other(FaultClass::Capability, fault.ip, fault.lookup_failure_type),
            seL4_Fault::UnknownSyscall(fault) => other(FaultClass::Syscall, fault.fault_ip, fault.syscall),
            seL4_Fault::UserException(fault) => {
                other(FaultClass::of_exception(fault.number), fault.fault_ip, fault.number)
            }
            seL4_Fault::VMFault(fault) => Self {
                kind: 1,
                row: FaultRow {
                    class: FaultClass::of_memory(fault.fsr),
                    pc: fault.ip,
                    address: fault.addr,
                    status: fault.fsr,
                },
                data: fault.prefetch_fault == 0,
            },
        }
    }
}

impl Linker<'_> {
    /// A thread of the link domain has faulted and waits.
    pub fn faulted(&mut self, badge: u64, tag: seL4_MessageInfo) {
        let Some(fault) = seL4_Fault::get_from_ipc_buffer(tag, self.objects.ipc) else { return };
        let fault = Fault::of(&fault);
        let number = badge & (caps::linker_badge::FAULT - 1);
        let Some(at) = usize::try_from(number).ok().filter(|at| self.space.threads.get(*at).is_some()) else {
            return;
        };
        if self.resume_at_fixup(at, &fault) {
            return;
        }
        defmt::warn!(
            "thread {=u64} faults: kind {=u64} pc {=u64:#x} address {=u64:#x} status {=u64:#x}",
            number,
            fault.kind,
            fault.row.pc,
            fault.row.address,
            fault.row.status
        );
        if self.space.window.is_poisoned(fault.row.pc) {
            defmt::warn!("the address belonged to a module that was unloaded not long ago");
        }
        let module = self.culprit(at, fault.row.pc);
        match self.space.threads[at].role {
            Role::Worker(_) => self.worker_faulted(at, module),
            Role::Server(_) => self.server_faulted(at, &fault, module),
            Role::Guest => self.guest_faulted(at, &fault, module),
        }
    }

    /// The module to blame: the one whose text, gates, slots or veneers hold the program counter; or, when
    /// it points to no text at all (a wild call), the innermost one that the thread is inside of.
    fn culprit(&mut self, at: usize, pc: u64) -> Option<ModuleId> {
        let not_base = |module: &ModuleId| *module != ModuleId::BASE;
        // An address between two instructions is as wild as one outside of all text.
        let executes = pc.is_multiple_of(4);
        if let Some(module) = self.link.inside(Va(pc)).filter(|_| executes) {
            return Some(module.id()).filter(not_base);
        }
        culprit(self.objects, &self.space.threads[at], &sight!(self), self.scratch).ok().flatten()
    }

    /// The registers with which a thread that has faulted in a module's text goes on where the call returns that
    /// entered the module: the result is the fault value that the module's alias declares.
    pub fn returning(&mut self, at: usize, module: ModuleId) -> Option<seL4_UserContext> {
        let (thread, sight) = (&self.space.threads[at], sight!(self));
        let known = self.link.module(module).ok()?;
        let way = way_out(self.objects, thread, &sight, known, self.scratch).ok().flatten()?;
        thread.returning(&way)
    }

    /// Whether a thread that executes in a module's text could be made to return from it.
    pub fn leads_out(&mut self, at: usize, module: ModuleId) -> bool {
        let (thread, sight) = (&self.space.threads[at], sight!(self));
        let Ok(known) = self.link.module(module) else { return false };
        way_out(self.objects, thread, &sight, known, self.scratch).is_ok_and(|way| way.is_some())
    }

    /// A bus error under a layer that handles them, or of a thread that bears them now: the access returns all ones and an error status.
    fn resume_at_fixup(&mut self, at: usize, fault: &Fault) -> bool {
        // A module that is leaving still counts: threads may be inside it.
        let in_force = |module: &linker_core::Module| {
            matches!(module.state(), ModuleState::Live | ModuleState::Leaving)
                && module.facts.flags & kmod::records::MODULE_FIXUP_POLICY != 0
        };
        let bears = self.space.threads[at].page.thread_block().bears_bus_errors.load(Ordering::Relaxed) != 0;
        if !fault.data || !bears && !self.link.modules().any(in_force) {
            return false;
        }
        let Some(fixup) = self.base.fixup(fault.row.pc) else { return false };
        let thread = &self.space.threads[at];
        let Ok(mut registers) = thread.registers(self.objects) else { return false };
        let block = thread.page.thread_block();
        block.bus_status.store(Errno::EIO.number(), Ordering::Relaxed);
        block.bus_fault_address.store(fault.row.address, Ordering::Relaxed);
        block.bus_error_count.fetch_add(1, Ordering::Relaxed);
        registers.pc = fixup;
        thread.write_registers(self.objects, &registers, true).is_ok()
    }

    fn worker_faulted(&mut self, at: usize, module: Option<ModuleId>) {
        let number = self.space.threads[at].number;
        let turn = self.turn.as_ref();
        let own = turn.and_then(|turn| turn.worker).filter(|(worker, _)| *worker == number);
        // A command that faults in the text of another module has two culprits: the one whose text it is
        // cannot be trusted any more either.
        let other = module.filter(|module| turn.is_none_or(|turn| turn.module != Some(*module)));
        let command = matches!(turn.map(|turn| &turn.work), Some(Work::Command { .. }));
        if let Some(other) = other {
            let _ = self.pops.push(other);
        }
        match own {
            Some(_) if command => self.wedge_by_command(Why::Faulted),
            Some((_, ticket)) => self.tell(Event::WorkerFaulted { ticket }),
            None => self.abandon(number),
        }
    }

    /// A driver server stands at a fault; `module` is to blame.
    pub fn server_faulted(&mut self, at: usize, fault: &Fault, module: Option<ModuleId>) {
        self.space.threads[at].fault = Some(fault.row);
        let registers = module.and_then(|module| self.returning(at, module));
        if let Some(registers) = &registers {
            defmt::warn!("its call returns {=u64:#x} to {=u64:#x}", registers.x0, registers.x30);
        }
        if registers.is_none() {
            self.count_restart(at);
        }
        let thread = &mut self.space.threads[at];
        if registers.is_none() {
            let record = &thread.page.thread_block().fault;
            record.pc.store(fault.row.pc, Ordering::Relaxed);
            record.address.store(fault.row.address, Ordering::Relaxed);
            record.status.store(fault.row.status, Ordering::Relaxed);
            record.kind.store(fault.kind, Ordering::Relaxed);
        }
        if !thread.dead {
            let _ = self.parked.push(Parked { thread: thread.number, registers });
        }
        let Some(module) = module else { return self.restart_parked() };
        self.blame(module);
    }

    /// A thread of a module stands at a fault. Its call returns from another module that is to blame; else its own module
    /// is, which has it led out when it is popped.
    fn guest_faulted(&mut self, at: usize, fault: &Fault, module: Option<ModuleId>) {
        self.space.threads[at].fault = Some(fault.row);
        let number = self.space.threads[at].number;
        let Some(own) = self.owner_of_guest(number) else { return };
        let other = module.filter(|module| *module != own);
        let registers = other.and_then(|module| self.returning(at, module));
        if registers.is_some() {
            let _ = self.parked.push(Parked { thread: number, registers });
        }
        self.blame(other.filter(|_| registers.is_some()).unwrap_or(own));
    }

    /// Has a module popped: by the turn under way if it is about that module, else before anything else.
    fn blame(&mut self, module: ModuleId) {
        let same = self.turn.as_ref().is_some_and(|turn| turn.module == Some(module));
        let command = matches!(self.turn.as_ref().map(|turn| &turn.work), Some(Work::Command { .. }));
        if same && !command {
            if let Some(turn) = self.turn.as_mut() {
                turn.popping = matches!(turn.work, Work::Unload { .. });
            }
            self.tell(Event::ModuleFaulted);
        } else {
            let _ = self.pops.push(module);
            self.tell(Event::Cancel(CoreErrno::EINTR));
        }
        if self.turn.is_none() {
            self.restart_parked();
        }
    }

    /// A driver server is going to be started again: too often, and it only says so from then on.
    fn count_restart(&mut self, at: usize) {
        let thread = &mut self.space.threads[at];
        if thread.restarts < RESTARTS_MAX {
            return;
        }
        defmt::error!("thread {=u32} has faulted too often and stays down", thread.number);
        // One that faults even as its own stand-in is beyond help.
        thread.dead = !thread.give_up();
        let name = thread.name.clone();
        if self.space.set_interrupt(self.objects, &name, false).is_err() {
            defmt::error!("the interrupt of {=str} could not be taken away", name.as_str());
        }
    }

    /// Lets the servers go on that wait for a module to be popped, once there is none to pop: where the call returns that
    /// has faulted, or from the start.
    pub fn restart_parked(&mut self) {
        if !self.pops.is_empty() || self.parked.is_empty() {
            return;
        }
        for parked in core::mem::take(&mut self.parked) {
            let Some(thread) = self.space.threads.get_mut(parked.thread as usize) else { continue };
            let going = match parked.registers {
                Some(registers) => thread.write_registers(self.objects, &registers, true),
                None => thread.restart(self.objects),
            };
            if going.is_err() {
                defmt::error!("thread {=u32} could not be started again", parked.thread);
            }
        }
    }
}
