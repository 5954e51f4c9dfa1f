//! Typed access to one mapped device.

use bus_space::{BarrierFlags, BusHandle, BusTag, MapFlags, Registers};
use strata_protocol::Errno;

use crate::registration::Registration;
use crate::symbols::{
    bus_space_barrier, bus_space_map, bus_space_peek_4, bus_space_read_4, bus_space_unmap, bus_space_write_4,
};
use crate::thread;

/// A mapped device.
///
/// Holding one proves that `size` bytes of it are mapped at its handle, by `bus_space_map` or as a module's registration, and
/// that nobody has unmapped them. Every access goes through the aliasable symbols, so every layer sees it.
#[derive(Debug)]
pub struct Device {
    tag: BusTag,
    handle: BusHandle,
    size: u64,
}

impl Device {
    /// Maps `size` bytes at bus address `address`.
    pub fn map(tag: BusTag, address: u64, size: u64, flags: MapFlags) -> Result<Self, Errno> {
        let mut handle = BusHandle::new(0);
        // SAFETY: `handle` outlives the call; the symbol takes any range and refuses what it does not have.
        match unsafe { bus_space_map(tag, address, size, flags, &raw mut handle) } {
            0 => Ok(Self { tag, handle, size }),
            number => Err(Errno::from_number(number).unwrap_or(Errno::EIO)),
        }
    }

    /// The registers that this module has [registered](crate::registration::device_memory): no `bus_space_map` knows them, and
    /// they are given back as a registration.
    ///
    /// # Safety
    /// `registers` stands for `size` bytes, and stays registered for as long as this value is used.
    #[must_use]
    pub const unsafe fn registered(tag: BusTag, registers: Registration, size: u64) -> Self {
        Self { tag, handle: BusHandle::new(registers.value), size }
    }

    /// Gives the mapping back; only for what was [mapped](Self::map).
    pub fn unmap(self) {
        // SAFETY: the mapping is ours, of this size, and `self` is gone afterwards.
        unsafe { bus_space_unmap(self.tag, self.handle, self.size) }
    }

    /// Where the device is mapped.
    #[must_use]
    pub fn handle(&self) -> BusHandle {
        self.handle
    }

    /// Whether an aligned access of `width` bytes at `offset` lies in the device.
    #[must_use]
    pub fn contains(&self, offset: u64, width: u64) -> bool {
        offset.is_multiple_of(width) && offset < self.size && self.size - offset >= width
    }
}

impl Registers for Device {
    #[inline]
    fn read_4(&self, offset: u64) -> u32 {
        assert!(self.contains(offset, 4), "the offset lies outside the device");
        // SAFETY: the device is mapped and the access lies inside it.
        unsafe { bus_space_read_4(self.tag, self.handle, offset) }
    }

    fn peek_4(&self, offset: u64) -> Option<u32> {
        assert!(self.contains(offset, 4), "the offset lies outside the device");
        let mut value = 0;
        let status = thread::bearing_bus_errors(|| {
            // SAFETY: the assertion; `value` outlives the call.
            unsafe { bus_space_peek_4(self.tag, self.handle, offset, &raw mut value) }
        });
        (status == 0).then_some(value)
    }

    #[inline]
    fn write_4(&self, offset: u64, value: u32) {
        assert!(self.contains(offset, 4), "the offset lies outside the device");
        // SAFETY: the device is mapped and the access lies inside it.
        unsafe { bus_space_write_4(self.tag, self.handle, offset, value) }
    }

    fn barrier(&self, flags: BarrierFlags) {
        // SAFETY: the range is the whole mapping.
        unsafe { bus_space_barrier(self.tag, self.handle, 0, self.size, flags) }
    }
}
