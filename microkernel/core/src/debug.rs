//! The debug calls, of debug builds only: what is where, and text on the kernel's console.
use crate::IRQ_RESCHEDULE;
use crate::cap::View;
use crate::fault::Fault;
use crate::handle::{Slot, Tcb};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::tcb::{DEBUG_NEXT, NAME, NAME_MAX, PRIORITY, Reg};
use crate::text::{Piece, write};
use microkernel_abi::SMP;
use microkernel_abi::syscall::{
    DEBUG_CAP_IDENTIFY, DEBUG_DUMP_SCHEDULER, DEBUG_GET_THREAD_AFFINITY, DEBUG_HALT, DEBUG_NAME_THREAD,
    DEBUG_PUT_CHAR, DEBUG_SEND_IPI, DEBUG_SNAPSHOT,
};

impl<M: Machine> Kernel<M> {
    /// Does a debug call; false if the number is none of them.
    #[cold]
    pub(crate) fn debug_syscall(&mut self, caller: Tcb, number: i64) -> bool {
        let argument = self.reg(caller, Reg::X0);
        match number {
            DEBUG_PUT_CHAR => self.m.put_char(argument.to_le_bytes()[0]),
            DEBUG_DUMP_SCHEDULER => self.dump_scheduler(),
            DEBUG_HALT => self.m.halt(),
            DEBUG_CAP_IDENTIFY => {
                let kind = self.lookup_slot(caller, argument).map_or(0, |slot| self.view(slot).identify());
                self.set_reg(caller, Reg::X0, kind);
            }
            DEBUG_SEND_IPI if SMP => self.send_ipi(caller),
            DEBUG_GET_THREAD_AFFINITY if SMP => {
                let core = match self.lookup_slot(caller, argument).map(|slot| self.view(slot)) {
                    Ok(View::Thread { tcb }) => self.affinity(tcb).index() as u64,
                    _ => 0,
                };
                self.set_reg(caller, Reg::X0, core);
            }
            DEBUG_SNAPSHOT => self.dump_cspace(caller),
            DEBUG_NAME_THREAD => self.name_thread(caller),
            #[cfg(feature = "check")]
            microkernel_abi::syscall::DEBUG_CHECK => self.check_now(caller),
            _ => return false,
        }
        true
    }

    /// A software interrupt that no core calls another by.
    fn send_ipi(&mut self, caller: Tcb) {
        let (core, irq) = (self.reg(caller, Reg::X0), self.reg(caller, Reg::X1));
        if core < self.cores_online() as u64 && (IRQ_RESCHEDULE + 1..16).contains(&irq) {
            self.m.irq_raise(irq, core);
        }
    }

    /// Prints to the kernel's console.
    #[cold]
    pub fn print(&mut self, message: &[Piece<'_>]) {
        write(message, &mut |byte| self.m.put_char(byte));
    }

    fn name(&self, tcb: Tcb) -> [u8; NAME_MAX] {
        let mut name = [0; NAME_MAX];
        for (chunk, at) in name.chunks_exact_mut(8).zip((tcb.addr() + NAME..).step_by(8)) {
            chunk.copy_from_slice(&self.m.load(at).to_le_bytes());
        }
        name
    }

    fn print_name(&mut self, tcb: Tcb) {
        let name = self.name(tcb);
        for byte in name.into_iter().take_while(|&byte| byte != 0) {
            self.m.put_char(if byte.is_ascii_graphic() { byte } else { b'?' });
        }
    }

    /// The bytes of the name are in the message words of the caller's buffer.
    fn name_thread(&mut self, caller: Tcb) {
        let cptr = self.reg(caller, Reg::X0);
        let Ok(slot) = self.lookup_slot(caller, cptr) else { return };
        let View::Thread { tcb } = self.view(slot) else { return };
        let Some(buffer) = self.buffer(caller, false) else { return };
        for (word, i) in (0..NAME_MAX / 8).zip(0..) {
            let mut value = self.buffer_word(buffer, i);
            if word == NAME_MAX / 8 - 1 {
                value &= u64::MAX >> 8;
            }
            self.m.store(tcb.addr() + NAME + i * 8, value);
        }
    }

    fn dump_scheduler(&mut self) {
        self.print(&[Piece::Text("thread, state, priority, pc\n")]);
        let mut next = self.threads;
        while let Some(tcb) = next {
            next = self.thread_link(tcb, DEBUG_NEXT);
            self.print_name(tcb);
            let (state, priority, pc) = (self.state(tcb), self.get(tcb, PRIORITY), self.reg(tcb, Reg::PC));
            self.print(&[
                Piece::Text(if self.current() == Some(tcb) { " * " } else { "   " }),
                Piece::Hex(tcb.addr()),
                Piece::Text(" "),
                Piece::Text(state.name()),
                Piece::Text(" "),
                Piece::Decimal(priority),
                Piece::Text(" "),
                Piece::Hex(pc),
                Piece::Text("\n"),
            ]);
        }
    }

    /// The caller's root CNode: each capability as `seL4_DebugCapIdentify` says it, and its two words.
    fn dump_cspace(&mut self, tcb: Tcb) {
        let View::CNode { base, radix, .. } = self.cspace(tcb).view() else { return };
        for i in 0..1_u64 << radix {
            let cap = self.cap(Slot::at(base).offset(i));
            if !cap.is_null() {
                self.print(&[
                    Piece::Decimal(i),
                    Piece::Text(": kind "),
                    Piece::Decimal(cap.view().identify()),
                    Piece::Text(" "),
                    Piece::Hex(cap.w0),
                    Piece::Text(" "),
                    Piece::Hex(cap.w1),
                    Piece::Text("\n"),
                ]);
            }
        }
    }

    /// A thread stops because nobody handles its fault.
    #[cold]
    pub(crate) fn print_unhandled(&mut self, tcb: Tcb, fault: Fault) {
        self.print(&[Piece::Text("kernel: no handler for a fault of thread ")]);
        self.print_name(tcb);
        let (kind, value, more) = match fault {
            Fault::Cap { address, receiving, .. } => ("capability", address, u64::from(receiving)),
            Fault::UnknownSyscall { number } => ("system call", number, 0),
            Fault::Exception { number, code } => ("exception", number, code),
            Fault::Memory { address, syndrome, .. } => ("memory", address, syndrome),
        };
        self.print(&[
            Piece::Text(" ("),
            Piece::Hex(tcb.addr()),
            Piece::Text("): "),
            Piece::Text(kind),
            Piece::Text(" "),
            Piece::Hex(value),
            Piece::Text(" "),
            Piece::Hex(more),
            Piece::Text(" pc "),
            Piece::Hex(self.reg(tcb, Reg::FAULT_PC)),
            Piece::Text(" sp "),
            Piece::Hex(self.reg(tcb, Reg::SP)),
            Piece::Text(" lr "),
            Piece::Hex(self.reg(tcb, Reg::LR)),
            Piece::Text("\n"),
        ]);
    }
}
