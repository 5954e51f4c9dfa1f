//! A link domain on the host: from the bytes of images to linked text that can be followed.
//!
//! Everything between a file and a branch is the real thing: parser, layout, plan, relocation, commit. Memory is a
//! map of pages; "running" a call is an interpreter that knows branches and returns, and takes every other
//! instruction for one that changes nothing. Enough to see who is called, in which order, and that all of them come
//! back.

use std::collections::BTreeMap;

use aarch64_reloc::insn::{Branch, BranchKind, RET};
use kmod::{BaseError, BaseObject, Object, ParseError};
use linker_core::layout::LayoutError;
use linker_core::relocate::RelocateError;
use linker_core::{
    BaseSource, CommitError, LinkDomain, LinkPlan, LoadOptions, ModuleId, ObjectSource, PlanError, Refused,
    TextSpace, Va, Window, affix, commit, forget, layout, plan_base, plan_load, plan_unload, relocate,
    relocate_base,
};

const PAGE: u64 = 4096;
/// Where linker-owned text lies, and how much of it there is.
const LINKER_TEXT: (u64, usize) = (0x1200_0000, 64 << 10);
/// Where modules lie.
const MODULES: u64 = 0x1300_0000;
const MODULES_END: u64 = 0x1700_0000;
/// Instructions after which a call is taken for an endless loop.
const STEPS_MAX: usize = 10_000;

/// Why an image was not loaded.
#[derive(Debug, PartialEq, Eq)]
pub enum HostError {
    /// The parser refused it.
    Parse(ParseError),
    /// The parser refused the base image.
    Base(BaseError),
    /// It does not fit.
    Layout(LayoutError),
    /// Planning refused it.
    Plan(PlanError),
    /// A field does not hold its value.
    Relocate(RelocateError),
    /// Committing refused it.
    Commit(CommitError),
}

/// Pages that are there.
#[derive(Default)]
pub struct Memory {
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Memory {
    /// Makes pages of zeros.
    pub fn map(&mut self, start: u64, size: u64) {
        for page in (start / PAGE..(start + size).div_ceil(PAGE)).filter(|_| size != 0) {
            self.pages.insert(page, vec![0; 4096]);
        }
    }

    /// Takes pages away.
    pub fn unmap(&mut self, start: u64, size: u64) {
        self.pages.retain(|page, _| *page < start / PAGE || *page >= (start + size).div_ceil(PAGE));
    }

    /// Whether a page is there.
    #[must_use]
    pub fn is_mapped(&self, at: u64) -> bool {
        self.pages.contains_key(&(at / PAGE))
    }

    /// Writes bytes where pages are.
    ///
    /// # Panics
    /// Where no page is.
    pub fn fill(&mut self, at: u64, bytes: &[u8]) {
        for (byte, at) in bytes.iter().zip(at..) {
            self.pages.get_mut(&(at / PAGE)).unwrap()[usize::try_from(at % PAGE).unwrap()] = *byte;
        }
    }

    /// Reads bytes where pages are.
    #[must_use]
    pub fn bytes(&self, at: u64, size: u64) -> Option<Vec<u8>> {
        let byte = |at: u64| self.pages.get(&(at / PAGE))?.get(usize::try_from(at % PAGE).ok()?).copied();
        (at..at + size).map(byte).collect()
    }
}

impl TextSpace for Memory {
    fn read(&self, at: Va) -> Option<u32> {
        self.bytes(at.0, 4)?.first_chunk().copied().map(u32::from_le_bytes)
    }

    fn write(&mut self, at: Va, bits: u32) -> Result<(), Refused> {
        if !self.is_mapped(at.0) {
            return Err(Refused);
        }
        self.fill(at.0, &bits.to_le_bytes());
        Ok(())
    }

    fn publish(&mut self) {}
}

/// A link domain with its memory.
pub struct Host {
    /// The stacks.
    pub domain: Box<LinkDomain>,
    /// The plan of the latest operation.
    pub plan: Box<LinkPlan>,
    /// The pages.
    pub memory: Memory,
    // Implementation → who it is, as `module` of the alias.
    implementations: BTreeMap<u64, String>,
}

impl Host {
    /// A link domain with this base image.
    ///
    /// # Errors
    /// [`HostError`]: the first rule that the image breaks.
    pub fn new(base: &[u8]) -> Result<Self, HostError> {
        let object = BaseObject::parse(base).map_err(HostError::Base)?;
        let mut host = Self {
            domain: Box::new(LinkDomain::EMPTY),
            plan: Box::new(LinkPlan::EMPTY),
            memory: Memory::default(),
            implementations: BTreeMap::new(),
        };
        host.memory.map(LINKER_TEXT.0, LINKER_TEXT.1 as u64);
        host.domain.open(Va(LINKER_TEXT.0), LINKER_TEXT.1);
        plan_base(&host.domain, &BaseSource { object: &object }, &mut host.plan).map_err(HostError::Plan)?;
        for segment in object.segments() {
            host.memory.map(segment.address, segment.size);
            host.memory.fill(segment.address, segment.bytes);
        }
        let memory = &mut host.memory;
        relocate_base(&object, &host.plan, |at, kind, slot| {
            let mut field = memory.bytes(at.0, kind.width()).unwrap_or_default();
            aarch64_reloc::apply(kind, at.0, slot.0, &mut field)?;
            memory.fill(at.0, &field);
            Ok(())
        })
        .map_err(HostError::Relocate)?;
        host.link()?;
        Ok(host)
    }

    fn link(&mut self) -> Result<(), HostError> {
        affix(&mut self.plan, &mut self.domain, &mut self.memory).map_err(HostError::Commit)?;
        if let Err(error) = commit(&mut self.plan, &mut self.domain, &mut self.memory) {
            forget(&mut self.domain, self.plan.module());
            return Err(HostError::Commit(error));
        }
        let id = self.plan.module();
        let name = self.domain.module(id).unwrap().facts.name;
        let module = if id == ModuleId::BASE { "base".into() } else { name.text().to_string() };
        for own in self.plan.aliases() {
            self.implementations.insert(own.alias.target.0, module.clone());
        }
        Ok(())
    }

    /// Loads a module.
    ///
    /// # Errors
    /// [`HostError`]: the first rule that the image breaks. Nothing has changed then.
    pub fn load(&mut self, file: &[u8]) -> Result<ModuleId, HostError> {
        let object = Object::parse(file).map_err(HostError::Parse)?;
        let size = linker_core::layout::extent(&object);
        let start = self.free_window(size);
        let window = Window { start: Va(start), size: MODULES_END.saturating_sub(start), log_index: 1000 };
        let layout = layout(&object, window).map_err(HostError::Layout)?;
        let source = ObjectSource { object: &object, layout: &layout };
        plan_load(&self.domain, &source, &LoadOptions::default(), &mut self.plan).map_err(HostError::Plan)?;
        self.memory.map(start, layout.size());
        let result = self.fill_sections(&object, &layout).and_then(|()| self.link());
        if let Err(error) = result {
            self.memory.unmap(start, layout.size());
            return Err(error);
        }
        Ok(self.plan.module())
    }

    fn fill_sections(&mut self, object: &Object<'_>, layout: &linker_core::Layout) -> Result<(), HostError> {
        for section in object.sections().filter(|section| section.kind.is_mapped()) {
            let mut bytes = vec![0xee; usize::try_from(section.size).unwrap()];
            relocate(object, layout, &self.plan, section.kind, &mut bytes).map_err(HostError::Relocate)?;
            self.memory.fill(layout.section(section.kind).0, &bytes);
        }
        Ok(())
    }

    /// The first address behind which so many bytes are free.
    fn free_window(&self, size: u64) -> u64 {
        let mut start = MODULES;
        let mut taken: Vec<(u64, u64)> =
            self.domain.modules().map(|module| (module.facts.start.0, module.facts.size)).collect();
        taken.sort_unstable();
        for (other, other_size) in taken {
            if other < start + size && start < other + other_size {
                start = other + other_size;
            }
        }
        start
    }

    /// Unloads a module.
    ///
    /// # Errors
    /// [`HostError`]: why not. Nothing has changed then.
    ///
    /// # Panics
    /// Where the plan succeeded and the module is not there.
    pub fn unload(&mut self, id: ModuleId) -> Result<(), HostError> {
        plan_unload(&self.domain, id, &mut self.plan).map_err(HostError::Plan)?;
        commit(&mut self.plan, &mut self.domain, &mut self.memory).map_err(HostError::Commit)?;
        let facts = self.domain.module(id).unwrap().facts;
        forget(&mut self.domain, id);
        self.memory.unmap(facts.start.0, facts.size);
        self.implementations.retain(|at, _| *at < facts.start.0 || *at >= facts.start.0 + facts.size);
        Ok(())
    }

    /// Unloads the module of this name.
    ///
    /// # Errors
    /// [`HostError`]: why not.
    ///
    /// # Panics
    /// Where there is none.
    pub fn unload_by_name(&mut self, name: &str) -> Result<(), HostError> {
        let id = self.domain.find_module(name.as_bytes()).unwrap().id();
        self.unload(id)
    }

    /// Who runs, in order, from this address to the return that matches it.
    ///
    /// # Panics
    /// Where text is not mapped, or nothing returns.
    #[must_use]
    pub fn run(&self, at: u64) -> String {
        let mut ran = Vec::new();
        let (mut at, mut x16) = (at, 0_u64);
        let mut returns = Vec::new();
        for _ in 0..STEPS_MAX {
            if let Some(who) = self.implementations.get(&at) {
                ran.push(who.as_str());
            }
            let word = self.memory.read(Va(at)).unwrap_or_else(|| panic!("nothing is mapped at {at:#x}"));
            let half = |shift: u32| u64::from(word >> 5 & 0xffff) << shift;
            let next = at + 4;
            at = match word {
                RET if returns.is_empty() => return ran.join(" "),
                RET => returns.pop().unwrap(),
                0xd61f_0200 => x16,
                _ => next,
            };
            match word & 0xffe0_001f {
                0xd280_0010 => x16 = half(0),
                0xf2a0_0010 => x16 |= half(16),
                0xf2c0_0010 => x16 |= half(32),
                _ => {}
            }
            if let Some(branch) = Branch::decode(word) {
                at = branch.target(next - 4);
                if branch.kind() == BranchKind::Bl {
                    returns.push(next);
                }
            }
        }
        panic!("no return after {STEPS_MAX} instructions: {ran:?}")
    }

    /// Asserts every invariant of the link domain, of its text and of the branches in it.
    ///
    /// # Panics
    /// Where one does not hold.
    pub fn check(&self) {
        assert_eq!(self.domain.check(), Ok(()));
        assert_eq!(self.domain.check_text(&self.memory), Ok(()));
    }

    /// Everything that a refused load must leave alone: all bytes but those of linker-owned text that nobody owns,
    /// and the table of modules.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(u64, Vec<u8>)> {
        let linker_pages = LINKER_TEXT.0 / PAGE..(LINKER_TEXT.0 + LINKER_TEXT.1 as u64) / PAGE;
        let pages = self.memory.pages.iter().filter(|(page, _)| !linker_pages.contains(page));
        let mut all: Vec<_> = pages.map(|(page, bytes)| (*page, bytes.clone())).collect();
        for module in self.domain.modules() {
            all.push((u64::from(module.id().index), module.facts.name.bytes().to_vec()));
        }
        all.push((self.domain.linker_text_used() as u64, Vec::new()));
        all.push((self.domain.site_count() as u64, Vec::new()));
        all
    }
}
