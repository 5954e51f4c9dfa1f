//! A link domain made of real bytes: images are parsed, laid out, planned, relocated, linked and run.

use crate::machine::{Access, Machine, Memory, OUTSIDE, Stop};
use kmod::base::Permission;
use kmod::{BaseError, BaseObject, Object, ParseError};
use linker_core::layout::LayoutError;
use linker_core::{
    BaseSource, CommitError, Errno, LinkDomain, LinkPlan, LoadOptions, ModuleId, Name, ObjectSource,
    PlanError, TextSpace, Va, Window, affix, commit, forget, layout, linked_size, plan_base, plan_load,
    plan_unload, revert,
};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

const LINKER_TEXT: u64 = 0x1200_0000;
const LINKER_TEXT_SIZE: usize = 64 << 10;
const MODULES: u64 = 0x1300_0000;
const MODULES_SIZE: u64 = 0x0400_0000;
const LOG_INDICES: u64 = 100;

/// Why a module was not loaded or unloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// By the parser.
    Parse(ParseError),
    /// By the parser of base images.
    Base(BaseError),
    /// By layout.
    Layout(LayoutError),
    /// By the plan.
    Plan(PlanError),
    /// By the commit.
    Commit(CommitError),
}

impl Refusal {
    /// The word that a console prints.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::Parse(_) | Self::Base(_) => Errno::ENOEXEC,
            Self::Layout(error) => error.errno(),
            Self::Plan(error) => error.errno(),
            Self::Commit(error) => error.errno(),
        }
    }
}

/// A loaded module's pages.
#[derive(Clone, Copy, Debug)]
struct Pages {
    id: ModuleId,
    start: u64,
    size: u64,
}

/// A link domain with a base image, memory and a thread that calls.
pub struct World {
    /// What the linker knows.
    pub domain: Box<LinkDomain>,
    plan: Box<LinkPlan>,
    /// What is mapped.
    pub memory: Memory,
    modules: Vec<Pages>,
    /// How modules are loaded.
    pub options: LoadOptions<'static>,
}

/// A call's result and who answered, top first.
pub type Answer = (u64, String);

impl World {
    /// A link domain with this base image.
    ///
    /// # Errors
    /// [`Refusal`].
    ///
    /// # Panics
    /// Where the linker's books do not hold afterwards.
    pub fn new(file: &[u8]) -> Result<Self, Refusal> {
        let mut world = Self {
            domain: Box::new(LinkDomain::EMPTY),
            plan: Box::new(LinkPlan::EMPTY),
            memory: Memory::default(),
            modules: Vec::new(),
            options: LoadOptions::default(),
        };
        let object = BaseObject::parse(file).map_err(Refusal::Base)?;
        world.memory.map(LINKER_TEXT, LINKER_TEXT_SIZE as u64, Access::Text);
        world.domain.open(Va(LINKER_TEXT), LINKER_TEXT_SIZE);
        let mut segments: Vec<_> =
            object.segments().map(|segment| (segment, segment.bytes.to_vec())).collect();
        let write = |at: Va, kind, slot: Va| {
            let (segment, bytes) =
                segments.iter_mut().find(|(segment, _)| segment.contains(at.0)).expect("a site is mapped");
            let offset = usize::try_from(at.0 - segment.address).unwrap();
            aarch64_reloc::apply(kind, at.0, slot.0, &mut bytes[offset..])
        };
        let mut source = BaseSource { object: &object, write };
        plan_base(&world.domain, &mut source, &mut world.plan).map_err(Refusal::Plan)?;
        for (segment, bytes) in segments {
            let access = match segment.permission {
                Permission::ReadExecute => Access::Text,
                Permission::ReadOnly => Access::Constants,
                Permission::ReadWrite => Access::Data,
            };
            world.memory.map(segment.address, segment.size, access);
            world.memory.fill(segment.address, &bytes);
        }
        affix(&mut world.plan, &mut world.domain, &mut world.memory).map_err(Refusal::Commit)?;
        commit(&mut world.plan, &mut world.domain, &mut world.memory).map_err(Refusal::Commit)?;
        world.check();
        Ok(world)
    }

    /// Loads an image: everything of it, or nothing.
    ///
    /// # Errors
    /// [`Refusal`]; then the link domain and its memory are as they were.
    pub fn load(&mut self, file: &[u8]) -> Result<ModuleId, Refusal> {
        let object = Object::open(file).map_err(Refusal::Parse)?;
        let size = linker_core::layout::extent(&object);
        let start = self.free_pages(size);
        let window =
            Window { start: Va(start), size: MODULES + MODULES_SIZE - start, log_index: LOG_INDICES };
        let layout = layout(&object, window).map_err(Refusal::Layout)?;
        let mut bytes = vec![0; usize::try_from(linked_size(&object, &layout)).unwrap()];
        let mut source = ObjectSource { object: &object, layout: &layout, bytes: &mut bytes };
        plan_load(&self.domain, &mut source, &self.options, &mut self.plan).map_err(|error| match error {
            PlanError::Image(error) => Refusal::Parse(error),
            error => Refusal::Plan(error),
        })?;
        for (extent, access) in
            [(layout.text, Access::Text), (layout.rodata, Access::Constants), (layout.data, Access::Data)]
        {
            self.memory.map(extent.start.0, extent.size, access);
        }
        self.memory.fill(layout.text.start.0, &bytes);
        let pages = Pages { id: self.plan.module(), start, size: layout.size() };
        if let Err(error) = affix(&mut self.plan, &mut self.domain, &mut self.memory) {
            self.memory.unmap(pages.start, pages.size);
            return Err(Refusal::Commit(error));
        }
        self.modules.push(pages);
        if let Err(error) = commit(&mut self.plan, &mut self.domain, &mut self.memory) {
            self.reclaim(pages.id);
            return Err(Refusal::Commit(error));
        }
        Ok(pages.id)
    }

    fn free_pages(&self, size: u64) -> u64 {
        let mut taken: Vec<_> = self.modules.iter().map(|pages| (pages.start, pages.size)).collect();
        taken.sort_unstable();
        let mut start = MODULES;
        for (other, other_size) in taken {
            if start.saturating_add(size) <= other {
                break;
            }
            start = other + other_size;
        }
        start
    }

    /// The module of this name.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn find(&self, name: &str) -> ModuleId {
        self.domain.find_module(name.as_bytes()).map(linker_core::Module::id).unwrap()
    }

    /// Unlinks and reclaims the module of this name.
    ///
    /// # Errors
    /// [`Refusal`]; then everything is as it was.
    ///
    /// # Panics
    /// Where there is none.
    pub fn unload_by_name(&mut self, name: &str) -> Result<(), Refusal> {
        self.unload(self.find(name))
    }

    /// Unlinks and reclaims a module.
    ///
    /// # Errors
    /// [`Refusal`]; then everything is as it was.
    pub fn unload(&mut self, id: ModuleId) -> Result<(), Refusal> {
        self.unlink(id)?;
        self.reclaim(id);
        Ok(())
    }

    /// Unlinks a module: nobody enters it any more.
    ///
    /// # Errors
    /// [`Refusal`]; then everything is as it was.
    pub fn unlink(&mut self, id: ModuleId) -> Result<(), Refusal> {
        plan_unload(&self.domain, id, &mut self.plan).map_err(Refusal::Plan)?;
        commit(&mut self.plan, &mut self.domain, &mut self.memory).map_err(Refusal::Commit)
    }

    /// Links again what was unlinked last.
    pub fn relink(&mut self) {
        revert(&mut self.plan, &mut self.domain, &mut self.memory);
    }

    /// Takes an unlinked module's memory.
    ///
    /// # Panics
    /// Where it has none.
    pub fn reclaim(&mut self, id: ModuleId) {
        forget(&mut self.domain, id);
        let index = self.modules.iter().position(|pages| pages.id == id).unwrap();
        let pages = self.modules.remove(index);
        self.memory.unmap(pages.start, pages.size);
    }

    /// Calls a module's function by the symbol that it introduces.
    ///
    /// # Errors
    /// [`Stop`].
    ///
    /// # Panics
    /// Where nobody introduces it.
    pub fn call_introduced(&mut self, symbol: &str, argument: u64) -> Result<Answer, Stop> {
        let id = self.domain.find_symbol(&Name::new(symbol.as_bytes()).unwrap()).unwrap();
        let entry = self.domain.symbol(id).unwrap().stack().top().unwrap().entry.0;
        self.run(entry, argument, OUTSIDE)
    }

    /// Calls `entry` and says what it returned and who ran; ends at `until`, too.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn run(&mut self, entry: u64, argument: u64, until: u64) -> Result<Answer, Stop> {
        let mut machine = Machine::new(&mut self.memory);
        let result = machine.call(entry, argument, until);
        let went = std::mem::take(&mut machine.went);
        machine.finish();
        let who = |at: &u64| {
            let implements = |(_, symbol): (_, &linker_core::domain::Symbol)| {
                symbol.stack().aliases().iter().find(|alias| alias.target.0 == *at).map(|alias| alias.module)
            };
            let module = self.domain.module(self.domain.symbols().find_map(implements)?).ok()?;
            Some(module.facts.name.text().to_string())
        };
        let names: Vec<String> = went.iter().filter_map(who).collect();
        Ok((result?, names.join(" ")))
    }

    /// Who answers to a symbol, top first.
    ///
    /// # Panics
    /// Where nobody has introduced it.
    #[must_use]
    pub fn stack(&self, symbol: &str) -> String {
        let id = self.domain.find_symbol(&Name::new(symbol.as_bytes()).unwrap()).unwrap();
        let linked =
            self.domain.symbol(id).unwrap().stack().aliases().iter().rev().filter(|alias| alias.linked);
        let names =
            linked.map(|alias| self.domain.module(alias.module).unwrap().facts.name.text().to_string());
        names.collect::<Vec<_>>().join(" ")
    }

    /// Whether the linker's books hold, in themselves and against the text.
    ///
    /// # Panics
    /// Where they do not.
    pub fn check(&self) {
        assert_eq!(self.domain.check(), Ok(()));
        assert_eq!(self.domain.check_text(&self.memory), Ok(()));
    }

    /// Everything that a refused load, or a load and its unload, leave as it was. Linker-owned text that nobody owns
    /// may hold old words, and it is not looked at.
    #[must_use]
    pub fn snapshot(&self) -> String {
        let mut out = String::new();
        for (id, symbol) in self.domain.symbols() {
            writeln!(out, "{} {:x} {}", symbol.name, symbol.fingerprint, symbol.may_block).unwrap();
            for alias in symbol.stack().aliases() {
                let who = self.domain.module(alias.module).unwrap().facts.name;
                writeln!(out, "  {who} {:?} {} {:?}", alias.kind, alias.linked, alias.entry).unwrap();
            }
            let mut sites: Vec<_> = self.domain.sites_of_symbol(id).collect();
            sites.sort();
            for site in sites {
                writeln!(out, "  {:?} {:x?}", site.at, self.memory.read(site.at)).unwrap();
            }
        }
        for module in self.domain.modules() {
            writeln!(out, "{} {:?} {}", module.facts.name, module.state(), module.site_count()).unwrap();
        }
        writeln!(out, "{} {}", self.domain.linker_text_used(), self.domain.site_count()).unwrap();
        let end = LINKER_TEXT + LINKER_TEXT_SIZE as u64;
        let mut hasher = DefaultHasher::new();
        for page in self.memory.pages_outside(LINKER_TEXT..end) {
            page.hash(&mut hasher);
        }
        writeln!(out, "{:x}", hasher.finish()).unwrap();
        out
    }
}
