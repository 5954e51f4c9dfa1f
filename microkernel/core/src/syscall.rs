//! System calls.
use crate::DEBUG;
use crate::cap::View;
use crate::error::Stop;
use crate::fault::Fault;
use crate::handle::{Slot, Tcb};
use crate::invoke::{Invocation, Outcome};
use crate::kernel::Kernel;
use crate::lookup::WORD_BITS;
use crate::machine::Machine;
use crate::tcb::{Reg, SLOT_CALLER, State};
use microkernel_abi::error::LookupFailure;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::syscall::{CALL, NB_RECV, NB_SEND, RECV, REPLY, REPLY_RECV, SEND, YIELD};
use microkernel_abi::{EXTRA_CAPS_MAX, FAST_MESSAGE_REGISTERS, MESSAGE_WORDS_MAX};

impl<M: Machine> Kernel<M> {
    /// The running thread executed `svc`; its registers are in its TCB.
    pub fn syscall(&mut self) {
        let Some(tcb) = self.current() else { return };
        let number = self.reg(tcb, Reg::X7);
        // Mostly it is a call, which does not wait for the comparisons with the others.
        if number.cast_signed() == CALL {
            return self.invoke(tcb, true, true);
        }
        match number.cast_signed() {
            REPLY_RECV => {
                self.handle_reply(tcb);
                self.handle_recv(tcb, true);
            }
            SEND => self.send(tcb),
            NB_SEND => self.invoke(tcb, false, false),
            RECV => self.handle_recv(tcb, true),
            REPLY => self.handle_reply(tcb),
            YIELD => self.yield_current(),
            NB_RECV => self.handle_recv(tcb, false),
            number if DEBUG && self.debug_syscall(tcb, number) => {}
            _ => self.handle_fault(tcb, Fault::UnknownSyscall { number }),
        }
    }

    /// Send. The lookup is inlined once more here, since signals come this way: [`Self::invoke`] would be a frame that
    /// only a capability space of several levels needs.
    #[inline(always)]
    fn send(&mut self, tcb: Tcb) {
        match Self::resolve_at_once(self.cspace(tcb), self.reg(tcb, Reg::X0), WORD_BITS) {
            Some(slot) => self.invoke_slot(tcb, slot, true, false),
            None => self.invoke(tcb, true, false),
        }
    }

    /// Send in its three forms, and through it every invocation that the short way has not found.
    #[inline(never)]
    fn invoke(&mut self, tcb: Tcb, block: bool, call: bool) {
        let cptr = self.reg(tcb, Reg::X0);
        match self.lookup_slot(tcb, cptr) {
            Ok(slot) => self.invoke_slot(tcb, slot, block, call),
            Err(why) => self.cap_fault(tcb, block, cptr, why),
        }
    }

    /// A Call of the running thread, whose capability is in this slot: what the short way has found
    /// ([`crate::Short::Invocation`]).
    #[inline(always)]
    pub fn invocation(&mut self, tcb: Tcb, slot: Slot) {
        self.invoke_slot(tcb, slot, true, true);
    }

    #[inline(never)]
    fn invoke_slot(&mut self, tcb: Tcb, slot: Slot, block: bool, call: bool) {
        let info = MessageInfo(self.reg(tcb, Reg::X1));
        let cap = self.cap(slot);
        // Sending needs neither buffer nor capabilities at this point.
        if let View::Endpoint { ep, badge, rights } = cap.view()
            && info.extra_caps() == 0
            && rights.write()
        {
            return self.send_through(tcb, ep, badge, rights, block, call);
        }
        let mut invocation = Invocation {
            tcb,
            label: info.label(),
            length: info.length(),
            slot,
            cap,
            extra: [None; EXTRA_CAPS_MAX],
            buffer: None,
            block,
            call,
        };
        // What fits into registers needs no buffer.
        if info.extra_caps() != 0 || info.length() > FAST_MESSAGE_REGISTERS as u64 {
            invocation.buffer = self.buffer(tcb, false);
            let places = if invocation.buffer.is_some() { MESSAGE_WORDS_MAX } else { FAST_MESSAGE_REGISTERS };
            invocation.length = info.length().min(places as u64);
            if let Err((cptr, why)) = self.extra_caps(tcb, invocation.buffer, info, &mut invocation.extra) {
                return self.cap_fault(tcb, block, cptr, why);
            }
        }
        // Until it is done, an invocation that is interrupted starts over.
        self.set_state(tcb, State::Restart);
        match self.dispatch(&invocation) {
            Ok(Outcome::Done { words }) => {
                if self.state(tcb) == State::Restart {
                    if call {
                        self.reply_done(tcb, words);
                    }
                    self.set_state(tcb, State::Running);
                }
            }
            Ok(Outcome::Sent) => {
                if self.state(tcb) == State::Restart {
                    self.set_state(tcb, State::Running);
                }
            }
            Err(Stop::Preempted) => {}
            Err(Stop::Error(error)) => {
                self.set_state(tcb, State::Running);
                if call {
                    self.reply_error(tcb, error);
                }
            }
        }
    }

    #[cold]
    fn cap_fault(&mut self, tcb: Tcb, block: bool, address: u64, why: LookupFailure) {
        if block {
            self.handle_fault(tcb, Fault::Cap { address, receiving: false, why });
        }
    }

    fn handle_reply(&mut self, tcb: Tcb) {
        let slot = tcb.slot(SLOT_CALLER);
        if let View::Reply { caller, master: false, grant } = self.view(slot) {
            self.reply(tcb, caller, slot, grant);
        }
    }

    fn handle_recv(&mut self, tcb: Tcb, block: bool) {
        let cptr = self.reg(tcb, Reg::X0);
        let why = match self.lookup_slot(tcb, cptr) {
            Ok(slot) => match self.view(slot) {
                View::Endpoint { ep, rights, .. } if rights.read() => {
                    self.forget_caller(tcb);
                    return self.receive_ipc(tcb, ep, rights.grant(), block);
                }
                View::Notification { ntfn, rights, .. }
                    if rights.read() && self.ntfn_bound(ntfn).is_none_or(|bound| bound == tcb) =>
                {
                    return self.receive_signal(tcb, ntfn, block);
                }
                _ => LookupFailure::MissingCapability { bits_left: 0 },
            },
            Err(why) => why,
        };
        self.handle_fault(tcb, Fault::Cap { address: cptr, receiving: true, why });
    }
}
