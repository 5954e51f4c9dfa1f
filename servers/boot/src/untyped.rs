//! Untyped memory: which capability the next object is carved from.
//!
//! The pool mirrors the kernel's rule for `Untyped_Retype`: an object starts at the first multiple of its size
//! behind what the untyped has given already, and nothing is given back while a child lives. So each answer of
//! [`Pool::take`] must be followed by exactly that retype, and by no other on the same capability.

use heapless::Vec;

/// The most untyped capabilities that a pool keeps track of: what BootInfo lists, and what
/// [`Pool::take_device`] splits off.
pub const UNTYPEDS_MAX: usize = 320;

/// The smallest untyped that can be split off, as a power of two.
pub const SIZE_BITS_MIN: u8 = 4;

/// An untyped capability and how much of it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untyped {
    /// Where the capability is.
    pub slot: u64,
    /// The first physical address.
    pub paddr: u64,
    /// Its size as a power of two.
    pub size_bits: u8,
    /// Whether it is memory of a device: only frames and untypeds can be made of it.
    pub device: bool,
    /// Bytes from the start that are taken, or lie before a taken object.
    pub used: u64,
}

impl Untyped {
    const fn size(&self) -> u64 {
        1 << self.size_bits
    }

    /// Where the next object of this size would start, if it fits.
    fn place(&self, size_bits: u8) -> Option<u64> {
        let size = 1_u64.checked_shl(size_bits.into())?;
        let start = self.used.checked_next_multiple_of(size)?;
        (start.checked_add(size)? <= self.size()).then_some(start)
    }
}

/// Why there is no memory for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeError {
    /// No untyped has room for an object of this size.
    Exhausted(u8),
    /// No device untyped covers this physical address, or the part that does is taken.
    NoDevice(u64),
    /// [`UNTYPEDS_MAX`] is reached.
    TooMany,
}

/// What [`Pool::take_device`] asks its caller to do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceStep {
    /// Retype `from` into an untyped of this size, and tell the pool its slot by [`Pool::add_split`].
    Split {
        /// The capability to retype.
        from: u64,
        /// Size of the new untyped.
        size_bits: u8,
        /// Its first physical address.
        paddr: u64,
    },
    /// Retype `from`: the object starts at the address asked for. Done.
    Take {
        /// The capability to retype.
        from: u64,
    },
}

/// The untyped memory that the root task still owns.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    list: Vec<Untyped, UNTYPEDS_MAX>,
}

impl Pool {
    /// A pool without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Adds an untyped that nothing has been made of.
    pub fn add(&mut self, slot: u64, paddr: u64, size_bits: u8, device: bool) -> Result<(), TakeError> {
        self.list.push(Untyped { slot, paddr, size_bits, device, used: 0 }).map_err(|_| TakeError::TooMany)
    }

    /// The capability to retype for one object of this size.
    ///
    /// Takes the tightest fit, so that large untypeds stay whole for those who ask for large ones.
    pub fn take(&mut self, size_bits: u8) -> Result<u64, TakeError> {
        let best = self
            .list
            .iter_mut()
            .filter(|untyped| !untyped.device)
            .filter_map(|untyped| untyped.place(size_bits).map(|start| (untyped, start)))
            .min_by_key(|(untyped, start)| (untyped.size() - start, untyped.paddr));
        let (untyped, start) = best.ok_or(TakeError::Exhausted(size_bits))?;
        untyped.used = start + (1 << size_bits);
        Ok(untyped.slot)
    }

    /// The next step towards an object of `size_bits` at the device address `paddr`.
    ///
    /// Call until it answers [`DeviceStep::Take`]. Skipped memory becomes untypeds of the pool, so devices can be
    /// taken in any order.
    pub fn take_device(&mut self, paddr: u64, size_bits: u8) -> Result<DeviceStep, TakeError> {
        let full = self.list.is_full();
        let untyped = self
            .list
            .iter_mut()
            .filter(|untyped| untyped.device)
            .find(|untyped| paddr >= untyped.paddr + untyped.used && paddr < untyped.paddr + untyped.size())
            .ok_or(TakeError::NoDevice(paddr))?;
        let offset = paddr - untyped.paddr;
        let size = 1_u64.checked_shl(size_bits.into()).ok_or(TakeError::NoDevice(paddr))?;
        if !offset.is_multiple_of(size) || offset + size > untyped.size() {
            return Err(TakeError::NoDevice(paddr));
        }
        if untyped.used == offset {
            untyped.used += size;
            return Ok(DeviceStep::Take { from: untyped.slot });
        }
        if full {
            return Err(TakeError::TooMany);
        }
        let split_bits = split_size(untyped.used, offset);
        if split_bits < SIZE_BITS_MIN {
            return Err(TakeError::NoDevice(paddr));
        }
        let step = DeviceStep::Split {
            from: untyped.slot,
            size_bits: split_bits,
            paddr: untyped.paddr + untyped.used,
        };
        untyped.used += 1 << split_bits;
        Ok(step)
    }

    /// Records the untyped that a [`DeviceStep::Split`] made.
    pub fn add_split(&mut self, slot: u64, paddr: u64, size_bits: u8) -> Result<(), TakeError> {
        self.add(slot, paddr, size_bits, true)
    }

    /// Bytes of ordinary memory that nothing has been made of.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.list.iter().filter(|untyped| !untyped.device).map(|untyped| untyped.size() - untyped.used).sum()
    }
}

/// The largest power of two that may start at `from` and ends at or before `to`.
fn split_size(from: u64, to: u64) -> u8 {
    let alignment = if from == 0 { 63 } else { from.trailing_zeros() };
    let room = (to - from).ilog2();
    u8::try_from(alignment.min(room)).expect("a number of bits is below 64")
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec as StdVec;

    #[test]
    fn the_tightest_untyped_is_taken() {
        let mut pool = Pool::new();
        pool.add(1, 0x4000_0000, 20, false).unwrap();
        pool.add(2, 0x4010_0000, 13, false).unwrap();
        pool.add(3, 0x0900_0000, 30, true).unwrap();
        assert_eq!(pool.take(12), Ok(2));
        assert_eq!(pool.take(11), Ok(2));
        assert_eq!(pool.take(12), Ok(1));
        assert_eq!(pool.take(5), Ok(2));
        assert_eq!(pool.take(21), Err(TakeError::Exhausted(21)));
        assert_eq!(pool.free_bytes(), (1 << 20) - 4096 + 2048 - 32);
    }

    #[test]
    fn placement_follows_the_kernels_rule() {
        let mut untyped = Untyped { slot: 1, paddr: 0, size_bits: 13, device: false, used: 0 };
        assert_eq!(untyped.place(12), Some(0));
        untyped.used = 16;
        assert_eq!(untyped.place(12), Some(4096));
        untyped.used = 4097;
        assert_eq!(untyped.place(12), None);
        assert_eq!(untyped.place(200), None);
    }

    /// Plays the kernel: follows the steps and checks that each retype lands where the pool believes.
    fn follow(pool: &mut Pool, kernel: &mut StdVec<(u64, u64, u64)>, paddr: u64, bits: u8) -> bool {
        loop {
            match pool.take_device(paddr, bits) {
                Err(_) => return false,
                Ok(DeviceStep::Split { from, size_bits, paddr: at }) => {
                    assert_eq!(retype(kernel, from, size_bits), at);
                    let slot = 100 + kernel.len() as u64;
                    kernel.push((slot, at, 0));
                    pool.add_split(slot, at, size_bits).unwrap();
                }
                Ok(DeviceStep::Take { from }) => {
                    assert_eq!(retype(kernel, from, bits), paddr);
                    return true;
                }
            }
        }
    }

    fn retype(kernel: &mut [(u64, u64, u64)], slot: u64, bits: u8) -> u64 {
        let untyped = kernel.iter_mut().find(|untyped| untyped.0 == slot).unwrap();
        let start = untyped.2.next_multiple_of(1 << bits);
        untyped.2 = start + (1 << bits);
        untyped.1 + start
    }

    #[test]
    fn devices_are_taken_in_any_order() {
        let devices = [0x0901_0000, 0x0900_0000, 0x0b00_0000, 0x0801_0000, 0x0900_1000];
        for rotation in 0..devices.len() {
            let mut pool = Pool::new();
            let mut kernel = std::vec![(1, 0x0800_0000, 0), (2, 0, 0)];
            pool.add(1, 0x0800_0000, 27, true).unwrap();
            pool.add(2, 0, 27, true).unwrap();
            for index in 0..devices.len() {
                let paddr = devices[(index + rotation) % devices.len()];
                assert!(follow(&mut pool, &mut kernel, paddr, 12), "{paddr:#x}");
            }
            assert!(!follow(&mut pool, &mut kernel, 0x0900_0000, 12), "a frame is taken once");
            assert_eq!(pool.take_device(0x4000_0000, 12), Err(TakeError::NoDevice(0x4000_0000)));
        }
    }
}
