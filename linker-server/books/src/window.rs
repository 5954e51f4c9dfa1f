//! Which addresses of the link domain are free, and whose the others are: next fit, with poison.
//!
//! The addresses of an unloaded module stay unmapped for [`POISON_UNLOADS`] further unloads, so
//! that a stale call faults at a place that names the module, instead of running in its successor.
//!
//! Nothing that a load or an unload does here costs more when more is loaded: ranges are a list in the order of their
//! addresses that is entered where the last one was taken, and a table of pages says which range an address lies in.
//! Only when the gap there is too small, every range is passed.

use crate::{PAGE_SIZE, POISON_UNLOADS, RANGES_MAX, WINDOW_PAGES_MAX};
use heapless::Deque;

/// Why no range was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowError {
    /// No gap of this many bytes is left.
    NoGap(u64),
    /// More than [`RANGES_MAX`] ranges.
    TooMany,
}

/// A range's number plus one; 0 is none, and so the list's end.
type Link = u8;
const _: () = assert!(RANGES_MAX < u8::MAX as usize && RANGES_MAX <= u128::BITS as usize);

#[derive(Clone, Copy)]
struct Range {
    start: u64,
    end: u64,
    previous: Link,
    next: Link,
    poisoned: bool,
    // Plus one; 0 is nobody.
    owner: u8,
}

/// The book of addresses of one window.
// Nothing but zeros before it is opened: a window that is a static takes no room in the server's image.
pub struct Window {
    start: u64,
    end: u64,
    /// Where the next search begins.
    next: u64,
    /// The last range in front of that.
    before: Link,
    first: Link,
    ranges: [Range; RANGES_MAX],
    // One bit for each range in use.
    used: u128,
    /// The poisoned ranges, the oldest first.
    poisoned: Deque<Link, { POISON_UNLOADS as usize }>,
    /// The range of each page.
    pages: [Link; WINDOW_PAGES_MAX],
}

impl Window {
    /// A window of nothing.
    pub const EMPTY: Self = Self {
        start: 0,
        end: 0,
        next: 0,
        before: 0,
        first: 0,
        ranges: [Range { start: 0, end: 0, previous: 0, next: 0, poisoned: false, owner: 0 }; RANGES_MAX],
        used: 0,
        poisoned: Deque::new(),
        pages: [0; WINDOW_PAGES_MAX],
    };

    /// Opens it from `start` to `end`, multiples of the page size, all free. What exceeds [`WINDOW_PAGES_MAX`] is not used.
    pub fn open(&mut self, start: u64, end: u64) {
        assert!(self.used == 0, "a window is opened once, before anything is in it");
        let end = end.min(start + WINDOW_PAGES_MAX as u64 * PAGE_SIZE);
        (self.start, self.end, self.next) = (start, end, start);
    }

    /// Takes `size` bytes (a multiple of the page size) and returns the first address.
    ///
    /// Poisoned ranges are used only when nothing else is left, the oldest first.
    ///
    /// # Errors
    /// [`WindowError`] when no gap is left or too many ranges are in use.
    pub fn take(&mut self, size: u64) -> Result<u64, WindowError> {
        loop {
            let found = self.find(self.before, self.next, size).or_else(|| self.find(0, self.start, size));
            let free = (!self.used).trailing_zeros() as usize;
            match found {
                Some((before, start)) if free < RANGES_MAX => {
                    self.insert(free, before, start, start + size);
                    return Ok(start);
                }
                found => {
                    let Some(oldest) = self.poisoned.pop_front() else {
                        return Err(match found {
                            Some(_) => WindowError::TooMany,
                            None => WindowError::NoGap(size),
                        });
                    };
                    self.remove(oldest);
                }
            }
        }
    }

    /// Says whose the range at `start` is.
    pub fn set_owner(&mut self, start: u64, owner: u8) {
        if let Some(range) = self.number_at(start).and_then(|number| self.range_mut(number)) {
            range.owner = owner + 1;
        }
    }

    /// Whose an address is, if its range is mapped and somebody's.
    #[must_use]
    #[inline]
    pub fn owner(&self, at: u64) -> Option<u8> {
        let range = self.range(self.number_at(at)?)?;
        range.owner.checked_sub(1).filter(|_| !range.poisoned)
    }

    /// Gives back the range at `start`, which is unmapped now. It stays poisoned.
    pub fn poison(&mut self, start: u64) {
        let Some(number) = self.number_at(start) else { return };
        let Some(range) = self.range_mut(number).filter(|range| !range.poisoned) else { return };
        (range.poisoned, range.owner) = (true, 0);
        if self.poisoned.is_full()
            && let Some(oldest) = self.poisoned.pop_front()
        {
            self.remove(oldest);
        }
        let _ = self.poisoned.push_back(number);
    }

    /// Gives back the range at `start` at once: nothing was ever reachable there.
    pub fn give_back(&mut self, start: u64) {
        if let Some(number) = self.number_at(start) {
            self.remove(number);
        }
    }

    /// Whether an address lies in a range that is mapped.
    #[must_use]
    pub fn is_mapped(&self, at: u64) -> bool {
        self.number_at(at).and_then(|number| self.range(number)).is_some_and(|range| !range.poisoned)
    }

    /// Whether an address lies in a poisoned range.
    #[must_use]
    pub fn is_poisoned(&self, at: u64) -> bool {
        self.number_at(at).and_then(|number| self.range(number)).is_some_and(|range| range.poisoned)
    }

    fn range(&self, number: Link) -> Option<&Range> {
        self.ranges.get(usize::from(number.checked_sub(1)?))
    }

    fn range_mut(&mut self, number: Link) -> Option<&mut Range> {
        self.ranges.get_mut(usize::from(number.checked_sub(1)?))
    }

    fn page(&self, at: u64) -> Option<usize> {
        usize::try_from(at.checked_sub(self.start)? / PAGE_SIZE).ok()
    }

    #[inline]
    fn number_at(&self, at: u64) -> Option<Link> {
        self.pages.get(self.page(at)?).copied().filter(|number| *number != 0)
    }

    /// The first gap of this size behind range `before` and not below `from`, and the range in front of it.
    fn find(&self, mut before: Link, from: u64, size: u64) -> Option<(Link, u64)> {
        loop {
            let (behind, next) =
                self.range(before).map_or((from, self.first), |range| (range.end, range.next));
            let at = behind.max(from);
            let end = self.range(next).map_or(self.end, |range| range.start);
            if at.checked_add(size)? <= end {
                return Some((before, at));
            }
            if next == 0 {
                return None;
            }
            before = next;
        }
    }

    fn insert(&mut self, free: usize, before: Link, start: u64, end: u64) {
        let number = u8::try_from(free + 1).expect("there are fewer ranges than that");
        let next = self.range(before).map_or(self.first, |range| range.next);
        self.ranges[free] = Range { start, end, previous: before, next, poisoned: false, owner: 0 };
        self.used |= 1 << free;
        self.join(before, number);
        self.join(number, next);
        self.mark(start, end, number);
        (self.next, self.before) = (end, number);
    }

    fn remove(&mut self, number: Link) {
        let Some(&Range { start, end, previous, next, .. }) = self.range(number) else { return };
        self.used &= !(1 << (number - 1));
        self.join(previous, next);
        self.mark(start, end, 0);
        if self.before == number {
            self.before = previous;
        }
    }

    /// Makes two ranges neighbours.
    fn join(&mut self, left: Link, right: Link) {
        match self.range_mut(left) {
            Some(left) => left.next = right,
            None => self.first = right,
        }
        if let Some(right) = self.range_mut(right) {
            right.previous = left;
        }
    }

    fn mark(&mut self, start: u64, end: u64, number: Link) {
        let pages =
            self.page(start).zip(self.page(end)).and_then(|(first, last)| self.pages.get_mut(first..last));
        pages.expect("a range lies in the window").fill(number);
    }
}

#[cfg(test)]
mod tests {
    //! Goal: no two mapped ranges overlap; a poisoned range is not used again for N unloads.
    use super::*;

    const PAGE: u64 = PAGE_SIZE;

    fn window(start: u64, end: u64) -> std::boxed::Box<Window> {
        let mut window = std::boxed::Box::new(Window::EMPTY);
        window.open(start, end);
        window
    }

    #[test]
    fn an_unloaded_range_stays_poisoned_for_n_unloads() {
        let mut window = window(0x1300_0000, 0x1300_0000 + 100 * PAGE);
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
        let mut window = window(0, 3 * PAGE);
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
        let mut window = window(0x1300_0000, 0x1700_0000);
        let fixed = window.take(7 * PAGE).unwrap();
        for turn in 0..10_000_u64 {
            let start = window.take((1 + turn % 5) * PAGE).unwrap();
            window.set_owner(start, 7);
            assert_eq!((window.owner(start), window.owner(start + turn % 5 * PAGE)), (Some(7), Some(7)));
            assert!(start >= fixed + 7 * PAGE || start + (1 + turn % 5) * PAGE <= fixed);
            window.poison(start);
            assert_eq!(window.owner(start), None);
        }
        assert!(window.is_mapped(fixed));
        assert_eq!(window.owner(fixed), None);
    }

    #[test]
    fn the_list_and_the_pages_say_the_same_whatever_is_taken_and_given_back() {
        let mut window = window(0x1000, 0x1000 + 40 * PAGE);
        let mut taken: std::vec::Vec<(u64, u64)> = std::vec::Vec::new();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let draw = state >> 33;
            let (what, size) = (draw % 4, (1 + draw / 4 % 6) * PAGE);
            if what < 2 {
                // Refused only where no gap is wide enough, poison aside.
                match window.take(size) {
                    Ok(start) => {
                        let end = start + size;
                        assert!(start >= 0x1000 && end <= 0x1000 + 40 * PAGE);
                        assert!(taken.iter().all(|(low, high)| end <= *low || start >= *high), "no overlap");
                        taken.push((start, end));
                    }
                    Err(error) => {
                        assert_eq!(error, WindowError::NoGap(size));
                        taken.sort_unstable();
                        let ends = core::iter::once(0x1000).chain(taken.iter().map(|(_, high)| *high));
                        let starts = taken.iter().map(|(low, _)| *low).chain([0x1000 + 40 * PAGE]);
                        assert!(
                            ends.zip(starts).all(|(low, high)| high - low < size),
                            "a gap was overlooked"
                        );
                    }
                }
            } else if !taken.is_empty() {
                let (start, _) = taken.swap_remove(usize::try_from(draw / 32).unwrap() % taken.len());
                if what == 2 {
                    window.poison(start)
                } else {
                    window.give_back(start)
                }
                assert_eq!((window.is_mapped(start), window.is_poisoned(start)), (false, what == 2));
            }
            for page in 0..40 {
                let at = 0x1000 + page * PAGE;
                let mapped = taken.iter().any(|(low, high)| (*low..*high).contains(&at));
                assert_eq!(window.is_mapped(at + 5), mapped, "page {page}");
            }
        }
    }
}
