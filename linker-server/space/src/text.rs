//! Text that may be patched: the linker core's `TextSpace`, over the mirror.
//!
//! A write is one aligned 32-bit store through the mirror and a note of the touched line. `publish`
//! then has done for each touched line what Arm ARM B2.2.5 asks of a patch: barrier, clean to the point of
//! unification, barrier, invalidate by the executing address, barrier. [`synchronise`] is what comes after: every core
//! that executes the text passes a context synchronisation event. On the linker server's own core the kernel entry and exit
//! of any invocation is one for whoever runs next; the threads of other cores are stalled there, one by one.

use crate::asm::{LINE_SIZE, complete_stores};
use crate::mirror::View;
use crate::objects::{Objects, PAGE_SIZE};
use crate::thread::Thread;
use crate::vspace::{VSpaces, unify};
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};
use heapless::Vec;
use linker_core::{Mismatch, Refused, TextSpace, Va};
use linker_unwind::Tables;

/// Runs of touched lines that are collected before they are published.
const RUNS_MAX: usize = 64;

/// Which text stands at an address. It costs the same whatever else is loaded.
pub trait Texts {
    /// The text of the base image or of a module that has the instruction at an address.
    fn owned(&self, at: u64) -> Option<TextOf<'_>>;
    /// Any text that may be patched: linker-owned text as well.
    fn patched(&self, at: u64) -> Option<View>;
}

/// The text of one module, or of the base image.
#[derive(Clone, Copy, Debug)]
pub struct TextOf<'a> {
    /// Its words.
    pub text: View,
    /// Its unwind tables.
    pub tables: Option<Tables<'a>>,
}

/// A run of touched lines within one page.
#[derive(Clone, Copy)]
struct Run {
    start: u64,
    end: u64,
}

/// All text of a link domain, for the length of one commit.
pub struct Text<'a, T> {
    objects: &'a mut Objects,
    spaces: VSpaces,
    texts: T,
    threads: &'a [Thread],
    /// The view of the last word: the next one is nearly always in it.
    near: Cell<View>,
    runs: Vec<Run, RUNS_MAX>,
    /// The line that was touched last.
    line: u64,
}

impl<'a, T: Texts> Text<'a, T> {
    /// This text, which these threads may execute.
    pub const fn new(objects: &'a mut Objects, spaces: VSpaces, texts: T, threads: &'a [Thread]) -> Self {
        Self {
            objects,
            spaces,
            texts,
            threads,
            near: Cell::new(View::NOTHING),
            runs: Vec::new(),
            line: u64::MAX,
        }
    }

    #[inline(always)]
    fn word(&self, at: Va) -> Option<&'static AtomicU32> {
        self.near.get().word32(at.0).or_else(|| self.word_elsewhere(at))
    }

    #[inline(never)]
    fn word_elsewhere(&self, at: Va) -> Option<&'static AtomicU32> {
        let view = self.texts.patched(at.0)?;
        self.near.set(view);
        view.word32(at.0)
    }

    #[inline(always)]
    fn touch(&mut self, at: u64) {
        let start = at & !(LINE_SIZE - 1);
        if start != self.line {
            self.touch_line(start);
        }
    }

    #[inline(never)]
    fn touch_line(&mut self, start: u64) {
        self.line = start;
        let end = start + LINE_SIZE;
        // Sites of one function are neighbours. A line that is in two runs is only published twice.
        if let Some(run) = self.runs.last_mut()
            && start <= run.end
            && end >= run.start
            && run.start / PAGE_SIZE == start / PAGE_SIZE
        {
            run.start = run.start.min(start);
            run.end = run.end.max(end);
        } else if let Err(run) = self.runs.push(Run { start, end }) {
            self.begin_anew(run);
        }
    }

    /// There is no room for another run.
    #[cold]
    fn begin_anew(&mut self, run: Run) {
        self.publish();
        self.line = run.start;
        let _ = self.runs.push(run);
    }
}

impl<T: Texts> TextSpace for Text<'_, T> {
    #[inline(always)]
    fn read(&self, at: Va) -> Option<u32> {
        Some(self.word(at)?.load(Ordering::Relaxed))
    }

    // A relink consists of this.
    #[inline(always)]
    fn replace(&mut self, at: Va, old: u32, new: u32) -> Result<(), Mismatch> {
        let word = self.word(at).ok_or(Mismatch::Found(None))?;
        let found = word.load(Ordering::Relaxed);
        if found != old {
            return Err(Mismatch::Found(Some(found)));
        }
        word.store(new, Ordering::Relaxed);
        self.touch(at.0);
        Ok(())
    }

    fn write(&mut self, at: Va, bits: u32) -> Result<(), Refused> {
        self.word(at).ok_or(Refused)?.store(bits, Ordering::Relaxed);
        self.touch(at.0);
        Ok(())
    }

    fn publish(&mut self) {
        complete_stores();
        for run in &self.runs {
            unify(self.objects, self.spaces, run.start, run.end)
                .expect("text is mapped in the link domain for as long as its view is listed");
        }
        self.runs.clear();
        self.line = u64::MAX;
    }

    fn synchronise(&mut self) {
        synchronise(self.objects, self.threads);
    }
}

/// Returns once no thread executes, or ever will, an instruction that its core fetched before this call.
///
/// # Panics
/// Where the kernel refuses an invocation of a thread that the linker server has made.
pub fn synchronise(objects: &mut Objects, threads: &[Thread]) {
    for thread in threads {
        thread.synchronise(objects).expect("threads are there for as long as their link domain");
    }
}
