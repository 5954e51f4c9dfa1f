//! Goal: the seed's story with real images: layers over `bus_space`, loaded, stacked, taken from the middle.
//!
//! Method: object files made to measure go through parser, layout, plan, relocation and commit; then calls are
//! followed through the words in memory.
#![allow(clippy::unwrap_used)]

use kmod::records::ALIAS_REFINE;
use link_tests::base::{BaseImage, DATA};
use link_tests::machine::OUTSIDE;
use link_tests::module::{Module, Op, RET};
use link_tests::mutate::{Share, several, singles};
use link_tests::world::{Refusal, World};
use linker_core::{Errno, ModuleState, PlanError};

const READ: &str = "bus_space_read_4";

fn base() -> BaseImage {
    BaseImage::small()
}

/// What a call of the base image runs.
fn call(world: &mut World, symbol: usize) -> String {
    let at = base().call_address(symbol);
    let called = world.run(at, 1, at + 4).unwrap();
    let jumped = world.run(at + 4, 1, OUTSIDE).unwrap();
    assert_eq!(called, jumped, "call and tail call agree");
    called.1
}

#[test]
fn seed_story() {
    let mut world = World::new(&base().write()).unwrap();
    assert_eq!(call(&mut world, 0), "base");
    // A module provides the full implementation of a stub; a second one is refused.
    world.load(&Module::new("bpf").strong("voidop").write()).unwrap();
    assert_eq!(call(&mut world, 1), "bpf");
    let refused = world.load(&Module::new("bpf2").strong("voidop").write()).unwrap_err();
    let Refusal::Plan(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.errno(), Errno::EEXIST);
    // Layers refine each other, and leave in any order.
    world.load(&Module::new("debug").refine(READ).write()).unwrap();
    world.load(&Module::new("xh").refine(READ).write()).unwrap();
    assert_eq!(call(&mut world, 0), "xh debug base");
    world.unload_by_name("debug").unwrap();
    assert_eq!(call(&mut world, 0), "xh base");
    world.load(&Module::new("debug").refine(READ).write()).unwrap();
    assert_eq!(call(&mut world, 0), "debug xh base");
    for name in ["xh", "bpf", "debug"] {
        world.unload_by_name(name).unwrap();
        world.check();
    }
    assert_eq!((call(&mut world, 0), call(&mut world, 1)), ("base".into(), "base".into()));
    assert_eq!(world.snapshot(), World::new(&base().write()).unwrap().snapshot());
}

#[test]
fn the_pointer_of_the_base_goes_through_its_slot() {
    let mut world = World::new(&base().write()).unwrap();
    let slot = world
        .domain
        .modules()
        .next()
        .map(|module| world.domain.sites_of_module(module).find(|s| s.slot))
        .unwrap();
    let slot = slot.unwrap().at.0;
    assert_eq!(world.memory.read_64(DATA), Some(slot), "the table holds the slot, not the default");
    world.load(&Module::new("debug").refine(READ).write()).unwrap();
    assert_eq!(world.run(slot, 1, OUTSIDE).unwrap().1, "debug base");
    world.unload_by_name("debug").unwrap();
    assert_eq!(world.run(slot, 1, OUTSIDE).unwrap().1, "base");
}

#[test]
fn a_tail_call_of_super_is_patched() {
    let mut world = World::new(&base().write()).unwrap();
    let tail = Module::new("tail").alias(ALIAS_REFINE, READ, &[Op::TailCall(format!("super_{READ}"))]);
    world.load(&Module::new("debug").refine(READ).write()).unwrap();
    world.load(&tail.write()).unwrap();
    assert_eq!(call(&mut world, 0), "tail debug base");
    world.unload_by_name("debug").unwrap();
    assert_eq!(call(&mut world, 0), "tail base");
    world.check();
}

#[test]
fn one_of_everything_loads_and_leaves() {
    let mut base = base();
    base.weak.extend(["demo_note".into(), "bus_space_write_4".into()]);
    let mut world = World::new(&base.write()).unwrap();
    let before = world.snapshot();
    // The kitchen sink strengthens a stub that does not block.
    let mut sink = Module::kitchen_sink();
    for alias in &mut sink.aliases {
        alias.flags &= u8::from(alias.name == "sink_new");
    }
    let id = world.load(&sink.write()).unwrap();
    world.check();
    assert_eq!(world.domain.module(id).unwrap().state(), ModuleState::Live);
    assert_eq!(world.run(base.call_address(0) + 4, 1, OUTSIDE).unwrap().1, "sink base");
    world.unload(id).unwrap();
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_layer_over_nobodys_symbol_is_refused() {
    let mut world = World::new(&base().write()).unwrap();
    let refused = world.load(&Module::new("lost").refine("nobody").write()).unwrap_err();
    assert!(matches!(refused, Refusal::Plan(PlanError::NothingToRefine(name)) if name.text() == "nobody"));
    let refused =
        world.load(&Module::new("lost").import("nobody").function("f", &[Op::Call("nobody".into())]).write());
    assert!(matches!(refused, Err(Refusal::Plan(PlanError::UnknownImport(_)))));
    assert_eq!(world.load(&Module::new("ret").function("f", &[Op::Word(RET)]).write()).map(|_| ()), Ok(()));
}

#[test]
fn a_damaged_module_is_refused_or_loads_and_leaves() {
    let mut base = base();
    base.weak.extend(["demo_note".into(), "bus_space_write_4".into()]);
    let mut world = World::new(&base.write()).unwrap();
    let before = world.snapshot();
    let mut sink = Module::kitchen_sink();
    for alias in &mut sink.aliases {
        alias.flags &= u8::from(alias.name == "sink_new");
    }
    let (mut loaded, mut refused) = (0, 0);
    let mut try_it = |file: &[u8]| {
        match world.load(file) {
            // The parser has nothing in its hands that could change.
            Err(Refusal::Parse(_)) => {
                refused += 1;
                return;
            }
            Ok(id) => {
                world.check();
                world.unload(id).unwrap();
                loaded += 1;
            }
            Err(_) => refused += 1,
        }
        assert_eq!(world.snapshot(), before, "no trace either way");
    };
    let file = sink.write();
    let tried = singles(&file, Share { index: 0, count: 20 }, &mut try_it) + 50_000;
    several(&file, 0x5eed, 50_000, &mut try_it);
    println!("{tried} damaged images: {loaded} loaded, {refused} refused");
    assert!(loaded > 0 && refused > 0);
}

#[test]
fn a_damaged_base_image_is_refused_or_carries_layers() {
    let layer = Module::new("debug").refine(READ).write();
    let (mut accepted, mut refused) = (0, 0);
    let tried = singles(&base().write(), Share { index: 1, count: 30 }, |file| match World::new(file) {
        Ok(mut world) => {
            world.check();
            let before = world.snapshot();
            if let Ok(id) = world.load(&layer) {
                world.check();
                world.unload(id).unwrap();
            }
            world.check();
            assert_eq!(world.snapshot(), before);
            accepted += 1;
        }
        Err(_) => refused += 1,
    });
    println!("{tried} damaged base images: {accepted} accepted, {refused} refused");
    assert!(accepted > 0 && refused > 0);
}
