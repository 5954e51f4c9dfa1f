//! The debug calls: text on the kernel's console.
use crate::fault::Fault;
use crate::handle::Tcb;
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::tcb::{DEBUG_NEXT, NAME, NAME_MAX, PRIORITY, Reg};
use core::fmt::{self, Write};

/// The kernel's console as a text sink.
struct Console<'a, M>(&'a mut M);

impl<M: Machine> Write for Console<'_, M> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.0.put_char(byte));
        Ok(())
    }
}

impl<M: Machine> Kernel<M> {
    /// Prints to the kernel's console.
    pub fn print(&mut self, text: fmt::Arguments<'_>) {
        // The sink never fails.
        let _ = Console(&mut self.m).write_fmt(text);
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
    pub(crate) fn name_thread(&mut self, caller: Tcb) {
        let cptr = self.reg(caller, Reg::X0);
        let Ok(slot) = self.lookup_slot(caller, cptr) else { return };
        let crate::cap::View::Thread { tcb } = self.view(slot) else { return };
        let Some(buffer) = self.buffer(caller, false) else { return };
        for (word, i) in (0..NAME_MAX / 8).zip(0..) {
            let mut value = self.buffer_word(buffer, i);
            if word == NAME_MAX / 8 - 1 {
                value &= u64::MAX >> 8;
            }
            self.m.store(tcb.addr() + NAME + i * 8, value);
        }
    }

    pub(crate) fn dump_scheduler(&mut self) {
        self.print(format_args!("thread              state                  prio pc\n"));
        let mut next = self.threads;
        while let Some(tcb) = next {
            next = self.thread_link(tcb, DEBUG_NEXT);
            self.print_name(tcb);
            let (state, priority, pc) = (self.state(tcb), self.get(tcb, PRIORITY), self.reg(tcb, Reg::PC));
            let mark = if self.current() == Some(tcb) { '*' } else { ' ' };
            self.print(format_args!("{mark}{:#x} {state:?} {priority} {pc:#x}\n", tcb.addr()));
        }
    }

    pub(crate) fn dump_cspace(&mut self, tcb: Tcb) {
        use crate::cap::View;
        let View::CNode { base, radix, .. } = self.cspace(tcb).view() else { return };
        for i in 0..1_u64 << radix {
            let view = self.view(crate::handle::Slot::at(base).offset(i));
            if view != View::Null {
                self.print(format_args!("{i}: {view:x?}\n"));
            }
        }
    }

    /// A thread stops because nobody handles its fault.
    pub(crate) fn print_unhandled(&mut self, tcb: Tcb, fault: Fault) {
        self.print(format_args!("kernel: no handler for a fault of thread "));
        self.print_name(tcb);
        let (pc, sp, lr) = (self.reg(tcb, Reg::FAULT_PC), self.reg(tcb, Reg::SP), self.reg(tcb, Reg::LR));
        self.print(format_args!(" ({:#x}): {fault:x?} pc {pc:#x} sp {sp:#x} lr {lr:#x}\n", tcb.addr()));
    }
}
