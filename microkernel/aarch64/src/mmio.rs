//! Device registers in the direct map.
use crate::cache::address;
use microkernel_core::machine::to_kernel;

/// Registers of a device of the kernel's.
///
/// Holding one proves that the registers are mapped as device memory: [`Registers::new`] was promised so.
#[derive(Clone, Copy)]
pub(crate) struct Registers(u64);

impl Registers {
    /// The registers at a physical address.
    ///
    /// # Safety
    /// They are mapped as device memory in the direct map as far as offsets are used, and accesses to them change no
    /// memory that Rust knows of.
    pub(crate) const unsafe fn new(physical: u64) -> Self {
        Self(to_kernel(physical))
    }

    /// The registers from `offset` on.
    pub(crate) const fn at(self, offset: u64) -> Self {
        Self(self.0 + offset)
    }

    /// Reads 32 bits.
    #[inline(always)]
    pub(crate) fn read(self, offset: u64) -> u32 {
        let at = core::ptr::with_exposed_provenance::<u32>(address(self.0 + offset));
        // SAFETY: the registers are mapped (`new`).
        unsafe { at.read_volatile() }
    }

    /// Writes 32 bits.
    #[inline(always)]
    pub(crate) fn write(self, offset: u64, value: u32) {
        let at = core::ptr::with_exposed_provenance_mut::<u32>(address(self.0 + offset));
        // SAFETY: the registers are mapped and change no memory that Rust knows of (`new`).
        unsafe { at.write_volatile(value) };
    }

    /// Reads 64 bits.
    pub(crate) fn read_wide(self, offset: u64) -> u64 {
        let at = core::ptr::with_exposed_provenance::<u64>(address(self.0 + offset));
        // SAFETY: the registers are mapped (`new`).
        unsafe { at.read_volatile() }
    }

    /// Writes 64 bits.
    pub(crate) fn write_wide(self, offset: u64, value: u64) {
        let at = core::ptr::with_exposed_provenance_mut::<u64>(address(self.0 + offset));
        // SAFETY: the registers are mapped and change no memory that Rust knows of (`new`).
        unsafe { at.write_volatile(value) };
    }
}

/// Clears and sets bits of a device's register at a physical address.
///
/// # Safety
/// The register is mapped as device memory in the direct map, and the change affects no memory that Rust knows of.
pub unsafe fn change_register(physical: u64, clear: u32, set: u32) {
    // SAFETY: the caller's promise.
    let register = unsafe { Registers::new(physical) };
    register.write(0, register.read(0) & !clear | set);
}
