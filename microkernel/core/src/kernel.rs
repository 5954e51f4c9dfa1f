//! The kernel's state outside of objects.
use crate::IRQS_MAX;
use crate::error::Stop;
use crate::handle::{Slot, Tcb};
use crate::machine::Machine;
use crate::sched::{Action, ReadyQueues};
use crate::vspace::ASID_POOLS_MAX;

/// What an interrupt is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IrqUse {
    /// Nobody has it.
    Free,
    /// A handler capability exists.
    Handler,
    /// The kernel's tick.
    Tick,
}

/// The kernel.
pub struct Kernel<M> {
    /// The machine.
    pub m: M,
    /// The thread whose registers are the processor's; `None` while idle.
    pub(crate) current: Option<Tcb>,
    pub(crate) action: Action,
    pub(crate) ready: ReadyQueues,
    /// Every thread, for the debug calls.
    pub(crate) threads: Option<Tcb>,
    /// Roots of the ASID pools: kernel addresses, 0 for none.
    pub(crate) asid_pools: [u64; ASID_POOLS_MAX],
    /// Physical root and ASID in the translation registers.
    pub(crate) active_root: (u64, u64),
    /// The CNode whose slot n holds what interrupt n signals.
    pub(crate) irq_slots: u64,
    pub(crate) irq_count: u64,
    pub(crate) irq_use: [IrqUse; IRQS_MAX],
    /// Whose values the floating-point registers hold.
    pub(crate) fpu_owner: Option<Tcb>,
    pub(crate) fpu_open: bool,
    pub(crate) timer_open: bool,
    /// Work units since the last look for a waiting interrupt.
    pub(crate) work: u64,
}

impl<M: Machine> Kernel<M> {
    /// A kernel without objects; `crate::boot` makes the first ones. Interrupts `0..irq_count` signal through
    /// the CNode at `irq_slots`, zeroed memory of `irq_count` slots that belongs to the kernel.
    pub fn new(m: M, irq_slots: u64, irq_count: u64) -> Self {
        let mut irq_use = [IrqUse::Free; IRQS_MAX];
        irq_use[crate::interrupt::index(crate::IRQ_TICK)] = IrqUse::Tick;
        Self {
            m,
            current: None,
            action: Action::ChooseNew,
            ready: ReadyQueues::new(),
            threads: None,
            asid_pools: [0; ASID_POOLS_MAX],
            active_root: (0, 0),
            irq_slots,
            irq_count: irq_count.min(IRQS_MAX as u64),
            irq_use,
            fpu_owner: None,
            fpu_open: false,
            timer_open: false,
            work: 0,
        }
    }

    /// The running thread; `None` while idle.
    pub fn current(&self) -> Option<Tcb> {
        self.current
    }

    /// The slot that says what an interrupt signals.
    pub(crate) fn irq_slot(&self, irq: u64) -> Slot {
        Slot::at(self.irq_slots).offset(irq)
    }

    /// Counts one unit of work; stops when there was enough and an interrupt waits.
    pub(crate) fn preemption_point(&mut self) -> Result<(), Stop> {
        self.work += 1;
        if self.work >= crate::PREEMPTION_WORK_MAX {
            self.work = 0;
            if self.m.irq_waiting() {
                return Err(Stop::Preempted);
            }
        }
        Ok(())
    }
}
