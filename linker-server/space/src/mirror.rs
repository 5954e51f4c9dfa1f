//! Reading and writing the link domain's pages through the mirror.
//!
//! A [`View`] stands for pages that `make_pages` has mapped; as long as it lives the pages are not
//! given back. Threads of the link domain may run on the same pages, so everything that they also
//! write is reached through atomics; plain bytes are handed out only for pages that nobody in the
//! link domain has an address of yet.

use crate::asm::any_within;
use crate::objects::PAGE_SIZE;
use crate::vspace::{Pages, mirror};
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use linker_unwind::Hull;
use strata_protocol::domain::{CommandPage, ThreadBlock};

/// Pages of the link domain as the linker server sees them.
#[derive(Clone, Copy, Debug)]
pub struct View {
    at: u64,
    size: u64,
}

impl View {
    /// A view of nothing.
    pub const NOTHING: Self = Self { at: 0, size: 0 };

    /// The view of mapped pages.
    ///
    /// # Safety
    /// The pages stay mapped in the mirror for as long as the view or anything from it is used.
    #[must_use]
    pub const unsafe fn of(pages: Pages) -> Self {
        Self { at: pages.at, size: pages.count as u64 * PAGE_SIZE }
    }

    /// The first address in the link domain.
    #[must_use]
    pub const fn at(self) -> u64 {
        self.at
    }

    /// Bytes in view.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.size
    }

    /// The addresses in view, in the link domain.
    #[must_use]
    pub const fn range(self) -> Range<u64> {
        self.at..self.at + self.size
    }

    /// Whether `size` bytes at `at` are in view.
    #[must_use]
    #[inline]
    pub fn contains(self, at: u64, size: u64) -> bool {
        // What lies below wraps and is beyond every view.
        let into = at.wrapping_sub(self.at);
        into <= self.size && self.size - into >= size
    }

    /// The 32-bit word at `at`; none when it is out of view or not aligned.
    #[must_use]
    #[inline]
    pub fn word32(self, at: u64) -> Option<&'static AtomicU32> {
        // A view consists of pages: an aligned word that begins in it ends in it. Turned by two bits, what is not aligned
        // is greater than any size.
        let inside = at.wrapping_sub(self.at).rotate_right(2) < self.size / 4;
        let pointer = inside.then_some(mirror(at) as *const AtomicU32)?;
        // SAFETY: the word is aligned and lies in pages that are mapped for as long as this view is
        // used (`View::of`); it is only ever reached through atomics.
        Some(unsafe { &*pointer })
    }

    /// The 64-bit word at `at`; none when it is out of view or not aligned.
    #[must_use]
    pub fn word64(self, at: u64) -> Option<&'static AtomicU64> {
        let pointer =
            (self.contains(at, 8) && at.is_multiple_of(8)).then_some(mirror(at) as *const AtomicU64)?;
        // SAFETY: as for `word32`.
        Some(unsafe { &*pointer })
    }

    /// The 64-bit words of a range, as far as they are in view.
    #[must_use]
    pub fn words64(self, range: Range<u64>) -> &'static [AtomicU64] {
        let start = range.start.max(self.at).next_multiple_of(8);
        let end = range.end.min(self.at + self.size);
        let Ok(count) = usize::try_from(end.saturating_sub(start) / 8) else { return &[] };
        // SAFETY: `count` aligned words from `start` on lie in view; for the rest as for `word32`.
        unsafe { core::slice::from_raw_parts(mirror(start) as *const AtomicU64, count) }
    }

    /// The instruction at `at`.
    #[must_use]
    pub fn instruction(self, at: u64) -> Option<u32> {
        Some(self.word32(at)?.load(Ordering::Relaxed))
    }

    /// The thread block at the start of a thread page.
    #[must_use]
    pub fn thread_block(self) -> &'static ThreadBlock {
        // SAFETY: a view is at least one page, which is larger than a thread block and aligned for
        // it; all its fields are atomics.
        unsafe { &*(mirror(self.at) as *const ThreadBlock) }
    }

    /// The command page at the start of the view.
    #[must_use]
    pub fn command_page(self) -> &'static CommandPage {
        // SAFETY: as for `thread_block`.
        unsafe { &*(mirror(self.at) as *const CommandPage) }
    }

    /// Stores 64-bit words one behind the other; words out of view are left out.
    pub fn store(self, at: u64, words: &[u64]) {
        for (index, word) in words.iter().enumerate() {
            if let Some(place) = self.word64(at + index as u64 * 8) {
                place.store(*word, Ordering::Relaxed);
            }
        }
    }

    /// The bytes in view.
    ///
    /// # Safety
    /// No thread of the link domain has an address of these pages yet, and nothing else from this
    /// view is used while the bytes are.
    #[must_use]
    pub unsafe fn bytes(self) -> &'static mut [u8] {
        let size = usize::try_from(self.size).expect("a usize has 64 bits on AArch64");
        // SAFETY: the pages are mapped read-write in the mirror and, by this function's contract,
        // used by nobody else.
        unsafe { core::slice::from_raw_parts_mut(mirror(self.at) as *mut u8, size) }
    }
}

impl linker_unwind::Memory for View {
    fn word(&self, at: u64) -> Option<u64> {
        Some(self.word64(at)?.load(Ordering::Relaxed))
    }

    fn any_in(&self, range: Range<u64>, hull: Hull) -> bool {
        let words = self.words64(range);
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (blocks, rest) = words.as_chunks();
        let found = any_within(blocks, hull.start, hull.size) || hull.any_of(rest, load);
        debug_assert!(
            found == hull.any_of(words, load),
            "nobody writes the stack of a thread that is looked at"
        );
        found
    }

    fn words(&self, range: Range<u64>) -> impl Iterator<Item = u64> {
        self.words64(range).iter().map(|word| word.load(Ordering::Relaxed))
    }
}
