//! Interrupts: handed to notifications, and the kernel's own.
//!
//! Numbers below [`PRIVATE`] are each core's own. A *line* is an interrupt's place among all: core 0's private ones and
//! the shared ones by their numbers, then the other cores' private ones. Capabilities name lines.
use crate::IRQS_MAX;
use crate::cap::View;
use crate::cores::{CORES_MAX, CoreId};
use crate::error::{InvocationError, Stop};
use crate::handle::Slot;
use crate::invoke::{DONE, Invocation, Outcome, refuse};
use crate::kernel::{IrqUse, Kernel};
use crate::machine::Machine;
use microkernel_abi::{SMP, label};

/// Interrupts that each core has of its own: software-generated and private peripheral ones.
pub(crate) const PRIVATE: u64 = 32;
/// Lines of cores beyond the first.
pub(crate) const EXTRA_LINES: u64 = (CORES_MAX as u64 - 1) * PRIVATE;
/// Lines that the kernel can hand out.
pub(crate) const LINES_MAX: usize = IRQS_MAX + (CORES_MAX - 1) * 32;
const _: () = assert!(LINES_MAX as u64 == IRQS_MAX as u64 + EXTRA_LINES);
/// Software interrupts of the interrupt controller.
const SGIS: u64 = 16;
/// Cores that a software interrupt can name.
const SGI_CORES: u64 = 8;

/// Place of a line in the kernel's table; numbers beyond it share the last place, which no decoder lets in.
pub(crate) const fn index(line: u64) -> usize {
    let last = LINES_MAX - 1;
    #[expect(clippy::cast_possible_truncation, reason = "the value was just found to be small")]
    if line < last as u64 { line as usize } else { last }
}

impl<M: Machine> Kernel<M> {
    /// The line of an interrupt on a core.
    pub(crate) fn line(&self, core: CoreId, irq: u64) -> u64 {
        if irq >= PRIVATE || core == CoreId::BOOT {
            irq
        } else {
            self.irq_count + (core.index() as u64 - 1) * PRIVATE + irq
        }
    }

    /// Masks or unmasks a line, a private one on its core.
    fn mask_line(&mut self, line: u64, masked: bool) {
        let (core, irq) = match line.checked_sub(self.irq_count) {
            Some(extra) => (usize::try_from(extra / PRIVATE + 1).ok().and_then(CoreId::new), extra % PRIVATE),
            None => (Some(CoreId::BOOT), line),
        };
        match core {
            Some(core) if irq < PRIVATE && self.is_remote(core) => self.mask_remote(core, irq, masked),
            _ => self.m.irq_mask(irq, masked),
        }
    }

    /// The interrupt controller delivered an interrupt to this core. The caller ends it there afterwards.
    pub fn interrupt(&mut self, irq: u64) {
        if irq >= self.irq_count {
            self.m.irq_mask(irq, true);
            return;
        }
        let line = self.line(self.here(), irq);
        match self.irq_use[index(line)] {
            // What it is about has been written: a request was served at the door, a core chooses on its way out.
            IrqUse::Core => {}
            IrqUse::Tick => {
                self.m.tick_rearm();
                self.tick();
            }
            IrqUse::Handler => {
                // Masked until the handler acknowledges it.
                self.m.irq_mask(irq, true);
                if let View::Notification { ntfn, badge, rights } = self.view(self.irq_slot(line))
                    && rights.write()
                {
                    self.signal(ntfn, badge);
                }
            }
            IrqUse::Free => self.m.irq_mask(irq, true),
        }
    }

    #[inline(never)]
    pub(crate) fn invoke_irq_control(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        match inv.label {
            label::IRQ_ISSUE_IRQ_HANDLER => {
                inv.need(3, 1)?;
                let irq = self.checked_irq(inv)?;
                self.ensure_free(irq)?;
                let dest = self.irq_dest(inv, 1)?;
                self.make_handler(inv.slot, dest, irq);
                DONE
            }
            label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER => {
                inv.need(4, 1)?;
                let irq = self.checked_irq(inv)?;
                if SMP && irq < PRIVATE {
                    // Of which core? The method with a core says.
                    return refuse(InvocationError::IllegalOperation);
                }
                self.ensure_free(irq)?;
                let edge = self.arg(inv, 1) != 0;
                let dest = self.irq_dest(inv, 2)?;
                self.m.irq_trigger(irq, edge);
                self.make_handler(inv.slot, dest, irq);
                DONE
            }
            label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER_CORE if SMP => self.handler_on_core(inv),
            label::IRQ_ISSUE_SGI_SIGNAL if !SMP => {
                inv.need(4, 1)?;
                let (irq, core) = (self.arg(inv, 0), self.arg(inv, 1));
                if irq >= SGIS {
                    return refuse(InvocationError::Range { min: 0, max: SGIS - 1 });
                }
                if core >= SGI_CORES {
                    return refuse(InvocationError::InvalidArgument(1));
                }
                let dest = self.irq_dest(inv, 2)?;
                self.insert_derived(inv.slot, dest, View::Sgi { irq, core }.pack());
                DONE
            }
            _ => refuse(InvocationError::IllegalOperation),
        }
    }

    fn checked_irq(&self, inv: &Invocation) -> Result<u64, InvocationError> {
        let irq = self.arg(inv, 0);
        if irq >= self.irq_count {
            return Err(InvocationError::Range { min: 0, max: self.irq_count - 1 });
        }
        Ok(irq)
    }

    fn ensure_free(&self, line: u64) -> Result<(), InvocationError> {
        match self.irq_use[index(line)] {
            IrqUse::Free => Ok(()),
            _ => Err(InvocationError::RevokeFirst),
        }
    }

    /// `IRQControl_GetTriggerCore`: a private interrupt of any core, or a shared one and where it goes.
    fn handler_on_core(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        inv.need(5, 1)?;
        let irq = self.checked_irq(inv)?;
        let Some(core) = usize::try_from(self.arg(inv, 4)).ok().and_then(CoreId::new) else {
            // The reference names no argument here.
            return refuse(InvocationError::InvalidArgument(0));
        };
        let line = self.line(core, irq);
        self.ensure_free(line)?;
        let edge = self.arg(inv, 1) & 1 != 0;
        let dest = self.irq_dest(inv, 2)?;
        if irq >= PRIVATE {
            self.m.irq_route(irq, core);
            self.m.irq_trigger(irq, edge);
        }
        self.make_handler(inv.slot, dest, line);
        DONE
    }

    /// The empty slot for a new capability; its index is argument n, its depth the next.
    fn irq_dest(&self, inv: &Invocation, n: u64) -> Result<Slot, InvocationError> {
        let root = self.cap(inv.extra(0)?);
        let dest = self.lookup_target(root, self.arg(inv, n), self.arg(inv, n + 1), false)?;
        self.ensure_empty(dest)?;
        Ok(dest)
    }

    fn make_handler(&mut self, control: Slot, dest: Slot, line: u64) {
        self.irq_use[index(line)] = IrqUse::Handler;
        self.mask_line(line, false);
        self.insert_derived(control, dest, View::IrqHandler { line }.pack());
    }

    /// The last handler capability of a line is gone.
    pub(crate) fn end_handler(&mut self, line: u64) {
        self.mask_line(line, true);
        self.unlink(self.irq_slot(line));
        self.irq_use[index(line)] = IrqUse::Free;
    }

    #[inline(never)]
    pub(crate) fn invoke_irq_handler(&mut self, inv: &Invocation, line: u64) -> Result<Outcome, Stop> {
        let slot = self.irq_slot(line);
        match inv.label {
            label::IRQ_ACK_IRQ => {
                self.mask_line(line, false);
                DONE
            }
            label::IRQ_SET_IRQ_HANDLER => {
                inv.need(0, 1)?;
                let source = inv.extra(0)?;
                let cap = self.cap(source);
                match cap.view() {
                    View::Notification { rights, .. } if rights.write() => {}
                    _ => return refuse(InvocationError::InvalidCapability(0)),
                }
                // A notification capability in the slot ends without work, so this never stops half-way.
                self.delete(slot)?;
                self.insert_derived(source, slot, cap);
                DONE
            }
            label::IRQ_CLEAR_IRQ_HANDLER => {
                self.delete(slot)?;
                DONE
            }
            _ => refuse(InvocationError::IllegalOperation),
        }
    }
}
