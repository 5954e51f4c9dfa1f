//! Goal: each bound is an error that a caller sees, and reaching it changes nothing.
//!
//! Method: a world is filled up to one bound after the other, refused once more, and then emptied.
#![allow(clippy::unwrap_used)]

mod support;

use linker_core::{
    AliasKind, LinkDomain, MODULE_ALIASES_MAX, MODULE_IMPORTS_MAX, MODULE_SITES_MAX, MODULES_MAX, PlanError,
    ReferenceKind, Referent, SITES_MAX, SYMBOLS_MAX, VENEERS_MAX, Va,
};
use support::{Image, LINKER_TEXT, LoadError, READ, World, base_image};

/// Loads what `make` says until it is refused, checks the error, and takes everything out again.
fn fill(mut world: World, expected: PlanError, make: impl Fn(usize) -> Image) -> usize {
    let empty = world.snapshot();
    let mut loaded = Vec::new();
    let error = loop {
        let before = world.snapshot();
        match world.load(&make(loaded.len())) {
            Ok(id) => loaded.push(id),
            Err(error) => {
                assert_eq!(world.snapshot(), before);
                break error;
            }
        }
    };
    assert_eq!(error, LoadError::Plan(expected));
    world.check();
    for id in loaded.iter().rev() {
        world.unload(*id).unwrap();
    }
    world.check();
    assert_eq!(world.snapshot(), empty);
    loaded.len()
}

fn named(number: usize) -> Image {
    Image::new(&format!("module{number}"))
}

#[test]
fn modules() {
    let count = fill(World::new(), PlanError::TooManyModules, named);
    assert_eq!(count, MODULES_MAX - 1, "the base image is one");
}

#[test]
fn symbols() {
    let make = |number: usize| {
        (0..10).fold(named(number), |image, index| {
            image.alias(AliasKind::Export, &format!("symbol_{number}_{index}"))
        })
    };
    let count = fill(World::new(), PlanError::TooManySymbols, make);
    assert_eq!(count, (SYMBOLS_MAX - 3) / 10);
}

#[test]
fn sites() {
    let make = |number: usize| {
        (0..600).fold(named(number).imports(READ), |image, _| {
            image.refers(Referent::Import(0), ReferenceKind::Call)
        })
    };
    let count = fill(World::new(), PlanError::TooManySites, make);
    assert_eq!(count, (SITES_MAX - 9) / 600);
}

#[test]
fn records_of_one_module() {
    let refused = |image: Image| match World::new().load(&image).unwrap_err() {
        LoadError::Plan(error) => error,
        other => panic!("{other:?}"),
    };
    let aliases =
        (0..=MODULE_ALIASES_MAX).fold(named(0), |image, n| image.alias(AliasKind::Weak, &format!("s{n}")));
    assert_eq!(refused(aliases), PlanError::TooManyAliases);
    let imports = (0..=MODULE_IMPORTS_MAX).fold(named(0), |image, _| image.imports(READ));
    assert_eq!(refused(imports), PlanError::TooManyImports);
    let sites = (0..=MODULE_SITES_MAX)
        .fold(named(0).imports(READ), |image, _| image.refers(Referent::Import(0), ReferenceKind::Call));
    assert_eq!(refused(sites), PlanError::TooManySites);
}

#[test]
fn linker_text() {
    // 64 KiB hold 1365 gates; the symbols would be used up before, so the modules introduce few and hold addresses.
    let make = |number: usize| {
        let image = named(number).alias(AliasKind::Weak, &format!("own{number}"));
        (0..100).fold(image, |image, index| {
            image.imports(READ).refers(Referent::Import(index), ReferenceKind::Address)
        })
    };
    let mut world = World::new();
    world.domain = Box::new(LinkDomain::EMPTY);
    world.domain.open(Va(LINKER_TEXT), 16 << 10);
    let mut base = base_image();
    linker_core::plan_base(&world.domain, &mut base, &mut world.plan).unwrap();
    linker_core::affix(&mut world.plan, &mut world.domain, &mut world.text).unwrap();
    linker_core::commit(&mut world.plan, &mut world.domain, &mut world.text).unwrap();
    let count = fill(world, PlanError::NoLinkerText, make);
    assert_eq!(count, 1024 / 103);
}

#[test]
fn veneers() {
    // A base image far from everything declares more symbols than one plan may add veneers for.
    let symbols: Vec<String> = (0..=VENEERS_MAX).map(|n| format!("far{n}")).collect();
    let mut base =
        symbols.iter().fold(Image::new("base"), |image, symbol| image.alias(AliasKind::Weak, symbol));
    base.start = 0x0a80_0000;
    let mut world = World::with_base(base);
    let greedy = symbols.iter().fold(named(0), |image, symbol| image.calls(symbol));
    assert_eq!(world.load(&greedy), Err(LoadError::Plan(PlanError::TooManyVeneers)));
    let modest = symbols[..VENEERS_MAX].iter().fold(named(0), |image, symbol| image.calls(symbol));
    world.load(&modest).unwrap();
    world.check();
    // The others' veneers are there, so now it is allowed.
    world.unload_by_name("module0").unwrap();
    world.load(&greedy).unwrap();
    world.check();
}
