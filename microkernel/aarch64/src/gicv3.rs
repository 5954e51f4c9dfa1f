//! The GICv3 interrupt controller with affinity routing. Arm IHI 0069.
//!
//! Private interrupts are the redistributor's, shared ones the distributor's; the processor interface is system
//! registers, which EL2 has let EL1 use (`start`).
use crate::mmio::Registers;
use crate::registers::{self, this_core};
use microkernel_core::cores::CORES_MAX;

/// Distributor and redistributors.
pub(crate) struct GicV3 {
    distributor: Registers,
    /// All redistributors, and their bytes.
    redistributors: Registers,
    size: u64,
    /// For each core its redistributor's frame of software and private interrupts, laid out like a distributor's first
    /// registers.
    private: [Registers; CORES_MAX],
}

const D_CTLR: u64 = 0;
const D_TYPER: u64 = 4;
const GROUP: u64 = 0x80;
const ENABLE: u64 = 0x100;
const DISABLE: u64 = 0x180;
const CLEAR_PENDING: u64 = 0x280;
const PRIORITY: u64 = 0x400;
const CONFIG: u64 = 0xc00;
const D_ROUTE: u64 = 0x6000;
/// GICD_CTLR: affinity routing and both groups; the bits mean that in the non-secure view and where there is one view.
const D_ON: u32 = 1 << 4 | 3;
/// GICD_CTLR.RWP: a write is under way.
const D_BUSY: u32 = 1 << 31;

const R_CTLR: u64 = 0;
const R_TYPER: u64 = 8;
const R_WAKER: u64 = 0x14;
const R_PRIVATE: u64 = 0x1_0000;
/// GICR_CTLR.RWP.
const R_BUSY: u32 = 1 << 3;
/// GICR_TYPER.VLPIS: two more frames follow.
const R_WIDE: u64 = 1 << 1;
/// GICR_TYPER.Last.
const R_LAST: u64 = 1 << 4;
const R_FRAMES: u64 = 0x2_0000;
/// GICR_WAKER.ProcessorSleep and .ChildrenAsleep.
const R_SLEEP: u32 = 1 << 1;
const R_ASLEEP: u32 = 1 << 2;

/// The first shared interrupt.
const SPI: u64 = 32;
/// Acknowledged numbers from here on mean "none".
const SPURIOUS: u64 = 1020;
/// Middle priority, in every byte.
const MIDDLE: u32 = 0xa0a0_a0a0;
/// Aff3 and Aff2 to Aff0 of MPIDR_EL1.
const AFFINITY: u64 = 0xff_00ff_ffff;

impl GicV3 {
    /// The controller at these physical addresses, initialised: everything masked, level-sensitive, for this core.
    /// Nothing if no redistributor is this core's.
    ///
    /// # Safety
    /// Distributor and `size` bytes of redistributors are mapped as device memory in the direct map, and nobody else
    /// uses them.
    pub(crate) unsafe fn new(distributor: u64, redistributors: u64, size: u64) -> Option<Self> {
        // SAFETY: the caller's promise; the controller affects interrupts only.
        let distributor = unsafe { Registers::new(distributor) };
        // SAFETY: as above.
        let all = unsafe { Registers::new(redistributors) };
        let affinity = registers::mpidr_el1() & AFFINITY;
        let own = redistributor(all, size, affinity)?;
        let private = [own.at(R_PRIVATE); CORES_MAX];
        let mut gic = Self { distributor, redistributors: all, size, private };
        distributor.write(D_CTLR, 0);
        gic.wait();
        let irqs = gic.irqs();
        for i in SPI / 32..irqs / 32 {
            distributor.write(DISABLE + i * 4, u32::MAX);
            distributor.write(CLEAR_PENDING + i * 4, u32::MAX);
            distributor.write(GROUP + i * 4, u32::MAX);
        }
        for i in SPI / 4..irqs / 4 {
            distributor.write(PRIORITY + i * 4, MIDDLE);
        }
        for i in SPI / 16..irqs / 16 {
            distributor.write(CONFIG + i * 4, 0);
        }
        distributor.write(D_CTLR, D_ON);
        gic.wait();
        // Routing registers count once affinity routing is on.
        for irq in SPI..irqs {
            distributor.write_wide(D_ROUTE + irq * 8, affinity);
        }
        gic.set_up_core().then_some(gic)
    }

    /// What each core has of its own: redistributor and processor interface. False if there is no redistributor.
    pub(crate) fn set_up_core(&mut self) -> bool {
        let affinity = registers::mpidr_el1() & AFFINITY;
        let Some(own) = redistributor(self.redistributors, self.size, affinity) else { return false };
        let private = own.at(R_PRIVATE);
        self.private[this_core().index()] = private;
        own.write(R_WAKER, own.read(R_WAKER) & !R_SLEEP);
        while own.read(R_WAKER) & R_ASLEEP != 0 {}
        private.write(DISABLE, u32::MAX);
        private.write(CLEAR_PENDING, u32::MAX);
        private.write(GROUP, u32::MAX);
        for i in 0..SPI / 4 {
            private.write(PRIORITY + i * 4, MIDDLE);
        }
        while own.read(R_CTLR) & R_BUSY != 0 {}
        registers::set_icc_sre_el1(7);
        // The interface's registers exist from here on (IHI 0069, ICC_SRE_EL1: context synchronisation).
        registers::isb();
        registers::set_icc_pmr_el1(0xff);
        registers::set_icc_ctlr_el1(0);
        registers::set_icc_igrpen1_el1(1);
        registers::isb();
        true
    }

    /// Waits until the distributor has taken the last write in.
    fn wait(&self) {
        while self.distributor.read(D_CTLR) & D_BUSY != 0 {}
    }

    /// Interrupts that the distributor has.
    pub(crate) fn irqs(&self) -> u64 {
        let lines = self.distributor.read(D_TYPER) & 0x1f;
        ((u64::from(lines) + 1) * 32).min(SPURIOUS)
    }

    /// The frame that this interrupt is set up in.
    fn frame(&self, irq: u64) -> Registers {
        if irq < SPI { self.private[this_core().index()] } else { self.distributor }
    }

    /// Masks or unmasks.
    pub(crate) fn mask(&mut self, irq: u64, masked: bool) {
        let set = if masked { DISABLE } else { ENABLE };
        if irq < SPURIOUS {
            self.frame(irq).write(set + irq / 32 * 4, 1 << (irq % 32));
        }
    }

    /// Edge or level. Software interrupts are fixed.
    pub(crate) fn trigger(&mut self, irq: u64, edge: bool) {
        if !(16..SPURIOUS).contains(&irq) {
            return;
        }
        let at = CONFIG + irq / 16 * 4;
        let bit = 2 << (irq % 16 * 2);
        let old = self.frame(irq).read(at);
        self.frame(irq).write(at, if edge { old | bit } else { old & !bit });
    }

    /// Sets which core of this cluster a shared interrupt goes to.
    pub(crate) fn route(&mut self, irq: u64, core: u64) {
        if (SPI..SPURIOUS).contains(&irq) {
            let affinity = registers::mpidr_el1() & AFFINITY & !0xff | core & 0xff;
            self.distributor.write_wide(D_ROUTE + irq * 8, affinity);
        }
    }

    /// Raises a software interrupt on a core of this cluster.
    pub(crate) fn raise(&mut self, irq: u64, core: u64) {
        let own = registers::mpidr_el1();
        // ICC_SGI1R_EL1: the cluster's affinities, the number, one bit for the core.
        let cluster = (own >> 8 & 0xff) << 16 | (own >> 16 & 0xff) << 32 | (own >> 32 & 0xff) << 48;
        registers::set_icc_sgi1r_el1(cluster | (irq & 0xf) << 24 | 1 << (core & 0xf));
        registers::isb();
    }

    /// Takes the next interrupt: its number and the word that ends it.
    #[inline(always)]
    pub(crate) fn acknowledge(&mut self) -> Option<(u64, u32)> {
        let irq = registers::icc_iar1_el1() & 0xff_ffff;
        (irq < SPURIOUS).then(|| (irq, u32::try_from(irq).unwrap_or(0)))
    }

    /// Ends an interrupt.
    #[inline(always)]
    pub(crate) fn end(&mut self, word: u32) {
        registers::set_icc_eoir1_el1(u64::from(word));
    }
}

/// The redistributor of the core with this affinity.
fn redistributor(all: Registers, size: u64, affinity: u64) -> Option<Registers> {
    // GICR_TYPER has the four affinity fields next to each other.
    let wanted = affinity & 0xff_ffff | (affinity >> 32) << 24;
    let mut offset = 0;
    while offset + R_FRAMES <= size {
        let found = all.at(offset);
        let kind = found.read_wide(R_TYPER);
        if kind >> 32 == wanted {
            return Some(found);
        }
        if kind & R_LAST != 0 {
            return None;
        }
        offset += if kind & R_WIDE != 0 { 2 * R_FRAMES } else { R_FRAMES };
    }
    None
}
