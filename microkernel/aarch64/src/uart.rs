//! The debug console: a PL011 that the loader has set up.
use crate::cache::address;
use microkernel_core::machine::to_kernel;

/// A PL011.
pub struct Uart {
    base: u64,
}

const DATA: u64 = 0;
const FLAGS: u64 = 0x18;
const FLAG_TX_FULL: u32 = 1 << 5;

impl Uart {
    /// The PL011 at a physical address.
    ///
    /// # Safety
    /// The registers are mapped as device memory in the direct map.
    pub const unsafe fn new(physical: u64) -> Self {
        Self { base: to_kernel(physical) }
    }

    /// Writes a byte, waiting for room.
    pub fn put(&mut self, byte: u8) {
        let flags = core::ptr::with_exposed_provenance::<u32>(address(self.base + FLAGS));
        // SAFETY: the registers are mapped (`new`).
        while unsafe { flags.read_volatile() } & FLAG_TX_FULL != 0 {}
        let data = core::ptr::with_exposed_provenance_mut::<u32>(address(self.base + DATA));
        // SAFETY: the registers are mapped (`new`).
        unsafe { data.write_volatile(u32::from(byte)) };
    }
}
