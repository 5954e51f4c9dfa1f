//! The GICv2 interrupt controller (GIC-400), for one core. Arm IHI 0048B.
use crate::mmio::Registers;

/// Distributor and processor interface.
pub(crate) struct GicV2 {
    distributor: Registers,
    cpu: Registers,
}

const D_CTLR: u64 = 0;
pub(crate) const D_TYPER: u64 = 4;
/// The bit of [`D_TYPER`] that says that there are security extensions.
pub(crate) const D_TYPER_SECURE: u64 = 10;
pub(crate) const D_GROUP: u64 = 0x80;
const D_ENABLE: u64 = 0x100;
const D_DISABLE: u64 = 0x180;
const D_CLEAR_PENDING: u64 = 0x280;
const D_PRIORITY: u64 = 0x400;
const D_TARGET: u64 = 0x800;
const D_CONFIG: u64 = 0xc00;
const D_SGI: u64 = 0xf00;
const C_CTLR: u64 = 0;
pub(crate) const C_MASK: u64 = 4;
const C_ACK: u64 = 0xc;
const C_END: u64 = 0x10;
/// The first shared interrupt.
const SPI: u64 = 32;
/// Acknowledged numbers from here on mean "none".
const SPURIOUS: u64 = 1020;
/// Middle priority, in every byte.
const PRIORITY: u32 = 0xa0a0_a0a0;
/// Core 0, in every byte.
const CORE_0: u32 = 0x0101_0101;

impl GicV2 {
    /// The controller at these physical addresses, initialised: everything masked, level-sensitive, core 0.
    ///
    /// # Safety
    /// Both register frames are mapped as device memory in the direct map, and nobody else uses them.
    pub(crate) unsafe fn new(distributor: u64, cpu: u64) -> Self {
        // SAFETY: the caller's promise; the controller affects interrupts only.
        let distributor = unsafe { Registers::new(distributor) };
        // SAFETY: as above.
        let cpu = unsafe { Registers::new(cpu) };
        let gic = Self { distributor, cpu };
        distributor.write(D_CTLR, 0);
        let irqs = gic.irqs();
        for i in SPI / 32..irqs / 32 {
            distributor.write(D_DISABLE + i * 4, u32::MAX);
            distributor.write(D_CLEAR_PENDING + i * 4, u32::MAX);
        }
        for i in SPI / 4..irqs / 4 {
            distributor.write(D_PRIORITY + i * 4, PRIORITY);
        }
        for i in SPI / 4..irqs / 4 {
            distributor.write(D_TARGET + i * 4, CORE_0);
        }
        for i in SPI / 16..irqs / 16 {
            distributor.write(D_CONFIG + i * 4, 0);
        }
        distributor.write(D_CTLR, 1);
        gic.set_up_core();
        gic
    }

    /// What each core has of its own: the private interrupts' registers, which are banked, and the processor interface.
    pub(crate) fn set_up_core(&self) {
        self.distributor.write(D_DISABLE, u32::MAX);
        self.distributor.write(D_CLEAR_PENDING, u32::MAX);
        for i in 0..SPI / 4 {
            self.distributor.write(D_PRIORITY + i * 4, PRIORITY);
        }
        self.cpu.write(C_MASK, 0xff);
        self.cpu.write(C_CTLR, 1);
    }

    /// Interrupts that the distributor has.
    pub(crate) fn irqs(&self) -> u64 {
        let lines = self.distributor.read(D_TYPER) & 0x1f;
        ((u64::from(lines) + 1) * 32).min(SPURIOUS)
    }

    /// Masks or unmasks.
    pub(crate) fn mask(&mut self, irq: u64, masked: bool) {
        let set = if masked { D_DISABLE } else { D_ENABLE };
        if irq < SPURIOUS {
            self.distributor.write(set + irq / 32 * 4, 1 << (irq % 32));
        }
    }

    /// Edge or level. Private interrupts below 16 are fixed.
    pub(crate) fn trigger(&mut self, irq: u64, edge: bool) {
        if !(16..SPURIOUS).contains(&irq) {
            return;
        }
        let at = D_CONFIG + irq / 16 * 4;
        let bit = 2 << (irq % 16 * 2);
        let old = self.distributor.read(at);
        self.distributor.write(at, if edge { old | bit } else { old & !bit });
    }

    /// Sets which core a shared interrupt goes to.
    pub(crate) fn route(&mut self, irq: u64, core: u64) {
        if !(SPI..SPURIOUS).contains(&irq) {
            return;
        }
        // One byte for each interrupt, a bit for each core; only words are sure to be accessible everywhere.
        let (at, shift) = (D_TARGET + irq / 4 * 4, irq % 4 * 8);
        let old = self.distributor.read(at);
        self.distributor.write(at, old & !(0xff << shift) | 1 << core << shift);
    }

    /// Raises a software interrupt on a core.
    pub(crate) fn raise(&mut self, irq: u64, core: u64) {
        let target = 1_u32 << (16 + (core & 7));
        self.distributor.write(D_SGI, target | u32::try_from(irq & 0xf).unwrap_or(0));
    }

    /// Takes the next interrupt: its number and the word that ends it.
    pub(crate) fn acknowledge(&mut self) -> Option<(u64, u32)> {
        let word = self.cpu.read(C_ACK);
        let irq = u64::from(word & 0x3ff);
        (irq < SPURIOUS).then_some((irq, word))
    }

    /// Ends an interrupt.
    pub(crate) fn end(&mut self, word: u32) {
        self.cpu.write(C_END, word);
    }
}
