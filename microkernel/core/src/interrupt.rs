//! Interrupts: handed to notifications, and the kernel's own tick.
use crate::IRQS_MAX;
use crate::cap::View;
use crate::error::{InvocationError, Stop};
use crate::handle::Slot;
use crate::invoke::{DONE, Invocation, Outcome, refuse};
use crate::kernel::{IrqUse, Kernel};
use crate::machine::Machine;
use microkernel_abi::label;

/// Software interrupts of the interrupt controller.
const SGIS: u64 = 16;
/// Cores that a software interrupt can name.
const SGI_CORES: u64 = 8;

/// Place of an interrupt in the kernel's table; numbers beyond it share the last place, which no decoder lets in.
pub(crate) const fn index(irq: u64) -> usize {
    let last = IRQS_MAX - 1;
    #[expect(clippy::cast_possible_truncation, reason = "the value was just found to be small")]
    if irq < last as u64 { irq as usize } else { last }
}

impl<M: Machine> Kernel<M> {
    /// The interrupt controller delivered an interrupt. The caller ends it there afterwards.
    pub fn interrupt(&mut self, irq: u64) {
        if irq >= self.irq_count {
            self.m.irq_mask(irq, true);
            return;
        }
        match self.irq_use[index(irq)] {
            IrqUse::Tick => {
                self.m.tick_rearm();
                self.tick();
            }
            IrqUse::Handler => {
                // Masked until the handler acknowledges it.
                self.m.irq_mask(irq, true);
                if let View::Notification { ntfn, badge, rights } = self.view(self.irq_slot(irq))
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
                let dest = self.irq_dest(inv, 1)?;
                self.make_handler(inv.slot, dest, irq);
                DONE
            }
            label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER => {
                inv.need(4, 1)?;
                let irq = self.checked_irq(inv)?;
                let edge = self.arg(inv, 1) & 1 != 0;
                let dest = self.irq_dest(inv, 2)?;
                self.m.irq_trigger(irq, edge);
                self.make_handler(inv.slot, dest, irq);
                DONE
            }
            label::IRQ_ISSUE_SGI_SIGNAL => {
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
        if self.irq_use[index(irq)] != IrqUse::Free {
            return Err(InvocationError::RevokeFirst);
        }
        Ok(irq)
    }

    /// The empty slot for a new capability; its index is argument n, its depth the next.
    fn irq_dest(&self, inv: &Invocation, n: u64) -> Result<Slot, InvocationError> {
        let root = self.cap(inv.extra(0)?);
        let dest = self.lookup_target(root, self.arg(inv, n), self.arg(inv, n + 1), false)?;
        self.ensure_empty(dest)?;
        Ok(dest)
    }

    fn make_handler(&mut self, control: Slot, dest: Slot, irq: u64) {
        self.irq_use[index(irq)] = IrqUse::Handler;
        self.m.irq_mask(irq, false);
        self.insert_derived(control, dest, View::IrqHandler { irq }.pack());
    }

    #[inline(never)]
    pub(crate) fn invoke_irq_handler(&mut self, inv: &Invocation, irq: u64) -> Result<Outcome, Stop> {
        let slot = self.irq_slot(irq);
        match inv.label {
            label::IRQ_ACK_IRQ => {
                self.m.irq_mask(irq, false);
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
