//! The unwinder against the truth: samples of threads whose calls were watched from outside.
//!
//! The plugin (`tests/call-truth`) follows every call and return of link-domain threads and writes, at many instructions,
//! a thread's registers, stack and shadow stack together with the calls that have not returned. Here the linker server's
//! own unwinder answers from registers and stack alone. **It must never say "outside" when the thread is inside.**
//!
//! Which module lies where is found by its text: the plugin writes the instructions that are executed.

mod gates;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use linker_unwind::verdict::{scanned, verdict, walked};
use linker_unwind::{Code, Memory, Method, Place, Record, Registers, Scratch, Snapshot};

use crate::built::Built;
use gates::{Gates, LINKER_TEXT, is_branch};

/// Where modules lie.
const MODULES: std::ops::Range<u64> = 0x1300_0000..0x1700_0000;
const THREAD_STRIDE: u64 = 0x1_0000;
const PAGE: u64 = 4096;
/// Misses that are told in full.
const TOLD_MAX: usize = 5;

/// The plugin, the images of the run, and where the samples of one run go.
#[derive(Clone, Debug)]
pub struct Truth {
    plugin: PathBuf,
    images: PathBuf,
    samples: PathBuf,
}

/// What comes of a run's samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Samples.
    pub samples: usize,
    /// Questions "is this thread inside of that module" whose true answer is yes.
    pub inside: usize,
    /// Of these, how many the walk answered by itself.
    pub precise: usize,
    /// Of these, the ones that the unwinder answered with no.
    pub missed: Vec<String>,
    /// Questions whose true answer is no though a word of the thread names the module.
    pub outside: usize,
    /// Of these, how many the unwinder answered with yes: too often, which costs time and nothing else.
    pub too_often: usize,
    /// Samples in a module whose text could not be told from what was executed of it.
    pub unknown: usize,
    /// Different instructions that were sampled.
    pub places: usize,
}

impl std::fmt::Display for Findings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} samples at {} instructions: inside {} (by the walk {}), missed {}; outside though named {}, said inside {}; \
             not known {}",
            self.samples,
            self.places,
            self.inside,
            self.precise,
            self.missed.len(),
            self.outside,
            self.too_often,
            self.unknown
        )
    }
}

impl Truth {
    /// Watches one run; `name` is the run's own on this machine at this time. `images` is the folder of stripped images.
    #[must_use]
    pub fn new(plugin: &Path, images: &Path, name: &str) -> Self {
        let file = format!("strata-call-truth-{}-{}.samples", std::process::id(), name.replace(':', "."));
        let samples = std::env::temp_dir().join(file);
        Self { plugin: plugin.to_path_buf(), images: images.to_path_buf(), samples }
    }

    /// What QEMU is told.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let escaped = |path: &Path| path.display().to_string().replace(',', ",,");
        vec!["-plugin".into(), format!("{},samples={}", escaped(&self.plugin), escaped(&self.samples))]
    }

    /// Judges the samples of a machine that has ended, and removes the file unless something was missed.
    pub fn judge(&self) -> Result<Findings> {
        let file = self.samples.display();
        let bytes =
            std::fs::read(&self.samples).with_context(|| format!("the plugin left no samples in {file}"))?;
        let mut findings = judge(&bytes, &self.images).with_context(|| file.to_string())?;
        match findings.missed.first_mut() {
            Some(first) => *first += &format!("; the samples are kept in {file}"),
            None => std::fs::remove_file(&self.samples).with_context(|| file.to_string())?,
        }
        Ok(findings)
    }
}

/// One sample.
struct Sample {
    registers: Registers,
    calls: Vec<u64>,
    records: Vec<Record>,
    stack: Vec<u64>,
}

impl Memory for Sample {
    fn word(&self, at: u64) -> Option<u64> {
        self.stack.get(usize::try_from(at.checked_sub(self.registers.sp)? / 8).ok()?).copied()
    }
}

impl Sample {
    fn snapshot(&self) -> Snapshot<'_, Self> {
        let thread = (self.registers.sp - 1) / THREAD_STRIDE * THREAD_STRIDE;
        Snapshot {
            registers: self.registers,
            stack_start: self.registers.sp,
            stack_end: thread + THREAD_STRIDE,
            memory: self,
            records: &self.records,
        }
    }
}

/// Takes numbers off the front of bytes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const SIZE: usize>(&mut self) -> Result<[u8; SIZE]> {
        let (first, rest) = self.0.split_first_chunk().context("the samples are cut off")?;
        self.0 = rest;
        Ok(*first)
    }

    fn word(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn list(&mut self) -> Result<Vec<u64>> {
        let count = u32::from_le_bytes(self.take()?);
        (0..count).map(|_| self.word()).collect()
    }

    fn sample(&mut self) -> Result<Sample> {
        let mut registers = Registers::default();
        for register in &mut registers.x {
            *register = self.word()?;
        }
        (registers.sp, registers.pc) = (self.word()?, self.word()?);
        let (calls, shadow, stack) = (self.list()?, self.list()?, self.list()?);
        let records = shadow.chunks_exact(2).map(|pair| Record { caller: pair[0], gate: pair[1] }).collect();
        Ok(Sample { registers, calls, records, stack })
    }
}

/// The text of the run, as far as it was executed.
struct Guest {
    base: Built,
    /// Every module, and its file.
    modules: Vec<(Built, Vec<u8>)>,
    gates: Gates,
    /// Words of modules.
    words: BTreeMap<u64, u32>,
    /// Modules at their addresses.
    placed: BTreeMap<u64, Built>,
    /// Which module an address lies in, as long as no new text is seen.
    known: BTreeMap<u64, Option<u64>>,
}

impl Guest {
    fn read(images: &Path) -> Result<Self> {
        let mut modules = Vec::new();
        for entry in std::fs::read_dir(images).with_context(|| images.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "kmod") {
                modules.push((Built::read(&path, MODULES.start)?, std::fs::read(&path)?));
            }
        }
        ensure!(!modules.is_empty(), "{} has no modules", images.display());
        let base = Built::read(&images.join("base-image.elf"), 0)?;
        let (words, placed, known) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { base, modules, gates: Gates::default(), words, placed, known })
    }

    /// A word of text is translated.
    fn see(&mut self, at: u64, word: u32) {
        if LINKER_TEXT.contains(&at) {
            self.gates.see(at, word);
        }
        if !MODULES.contains(&at) {
            return;
        }
        let old = self.words.insert(at, word);
        if old == Some(word) {
            return;
        }
        self.known.clear();
        if old.is_some_and(|old| !(is_branch(old) && is_branch(word))) {
            // Another module has come to these addresses: what is still known of the page is the old one's.
            let page = at & !(PAGE - 1);
            self.words.retain(|other, _| *other == at || other & !(PAGE - 1) != page);
        }
    }

    /// Where the module begins that holds an address; placed when it is found.
    fn find(&mut self, at: u64) -> Option<u64> {
        if !MODULES.contains(&at) {
            return None;
        }
        let page = at & !(PAGE - 1);
        if let Some(known) = self.known.get(&page) {
            return *known;
        }
        let mut best: Option<(usize, u64, usize)> = None;
        for (index, (module, _)) in self.modules.iter().enumerate() {
            for pages in 0..module.text_size().div_ceil(PAGE) {
                let Some(start) = page.checked_sub(pages * PAGE).filter(|start| MODULES.contains(start))
                else {
                    continue;
                };
                if let Some(agreeing) = self.agreement(module, start, page)
                    && best.is_none_or(|(most, ..)| agreeing > most)
                {
                    best = Some((agreeing, start, index));
                }
            }
        }
        let start = best.map(|(_, start, _)| start);
        if let Some((_, start, index)) = best {
            let (module, file) = &self.modules[index];
            if self.placed.get(&start).is_none_or(|placed| placed.name != module.name)
                && let Ok(placed) = Built::module(file, start)
            {
                self.placed.insert(start, placed);
            }
        }
        self.known.insert(page, start);
        start
    }

    /// How many executed words agree with a module at an address; `None` if one does not, or none is in `page`.
    fn agreement(&self, module: &Built, start: u64, page: u64) -> Option<usize> {
        let mut agreeing = 0;
        let mut in_page = false;
        for (at, word) in self.words.range(start..start + module.text_size()) {
            match module.fixed(at - start) {
                Some(fixed) if fixed != *word => return None,
                Some(_) => {
                    agreeing += 1;
                    in_page |= at & !(PAGE - 1) == page;
                }
                None => {}
            }
        }
        in_page.then_some(agreeing)
    }

    fn placed_at(&self, at: u64) -> Option<&Built> {
        let start = (*self.known.get(&(at & !(PAGE - 1)))?)?;
        self.placed.get(&start).filter(|module| module.contains(at))
    }
}

impl Code for Guest {
    fn place(&self, at: u64) -> Place<'_> {
        if self.base.contains(at) {
            return Place::Tabled(self.base.tables());
        }
        if LINKER_TEXT.contains(&at) {
            return self.gates.place(at);
        }
        self.placed_at(at).map_or(Place::Nowhere, |module| Place::Tabled(module.tables()))
    }

    fn instruction(&self, at: u64) -> Option<u32> {
        if self.base.contains(at) { self.base.instruction(at) } else { self.placed_at(at)?.instruction(at) }
    }
}

fn judge(bytes: &[u8], images: &Path) -> Result<Findings> {
    let mut guest = Guest::read(images)?;
    let mut reader = Reader(bytes);
    let mut findings = Findings::default();
    let mut scratch = Box::new(Scratch::EMPTY);
    let mut places = BTreeSet::new();
    while !reader.0.is_empty() {
        match reader.take()? {
            [b'W'] => {
                let at = reader.word()?;
                guest.see(at, u32::from_le_bytes(reader.take()?));
            }
            [b'S'] => {
                let sample = reader.sample()?;
                places.insert(sample.registers.pc);
                ask(&mut guest, &sample, &mut findings, &mut scratch);
            }
            [other] => bail!("no record begins with {other:#x}"),
        }
    }
    findings.places = places.len();
    Ok(findings)
}

/// Asks of one sample for every module that a word of it names.
fn ask(guest: &mut Guest, sample: &Sample, findings: &mut Findings, scratch: &mut Scratch) {
    findings.samples += 1;
    let snapshot = sample.snapshot();
    let executes = std::iter::once(sample.registers.pc).chain(sample.calls.iter().map(|call| call - 4));
    let executes: Vec<u64> = executes.filter(|at| MODULES.contains(at)).collect();
    let inside: BTreeSet<Option<u64>> = executes.iter().map(|at| guest.find(*at)).collect();
    if inside.contains(&None) {
        findings.unknown += 1;
        return;
    }
    let named: Vec<u64> =
        linker_unwind::scan::words(&snapshot).filter(|word| MODULES.contains(word)).collect();
    let named: BTreeSet<u64> = named.into_iter().filter_map(|word| guest.find(word)).collect();
    let inside: BTreeSet<u64> = inside.into_iter().flatten().collect();
    for start in inside.union(&named) {
        let Some(module) = guest.placed.get(start) else { continue };
        let watched = |at: u64| module.contains(at);
        // A word may name an address of the module's pages that is not of its text.
        let truth = executes.iter().any(|at| module.contains(*at));
        let answer = verdict(&*guest, &snapshot, &watched, scratch);
        let by_walk = walked(&*guest, &snapshot, &watched, scratch).is_ok();
        let disagree = by_walk && !scanned(&snapshot, &watched);
        if truth {
            findings.inside += 1;
            findings.precise += usize::from(answer.is_some_and(|answer| answer.method == Method::Precise));
        } else {
            findings.outside += 1;
            findings.too_often += usize::from(answer.is_some());
        }
        if truth && answer.is_none() || disagree {
            let pc = sample.registers.pc;
            let holder = guest.placed_at(pc).unwrap_or(&guest.base);
            let told = if findings.missed.len() < TOLD_MAX {
                format!(
                    "pc {pc:#x} in {} of {}, calls {:x?}: {} at {start:#x} is missed",
                    holder.function_name(pc),
                    holder.name,
                    sample.calls,
                    module.name
                )
            } else {
                String::new()
            };
            findings.missed.push(told);
        }
    }
}
