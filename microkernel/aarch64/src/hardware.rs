//! The core's machine, as this hardware does it.
use crate::cache::{self, address};
use crate::interrupts::Interrupts;
use crate::registers;
use crate::uart::Uart;
use crate::{entry, fpu, lock, restart, tables};
use microkernel_abi::SMP;
use microkernel_core::{CacheOp, CoreId, IRQ_COME, IRQ_RESCHEDULE, IRQ_TICK, Machine, Remote, TICK_US};

/// CNTKCTL_EL1: EL0 reads the physical and the virtual counter.
const COUNTERS: u64 = 3;
/// CNTKCTL_EL1.EL0PTEN: EL0 uses the physical timer's registers.
const PHYSICAL_TIMER: u64 = 1 << 9;
/// CPACR_EL1.FPEN: no traps.
const FPU_OPEN: u64 = 3 << 20;

/// The machine.
pub struct Hardware {
    pub(crate) interrupts: Interrupts,
    pub(crate) uart: Uart,
    /// Timer ticks of a kernel tick.
    interval: u64,
}

impl Hardware {
    /// Takes the devices over and starts the tick.
    pub fn new(interrupts: Interrupts, uart: Uart) -> Self {
        let interval = registers::cntfrq_el0() / 1_000_000 * TICK_US;
        let mut hardware = Self { interrupts, uart, interval };
        hardware.start_core();
        hardware
    }

    /// The registers of this core, its tick, and what other cores call it by. The interrupt controller is set up.
    fn start_core(&mut self) {
        registers::set_mdscr_el1(0);
        registers::set_pmuserenr_el0(0);
        registers::set_cntkctl_el1(COUNTERS);
        registers::set_cpacr_el1(0);
        registers::set_cntp_ctl_el0(0);
        self.interrupts.mask(IRQ_TICK, false);
        if SMP {
            self.interrupts.mask(IRQ_COME, false);
            self.interrupts.mask(IRQ_RESCHEDULE, false);
        }
        self.tick_rearm();
        registers::set_cntv_ctl_el0(1);
    }

    /// Takes a core beyond the first in. False if the interrupt controller has nothing for it.
    #[cfg(feature = "smp")]
    pub(crate) fn join(&mut self) -> bool {
        if !self.interrupts.set_up_core() {
            return false;
        }
        self.start_core();
        true
    }

    /// Interrupts another core.
    fn ipi(&mut self, irq: u64, core: CoreId) {
        // What the other core is to find must be there when the interrupt is (Arm IHI 0048, 3.1.2: memory is ordered
        // before the write that generates a software interrupt by a DSB only).
        registers::dsb_ishst();
        self.interrupts.raise(irq, core.index() as u64);
    }

    /// Interrupts of the controller.
    pub fn irqs(&self) -> u64 {
        self.interrupts.irqs()
    }
}

/// Puts a root into the translation registers; 0 is the empty one.
#[inline(always)]
pub(crate) fn set_user_root(root: u64, asid: u64) {
    let root = if root == 0 { tables::empty_root() } else { root };
    registers::set_ttbr0_el1(root | asid << 48);
    // User-address maintenance in the kernel needs the new root, and so does whoever forgets the old one's
    // translations.
    registers::isb();
}

/// Saves the floating-point registers whoever may use them at the moment.
pub(crate) fn save_fpu(area: u64) {
    let before = registers::cpacr_el1();
    registers::set_cpacr_el1(FPU_OPEN);
    // Access applies after a context synchronisation.
    registers::isb();
    fpu::save(area);
    registers::set_cpacr_el1(before);
}

impl Machine for Hardware {
    #[inline(always)]
    fn load(&self, at: u64) -> u64 {
        debug_assert!(at.is_multiple_of(8));
        // SAFETY: the core passes addresses inside objects only (its contract): RAM in the direct map that no
        // Rust object lies in. One core is in the kernel at a time (`entry`), interrupts masked: nobody writes
        // meanwhile.
        unsafe { core::ptr::with_exposed_provenance::<u64>(address(at)).read() }
    }

    #[inline(always)]
    fn store(&mut self, at: u64, value: u64) {
        debug_assert!(at.is_multiple_of(8));
        // SAFETY: as in `load`.
        unsafe { core::ptr::with_exposed_provenance_mut::<u64>(address(at)).write(value) };
    }

    fn zero(&mut self, at: u64, bytes: u64) {
        cache::zero(at, bytes);
    }

    fn clean(&mut self, at: u64, bytes: u64) {
        cache::clean(at, bytes);
    }

    fn tables_written(&mut self) {
        cache::tables_written();
    }

    fn forget_page(&mut self, asid: u64, va: u64) {
        cache::forget_page(asid, va);
    }

    fn forget_asid(&mut self, asid: u64) {
        cache::forget_asid(asid);
    }

    #[inline(always)]
    fn set_user_root(&mut self, root: u64, asid: u64) {
        set_user_root(root, asid);
    }

    #[inline(always)]
    fn set_next_user_root(&mut self, root: u64, asid: u64) {
        // The exception return synchronises the context (Arm ARM D1.3.6).
        registers::set_ttbr0_el1(root | asid << 48);
    }

    fn user_cache(&mut self, op: CacheOp, start: u64, end: u64) {
        cache::user(op, start, end);
    }

    fn remote(&mut self, core: CoreId, request: Remote) {
        lock::ask(core, request, || self.ipi(IRQ_COME, core));
    }

    fn interrupt_core(&mut self, core: CoreId) {
        self.ipi(IRQ_RESCHEDULE, core);
    }

    fn irq_mask(&mut self, irq: u64, masked: bool) {
        self.interrupts.mask(irq, masked);
    }

    fn irq_trigger(&mut self, irq: u64, edge: bool) {
        self.interrupts.trigger(irq, edge);
    }

    fn irq_route(&mut self, irq: u64, core: CoreId) {
        self.interrupts.route(irq, core.index() as u64);
    }

    #[inline(always)]
    fn irq_waiting(&self) -> bool {
        // ISR_EL1.I; or another core waits at the door, perhaps with an interrupt.
        registers::isr_el1() & 1 << 7 != 0 || entry::is_wanted()
    }

    fn irq_raise(&mut self, irq: u64, core: u64) {
        self.interrupts.raise(irq, core);
    }

    fn tick_rearm(&mut self) {
        registers::set_cntv_tval_el0(self.interval);
        restart::if_overdue();
    }

    fn timer_access(&mut self, allowed: bool) {
        registers::set_cntkctl_el1(if allowed { COUNTERS | PHYSICAL_TIMER } else { COUNTERS });
    }

    #[inline(always)]
    fn fpu_access(&mut self, allowed: bool) {
        registers::set_cpacr_el1(if allowed { FPU_OPEN } else { 0 });
    }

    fn fpu_save(&mut self, area: u64) {
        // The trap that led here opened access; it applies after a context synchronisation.
        registers::isb();
        fpu::save(area);
    }

    fn fpu_load(&mut self, area: u64) {
        registers::isb();
        fpu::load(area);
    }

    fn put_char(&mut self, byte: u8) {
        self.uart.put(byte);
    }

    fn halt(&mut self) -> ! {
        entry::stop()
    }
}
