//! The interrupt controller, whichever the board has.
//!
//! Numbers are a GIC's on every board: 0 to 15 software interrupts, 16 to 31 private to a core, shared ones from 32 on.
use crate::bcm2836::Bcm2836;
use crate::gicv2::GicV2;
use crate::gicv3::GicV3;

/// An interrupt controller that this core has set up: everything masked, level-sensitive, for core 0.
pub struct Interrupts(Controller);

enum Controller {
    GicV2(GicV2),
    GicV3(GicV3),
    Bcm2836(Bcm2836),
}

/// Does the same with each kind.
macro_rules! each {
    ($self:ident, $controller:ident => $work:expr) => {
        match &mut $self.0 {
            Controller::GicV2($controller) => $work,
            Controller::GicV3($controller) => $work,
            Controller::Bcm2836($controller) => $work,
        }
    };
}

impl Interrupts {
    /// A GICv2 at these physical addresses.
    ///
    /// # Safety
    /// Both register frames are mapped as device memory in the direct map, and nobody else uses them.
    pub unsafe fn gicv2(distributor: u64, cpu: u64) -> Self {
        // SAFETY: the caller's promise.
        Self(Controller::GicV2(unsafe { GicV2::new(distributor, cpu) }))
    }

    /// A GICv3 at these physical addresses; nothing if it has no redistributor for this core.
    ///
    /// # Safety
    /// As for [`Interrupts::gicv2`]; `size` bytes of redistributors are mapped.
    pub unsafe fn gicv3(distributor: u64, redistributors: u64, size: u64) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe { GicV3::new(distributor, redistributors, size) }.map(|gic| Self(Controller::GicV3(gic)))
    }

    /// The BCM2836's local controller and the BCM2835's at these physical addresses.
    ///
    /// # Safety
    /// As for [`Interrupts::gicv2`].
    pub unsafe fn bcm2836(local: u64, legacy: u64) -> Self {
        // SAFETY: the caller's promise.
        Self(Controller::Bcm2836(unsafe { Bcm2836::new(local, legacy) }))
    }

    /// What each core has of its own, on a core beyond the first. False if the controller has nothing for this core.
    #[cfg(feature = "smp")]
    pub(crate) fn set_up_core(&mut self) -> bool {
        match &mut self.0 {
            Controller::GicV2(gic) => gic.set_up_core(),
            Controller::GicV3(gic) => return gic.set_up_core(),
            Controller::Bcm2836(controller) => controller.set_up_core(),
        }
        true
    }

    /// Interrupts that the controller has.
    pub fn irqs(&self) -> u64 {
        match &self.0 {
            Controller::GicV2(gic) => gic.irqs(),
            Controller::GicV3(gic) => gic.irqs(),
            Controller::Bcm2836(_) => Bcm2836::IRQS,
        }
    }

    /// Masks or unmasks. A private interrupt is this core's.
    pub(crate) fn mask(&mut self, irq: u64, masked: bool) {
        each!(self, controller => controller.mask(irq, masked));
    }

    /// Edge or level, where the controller lets that be chosen.
    pub(crate) fn trigger(&mut self, irq: u64, edge: bool) {
        match &mut self.0 {
            Controller::GicV2(gic) => gic.trigger(irq, edge),
            Controller::GicV3(gic) => gic.trigger(irq, edge),
            // Its lines are what the devices make them.
            Controller::Bcm2836(_) => {}
        }
    }

    /// Sets which core a shared interrupt goes to, where each has a way of its own.
    pub(crate) fn route(&mut self, irq: u64, core: u64) {
        match &mut self.0 {
            Controller::GicV2(gic) => gic.route(irq, core),
            Controller::GicV3(gic) => gic.route(irq, core),
            // All shared interrupts come over one line, which stays core 0's.
            Controller::Bcm2836(_) => {}
        }
    }

    /// Raises a software interrupt on a core.
    pub(crate) fn raise(&mut self, irq: u64, core: u64) {
        each!(self, controller => controller.raise(irq, core));
    }

    /// Takes the next interrupt: its number and the word that ends it.
    #[inline]
    pub(crate) fn acknowledge(&mut self) -> Option<(u64, u32)> {
        each!(self, controller => controller.acknowledge())
    }

    /// Ends an interrupt.
    #[inline]
    pub(crate) fn end(&mut self, word: u32) {
        match &mut self.0 {
            Controller::GicV2(gic) => gic.end(word),
            Controller::GicV3(gic) => gic.end(word),
            // It knows nothing of interrupts that are being served.
            Controller::Bcm2836(_) => {}
        }
    }
}
