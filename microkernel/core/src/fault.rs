//! Faults: described to the thread's fault handler as if the thread had called it.
use crate::DEBUG;
use crate::cap::View;
use crate::endpoint::{SEND_CALL, SEND_GRANT, SEND_GRANT_REPLY, Sending};
use crate::error::lookup_words;
use crate::handle::Tcb;
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::tcb::{
    FAULT, FAULT_0, FAULT_1, FAULT_2, FAULT_HANDLER, LOOKUP_0, LOOKUP_1, LOOKUP_2, LOOKUP_3, Reg, State,
    sanitised_spsr,
};
use microkernel_abi::FAST_MESSAGE_REGISTERS;
use microkernel_abi::error::LookupFailure;
use microkernel_abi::fault::{
    CAP_FAULT, UNKNOWN_SYSCALL, UNKNOWN_SYSCALL_REPLY_LENGTH, USER_EXCEPTION, USER_EXCEPTION_REPLY_LENGTH,
    VM_FAULT,
};
use microkernel_abi::message::MessageInfo;

/// A fault that the machine reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserFault {
    /// An access or a fetch failed.
    Memory {
        /// Where.
        address: u64,
        /// ESR_EL1.
        syndrome: u64,
        /// A fetch?
        fetch: bool,
    },
    /// Anything else that the instruction may not do.
    Exception {
        /// ESR_EL1.
        syndrome: u64,
    },
    /// The floating-point unit was used without access.
    FloatingPoint {
        /// ESR_EL1.
        syndrome: u64,
    },
}

/// A fault as the thread keeps it until it is handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Cap { address: u64, receiving: bool, why: LookupFailure },
    UnknownSyscall { number: u64 },
    Exception { number: u64, code: u64 },
    Memory { address: u64, syndrome: u64, fetch: bool },
}

/// What an unknown-system-call fault shows and takes back, before the number.
const SYSCALL_REGISTERS: [Reg; UNKNOWN_SYSCALL_REPLY_LENGTH] = [
    Reg::X0,
    Reg::X1,
    Reg::X2,
    Reg::x(3),
    Reg::x(4),
    Reg::x(5),
    Reg::x(6),
    Reg::X7,
    Reg::FAULT_PC,
    Reg::SP,
    Reg::LR,
    Reg::SPSR,
];
/// What a user exception shows and takes back, before number and code.
const EXCEPTION_REGISTERS: [Reg; USER_EXCEPTION_REPLY_LENGTH] = [Reg::FAULT_PC, Reg::SP, Reg::SPSR];

impl<M: Machine> Kernel<M> {
    /// The running thread faulted.
    pub fn user_fault(&mut self, fault: UserFault) {
        let Some(tcb) = self.current() else { return };
        let fault = match fault {
            UserFault::Memory { address, syndrome, fetch } => Fault::Memory { address, syndrome, fetch },
            UserFault::Exception { syndrome } => Fault::Exception { number: syndrome, code: 0 },
            UserFault::FloatingPoint { syndrome } => {
                if self.fpu_trap(tcb) {
                    return;
                }
                Fault::Exception { number: syndrome, code: 0 }
            }
        };
        self.handle_fault(tcb, fault);
    }

    /// Sends a fault to the thread's handler; without one the thread stops.
    pub(crate) fn handle_fault(&mut self, tcb: Tcb, fault: Fault) {
        let handler = self.get(tcb, FAULT_HANDLER);
        match self.lookup_slot(tcb, handler).map(|slot| self.view(slot)) {
            Ok(View::Endpoint { ep, badge, rights })
                if rights.write() && (rights.grant() || rights.grant_reply()) =>
            {
                self.store_fault(tcb, fault);
                let flags = SEND_CALL
                    | if rights.grant() { SEND_GRANT } else { 0 }
                    | if rights.grant_reply() { SEND_GRANT_REPLY } else { 0 };
                self.send_ipc(tcb, ep, Sending { block: true, badge, flags });
            }
            _ => {
                if DEBUG {
                    self.print_unhandled(tcb, fault);
                }
                self.set_state(tcb, State::Inactive);
            }
        }
    }

    fn store_fault(&mut self, tcb: Tcb, fault: Fault) {
        let (label, words) = match fault {
            Fault::Cap { address, receiving, why } => {
                let (w, _) = lookup_words(why);
                for (field, word) in [LOOKUP_0, LOOKUP_1, LOOKUP_2, LOOKUP_3].into_iter().zip(w) {
                    self.set(tcb, field, word);
                }
                (CAP_FAULT, [address, u64::from(receiving), 0])
            }
            Fault::UnknownSyscall { number } => (UNKNOWN_SYSCALL, [number, 0, 0]),
            Fault::Exception { number, code } => (USER_EXCEPTION, [number, code, 0]),
            Fault::Memory { address, syndrome, fetch } => (VM_FAULT, [address, u64::from(fetch), syndrome]),
        };
        self.set(tcb, FAULT, label);
        for (field, word) in [FAULT_0, FAULT_1, FAULT_2].into_iter().zip(words) {
            self.set(tcb, field, word);
        }
    }

    /// Writes the description of `sender`'s fault into the receiver's message.
    pub(crate) fn transfer_fault(&mut self, sender: Tcb, receiver: Tcb) -> MessageInfo {
        let label = self.get(sender, FAULT);
        let pc = self.reg(sender, Reg::FAULT_PC);
        let f = [self.get(sender, FAULT_0), self.get(sender, FAULT_1), self.get(sender, FAULT_2)];
        let sent = match label {
            CAP_FAULT => {
                let l = [LOOKUP_0, LOOKUP_1, LOOKUP_2, LOOKUP_3].map(|field| self.get(sender, field));
                let words = [pc, f[0], f[1], l[0], l[1], l[2], l[3]];
                // A kind is followed by as many words as it has: see `lookup_words`.
                let count = usize::try_from(l[0]).unwrap_or(4).min(4) + 3;
                self.set_message(receiver, words.into_iter().take(count))
            }
            UNKNOWN_SYSCALL => {
                let mut words = [f[0]; 13];
                for (word, reg) in words.iter_mut().zip(SYSCALL_REGISTERS) {
                    *word = self.reg(sender, reg);
                }
                self.set_message(receiver, words.into_iter())
            }
            USER_EXCEPTION => {
                let [pc, sp, spsr] = EXCEPTION_REGISTERS.map(|reg| self.reg(sender, reg));
                self.set_message(receiver, [pc, sp, spsr, f[0], f[1]].into_iter())
            }
            _ => self.set_message(receiver, [pc, f[0], f[1], f[2]].into_iter()),
        };
        MessageInfo::new(label, 0, 0, sent)
    }

    /// The handler answered: takes its registers over where the fault allows it. Does the thread go on?
    pub(crate) fn fault_replied(&mut self, handler: Tcb, faulter: Tcb) -> bool {
        let info = MessageInfo(self.reg(handler, Reg::X1));
        match self.get(faulter, FAULT) {
            UNKNOWN_SYSCALL => self.take_registers(handler, faulter, info, &SYSCALL_REGISTERS),
            USER_EXCEPTION => self.take_registers(handler, faulter, info, &EXCEPTION_REGISTERS),
            _ => return true,
        }
        info.label() == 0
    }

    fn take_registers(&mut self, handler: Tcb, faulter: Tcb, info: MessageInfo, registers: &[Reg]) {
        let buffer = self.buffer(handler, false);
        // Without a buffer the message ends with the registers.
        let length =
            if buffer.is_some() { info.length() } else { info.length().min(FAST_MESSAGE_REGISTERS as u64) };
        for (&reg, i) in registers.iter().zip(0..length) {
            let value = self.message_word(handler, buffer, i);
            let value = if reg == Reg::SPSR { sanitised_spsr(value) } else { value };
            self.set_reg(faulter, reg, value);
        }
    }
}
