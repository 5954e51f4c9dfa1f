//! The rule: which stored words may be executed by which core.
//!
//! Everything is by physical address; an instruction-cache line is invalidated by virtual address, and counts for the
//! address that it was invalidated at only: a virtually indexed instruction cache keeps a line for each (Arm ARM D7.5.2).
//!
//! ```text
//!   coherent ─store─► stored ─clean─► cleaned ─DSB, invalidate─► invalidated ─DSB, synchronisation─► coherent
//!                       ▲──────────────store──────┴───────────────────┘
//! ```
//! Words of a line move together, as sets of bits, each set with the moment of its last step. A moment is a number
//! that grows with every maintenance instruction and barrier.

use std::collections::BTreeMap;
use std::fmt;

use crate::instruction::is_patchable;

/// Cores that are watched.
pub(crate) const CORES_MAX: usize = 8;
const LINE_BYTES: u64 = 64;
const PAGE_BYTES: u64 = 4096;
const LINES_IN_PAGE: usize = 64;
/// Addresses that a line remembers to be invalidated at.
const ALIASES_MAX: usize = 2;

/// Who stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Storer {
    pub(crate) pc: u64,
    /// The address space that was current.
    pub(crate) asid: u16,
}

/// What is missing between a store and the execution of what was stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Missing {
    /// No clean of the data line.
    Clean,
    /// No DSB between the clean and the invalidation, or no invalidation.
    Invalidate,
    /// Invalidated at other addresses than the one that executes.
    InvalidateHere,
    /// No DSB behind the invalidation.
    Barrier,
    /// No context synchronisation of the executing core behind that.
    Synchronise,
    /// A branch that was replaced while in use, which is allowed, and never maintained, which is not.
    Ever,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean => "no clean of the data line since the store",
            Self::Invalidate => "no invalidation of the instruction line behind a clean and a DSB",
            Self::InvalidateHere => "the instruction line was invalidated at another address",
            Self::Barrier => "no DSB behind the invalidation",
            Self::Synchronise => "no context synchronisation of this core behind the maintenance",
            Self::Ever => "replaced while in use, and never maintained",
        })
    }
}

/// Something that hardware could have executed otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    pub(crate) missing: Missing,
    /// Physical address of the word.
    pub(crate) physical: u64,
    /// Where it was executed.
    pub(crate) at: u64,
    pub(crate) core: usize,
    pub(crate) storer: Storer,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, physical, at, core, storer } = self;
        let Storer { pc, asid } = storer;
        write!(
            f,
            "stale: {at:#x} (physical {physical:#x}) executed by core {core}: {missing}; stored by {pc:#x} in address space {asid}"
        )
    }
}

/// What the lint makes of a fetch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fetch {
    /// Every core executes what is in memory.
    Coherent,
    /// This core does; another one might not yet.
    Here,
    /// A branch replaced another one and maintenance is under way: old or new, both are allowed.
    Window,
    /// A core may execute something else.
    Stale(Finding),
}

/// One line of 16 words.
#[derive(Clone, Copy, Default)]
struct Line {
    /// Words stored and not cleaned.
    stored: u16,
    /// Words cleaned at `cleaned_at` and not invalidated.
    cleaned: u16,
    /// Words invalidated at `invalidated_at`.
    invalidated: u16,
    /// By core, words that were replaceable when they were last known coherent for it, and have been so with every store
    /// since: one that sleeps meanwhile takes the window from nobody.
    patchable: [u16; CORES_MAX],
    /// By core, words that it was found coherent for since they were last stored: maintenance that goes on for their
    /// neighbours takes that from nobody.
    settled: [u16; CORES_MAX],
    cleaner: u8,
    invalidator: u8,
    cleaned_at: u64,
    invalidated_at: u64,
    /// Lines' virtual addresses of the last invalidations; [`EVERYWHERE`] for all.
    aliases: [u64; ALIASES_MAX],
    storer: Storer,
}

/// The alias that stands for all addresses; no line has an odd address.
const EVERYWHERE: u64 = 1;

type Page = [Line; LINES_IN_PAGE];

/// A core's barriers.
#[derive(Clone, Copy, Default)]
struct Core {
    /// When its last DSB was.
    barrier: u64,
    /// The last DSB of each core before its own last context synchronisation.
    seen: [u64; CORES_MAX],
}

/// The last invalidation of everything.
#[derive(Clone, Copy)]
struct InvalidateAll {
    at: u64,
    by: u8,
    /// Whether it reached the other cores.
    broadcast: bool,
    /// The last DSB of each core before it.
    barriers: [u64; CORES_MAX],
}

/// What was watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) stores: u64,
    /// Lines cleaned and lines invalidated.
    pub(crate) maintained: u64,
    /// Words found coherent after they had been stored.
    pub(crate) coherent: u64,
    pub(crate) windows: u64,
    pub(crate) stale: u64,
}

/// The rule's memory.
pub(crate) struct Lint {
    base: u64,
    pages: Vec<Option<Box<Page>>>,
    cores: [Core; CORES_MAX],
    cores_used: usize,
    now: u64,
    all: Option<InvalidateAll>,
    /// Words that were executed in a window: where, and by whom stored.
    windows: BTreeMap<u64, (u64, usize)>,
    pub(crate) counts: Counts,
}

fn words(physical: u64, bytes: u64) -> u16 {
    let first = physical % LINE_BYTES / 4;
    let last = (physical + bytes.max(1) - 1).min(physical | (LINE_BYTES - 1)) % LINE_BYTES / 4;
    let mask = (1_u32 << (last + 1)) - (1_u32 << first);
    // Sixteen words: the mask has sixteen bits.
    (mask & 0xffff) as u16
}

fn small(core: usize) -> u8 {
    u8::try_from(core % CORES_MAX).unwrap_or(0)
}

impl Lint {
    /// Watches `bytes` of memory from `base` on, and the fetches of this many cores.
    pub(crate) fn new(base: u64, bytes: u64, cores: usize) -> Self {
        let pages = usize::try_from(bytes / PAGE_BYTES).unwrap_or(0);
        Self {
            base,
            pages: (0..pages).map(|_| None).collect(),
            cores: [Core::default(); CORES_MAX],
            cores_used: cores.clamp(1, CORES_MAX),
            now: 1,
            all: None,
            windows: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    fn place(&self, physical: u64) -> Option<(usize, usize)> {
        let offset = physical.checked_sub(self.base)?;
        let page = usize::try_from(offset / PAGE_BYTES).ok().filter(|&page| page < self.pages.len())?;
        Some((page, usize::try_from(offset % PAGE_BYTES / LINE_BYTES).ok()?))
    }

    fn line(&self, physical: u64) -> Option<&Line> {
        let (page, line) = self.place(physical)?;
        self.pages[page].as_ref().map(|page| &page[line])
    }

    /// The line, if something in its page was ever stored or watched.
    fn known(&mut self, physical: u64) -> Option<&mut Line> {
        let (page, line) = self.place(physical)?;
        self.pages[page].as_mut().map(|page| &mut page[line])
    }

    fn made(&mut self, physical: u64) -> Option<&mut Line> {
        let (page, line) = self.place(physical)?;
        let page = self.pages[page].get_or_insert_with(|| Box::new([Line::default(); LINES_IN_PAGE]));
        Some(&mut page[line])
    }

    /// A store of up to 16 bytes. `now_there` is the word that is there afterwards, where that matters.
    pub(crate) fn stored(
        &mut self,
        storer: Storer,
        physical: u64,
        bytes: u64,
        now_there: impl FnOnce() -> u32,
    ) {
        self.counts.stores += 1;
        let Some(line) = self.made(physical) else { return };
        let mask = words(physical, bytes);
        line.stored |= mask;
        line.cleaned &= !mask;
        line.invalidated &= !mask;
        line.settled.iter_mut().for_each(|words| *words &= !mask);
        line.storer = storer;
        // A branch stays replaceable while only one branch after the other is stored there.
        let any = line.patchable.iter().any(|words| words & mask != 0);
        if any && !(bytes == 4 && is_patchable(now_there())) {
            line.patchable.iter_mut().for_each(|words| *words &= !mask);
        }
    }

    /// A block was zeroed. Pages that nobody has looked at stay so: to execute zeroes is an exception in itself.
    pub(crate) fn zeroed(&mut self, storer: Storer, physical: u64) {
        if let Some(line) = self.known(physical) {
            *line = Line { stored: u16::MAX, storer, ..Line::default() };
        }
    }

    /// A data line was written back.
    pub(crate) fn cleaned(&mut self, core: usize, physical: u64) {
        self.now += 1;
        self.counts.maintained += 1;
        let now = self.now;
        // A second clean of what is clean already changes nothing.
        if let Some(line) = self.known(physical)
            && line.stored != 0
        {
            line.cleaned |= line.stored;
            line.stored = 0;
            line.cleaned_at = now;
            line.cleaner = small(core);
        }
    }

    /// An instruction line was invalidated, at a virtual address.
    pub(crate) fn invalidated(&mut self, core: usize, physical: u64, at: u64) {
        self.now += 1;
        self.counts.maintained += 1;
        let (now, barriers) = (self.now, self.barriers());
        let Some(line) = self.known(physical) else { return };
        if line.cleaned != 0 && barriers[usize::from(line.cleaner)] > line.cleaned_at {
            line.invalidated |= line.cleaned;
            line.cleaned = 0;
            line.aliases = [0; ALIASES_MAX];
        }
        if line.invalidated != 0 {
            let at = at & !(LINE_BYTES - 1);
            if !line.aliases.contains(&at) {
                line.aliases.rotate_right(1);
                line.aliases[0] = at;
            }
            line.invalidated_at = now;
            line.invalidator = small(core);
        }
    }

    /// Every instruction line was invalidated, here or on every core.
    pub(crate) fn invalidated_all(&mut self, core: usize, broadcast: bool) {
        self.now += 1;
        self.all =
            Some(InvalidateAll { at: self.now, by: small(core), broadcast, barriers: self.barriers() });
    }

    fn barriers(&self) -> [u64; CORES_MAX] {
        self.cores.map(|core| core.barrier)
    }

    /// A core's earlier maintenance is complete.
    pub(crate) fn barrier(&mut self, core: usize) {
        self.now += 1;
        self.cores[core % CORES_MAX].barrier = self.now;
    }

    /// A core fetches anew from here on.
    pub(crate) fn synchronised(&mut self, core: usize) {
        self.cores[core % CORES_MAX].seen = self.barriers();
    }

    /// A core executes the word `bits` at physical and virtual addresses.
    pub(crate) fn fetched(&mut self, core: usize, physical: u64, at: u64, bits: u32) -> Fetch {
        let core = core % CORES_MAX;
        let (all, cores, used) = (self.all, self.cores, self.cores_used);
        let word = words(physical, 4);
        let Some(line) = self.known(physical) else {
            // Never stored since the start: worth remembering only if it could be patched one day.
            if is_patchable(bits)
                && let Some(line) = self.made(physical)
            {
                line.remember(word, bits);
            }
            return Fetch::Coherent;
        };
        line.settle(all, core);
        let Some(missing) = line.missing(word, at, core, &cores) else {
            if line.invalidated & word == 0 {
                line.remember(word, bits);
                return Fetch::Coherent;
            }
            line.settled[core] |= word;
            let everybody = (0..used).all(|core| line.missing(word, at, core, &cores).is_none());
            if everybody {
                line.invalidated &= !word;
                line.remember(word, bits);
                self.windows.remove(&(physical & !3));
            } else {
                line.remember_here(word, bits, core);
            }
            self.counts.coherent += 1;
            return if everybody { Fetch::Coherent } else { Fetch::Here };
        };
        if line.patchable[core] & word != 0 && is_patchable(bits) {
            self.windows.entry(physical & !3).or_insert((at, core));
            self.counts.windows += 1;
            return Fetch::Window;
        }
        let storer = line.storer;
        self.counts.stale += 1;
        Fetch::Stale(Finding { missing, physical: physical & !3, at, core, storer })
    }

    /// Could the word be other than coherent for some core?
    pub(crate) fn is_watched(&self, physical: u64) -> bool {
        self.line(physical)
            .is_some_and(|line| (line.stored | line.cleaned | line.invalidated) & words(physical, 4) != 0)
    }

    /// Windows that were never closed.
    pub(crate) fn unfinished(&mut self) -> Vec<Finding> {
        let cores = self.cores;
        let windows = std::mem::take(&mut self.windows);
        let open = windows.into_iter().filter_map(|(physical, (at, core))| {
            let line = self.line(physical)?;
            let word = words(physical, 4);
            let finished = line.invalidated & word != 0
                && cores[usize::from(line.invalidator)].barrier > line.invalidated_at;
            let clean = (line.stored | line.cleaned | line.invalidated) & word == 0;
            (!finished && !clean).then_some(Finding {
                missing: Missing::Ever,
                physical,
                at,
                core,
                storer: line.storer,
            })
        });
        let open: Vec<_> = open.collect();
        self.counts.stale += open.len() as u64;
        open
    }
}

impl Line {
    /// Takes an invalidation of everything into account, for one core.
    fn settle(&mut self, all: Option<InvalidateAll>, core: usize) {
        let Some(all) = all.filter(|all| all.broadcast || usize::from(all.by) == core) else { return };
        let cleaned = self.cleaned_at < all.at && all.barriers[usize::from(self.cleaner)] > self.cleaned_at;
        if self.cleaned != 0 && cleaned {
            self.invalidated |= self.cleaned;
            self.cleaned = 0;
        } else if self.invalidated == 0 || self.invalidated_at > all.at {
            return;
        }
        self.aliases = [EVERYWHERE; ALIASES_MAX];
        self.invalidated_at = all.at;
        self.invalidator = all.by;
    }

    /// What a core misses before it may execute a word.
    fn missing(&self, word: u16, at: u64, core: usize, cores: &[Core; CORES_MAX]) -> Option<Missing> {
        let here = at & !(LINE_BYTES - 1);
        let by = usize::from(self.invalidator);
        if self.stored & word != 0 {
            Some(Missing::Clean)
        } else if self.cleaned & word != 0 {
            Some(Missing::Invalidate)
        } else if self.invalidated & word == 0 {
            None
        } else if !self.aliases.contains(&here) && !self.aliases.contains(&EVERYWHERE) {
            Some(Missing::InvalidateHere)
        } else if self.settled[core] & word != 0 {
            None
        } else if cores[by].barrier < self.invalidated_at {
            Some(Missing::Barrier)
        } else if cores[core].seen[by] < self.invalidated_at {
            Some(Missing::Synchronise)
        } else {
            None
        }
    }

    /// The word is coherent; whether it may be patched while in use depends on what it is.
    fn remember(&mut self, word: u16, bits: u32) {
        (0..CORES_MAX).for_each(|core| self.remember_here(word, bits, core));
    }

    /// As [`Line::remember`], where it is known of one core only.
    fn remember_here(&mut self, word: u16, bits: u32, core: usize) {
        if is_patchable(bits) {
            self.patchable[core] |= word;
        } else {
            self.patchable[core] &= !word;
        }
    }
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
