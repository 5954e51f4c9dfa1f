//! Where the devices of this link domain are: bus address, virtual address, size.
//!
//! The linker server maps devices and tells each server of its own; the server opens the window here before it maps
//! anything. Windows are never taken away, since devices stay mapped as long as the link domain lives.

use core::sync::atomic::{AtomicU64, Ordering};

use bus_space::BusHandle;

/// Devices of one link domain.
pub const WINDOWS_MAX: usize = 8;
/// Mappings of one device that exist at a time.
pub const MAPPINGS_MAX: usize = 4;

/// One device.
#[derive(Debug)]
pub(crate) struct Window {
    /// Bus address; the last field to be set, so that a window that can be found is complete. 0 is empty.
    physical: AtomicU64,
    address: AtomicU64,
    size: AtomicU64,
    /// Mapped ranges, as first page and pages in one word: `first << 32 | pages`. 0 is free.
    mappings: [AtomicU64; MAPPINGS_MAX],
}

static WINDOWS: [Window; WINDOWS_MAX] = [const {
    Window {
        physical: AtomicU64::new(0),
        address: AtomicU64::new(0),
        size: AtomicU64::new(0),
        mappings: [const { AtomicU64::new(0) }; MAPPINGS_MAX],
    }
}; WINDOWS_MAX];

/// A mapping's unit: it need not be a page of the memory management unit, it only bounds the table's words.
const UNIT: u64 = 4;

/// Opens the window of server number `index`, or opens it again after a restart: its mappings are then gone.
pub fn open(index: usize, physical: u64, address: u64, size: u64) {
    let Some(window) = WINDOWS.get(index) else { return };
    window.address.store(address, Ordering::Relaxed);
    window.size.store(size, Ordering::Relaxed);
    for mapping in &window.mappings {
        mapping.store(0, Ordering::Relaxed);
    }
    window.physical.store(physical, Ordering::Release);
}

/// A place in a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) index: usize,
    pub(crate) offset: u64,
    pub(crate) window: &'static Window,
}

impl Window {
    pub(crate) fn physical(&self) -> u64 {
        self.physical.load(Ordering::Acquire)
    }

    pub(crate) fn address(&self) -> u64 {
        self.address.load(Ordering::Relaxed)
    }

    /// Whether `size` bytes at `offset` lie inside.
    pub(crate) fn contains(&self, offset: u64, size: u64) -> bool {
        let all = self.size.load(Ordering::Relaxed);
        offset <= all && all - offset >= size
    }

    /// Reserves a range. `None` where it overlaps another mapping or the table is full.
    ///
    /// The reservation is written before the others are looked at, so of two threads that reserve overlapping ranges
    /// at the same time at most one succeeds.
    pub(crate) fn reserve(&self, offset: u64, size: u64) -> Option<()> {
        let word = word_of(offset, size)?;
        let mine = self
            .mappings
            .iter()
            .find(|slot| slot.compare_exchange(0, word, Ordering::SeqCst, Ordering::Relaxed).is_ok())?;
        let free = self.mappings.iter().filter(|slot| !core::ptr::eq(*slot, mine)).all(|slot| {
            let other = slot.load(Ordering::SeqCst);
            other == 0 || !overlap(other, word)
        });
        if !free {
            mine.store(0, Ordering::SeqCst);
        }
        free.then_some(())
    }

    /// Ends a reservation; `None` when there is none of exactly this range.
    pub(crate) fn release(&self, offset: u64, size: u64) -> Option<()> {
        let word = word_of(offset, size)?;
        self.mappings
            .iter()
            .find(|slot| slot.compare_exchange(word, 0, Ordering::SeqCst, Ordering::Relaxed).is_ok())
            .map(|_| ())
    }
}

const fn word_of(offset: u64, size: u64) -> Option<u64> {
    let first = offset / UNIT;
    let end = (offset + size).div_ceil(UNIT);
    if size == 0 || end >= 1 << 31 { None } else { Some(first << 32 | (end - first)) }
}

const fn overlap(a: u64, b: u64) -> bool {
    let (a_first, a_count) = (a >> 32, a & 0xffff_ffff);
    let (b_first, b_count) = (b >> 32, b & 0xffff_ffff);
    a_first < b_first + b_count && b_first < a_first + a_count
}

/// The window that holds a bus address.
pub(crate) fn by_physical(physical: u64) -> Option<Place> {
    find(physical, |window| window.physical())
}

/// The window that holds a virtual address.
pub(crate) fn by_address(address: u64) -> Option<Place> {
    find(address, |window| if window.physical() == 0 { 0 } else { window.address() })
}

fn find(wanted: u64, start: impl Fn(&Window) -> u64) -> Option<Place> {
    WINDOWS.iter().enumerate().find_map(|(index, window)| {
        let start = start(window);
        let offset = wanted.checked_sub(start)?;
        (start != 0 && offset < window.size.load(Ordering::Relaxed)).then_some(Place {
            index,
            offset,
            window,
        })
    })
}

/// A handle of the whole device in the first window that is open.
#[must_use]
pub fn first() -> Option<BusHandle> {
    WINDOWS.iter().find(|window| window.physical() != 0).map(|window| BusHandle::new(window.address()))
}
