//! Which addresses of the link domain are free: next fit, with poison.
//!
//! The addresses of an unloaded module stay unmapped for [`POISON_UNLOADS`] further unloads, so
//! that a stale call faults at a place that names the module, instead of running in its successor.

use crate::{POISON_UNLOADS, RANGES_MAX};
use heapless::Vec;

/// Why no range was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowError {
    /// No gap of this many bytes is left.
    NoGap(u64),
    /// More than [`RANGES_MAX`] ranges.
    TooMany,
}

#[derive(Clone, Copy)]
struct Range {
    start: u64,
    end: u64,
    /// The number of the unload after which the range is free again; `None` while it is mapped.
    poisoned_until: Option<u32>,
}

/// The book of addresses of one window.
pub struct Window {
    start: u64,
    end: u64,
    next: u64,
    unloads: u32,
    ranges: Vec<Range, RANGES_MAX>,
}

impl Window {
    /// A window from `start` to `end`, all free.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end, next: start, unloads: 0, ranges: Vec::new() }
    }

    /// Takes `size` bytes (a multiple of the page size) and returns the first address.
    ///
    /// Poisoned ranges are used only when nothing else is left, the oldest first.
    ///
    /// # Errors
    /// [`WindowError`] when no gap is left or too many ranges are in use.
    pub fn take(&mut self, size: u64) -> Result<u64, WindowError> {
        loop {
            let found = self.find(self.next, size).or_else(|| self.find(self.start, size));
            match found {
                Some(start) if !self.ranges.is_full() => {
                    let range = Range { start, end: start + size, poisoned_until: None };
                    let at = self.ranges.iter().position(|other| other.start > start);
                    let at = at.unwrap_or(self.ranges.len());
                    if self.ranges.insert(at, range).is_err() {
                        return Err(WindowError::TooMany);
                    }
                    self.next = start + size;
                    return Ok(start);
                }
                found => {
                    if !self.forgive_oldest() {
                        return Err(match found {
                            Some(_) => WindowError::TooMany,
                            None => WindowError::NoGap(size),
                        });
                    }
                }
            }
        }
    }

    /// Gives back the range at `start`, which is unmapped now. It stays poisoned.
    pub fn poison(&mut self, start: u64) {
        self.unloads = self.unloads.wrapping_add(1);
        let until = self.unloads.wrapping_add(POISON_UNLOADS);
        if let Some(range) = self.ranges.iter_mut().find(|range| range.start == start) {
            range.poisoned_until = Some(until);
        }
        let now = self.unloads;
        self.ranges.retain(|range| range.poisoned_until.is_none_or(|until| until.wrapping_sub(now) != 0));
    }

    /// Gives back the range at `start` at once: nothing was ever reachable there.
    pub fn give_back(&mut self, start: u64) {
        self.ranges.retain(|range| range.start != start);
    }

    /// Whether an address lies in a range that is mapped.
    #[must_use]
    pub fn is_mapped(&self, at: u64) -> bool {
        self.ranges
            .iter()
            .any(|range| range.poisoned_until.is_none() && (range.start..range.end).contains(&at))
    }

    /// Whether an address lies in a poisoned range.
    #[must_use]
    pub fn is_poisoned(&self, at: u64) -> bool {
        self.ranges
            .iter()
            .any(|range| range.poisoned_until.is_some() && (range.start..range.end).contains(&at))
    }

    fn forgive_oldest(&mut self) -> bool {
        let now = self.unloads;
        let oldest = self
            .ranges
            .iter()
            .filter_map(|range| Some((range.poisoned_until?.wrapping_sub(now), range.start)))
            .min();
        match oldest {
            Some((_, start)) => {
                self.give_back(start);
                true
            }
            None => false,
        }
    }

    fn find(&self, from: u64, size: u64) -> Option<u64> {
        let mut at = from;
        for range in &self.ranges {
            if range.end <= at {
                continue;
            }
            if at.checked_add(size)? <= range.start {
                return Some(at);
            }
            at = range.end;
        }
        (at.checked_add(size)? <= self.end).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    //! Goal: no two mapped ranges overlap; a poisoned range is not used again for N unloads.
    use super::*;

    const PAGE: u64 = 4096;

    #[test]
    fn an_unloaded_range_stays_poisoned_for_n_unloads() {
        let mut window = Window::new(0x1300_0000, 0x1300_0000 + 100 * PAGE);
        let first = window.take(2 * PAGE).unwrap();
        window.poison(first);
        assert!(window.is_poisoned(first + 5000) && !window.is_mapped(first));
        for _ in 1..POISON_UNLOADS {
            let other = window.take(PAGE).unwrap();
            assert_ne!(other, first);
            window.poison(other);
            assert!(window.is_poisoned(first));
        }
        let other = window.take(PAGE).unwrap();
        window.poison(other);
        assert!(!window.is_poisoned(first), "after N unloads the addresses are free again");
    }

    #[test]
    fn a_full_window_uses_the_oldest_poison() {
        let mut window = Window::new(0, 3 * PAGE);
        let ranges = [PAGE, PAGE, PAGE].map(|size| window.take(size).unwrap());
        assert_eq!(window.take(PAGE), Err(WindowError::NoGap(PAGE)));
        window.poison(ranges[1]);
        window.poison(ranges[0]);
        assert_eq!(window.take(PAGE), Ok(ranges[1]), "the oldest first");
        assert_eq!(window.take(PAGE), Ok(ranges[0]));
        assert_eq!(window.take(PAGE), Err(WindowError::NoGap(PAGE)));
    }

    #[test]
    fn ten_thousand_loads_and_unloads() {
        let mut window = Window::new(0x1300_0000, 0x1700_0000);
        let fixed = window.take(7 * PAGE).unwrap();
        for turn in 0..10_000_u64 {
            let start = window.take((1 + turn % 5) * PAGE).unwrap();
            assert!(start >= fixed + 7 * PAGE || start + (1 + turn % 5) * PAGE <= fixed);
            window.poison(start);
        }
        assert!(window.is_mapped(fixed));
    }
}
