//! The kernel's state outside of objects.
use crate::IRQS_MAX;
use crate::cores::{CORES_MAX, Core, CoreId, CoreSet};
use crate::domain::Schedule;
use crate::error::Stop;
use crate::handle::{Slot, Tcb};
use crate::interrupt::{LINES_MAX, index};
use crate::machine::Machine;
use crate::vspace::ASID_POOLS_MAX;
use microkernel_abi::SMP;

/// What an interrupt is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IrqUse {
    /// Nobody has it.
    Free,
    /// A handler capability exists.
    Handler,
    /// The kernel's tick.
    Tick,
    /// One core calls another.
    Core,
}

/// The kernel. What every entry looks at comes first.
#[repr(C)]
pub struct Kernel<M> {
    pub(crate) cores: [Core; CORES_MAX],
    /// The machine.
    pub m: M,
    /// The core that is in the kernel.
    pub(crate) here: CoreId,
    /// Cores that run threads.
    pub(crate) online: usize,
    /// Cores to be interrupted at the end of this entry.
    pub(crate) to_interrupt: CoreSet,
    /// Every thread, for the debug calls.
    pub(crate) threads: Option<Tcb>,
    /// Roots of the ASID pools: kernel addresses, 0 for none.
    pub(crate) asid_pools: [u64; ASID_POOLS_MAX],
    /// The CNode whose slot n holds what interrupt n signals.
    pub(crate) irq_slots: u64,
    pub(crate) irq_count: u64,
    pub(crate) irq_use: [IrqUse; LINES_MAX],
    pub(crate) schedule: Schedule,
    #[cfg(feature = "check")]
    pub(crate) notes: Option<&'static mut crate::check::Notes>,
    /// Work units since the last look for a waiting interrupt.
    pub(crate) work: u64,
}

impl<M: Machine> Kernel<M> {
    /// A kernel without objects, for this many cores; `crate::boot` makes the first ones. Interrupts `0..irq_count`
    /// and the private ones of further cores signal through the CNode at `irq_slots`, zeroed memory of
    /// `irq_count + EXTRA_LINES` slots that belongs to the kernel.
    pub(crate) fn new(m: M, irq_slots: u64, irq_count: u64, online: usize) -> Self {
        let mut kernel = Self {
            m,
            cores: [const { Core::new() }; CORES_MAX],
            here: CoreId::BOOT,
            online: online.clamp(1, CORES_MAX),
            to_interrupt: CoreSet::EMPTY,
            threads: None,
            asid_pools: [0; ASID_POOLS_MAX],
            irq_slots,
            irq_count: irq_count.min(IRQS_MAX as u64),
            irq_use: [IrqUse::Free; LINES_MAX],
            schedule: Schedule::new(),
            #[cfg(feature = "check")]
            notes: None,
            work: 0,
        };
        for core in (0..CORES_MAX).filter_map(CoreId::new) {
            let mut claim = |irq, used| {
                let line = kernel.line(core, irq);
                kernel.irq_use[index(line)] = used;
            };
            claim(crate::IRQ_TICK, IrqUse::Tick);
            if SMP {
                claim(crate::IRQ_COME, IrqUse::Core);
                claim(crate::IRQ_RESCHEDULE, IrqUse::Core);
            }
        }
        kernel
    }

    /// The thread that runs on this core; `None` while idle.
    #[inline(always)]
    pub fn current(&self) -> Option<Tcb> {
        self.core().current
    }

    /// The slot that says what a line signals.
    pub(crate) fn irq_slot(&self, line: u64) -> Slot {
        Slot::at(self.irq_slots).offset(line)
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
