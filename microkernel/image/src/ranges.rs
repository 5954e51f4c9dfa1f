//! Ranges of physical addresses, without a heap.
use board::Region;
use microkernel_core::fdt::Range;

/// Pieces that a list can have.
const PIECES_MAX: usize = 32;

/// A list of ranges.
pub(crate) struct Ranges {
    list: [Range; PIECES_MAX],
    count: usize,
}

impl Ranges {
    /// No range.
    pub(crate) const fn new() -> Self {
        Self { list: [Range { start: 0, end: 0 }; PIECES_MAX], count: 0 }
    }

    /// Adds a range that is not empty.
    pub(crate) fn add(&mut self, start: u64, end: u64) {
        if start < end {
            assert!(self.count < self.list.len(), "more pieces of memory than PIECES_MAX allows");
            self.list[self.count] = Range { start, end };
            self.count += 1;
        }
    }

    /// Adds a region of a board's description.
    pub(crate) fn add_region(&mut self, region: Region) {
        let Range { start, end } = range(region);
        self.add(start, end);
    }

    /// All of them.
    pub(crate) fn get(&self) -> &[Range] {
        &self.list[..self.count]
    }

    /// What is left without `hole`.
    pub(crate) fn without(&self, hole: Range) -> Self {
        let mut rest = Self::new();
        for range in self.get() {
            rest.add(range.start, range.end.min(hole.start));
            rest.add(range.start.max(hole.end), range.end);
        }
        rest
    }
}

/// A region as the kernel's core writes it.
pub(crate) const fn range(region: Region) -> Range {
    Range { start: region.start, end: region.start + region.size }
}
