//! The GICv2 interrupt controller, for one core.
use crate::cache::address;
use microkernel_core::machine::to_kernel;

/// Distributor and processor interface.
pub struct Gic {
    distributor: u64,
    cpu: u64,
}

const D_CTLR: u64 = 0;
const D_TYPER: u64 = 4;
const D_ENABLE: u64 = 0x100;
const D_DISABLE: u64 = 0x180;
const D_CLEAR_PENDING: u64 = 0x280;
const D_PRIORITY: u64 = 0x400;
const D_TARGET: u64 = 0x800;
const D_CONFIG: u64 = 0xc00;
const D_SGI: u64 = 0xf00;
const C_CTLR: u64 = 0;
const C_MASK: u64 = 4;
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

impl Gic {
    /// The controller at these physical addresses, initialised: everything masked, level-sensitive, core 0.
    ///
    /// # Safety
    /// Both register frames are mapped as device memory in the direct map, and nobody else uses them.
    pub unsafe fn new(distributor: u64, cpu: u64) -> Self {
        let mut gic = Self { distributor: to_kernel(distributor), cpu: to_kernel(cpu) };
        gic.write_d(D_CTLR, 0);
        let irqs = gic.irqs();
        for i in 0..irqs / 32 {
            gic.write_d(D_DISABLE + i * 4, u32::MAX);
            gic.write_d(D_CLEAR_PENDING + i * 4, u32::MAX);
        }
        for i in 0..irqs / 4 {
            gic.write_d(D_PRIORITY + i * 4, PRIORITY);
        }
        for i in SPI / 4..irqs / 4 {
            gic.write_d(D_TARGET + i * 4, CORE_0);
        }
        for i in SPI / 16..irqs / 16 {
            gic.write_d(D_CONFIG + i * 4, 0);
        }
        gic.write_d(D_CTLR, 1);
        gic.write_c(C_MASK, 0xff);
        gic.write_c(C_CTLR, 1);
        gic
    }

    /// Interrupts that the distributor has.
    pub fn irqs(&self) -> u64 {
        let lines = self.read(self.distributor + D_TYPER) & 0x1f;
        ((u64::from(lines) + 1) * 32).min(SPURIOUS)
    }

    /// Masks or unmasks.
    pub(crate) fn mask(&mut self, irq: u64, masked: bool) {
        let set = if masked { D_DISABLE } else { D_ENABLE };
        if irq < SPURIOUS {
            self.write_d(set + irq / 32 * 4, 1 << (irq % 32));
        }
    }

    /// Edge or level. Private interrupts below 16 are fixed.
    pub(crate) fn trigger(&mut self, irq: u64, edge: bool) {
        if !(16..SPURIOUS).contains(&irq) {
            return;
        }
        let at = D_CONFIG + irq / 16 * 4;
        let bit = 2 << (irq % 16 * 2);
        let old = self.read(self.distributor + at);
        self.write_d(at, if edge { old | bit } else { old & !bit });
    }

    /// Sets which core a shared interrupt goes to.
    pub(crate) fn route(&mut self, irq: u64, core: u64) {
        if !(SPI..SPURIOUS).contains(&irq) {
            return;
        }
        // One byte for each interrupt, a bit for each core; only words are sure to be accessible everywhere.
        let (at, shift) = (D_TARGET + irq / 4 * 4, irq % 4 * 8);
        let old = self.read(self.distributor + at);
        self.write_d(at, old & !(0xff << shift) | 1 << core << shift);
    }

    /// Raises a software interrupt on a core.
    pub(crate) fn raise(&mut self, irq: u64, core: u64) {
        let target = 1_u32 << (16 + (core & 7));
        self.write_d(D_SGI, target | u32::try_from(irq & 0xf).unwrap_or(0));
    }

    /// Takes the next interrupt: its number and the word that ends it.
    pub(crate) fn acknowledge(&mut self) -> Option<(u64, u32)> {
        let word = self.read(self.cpu + C_ACK);
        let irq = u64::from(word & 0x3ff);
        (irq < SPURIOUS).then_some((irq, word))
    }

    /// Ends an interrupt.
    pub(crate) fn end(&mut self, word: u32) {
        self.write_c(C_END, word);
    }

    fn read(&self, at: u64) -> u32 {
        let at = core::ptr::with_exposed_provenance::<u32>(address(at));
        // SAFETY: the registers are mapped (`new`).
        unsafe { at.read_volatile() }
    }

    fn write_d(&mut self, offset: u64, value: u32) {
        let at = core::ptr::with_exposed_provenance_mut::<u32>(address(self.distributor + offset));
        // SAFETY: the registers are mapped (`new`); the controller affects interrupts only.
        unsafe { at.write_volatile(value) };
    }

    fn write_c(&mut self, offset: u64, value: u32) {
        let at = core::ptr::with_exposed_provenance_mut::<u32>(address(self.cpu + offset));
        // SAFETY: as in `write_d`.
        unsafe { at.write_volatile(value) };
    }
}
