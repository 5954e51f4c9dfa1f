//! A link domain on the host: text is a map from addresses to words, images are built from records.
//!
//! What a call does is found out by following the words, as a core would, never by asking the stacks.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "shared by several test files, for tests only"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use linker_core::{
    Action, AliasFacts, AliasKind, Binding, Branch, Capabilities, CapabilityId, Command, CommitError, Grant,
    ImportFacts, LinkDomain, LinkPlan, LoadOptions, ModuleFacts, ModuleId, Name, PlanError, Reference,
    ReferenceKind, Referent, Refused, Rights, Source, TextSpace, Va, affix, commit, forget, plan_base,
    plan_load, plan_revoke, plan_unload, revert,
};

pub const BASE: u64 = 0x1000_0000;
pub const LINKER_TEXT: u64 = 0x1200_0000;
pub const MODULES: u64 = 0x1300_0000;
const MODULE_SIZE: u64 = 0x1_0000;
pub const READ: &str = "bus_space_read_4";
pub const WRITE: &str = "bus_space_write_4";
pub const ATTACH: &str = "bpf_attach";

pub fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

/// Text of a link domain; one write can be made to fail.
#[derive(Default)]
pub struct Text {
    pub words: BTreeMap<u64, u32>,
    /// Writes until one is refused; counts down.
    pub refuse_after: Option<usize>,
    pub writes: usize,
    /// Words that were written since the last publication.
    pub fresh: BTreeSet<u64>,
    /// Words that are published and that some core may have fetched before.
    pub unsynchronised: BTreeSet<u64>,
}

impl TextSpace for Text {
    fn read(&self, at: Va) -> Option<u32> {
        self.words.get(&at.0).copied()
    }

    fn write(&mut self, at: Va, bits: u32) -> Result<(), Refused> {
        match self.refuse_after {
            Some(0) => {
                self.refuse_after = None;
                return Err(Refused);
            }
            Some(left) => self.refuse_after = Some(left - 1),
            None => {}
        }
        self.writes += 1;
        // Whoever takes the branch must find the whole of what it leads to.
        if let Some(branch) = Branch::decode(bits).filter(|_| at.0 & 0xff00_0000 != LINKER_TEXT) {
            let target = branch.target(at).0;
            assert!(!self.fresh.contains(&target), "published before it is reachable");
            assert!(!self.unsynchronised.contains(&target), "every core synchronises before it is reachable");
        }
        self.fresh.insert(at.0);
        self.words.insert(at.0, bits);
        Ok(())
    }

    fn publish(&mut self) {
        self.unsynchronised.append(&mut self.fresh);
    }

    fn synchronise(&mut self) {
        self.unsynchronised.clear();
    }
}

/// An image made of records.
#[derive(Clone)]
pub struct Image {
    pub name: String,
    pub start: u64,
    pub commands: u32,
    pub aliases: Vec<AliasFacts>,
    pub imports: Vec<ImportFacts>,
    pub references: Vec<(Referent, ReferenceKind)>,
    /// What each reference got when it was last planned.
    pub values: Vec<Va>,
    pub unwind_tables: bool,
}

pub fn fingerprint(symbol: &str) -> u64 {
    name(symbol).hash() ^ 0xabcd
}

impl Image {
    pub fn new(name: &str) -> Self {
        let commands = (1 << Command::Init as u32) | (1 << Command::Fini as u32);
        let (aliases, imports, references, values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let unwind_tables = false;
        Self { name: name.into(), start: 0, commands, aliases, imports, references, values, unwind_tables }
    }

    /// An image with unwind tables.
    pub fn tabled(mut self) -> Self {
        self.unwind_tables = true;
        self
    }

    pub fn alias(mut self, kind: AliasKind, symbol: &str) -> Self {
        self.aliases.push(AliasFacts {
            symbol: name(symbol),
            kind,
            may_block: false,
            position: 0,
            fingerprint: fingerprint(symbol),
            fault_value: u64::MAX,
            target: Va(0),
        });
        self
    }

    /// A layer over a symbol that calls what it overrides.
    pub fn layer(self, symbol: &str) -> Self {
        let index = self.aliases.len();
        self.alias(AliasKind::Refine, symbol).refers(Referent::Super(index), ReferenceKind::Call)
    }

    pub fn imports(mut self, symbol: &str) -> Self {
        self.imports.push(ImportFacts { symbol: name(symbol), fingerprint: fingerprint(symbol) });
        self
    }

    /// A caller of a symbol.
    pub fn calls(self, symbol: &str) -> Self {
        let index = self.imports.len();
        self.imports(symbol).refers(Referent::Import(index), ReferenceKind::Call)
    }

    pub fn refers(mut self, referent: Referent, kind: ReferenceKind) -> Self {
        self.references.push((referent, kind));
        self
    }

    pub fn change(mut self, change: impl FnOnce(&mut AliasFacts)) -> Self {
        change(self.aliases.last_mut().unwrap());
        self
    }

    /// Where reference `index` stands.
    pub fn site(&self, index: usize) -> Va {
        Va(self.start + 0x8000 + index as u64 * 4)
    }

    pub fn implementation(&self, index: usize) -> Va {
        Va(self.start + 0x40 * (1 + index as u64))
    }
}

impl Source for Image {
    fn facts(&self) -> ModuleFacts {
        ModuleFacts {
            name: name(&self.name),
            commands: self.commands,
            entry: Va(self.start),
            start: Va(self.start),
            size: MODULE_SIZE,
            text_start: Va(self.start),
            text_size: MODULE_SIZE,
            unwind_tables: self.unwind_tables,
            ..ModuleFacts::EMPTY
        }
    }

    fn alias(&self, index: usize) -> Option<AliasFacts> {
        self.aliases.get(index).map(|alias| AliasFacts { target: self.implementation(index), ..*alias })
    }

    fn import(&self, index: usize) -> Option<ImportFacts> {
        self.imports.get(index).copied()
    }

    fn link(&mut self, each: &mut dyn FnMut(Reference) -> Result<Va, PlanError>) -> Result<(), PlanError> {
        self.values.clear();
        for (index, (referent, kind)) in self.references.iter().enumerate() {
            let value = each(Reference { at: self.site(index), referent: *referent, kind: *kind })?;
            self.values.push(value);
        }
        Ok(())
    }
}

/// The base image of the tests: three symbols, two call sites and a tail call of each.
pub fn base_image() -> Image {
    let mut base = Image::new("base");
    base.start = BASE;
    for (index, symbol) in [READ, WRITE, ATTACH].into_iter().enumerate() {
        base = base.alias(AliasKind::Weak, symbol);
        for kind in [ReferenceKind::Call, ReferenceKind::Jump, ReferenceKind::Call] {
            base = base.refers(Referent::Own(index), kind);
        }
    }
    base
}

/// The usual layers.
pub fn layer(name: &str) -> Image {
    Image::new(name).layer(READ).layer(WRITE)
}

#[derive(Debug, PartialEq, Eq)]
pub enum LoadError {
    Plan(PlanError),
    Commit(CommitError),
}

/// A link domain with its text.
pub struct World {
    pub domain: Box<LinkDomain>,
    pub plan: Box<LinkPlan>,
    pub text: Text,
    pub images: Vec<(ModuleId, Image)>,
    /// Distance between modules.
    pub stride: u64,
    pub options: LoadOptions<'static>,
}

impl World {
    pub fn new() -> Self {
        Self::with_base(base_image())
    }

    pub fn with_base(mut base: Image) -> Self {
        let mut world = Self {
            domain: Box::new(LinkDomain::EMPTY),
            plan: Box::new(LinkPlan::EMPTY),
            text: Text::default(),
            images: Vec::new(),
            stride: MODULE_SIZE,
            options: LoadOptions::default(),
        };
        world.domain.open(Va(LINKER_TEXT), 64 << 10);
        plan_base(&world.domain, &mut base, &mut world.plan).unwrap();
        world.write_image(&base);
        affix(&mut world.plan, &mut world.domain, &mut world.text).unwrap();
        commit(&mut world.plan, &mut world.domain, &mut world.text).unwrap();
        world.images.push((ModuleId::BASE, base));
        world.text.writes = 0;
        world.check();
        world
    }

    /// What relocation does to an image.
    fn write_image(&mut self, image: &Image) {
        for (index, ((_, kind), value)) in image.references.iter().zip(&image.values).enumerate() {
            if *kind != ReferenceKind::Address {
                let at = image.site(index);
                let branch = Branch::encode(at, *value, *kind == ReferenceKind::Call).unwrap();
                self.text.words.insert(at.0, branch.bits());
            }
        }
    }

    /// Finds a place for an image: addresses are used again.
    fn place(&self, image: &Image) -> Image {
        let start = (0..)
            .map(|n| MODULES + n * self.stride)
            .find(|start| self.images.iter().all(|(_, other)| other.start != *start))
            .unwrap();
        Image { start, ..image.clone() }
    }

    pub fn plan_load(&mut self, image: &Image) -> Result<Image, PlanError> {
        let mut image = self.place(image);
        plan_load(&self.domain, &mut image, &self.options, &mut self.plan)?;
        Ok(image)
    }

    /// Up to where INIT runs.
    pub fn affix(&mut self, image: &Image) -> Result<ModuleId, LoadError> {
        let image = self.plan_load(image).map_err(LoadError::Plan)?;
        self.write_image(&image);
        affix(&mut self.plan, &mut self.domain, &mut self.text).map_err(LoadError::Commit)?;
        self.images.push((self.plan.module(), image));
        Ok(self.plan.module())
    }

    pub fn commit(&mut self) -> Result<(), CommitError> {
        commit(&mut self.plan, &mut self.domain, &mut self.text)
    }

    pub fn revert(&mut self) {
        revert(&mut self.plan, &mut self.domain, &mut self.text);
    }

    pub fn load(&mut self, image: &Image) -> Result<ModuleId, LoadError> {
        let id = self.affix(image)?;
        if let Err(error) = self.commit() {
            self.forget(id);
            return Err(LoadError::Commit(error));
        }
        Ok(id)
    }

    /// Reclaims a module: its text faults from now on.
    pub fn forget(&mut self, id: ModuleId) {
        forget(&mut self.domain, id);
        let index = self.images.iter().position(|(other, _)| *other == id).unwrap();
        let (_, image) = self.images.remove(index);
        self.text.words.retain(|at, _| *at < image.start || *at >= image.start + MODULE_SIZE);
    }

    pub fn unlink(&mut self, id: ModuleId) -> Result<(), LoadError> {
        plan_unload(&self.domain, id, &mut self.plan).map_err(LoadError::Plan)?;
        self.commit().map_err(LoadError::Commit)
    }

    pub fn unload(&mut self, id: ModuleId) -> Result<(), LoadError> {
        self.unlink(id)?;
        self.forget(id);
        Ok(())
    }

    pub fn find(&self, name: &str) -> Option<ModuleId> {
        self.domain.find_module(name.as_bytes()).map(|module| module.id())
    }

    pub fn unload_by_name(&mut self, name: &str) -> Result<(), LoadError> {
        self.unload(self.find(name).unwrap())
    }

    /// The stack of a symbol as a person writes it: linked entries, top first.
    pub fn stack(&self, symbol: &str) -> String {
        let id = self.domain.find_symbol(&name(symbol)).unwrap();
        let stack = self.domain.symbol(id).unwrap().stack();
        let linked = stack.aliases().iter().rev().filter(|alias| alias.linked);
        let names =
            linked.map(|alias| self.domain.module(alias.module).unwrap().facts.name.text().to_string());
        names.collect::<Vec<_>>().join(" ")
    }

    /// Who runs, in order, when the branch at `at` is taken: found by following the text.
    pub fn trace(&self, at: Va) -> String {
        let mut ran = Vec::new();
        let mut next = Some(at);
        while let Some(at) = next {
            assert!(ran.len() < 32, "a call comes back");
            let implementation = self.follow(at);
            if self.is_denied(implementation) {
                ran.push("denied".into());
                break;
            }
            let (id, image) = self
                .images
                .iter()
                .find(|(_, image)| (image.start..image.start + MODULE_SIZE).contains(&implementation.0))
                .expect("every branch ends in text that is mapped");
            let index =
                image.aliases.iter().enumerate().position(|(i, _)| image.implementation(i) == implementation);
            let index = index.expect("every branch ends at an implementation");
            ran.push(self.domain.module(*id).unwrap().facts.name.text().to_string());
            let goes_on = |referent: &Referent| *referent == Referent::Super(index);
            let below = image
                .references
                .iter()
                .position(|(referent, kind)| goes_on(referent) && *kind != ReferenceKind::Address);
            next = below.map(|index| image.site(index));
        }
        ran.join(" ")
    }

    /// Where the branch at `at` leads: through slots, veneers and gates to an implementation.
    pub fn follow(&self, at: Va) -> Va {
        let word = |at: Va| *self.text.words.get(&at.0).expect("text is mapped");
        let mut target = Branch::decode(word(at)).expect("a call site holds a branch").target(at);
        loop {
            let first = word_or(&self.text, target);
            if self.is_denied(target) {
                return target;
            }
            if first == 0xd53b_d050 {
                // A gate: the call is its sixth word.
                let call = target.plus(20);
                target = Branch::decode(word(call)).unwrap().target(call);
            } else if first & 0xffe0_001f == 0xd280_0010 {
                let part = |index: u64| u64::from(word(target.plus(index * 4)) >> 5 & 0xffff);
                target = Va(part(0) | part(1) << 16 | part(2) << 32);
            } else if let Some(branch) =
                Branch::decode(first).filter(|_| target.0 & 0xff00_0000 == LINKER_TEXT)
            {
                target = branch.target(target);
            } else {
                return target;
            }
        }
    }

    /// Whether the stub of a right that was revoked stands here: `mov w17, #1` is its second word.
    fn is_denied(&self, at: Va) -> bool {
        at.0 & 0xff00_0000 == LINKER_TEXT && word_or(&self.text, at.plus(4)) == 0x5280_0031
    }

    /// Loads an image by a capability, with others presented.
    pub fn load_by(
        &mut self,
        image: &Image,
        table: &Capabilities,
        loader: CapabilityId,
        presented: &[CapabilityId],
    ) -> Result<ModuleId, LoadError> {
        let mut image = self.place(image);
        let options =
            LoadOptions { rights: Rights::presented(table, loader, presented), ..LoadOptions::default() };
        plan_load(&self.domain, &mut image, &options, &mut self.plan).map_err(LoadError::Plan)?;
        self.write_image(&image);
        affix(&mut self.plan, &mut self.domain, &mut self.text).map_err(LoadError::Commit)?;
        self.images.push((self.plan.module(), image));
        self.commit().map_err(LoadError::Commit)?;
        Ok(self.plan.module())
    }

    /// Revokes, at once, every binding that no capability of the table allows any more.
    pub fn revoke(&mut self, table: &Capabilities) -> Result<(), LoadError> {
        let holds = |grant: &Grant, symbol: &Name| table.allows(grant.by, symbol, grant.right);
        plan_revoke(&self.domain, holds, &mut self.plan).map_err(LoadError::Plan)?;
        self.commit().map_err(LoadError::Commit)
    }

    /// The trace of a module's own call site.
    pub fn call_of(&self, module: ModuleId, reference: usize) -> String {
        let (_, image) = self.images.iter().find(|(id, _)| *id == module).unwrap();
        self.trace(image.site(reference))
    }

    /// The trace of the base image's first call of a symbol.
    pub fn call(&self, symbol: &str) -> String {
        let base = &self.images[0].1;
        let index = base.aliases.iter().position(|alias| alias.symbol == name(symbol)).unwrap();
        let traces: Vec<String> = base
            .references
            .iter()
            .enumerate()
            .filter(|(_, (referent, kind))| {
                *referent == Referent::Own(index) && *kind != ReferenceKind::Address
            })
            .map(|(site, _)| self.trace(base.site(site)))
            .collect();
        assert!(traces.iter().all(|trace| *trace == traces[0]), "all call sites agree: {traces:?}");
        traces[0].clone()
    }

    pub fn check(&self) {
        assert_eq!(self.domain.check(), Ok(()));
        assert_eq!(self.domain.check_text(&self.text), Ok(()));
    }

    /// Everything that a load and its inverse leave as it was: stacks with places and marks, modules, call sites
    /// with their words, linker-owned text in use.
    pub fn snapshot(&self) -> String {
        let mut out = String::new();
        let who = |id: ModuleId| self.domain.module(id).unwrap().facts.name;
        for (id, symbol) in self.domain.symbols() {
            writeln!(out, "{} {id:?} {:x} {}", symbol.name, symbol.fingerprint, symbol.may_block).unwrap();
            for alias in symbol.stack().aliases() {
                let alias = linker_core::Alias { module: ModuleId::BASE, ..*alias };
                writeln!(out, "  {alias:?}").unwrap();
            }
            for (alias, place) in symbol.stack().aliases().iter().zip(0..) {
                writeln!(out, "  {place} {}", who(alias.module)).unwrap();
            }
            let mut sites: Vec<_> = self.domain.sites_of_symbol(id).collect();
            sites.sort();
            for site in sites {
                let word = self.text.read(site.at);
                writeln!(out, "  {:?} {} {:?} {word:x?}", site.at, who(site.caller), site.callee).unwrap();
            }
        }
        for module in self.domain.modules() {
            let (state, sites) = (module.state(), module.site_count());
            writeln!(out, "{} {} {state:?} {sites}", module.facts.name, module.id().index).unwrap();
        }
        writeln!(out, "{} {}", self.domain.linker_text_used(), self.domain.site_count()).unwrap();
        out
    }
}

fn word_or(text: &Text, at: Va) -> u32 {
    text.words.get(&at.0).copied().unwrap_or(0)
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// What a plan calls an alias for these tests.
pub fn counted() -> LoadOptions<'static> {
    LoadOptions { binding: Some(Binding::Counted), ..LoadOptions::default() }
}

/// Whether an action ends a transaction.
pub fn finished(action: Action) -> bool {
    matches!(action, Action::Finish(_))
}
