//! TCB invocations.
use crate::cap::{Cap, View};
use crate::cores::CoreId;
use crate::error::{InvocationError, Stop};
use crate::handle::{Slot, Tcb};
use crate::invoke::{DONE, Invocation, Outcome, refuse};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::tcb::{
    BOUND, FAULT_HANDLER, FLAGS, IPC_BUFFER, MCP, Reg, SLOT_BUFFER, SLOT_CSPACE, SLOT_VSPACE, USER_CONTEXT,
    sanitised_spsr,
};
use microkernel_abi::object::IPC_BUFFER_BITS;
use microkernel_abi::registers::{FRAME_REGISTERS, USER_CONTEXT_WORDS};
use microkernel_abi::{FAST_MESSAGE_REGISTERS, SMP, TCB_FLAG_FPU_DISABLED, label};

const _: () = assert!(USER_CONTEXT.len() == USER_CONTEXT_WORDS);

/// The place of the flags in the context: what a user may not set there is taken out after it was written.
const SPSR_WORD: usize = 2;
const _: () = assert!(matches!(USER_CONTEXT[SPSR_WORD], Reg::SPSR));

/// A capability to put into a slot of a thread: the capability, and the slot it was derived from.
#[derive(Clone, Copy)]
struct Install {
    cap: Cap,
    source: Slot,
}

/// A new IPC buffer.
#[derive(Clone, Copy)]
struct NewBuffer {
    va: u64,
    frame: Option<Install>,
}

impl<M: Machine> Kernel<M> {
    #[inline(never)]
    pub(crate) fn invoke_thread(&mut self, inv: &Invocation, tcb: Tcb) -> Result<Outcome, Stop> {
        // From here on its registers are in its TCB, whatever is asked for.
        self.stall(tcb);
        match inv.label {
            label::TCB_READ_REGISTERS => self.read_registers(inv, tcb),
            label::TCB_WRITE_REGISTERS => self.write_registers(inv, tcb),
            label::TCB_COPY_REGISTERS => self.copy_registers(inv, tcb),
            label::TCB_CONFIGURE => self.configure(inv, tcb),
            label::TCB_SET_PRIORITY => {
                inv.need(1, 1)?;
                let authority = self.authority(inv)?;
                let priority = self.checked_priority(inv, 0, authority)?;
                self.set_priority(tcb, priority);
                DONE
            }
            label::TCB_SET_MC_PRIORITY => {
                inv.need(1, 1)?;
                let authority = self.authority(inv)?;
                let mcp = self.checked_priority(inv, 0, authority)?;
                self.set(tcb, MCP, mcp);
                DONE
            }
            label::TCB_SET_SCHED_PARAMS => {
                inv.need(2, 1)?;
                let authority = self.authority(inv)?;
                let mcp = self.checked_priority(inv, 0, authority)?;
                let priority = self.checked_priority(inv, 1, authority)?;
                self.set(tcb, MCP, mcp);
                self.set_priority(tcb, priority);
                DONE
            }
            label::TCB_SET_IPC_BUFFER => {
                inv.need(1, 1)?;
                let buffer = self.checked_buffer(self.arg(inv, 0), inv.extra(0)?)?;
                self.install_buffer(inv.slot, tcb, buffer)?;
                DONE
            }
            label::TCB_SET_SPACE => {
                inv.need(3, 2)?;
                self.set_spaces(inv, tcb, inv.extra(0)?, inv.extra(1)?)?;
                DONE
            }
            label::TCB_SUSPEND => {
                self.suspend(tcb);
                DONE
            }
            label::TCB_RESUME => {
                self.resume(tcb);
                DONE
            }
            label::TCB_BIND_NOTIFICATION => self.bind_notification(inv, tcb),
            label::TCB_UNBIND_NOTIFICATION => {
                if self.get(tcb, BOUND) == 0 {
                    return refuse(InvocationError::IllegalOperation);
                }
                self.unbind(tcb);
                DONE
            }
            label::TCB_SET_AFFINITY if SMP => {
                inv.need(1, 0)?;
                let core = usize::try_from(self.arg(inv, 0)).ok().and_then(CoreId::new);
                match core {
                    Some(core) if core.index() < self.cores_online() => self.set_affinity(tcb, core),
                    _ => return refuse(InvocationError::IllegalOperation),
                }
                DONE
            }
            label::TCB_SET_TLS_BASE => {
                inv.need(1, 0)?;
                let base = self.arg(inv, 0);
                self.set_reg(tcb, Reg::TPIDR, base);
                DONE
            }
            label::TCB_SET_FLAGS => {
                inv.need(2, 0)?;
                let (clear, set) = (self.arg(inv, 0), self.arg(inv, 1));
                let flags = (self.get(tcb, FLAGS) & !clear | set) & TCB_FLAG_FPU_DISABLED;
                self.set(tcb, FLAGS, flags);
                if flags & TCB_FLAG_FPU_DISABLED != 0 {
                    self.fpu_release(tcb);
                }
                self.answer(inv, flags)
            }
            _ => refuse(InvocationError::IllegalOperation),
        }
    }

    #[inline(never)]
    fn read_registers(&mut self, inv: &Invocation, tcb: Tcb) -> Result<Outcome, Stop> {
        inv.need(2, 0)?;
        let (flags, count) = (self.arg(inv, 0), self.arg(inv, 1));
        let max = USER_CONTEXT_WORDS as u64;
        if !(1..=max).contains(&count) {
            return refuse(InvocationError::Range { min: 1, max });
        }
        if Some(tcb) == self.current() {
            return refuse(InvocationError::IllegalOperation);
        }
        if flags & 1 != 0 {
            self.suspend(tcb);
        }
        if !inv.call {
            return DONE;
        }
        let buffer = self.buffer(inv.tcb, true);
        if let Some(buffer) = buffer
            && count == max
        {
            self.read_all(inv.tcb, tcb, buffer);
            return Ok(Outcome::Done { words: count });
        }
        let mut words = 0;
        for (&reg, i) in USER_CONTEXT.iter().zip(0..count) {
            let value = self.reg(tcb, reg);
            words += u64::from(self.set_message_word(inv.tcb, buffer, i, value));
        }
        Ok(Outcome::Done { words })
    }

    /// All registers of a thread: what whoever looks at threads asks for.
    #[inline(always)]
    fn read_all(&mut self, to: Tcb, tcb: Tcb, buffer: u64) {
        // Written out, as a loop in the source would be one in a kernel that is compiled to be small; and by twos, since
        // most registers have the same neighbour on both sides.
        macro_rules! by_twos {
            ($($i:literal)*) => {$(
                let (one, other) = (self.reg(tcb, USER_CONTEXT[$i]), self.reg(tcb, USER_CONTEXT[$i + 1]));
                self.set_message_word(to, Some(buffer), $i, one);
                self.set_message_word(to, Some(buffer), $i + 1, other);
            )*};
        }
        by_twos!(0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 32 34);
        const { assert!(USER_CONTEXT_WORDS == 36) };
    }

    #[inline(never)]
    fn write_registers(&mut self, inv: &Invocation, tcb: Tcb) -> Result<Outcome, Stop> {
        inv.need(2, 0)?;
        let (flags, count) = (self.arg(inv, 0), self.arg(inv, 1));
        if inv.length - 2 < count {
            return refuse(InvocationError::Truncated);
        }
        if Some(tcb) == self.current() {
            return refuse(InvocationError::IllegalOperation);
        }
        // The first words came in registers, the others lie in a row.
        let (first, rest) = USER_CONTEXT.split_at(FAST_MESSAGE_REGISTERS - 2);
        for (&reg, i) in first.iter().zip(2..2 + count) {
            let value = self.arg(inv, i);
            self.set_reg(tcb, reg, value);
        }
        if let Some(buffer) = inv.buffer {
            for (&reg, i) in rest.iter().zip(FAST_MESSAGE_REGISTERS as u64..2 + count) {
                let value = self.buffer_word(buffer, i);
                self.set_reg(tcb, reg, value);
            }
        }
        if count > SPSR_WORD as u64 {
            let word = self.reg(tcb, Reg::SPSR);
            self.set_user_register(tcb, Reg::SPSR, word);
        }
        let pc = self.reg(tcb, Reg::FAULT_PC);
        self.set_reg(tcb, Reg::PC, pc);
        if flags & 1 != 0 {
            self.resume(tcb);
        }
        DONE
    }

    fn set_user_register(&mut self, tcb: Tcb, reg: Reg, value: u64) {
        let value = if reg == Reg::SPSR { sanitised_spsr(value) } else { value };
        self.set_reg(tcb, reg, value);
    }

    #[inline(never)]
    fn copy_registers(&mut self, inv: &Invocation, tcb: Tcb) -> Result<Outcome, Stop> {
        inv.need(1, 1)?;
        let View::Thread { tcb: source } = self.view(inv.extra(0)?) else {
            return refuse(InvocationError::InvalidCapability(1));
        };
        let flags = self.arg(inv, 0);
        self.stall(source);
        if flags & 1 != 0 {
            self.suspend(source);
        }
        if flags & 2 != 0 {
            self.resume(tcb);
        }
        let (frame, integer) = USER_CONTEXT.split_at(FRAME_REGISTERS);
        if flags & 4 != 0 {
            for &reg in frame {
                let value = self.reg(source, reg);
                self.set_user_register(tcb, reg, value);
            }
            let pc = self.reg(tcb, Reg::FAULT_PC);
            self.set_reg(tcb, Reg::PC, pc);
        }
        if flags & 8 != 0 {
            for &reg in integer {
                let value = self.reg(source, reg);
                self.set_user_register(tcb, reg, value);
            }
        }
        if Some(tcb) == self.current() {
            self.reschedule();
        }
        DONE
    }

    #[inline(never)]
    fn configure(&mut self, inv: &Invocation, tcb: Tcb) -> Result<Outcome, Stop> {
        inv.need(4, 3)?;
        let buffer = self.checked_buffer(self.arg(inv, 3), inv.extra(2)?)?;
        self.set_spaces(inv, tcb, inv.extra(0)?, inv.extra(1)?)?;
        self.install_buffer(inv.slot, tcb, buffer)?;
        DONE
    }

    /// The thread whose maximum controlled priority allows a priority.
    fn authority(&self, inv: &Invocation) -> Result<Tcb, InvocationError> {
        match self.view(inv.extra(0)?) {
            View::Thread { tcb } => Ok(tcb),
            _ => Err(InvocationError::InvalidCapability(1)),
        }
    }

    fn checked_priority(&self, inv: &Invocation, n: u64, authority: Tcb) -> Result<u64, InvocationError> {
        let (priority, max) = (self.arg(inv, n), self.get(authority, MCP));
        if priority > max { Err(InvocationError::Range { min: 0, max }) } else { Ok(priority) }
    }

    /// The IPC buffer that an address and a frame capability make; address 0 means none.
    fn checked_buffer(&self, va: u64, slot: Slot) -> Result<NewBuffer, InvocationError> {
        if va == 0 {
            return Ok(NewBuffer { va, frame: None });
        }
        let cap = self.derive(slot, self.cap(slot))?;
        match cap.view() {
            View::Frame { device: false, .. } => {}
            _ => return Err(InvocationError::IllegalOperation),
        }
        if !va.is_multiple_of(1 << IPC_BUFFER_BITS) {
            return Err(InvocationError::Alignment);
        }
        Ok(NewBuffer { va, frame: Some(Install { cap, source: slot }) })
    }

    /// The part of SetSpace in Configure: fault handler, capability space and address space, arguments 0 to 2. Everything
    /// is checked before anything changes.
    #[inline(never)]
    fn set_spaces(&mut self, inv: &Invocation, tcb: Tcb, cspace: Slot, vspace: Slot) -> Result<(), Stop> {
        let (cspace_data, vspace_data) = (self.arg(inv, 1), self.arg(inv, 2));
        if self.is_long_delete(tcb.slot(SLOT_CSPACE)) || self.is_long_delete(tcb.slot(SLOT_VSPACE)) {
            return refuse(InvocationError::IllegalOperation);
        }
        let with_data = |slot: Slot, data: u64| {
            let cap = self.cap(slot);
            self.derive(slot, if data == 0 { cap } else { cap.with_data(data, false) })
        };
        let c = with_data(cspace, cspace_data)?;
        if !matches!(c.view(), View::CNode { .. }) {
            return refuse(InvocationError::IllegalOperation);
        }
        let v = with_data(vspace, vspace_data)?;
        if !matches!(v.view(), View::VSpace { asid: Some(_), .. }) {
            return refuse(InvocationError::IllegalOperation);
        }
        let handler = self.arg(inv, 0);
        self.set(tcb, FAULT_HANDLER, handler);
        self.install(inv.slot, tcb, SLOT_CSPACE, Install { cap: c, source: cspace })?;
        self.install(inv.slot, tcb, SLOT_VSPACE, Install { cap: v, source: vspace })?;
        self.vspace_changed(tcb);
        Ok(())
    }

    /// Replaces the capability in a slot of a thread. What is deleted for it may have been the source or the
    /// thread's own last capability: then nothing is put in.
    fn install(&mut self, tcb_slot: Slot, tcb: Tcb, index: u64, new: Install) -> Result<(), Stop> {
        let dest = tcb.slot(index);
        self.delete(dest)?;
        let source_lives = self.cap(new.source).same_object(new.cap);
        let thread_lives = matches!(self.view(tcb_slot), View::Thread { tcb: there } if there == tcb);
        if source_lives && thread_lives {
            self.insert_derived(new.source, dest, new.cap);
        }
        Ok(())
    }

    fn install_buffer(&mut self, tcb_slot: Slot, tcb: Tcb, new: NewBuffer) -> Result<(), Stop> {
        match new.frame {
            Some(frame) => self.install(tcb_slot, tcb, SLOT_BUFFER, frame)?,
            None => self.delete(tcb.slot(SLOT_BUFFER))?,
        }
        self.set(tcb, IPC_BUFFER, new.va);
        if Some(tcb) == self.current() {
            self.reschedule();
        }
        Ok(())
    }

    fn vspace_changed(&mut self, tcb: Tcb) {
        if Some(tcb) == self.current() {
            self.activate_vspace(tcb);
        }
    }

    #[inline(never)]
    fn bind_notification(&mut self, inv: &Invocation, tcb: Tcb) -> Result<Outcome, Stop> {
        inv.need(0, 1)?;
        if self.get(tcb, BOUND) != 0 {
            return refuse(InvocationError::IllegalOperation);
        }
        match self.view(inv.extra(0)?) {
            View::Notification { ntfn, rights, .. }
                if rights.read() && !self.ntfn_has_waiters(ntfn) && self.ntfn_bound(ntfn).is_none() =>
            {
                self.bind(tcb, ntfn);
                DONE
            }
            _ => refuse(InvocationError::IllegalOperation),
        }
    }
}
