//! The interrupt controllers of the Raspberry Pi 3: the BCM2836's local one (QA7_rev3.4), and behind it the BCM2835's
//! (BCM2835 ARM Peripherals, chapter 7).
//!
//! Neither knows an interrupt that is being served: a line stays up until its device is content or it is masked. A
//! software interrupt is a bit of the core's mailbox 0. The mailbox can be enabled as a whole only, so a masked
//! software interrupt waits in a word of the kernel's and goes back into the mailbox when it is unmasked.
use crate::mmio::Registers;
use crate::registers;

/// Both controllers.
pub(crate) struct Bcm2836 {
    local: Registers,
    legacy: Registers,
    /// Shared interrupts that are not masked: the two registers of the BCM2835 and its basic one.
    enabled: [u32; 3],
    /// For each core: software interrupts that are not masked, and those taken out of the mailbox while they were.
    software: [Software; CORES],
}

#[derive(Clone, Copy, Default)]
struct Software {
    enabled: u32,
    waiting: u32,
}

/// Cores of the BCM2836.
const CORES: usize = 4;

const GPU_ROUTING: u64 = 0x0c;
const TIMER_CONTROL: u64 = 0x40;
const MAILBOX_CONTROL: u64 = 0x50;
const SOURCE: u64 = 0x60;
/// Mailbox 0 of core 0: write to set bits.
const MAILBOX_SET: u64 = 0x80;
/// Mailbox 0 of core 0: read, or write to clear bits.
const MAILBOX_CLEAR: u64 = 0xc0;
/// From a core's mailboxes to the next core's.
const MAILBOXES: u64 = 0x10;

/// The BCM2835's registers lie this far into their page.
const LEGACY: u64 = 0x200;
const BASIC_PENDING: u64 = 0x00;
const PENDING: u64 = 0x04;
const ENABLE: u64 = 0x10;
const DISABLE: u64 = 0x1c;

/// SOURCE: mailbox 0, the BCM2835.
const SOURCE_MAILBOX: u32 = 1 << 4;
const SOURCE_GPU: u32 = 1 << 8;
/// Bits of TIMER_CONTROL and of SOURCE, and the number that a GIC gives these timers: secure and non-secure physical,
/// hypervisor, virtual.
const TIMERS: [u64; 4] = [29, 30, 26, 27];
const SOFTWARE_INTERRUPTS: u64 = 16;
/// The first shared interrupt.
const SHARED: u64 = 32;
/// The first of the basic ones.
const BASIC: u64 = 96;

impl Bcm2836 {
    /// Numbers that stand for an interrupt.
    pub(crate) const IRQS: u64 = BASIC + 8;

    /// The controllers at these physical addresses: everything masked but the mailbox, the BCM2835's for core 0.
    ///
    /// # Safety
    /// Both pages are mapped as device memory in the direct map, and nobody else uses them.
    pub(crate) unsafe fn new(local: u64, legacy: u64) -> Self {
        // SAFETY: the caller's promise; the controllers affect interrupts only.
        let local = unsafe { Registers::new(local) };
        // SAFETY: as above.
        let legacy = unsafe { Registers::new(legacy + LEGACY) };
        local.write(GPU_ROUTING, 0);
        for word in 0..3 {
            legacy.write(DISABLE + 4 * word, u32::MAX);
        }
        let controller = Self { local, legacy, enabled: [0; 3], software: [Software::default(); CORES] };
        controller.set_up_core();
        controller
    }

    /// What each core has of its own: timers and mailbox.
    pub(crate) fn set_up_core(&self) {
        let core = core();
        self.local.write(TIMER_CONTROL + 4 * core, 0);
        self.local.write(MAILBOX_CLEAR + MAILBOXES * core, u32::MAX);
        self.local.write(MAILBOX_CONTROL + 4 * core, 1);
    }

    /// Masks or unmasks. Timers and software interrupts are this core's.
    pub(crate) fn mask(&mut self, irq: u64, masked: bool) {
        let core = core();
        if irq < SOFTWARE_INTERRUPTS {
            let software = &mut self.software[index(core)];
            if masked {
                software.enabled &= !(1 << irq);
                return;
            }
            software.enabled |= 1 << irq;
            if software.waiting & 1 << irq != 0 {
                self.raise(irq, core);
            }
        } else if let Some(bit) = TIMERS.iter().position(|&timer| timer == irq) {
            let at = TIMER_CONTROL + 4 * core;
            let old = self.local.read(at);
            self.local.write(at, if masked { old & !(1 << bit) } else { old | 1 << bit });
        } else if (SHARED..Self::IRQS).contains(&irq) {
            let (word, bit) = ((irq - SHARED) / 32, 1 << (irq % 32));
            let enabled = &mut self.enabled[index(word)];
            *enabled = if masked { *enabled & !bit } else { *enabled | bit };
            self.legacy.write(if masked { DISABLE } else { ENABLE } + 4 * word, bit);
        }
    }

    /// Raises a software interrupt on a core.
    pub(crate) fn raise(&mut self, irq: u64, core: u64) {
        self.local.write(MAILBOX_SET + MAILBOXES * (core & 3), 1 << (irq & 0xf));
    }

    /// Takes the next interrupt, timers first. There is no word to end it with.
    pub(crate) fn acknowledge(&mut self) -> Option<(u64, u32)> {
        let core = core();
        let source = self.local.read(SOURCE + 4 * core);
        let timers = (0..TIMERS.len()).rev().find(|bit| source & 1 << bit != 0).map(|bit| TIMERS[bit]);
        let irq = timers.or_else(|| self.software(source, core)).or_else(|| self.shared(source))?;
        Some((irq, 0))
    }

    fn software(&mut self, source: u32, core: u64) -> Option<u64> {
        if source & SOURCE_MAILBOX == 0 {
            return None;
        }
        let mailbox = MAILBOX_CLEAR + MAILBOXES * core;
        let come = self.local.read(mailbox);
        self.local.write(mailbox, come);
        let software = &mut self.software[index(core)];
        software.waiting |= come;
        let ready = software.waiting & software.enabled;
        let irq = (ready != 0).then(|| u64::from(ready.trailing_zeros()))?;
        software.waiting &= !(1 << irq);
        // What is left comes again.
        let rest = ready & !(1 << irq);
        if rest != 0 {
            self.local.write(MAILBOX_SET + MAILBOXES * core, rest);
        }
        Some(irq)
    }

    fn shared(&mut self, source: u32) -> Option<u64> {
        if source & SOURCE_GPU == 0 {
            return None;
        }
        let pending = [PENDING, PENDING + 4, BASIC_PENDING];
        (0..3_u64).find_map(|word| {
            // The basic register says more in its upper bits: they are not enabled here.
            let ready = self.legacy.read(pending[index(word)]) & self.enabled[index(word)];
            (ready != 0).then(|| SHARED + 32 * word + u64::from(ready.trailing_zeros()))
        })
    }
}

/// This core's number.
fn core() -> u64 {
    registers::mpidr_el1() & 3
}

fn index(word: u64) -> usize {
    crate::cache::address(word)
}
