//! Goal: the linker core does what a naive model says, for any history.
//!
//! Method: the model is a list of modules in load order; it works every stack out from scratch by sorting, and knows
//! nothing of gates, patches or marks. Random histories of loads, unloads, roll-backs, refused writes and pops run
//! against both; after each step every call site of every mapped module is followed through the text.
#![allow(clippy::unwrap_used)]

mod support;

use linker_core::{
    AliasKind, Binding, CommitError, LoadOptions, ModuleId, PlanError, REFINERS_MAX, ReferenceKind, Referent,
    plan_pop,
};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use support::{ATTACH, Image, LoadError, READ, WRITE, World};

const SYMBOLS: [&str; 6] = [READ, WRITE, ATTACH, "own_ping", "own_wait", "own_helper"];
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[derive(Clone, Debug)]
struct Record {
    symbol: &'static str,
    kind: AliasKind,
    position: u32,
    /// How the layer calls what it overrides, if it does.
    below: Option<ReferenceKind>,
}

#[derive(Clone, Debug)]
struct Description {
    name: &'static str,
    records: Vec<Record>,
    imports: Vec<(&'static str, ReferenceKind)>,
    binding: Binding,
}

#[derive(Clone, Debug)]
enum Step {
    Load(Description),
    Unload(&'static str),
    RollBack(&'static str),
    LoadUndone(Description),
    LoadRefused(Description, usize),
    UnloadRefused(&'static str, usize),
    Pop(&'static str),
}

fn reference() -> impl Strategy<Value = ReferenceKind> {
    select(vec![ReferenceKind::Call, ReferenceKind::Jump, ReferenceKind::Address])
}

fn record() -> impl Strategy<Value = Record> {
    let introduce = (select(SYMBOLS[3..].to_vec()), select(vec![AliasKind::Weak, AliasKind::Export]))
        .prop_map(|(symbol, kind)| Record { symbol, kind, position: 0, below: None });
    let layer = (select(SYMBOLS.to_vec()), 0..3_u32, proptest::option::of(reference()))
        .prop_map(|(symbol, position, below)| Record { symbol, kind: AliasKind::Refine, position, below });
    let strong = select(SYMBOLS.to_vec()).prop_map(|symbol| Record {
        symbol,
        kind: AliasKind::Strong,
        position: 0,
        below: None,
    });
    prop_oneof![2 => introduce, 5 => layer, 1 => strong]
}

fn description() -> impl Strategy<Value = Description> {
    let records = proptest::collection::vec(record(), 0..4);
    let imports = proptest::collection::vec((select(SYMBOLS.to_vec()), reference()), 0..3);
    let binding = prop_oneof![3 => Just(Binding::Counted), 1 => Just(Binding::Direct)];
    (select(NAMES.to_vec()), records, imports, binding)
        .prop_map(|(name, records, imports, binding)| Description { name, records, imports, binding })
}

fn step() -> impl Strategy<Value = Step> {
    let which = || select(NAMES.to_vec());
    prop_oneof![
        8 => description().prop_map(Step::Load),
        5 => which().prop_map(Step::Unload),
        2 => which().prop_map(Step::RollBack),
        1 => description().prop_map(Step::LoadUndone),
        1 => (description(), 0..40_usize).prop_map(|(what, after)| Step::LoadRefused(what, after)),
        1 => (which(), 0..8_usize).prop_map(|(what, after)| Step::UnloadRefused(what, after)),
        1 => which().prop_map(Step::Pop),
    ]
}

fn image(what: &Description) -> Image {
    let mut image = Image::new(what.name);
    for (index, record) in what.records.iter().enumerate() {
        image = image.alias(record.kind, record.symbol).change(|alias| alias.position = record.position);
        if let Some(kind) = record.below {
            image = image.refers(Referent::Super(index), kind);
        }
    }
    for (index, (symbol, kind)) in what.imports.iter().enumerate() {
        image = image.imports(symbol).refers(Referent::Import(index), *kind);
    }
    image
}

/// A module as the model knows it.
struct Loaded {
    id: ModuleId,
    what: Description,
    linked: bool,
}

/// One entry of a stack that the model worked out.
#[derive(Clone, Copy)]
struct Entry<'a> {
    name: &'a str,
    linked: bool,
    passes: bool,
    id: ModuleId,
}

#[derive(Default)]
struct Model {
    loaded: Vec<Loaded>,
}

impl Model {
    /// Sorts a stack together: the default, strong ones, refiners by position and then by load order.
    fn stack(&self, symbol: &str) -> Vec<Entry<'_>> {
        let mut entries = Vec::new();
        if SYMBOLS[..3].contains(&symbol) {
            let base = Entry { name: "base", linked: true, passes: false, id: ModuleId::BASE };
            entries.push(((0, 0), base));
        }
        for module in &self.loaded {
            for record in module.what.records.iter().filter(|record| record.symbol == symbol) {
                let rank = match record.kind {
                    AliasKind::Weak | AliasKind::Export => (0, 0),
                    AliasKind::Strong => (1, 0),
                    AliasKind::Refine => (2, record.position),
                };
                let passes = record.below.is_some_and(|kind| kind != ReferenceKind::Address);
                entries.push((
                    rank,
                    Entry { name: module.what.name, linked: module.linked, passes, id: module.id },
                ));
            }
        }
        entries.sort_by_key(|(rank, _)| *rank);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Who runs, from the highest linked entry of a part of a stack down.
    fn chain(entries: &[Entry<'_>]) -> String {
        let mut ran = Vec::new();
        let mut end = entries.len();
        loop {
            let top = entries[..end].iter().rposition(|entry| entry.linked).unwrap_or(0);
            ran.push(entries[top].name);
            if !entries[top].passes || top == 0 {
                break ran.join(" ");
            }
            end = top;
        }
    }

    fn overridable(&self, symbol: &str) -> bool {
        SYMBOLS[..3].contains(&symbol)
            || self.loaded.iter().any(|module| {
                module.what.records.iter().any(|r| r.symbol == symbol && r.kind == AliasKind::Weak)
            })
    }

    /// Whether a load is allowed.
    fn allows(&self, what: &Description) -> bool {
        let taken = self.loaded.iter().any(|module| module.what.name == what.name && module.linked);
        let unique =
            what.records.iter().all(|a| what.records.iter().filter(|b| a.symbol == b.symbol).count() == 1);
        let introduces =
            |symbol: &str| what.records.iter().any(|r| r.symbol == symbol && r.kind.introduces());
        let records = what.records.iter().all(|record| {
            let stack = self.stack(record.symbol);
            let of = |kind| {
                move |module: &&Loaded| {
                    module.what.records.iter().any(|r| r.symbol == record.symbol && r.kind == kind)
                }
            };
            match record.kind {
                AliasKind::Weak | AliasKind::Export => stack.is_empty(),
                AliasKind::Strong => {
                    let strong = self.loaded.iter().filter(of(AliasKind::Strong)).any(|module| module.linked);
                    self.overridable(record.symbol) && !strong
                }
                AliasKind::Refine => {
                    let refiners = self.loaded.iter().filter(of(AliasKind::Refine)).count();
                    self.overridable(record.symbol) && refiners < REFINERS_MAX
                }
            }
        });
        let imports =
            what.imports.iter().all(|(symbol, _)| !self.stack(symbol).is_empty() || introduces(symbol));
        !taken && unique && records && imports
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.loaded.iter().position(|module| module.what.name == name && module.linked)
    }

    /// Whether somebody else uses what a module introduces.
    fn is_needed(&self, index: usize) -> bool {
        let introduced = self.loaded[index].what.records.iter().filter(|record| record.kind.introduces());
        introduced.map(|record| record.symbol).any(|symbol| {
            self.loaded.iter().enumerate().any(|(other, module)| {
                let uses = module.what.imports.iter().any(|(import, _)| *import == symbol)
                    || module.what.records.iter().any(|record| record.symbol == symbol);
                other != index && uses
            })
        })
    }

    fn compare(&self, world: &World) {
        world.check();
        for symbol in &SYMBOLS[..3] {
            assert_eq!(world.call(symbol), Self::chain(&self.stack(symbol)));
        }
        for module in &self.loaded {
            let (_, image) = world.images.iter().find(|(id, _)| *id == module.id).unwrap();
            for (index, (referent, kind)) in image.references.iter().enumerate() {
                if *kind == ReferenceKind::Address {
                    continue;
                }
                let expected = match *referent {
                    Referent::Import(import) => Self::chain(&self.stack(module.what.imports[import].0)),
                    Referent::Super(record) => {
                        let stack = self.stack(module.what.records[record].symbol);
                        let own = stack.iter().position(|entry| entry.id == module.id).unwrap();
                        Self::chain(&stack[..own])
                    }
                    Referent::Own(_) => unreachable!(),
                };
                assert_eq!(world.trace(image.site(index)), expected, "{} {referent:?}", module.what.name);
            }
        }
    }
}

/// Runs one step against both; the model says whether it should work.
fn apply(world: &mut World, model: &mut Model, step: &Step) {
    let before = world.snapshot();
    match step {
        Step::Load(what) => match load(world, what) {
            Ok(id) => {
                assert!(model.allows(what), "{what:?} should be refused");
                model.loaded.push(Loaded { id, what: what.clone(), linked: true });
            }
            Err(error) => {
                assert!(!model.allows(what), "{what:?} should be allowed: {error:?}");
                assert_eq!(world.snapshot(), before);
            }
        },
        Step::LoadUndone(what) => {
            if let Ok(id) = load(world, what) {
                world.revert();
                world.check();
                world.forget(id);
            }
            assert_eq!(world.snapshot(), before);
        }
        Step::LoadRefused(what, after) => {
            world.text.refuse_after = Some(*after);
            let result = load(world, what);
            let refused = world.text.refuse_after.take().is_none();
            match result {
                Ok(id) => model.loaded.push(Loaded { id, what: what.clone(), linked: true }),
                Err(LoadError::Commit(CommitError::Refused(_))) => assert!(refused),
                Err(error) => assert!(!model.allows(what), "{error:?}"),
            }
            if refused {
                assert_eq!(world.snapshot(), before);
            }
        }
        Step::Unload(name) => {
            let Some(index) = model.find(name) else { return };
            let result = world.unload(model.loaded[index].id);
            if model.is_needed(index) {
                assert!(matches!(result, Err(LoadError::Plan(PlanError::Dependency { .. }))), "{result:?}");
                assert_eq!(world.snapshot(), before);
            } else {
                result.unwrap();
                model.loaded.remove(index);
            }
        }
        Step::RollBack(name) => {
            let Some(index) = model.find(name) else { return };
            if world.unlink(model.loaded[index].id).is_ok() {
                model.loaded[index].linked = false;
                model.compare(world);
                model.loaded[index].linked = true;
                world.revert();
            }
            assert_eq!(world.snapshot(), before);
        }
        Step::UnloadRefused(name, after) => {
            let Some(index) = model.find(name) else { return };
            world.text.refuse_after = Some(*after);
            let result = world.unload(model.loaded[index].id);
            if world.text.refuse_after.take().is_none() || result.is_err() {
                assert!(result.is_err());
                assert_eq!(world.snapshot(), before);
            } else {
                model.loaded.remove(index);
            }
        }
        Step::Pop(name) => {
            let Some(index) = model.find(name) else { return };
            let id = model.loaded[index].id;
            plan_pop(&world.domain, id, &mut world.plan).unwrap();
            world.commit().unwrap();
            world.domain.wedge(id);
            model.loaded[index].linked = false;
        }
    }
    model.compare(world);
}

fn load(world: &mut World, what: &Description) -> Result<ModuleId, LoadError> {
    world.options = LoadOptions { binding: Some(what.binding), ..LoadOptions::default() };
    world.load(&image(what))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history(steps in proptest::collection::vec(step(), 1..40), near in any::<bool>()) {
        let mut base = support::base_image();
        if !near {
            // The base image is out of reach of the modules: every `super_` to a default takes a veneer.
            base.start = 0x0a80_0000;
        }
        let mut world = World::with_base(base);
        let mut model = Model::default();
        let veneers_stay = !near;
        let empty = world.snapshot();
        for step in &steps {
            if veneers_stay && matches!(step, Step::LoadUndone(_) | Step::LoadRefused(..) | Step::UnloadRefused(..) | Step::RollBack(_)) {
                continue;
            }
            apply(&mut world, &mut model, step);
        }
        for _ in NAMES {
            for module in (0..model.loaded.len()).rev() {
                if model.loaded[module].linked && !model.is_needed(module) {
                    world.unload(model.loaded[module].id).unwrap();
                    model.loaded.remove(module);
                    model.compare(&world);
                }
            }
        }
        if near && model.loaded.is_empty() {
            assert_eq!(world.snapshot(), empty);
        }
    }
}
