//! How device logic reaches its device.

use crate::BarrierFlags;

/// The registers of one mapped device.
///
/// Device logic is generic over this trait: on the target it is the `bus_space` symbols over one mapping, on the host a
/// mock. Offsets are bytes from the start of the device and naturally aligned; an implementation may stop the program
/// on an offset outside the device.
pub trait Registers {
    /// Reads the 32-bit register at `offset`.
    fn read_4(&self, offset: u64) -> u32;

    /// Reads a register that may not be there; nothing where the access is a bus error.
    fn peek_4(&self, offset: u64) -> Option<u32> {
        Some(self.read_4(offset))
    }

    /// Writes the 32-bit register at `offset`.
    fn write_4(&self, offset: u64, value: u32);

    /// Orders accesses to the whole device against each other.
    fn barrier(&self, flags: BarrierFlags);
}
