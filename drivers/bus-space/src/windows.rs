//! Where the devices of a link domain are, and who has mapped which part of them.
//!
//! The linker server maps devices and tells each server of its own; the server opens the window here before it maps
//! anything. Windows are never taken away, since devices stay mapped as long as the link domain lives. Everything is
//! atomic: threads of different servers map at the same time.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::BusHandle;

/// Servers of one link domain that may have a device: window `n` is for the device of server `n`.
pub const SERVERS_MAX: usize = 16;
/// Windows of one link domain: behind those of the devices come those of memory that the same servers' devices read and
/// write by themselves, in the same order.
pub const WINDOWS_MAX: usize = 2 * SERVERS_MAX;
/// Mappings of one device that exist at a time.
pub const MAPPINGS_MAX: usize = 4;
/// A mapping's unit in bytes: what a word of the table counts in.
const UNIT: u64 = 4;

/// All devices.
#[derive(Debug)]
pub struct Windows {
    windows: [Window; WINDOWS_MAX],
}

#[derive(Debug)]
struct Window {
    /// Bus address; set last, so that a window that can be found is complete. 0 is empty.
    physical: AtomicU64,
    address: AtomicU64,
    size: AtomicU64,
    /// Mapped ranges, as first unit and units in one word: `first << 32 | units`. 0 is free.
    mappings: [AtomicU64; MAPPINGS_MAX],
}

/// Why a map is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// No device is at the address.
    NoDevice,
    /// The range leaves the device, or is empty.
    Range,
    /// Part of the range is mapped already, or the device has too many mappings.
    Taken,
}

impl Windows {
    /// No devices.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            windows: [const {
                Window {
                    physical: AtomicU64::new(0),
                    address: AtomicU64::new(0),
                    size: AtomicU64::new(0),
                    mappings: [const { AtomicU64::new(0) }; MAPPINGS_MAX],
                }
            }; WINDOWS_MAX],
        }
    }

    /// Opens the window of server number `index`, or opens it again after a restart: its mappings are then gone.
    /// A number that is too high has no window, and its server's maps are refused.
    pub fn open(&self, index: usize, physical: u64, address: u64, size: u64) {
        let Some(window) = self.windows.get(index) else { return };
        window.address.store(address, Ordering::Relaxed);
        window.size.store(size, Ordering::Relaxed);
        for mapping in &window.mappings {
            mapping.store(0, Ordering::Relaxed);
        }
        window.physical.store(physical, Ordering::Release);
    }

    /// Reserves a range of bus addresses and gives its handle.
    pub fn map(&self, physical: u64, size: u64) -> Result<BusHandle, MapError> {
        let (_, window) = self.by_physical(physical).ok_or(MapError::NoDevice)?;
        let offset = physical - window.physical();
        let word = word_of(offset, size).filter(|_| window.contains(offset, size)).ok_or(MapError::Range)?;
        window.reserve(word).then(|| BusHandle::new(window.address() + offset)).ok_or(MapError::Taken)
    }

    /// Ends the reservation of exactly this range; `false` when there is none.
    pub fn unmap(&self, handle: BusHandle, size: u64) -> bool {
        self.by_address(handle).is_some_and(|(_, window)| {
            word_of(handle.address() - window.address(), size).is_some_and(|word| window.release(word))
        })
    }

    /// Whether `size` bytes at `start` lie in the device of `handle`, at or behind it.
    #[must_use]
    pub fn contains(&self, handle: BusHandle, start: u64, size: u64) -> bool {
        self.by_address(handle).is_some_and(|(_, window)| {
            start >= handle.address() && window.contains(start - window.address(), size)
        })
    }

    /// The number of the device that a handle lies in.
    #[must_use]
    pub fn device(&self, handle: BusHandle) -> Option<u32> {
        self.by_address(handle).and_then(|(index, _)| u32::try_from(index).ok())
    }

    /// The bus address that a handle stands for.
    #[must_use]
    pub fn physical(&self, handle: BusHandle) -> Option<u64> {
        self.by_address(handle).map(|(_, window)| handle.address() - window.address() + window.physical())
    }

    /// A handle of the whole device in the first window that is open.
    #[must_use]
    pub fn first(&self) -> Option<BusHandle> {
        self.windows
            .iter()
            .find(|window| window.physical() != 0)
            .map(|window| BusHandle::new(window.address()))
    }

    fn by_physical(&self, physical: u64) -> Option<(usize, &Window)> {
        self.find(physical, Window::physical)
    }

    fn by_address(&self, handle: BusHandle) -> Option<(usize, &Window)> {
        self.find(handle.address(), |window| if window.physical() == 0 { 0 } else { window.address() })
    }

    fn find(&self, wanted: u64, start: impl Fn(&Window) -> u64) -> Option<(usize, &Window)> {
        self.windows.iter().enumerate().find(|(_, window)| {
            let start = start(window);
            let inside = wanted.checked_sub(start).is_some_and(|offset| window.contains(offset, 1));
            start != 0 && inside
        })
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self::new()
    }
}

impl Window {
    fn physical(&self) -> u64 {
        self.physical.load(Ordering::Acquire)
    }

    fn address(&self) -> u64 {
        self.address.load(Ordering::Relaxed)
    }

    fn contains(&self, offset: u64, size: u64) -> bool {
        let all = self.size.load(Ordering::Relaxed);
        offset <= all && all - offset >= size
    }

    /// The reservation is written before the others are looked at, so of two threads that reserve overlapping ranges at
    /// the same time at most one succeeds.
    fn reserve(&self, word: u64) -> bool {
        let claim =
            |slot: &&AtomicU64| slot.compare_exchange(0, word, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        let Some(mine) = self.mappings.iter().find(claim) else { return false };
        let free = self.mappings.iter().filter(|slot| !core::ptr::eq(*slot, mine)).all(|slot| {
            let other = slot.load(Ordering::SeqCst);
            other == 0 || !overlap(other, word)
        });
        if !free {
            mine.store(0, Ordering::SeqCst);
        }
        free
    }

    fn release(&self, word: u64) -> bool {
        let free =
            |slot: &AtomicU64| slot.compare_exchange(word, 0, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        self.mappings.iter().any(free)
    }
}

fn word_of(offset: u64, size: u64) -> Option<u64> {
    let first = offset / UNIT;
    let end = offset.checked_add(size)?.div_ceil(UNIT);
    (size != 0 && end < 1 << 31).then_some(first << 32 | (end - first))
}

const fn overlap(a: u64, b: u64) -> bool {
    let (a_first, a_count) = (a >> 32, a & 0xffff_ffff);
    let (b_first, b_count) = (b >> 32, b & 0xffff_ffff);
    a_first < b_first + b_count && b_first < a_first + a_count
}

#[cfg(test)]
mod tests {
    use super::{MAPPINGS_MAX, MapError, WINDOWS_MAX, Windows};
    use crate::BusHandle;

    const UART: u64 = 0x0900_0000;
    const AT: u64 = 0x2000_0000;

    fn windows() -> Windows {
        let windows = Windows::new();
        windows.open(0, UART, AT, 0x1000);
        windows.open(1, UART + 0x1_0000, AT + 0x1_0000, 0x1000);
        windows
    }

    #[test]
    fn a_device_is_mapped_once_and_again_after_unmap_or_restart() {
        let windows = windows();
        let handle = windows.map(UART, 0x1000).unwrap();
        assert_eq!(handle, BusHandle::new(AT));
        assert_eq!(windows.map(UART + 0x800, 4), Err(MapError::Taken));
        assert!(!windows.unmap(handle, 0x800) && windows.unmap(handle, 0x1000));
        assert_eq!(windows.map(UART + 0x800, 0x800), Ok(BusHandle::new(AT + 0x800)));
        windows.open(0, UART, AT, 0x1000);
        assert!(windows.map(UART, 0x1000).is_ok());
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let windows = windows();
        assert_eq!(windows.map(0x0b00_0000, 4), Err(MapError::NoDevice));
        assert_eq!(windows.map(UART + 0x1000, 4), Err(MapError::NoDevice));
        assert_eq!(windows.map(UART + 0xffc, 8), Err(MapError::Range));
        assert_eq!(windows.map(UART, 0), Err(MapError::Range));
        assert_eq!(windows.map(UART, u64::MAX), Err(MapError::Range));
        windows.open(WINDOWS_MAX, 0x0b00_0000, AT + 0x2_0000, 0x1000);
        assert_eq!(windows.map(0x0b00_0000, 4), Err(MapError::NoDevice));
        assert!(windows.contains(BusHandle::new(AT + 4), AT + 8, 0xff8));
        assert!(!windows.contains(BusHandle::new(AT + 4), AT, 4));
        assert!(!windows.contains(BusHandle::new(AT + 4), AT + 8, 0xff9));
    }

    #[test]
    fn a_handle_tells_its_device_and_bus_address() {
        let windows = windows();
        let second = BusHandle::new(AT + 0x1_0018);
        assert_eq!((windows.device(second), windows.physical(second)), (Some(1), Some(UART + 0x1_0018)));
        assert_eq!(
            (windows.device(BusHandle::new(0)), windows.physical(BusHandle::new(AT + 0x1000))),
            (None, None)
        );
        assert_eq!(windows.first(), Some(BusHandle::new(AT)));
    }

    #[test]
    fn mappings_are_bounded() {
        let windows = windows();
        for i in 0..MAPPINGS_MAX as u64 {
            assert!(windows.map(UART + 8 * i, 8).is_ok());
        }
        assert_eq!(windows.map(UART + 0x100, 8), Err(MapError::Taken));
    }
}
