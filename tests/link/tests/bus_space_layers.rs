//! Goal: the seed's story with real images: layers over `bus_space`, loaded, stacked, taken from the middle.
//!
//! Method: object files made to measure go through parser, layout, plan, relocation and commit; then calls are
//! followed through the words in memory.
#![allow(clippy::unwrap_used)]

use kmod::records::ALIAS_REFINE;
use link_tests::base::BaseImage;
use link_tests::host::{Host, HostError};
use link_tests::module::{Module, Op, RET};
use link_tests::mutate::{Share, singles};
use linker_core::{Errno, ModuleState, PlanError};

const READ: &str = "bus_space_read_4";

fn base() -> BaseImage {
    BaseImage::small()
}

/// What a call of the base image runs.
fn call(host: &Host, symbol: usize) -> String {
    let at = base().call_address(symbol);
    // The `b` behind the `bl` is a tail call: its callee returns for it, as the second half of the same trace.
    let trace = host.run(at);
    let tail = host.run(at + 4);
    assert_eq!(trace, format!("{tail} {tail}"), "call and tail call agree");
    tail
}

#[test]
fn seed_story() {
    let mut host = Host::new(&base().write()).unwrap();
    assert_eq!(call(&host, 0), "base");
    // A module provides the full implementation of a stub; a second one is refused.
    host.load(&Module::new("bpf").strong("voidop").write()).unwrap();
    assert_eq!(call(&host, 1), "bpf");
    let refused = host.load(&Module::new("bpf2").strong("voidop").write()).unwrap_err();
    let HostError::Plan(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.errno(), Errno::EEXIST);
    // Layers refine each other, and leave in any order.
    host.load(&Module::new("debug").refine(READ).write()).unwrap();
    host.load(&Module::new("xh").refine(READ).write()).unwrap();
    assert_eq!(call(&host, 0), "xh debug base");
    host.unload_by_name("debug").unwrap();
    assert_eq!(call(&host, 0), "xh base");
    host.load(&Module::new("debug").refine(READ).write()).unwrap();
    assert_eq!(call(&host, 0), "debug xh base");
    for name in ["xh", "bpf", "debug"] {
        host.unload_by_name(name).unwrap();
        host.check();
    }
    assert_eq!((call(&host, 0), call(&host, 1)), ("base".into(), "base".into()));
    assert_eq!(host.snapshot(), Host::new(&base().write()).unwrap().snapshot());
}

#[test]
fn the_pointer_of_the_base_goes_through_its_slot() {
    let mut host = Host::new(&base().write()).unwrap();
    let slot = host
        .domain
        .modules()
        .next()
        .map(|module| host.domain.sites_of_module(module).find(|s| s.slot))
        .unwrap();
    let slot = slot.unwrap().at.0;
    let data = host.memory.bytes(0x1000_4000, 8).unwrap();
    assert_eq!(
        u64::from_le_bytes(data.try_into().unwrap()),
        slot,
        "the table holds the slot, not the default"
    );
    host.load(&Module::new("debug").refine(READ).write()).unwrap();
    assert_eq!(host.run(slot), "debug base");
    host.unload_by_name("debug").unwrap();
    assert_eq!(host.run(slot), "base");
}

#[test]
fn a_tail_call_of_super_is_patched() {
    let mut host = Host::new(&base().write()).unwrap();
    let tail = Module::new("tail").alias(ALIAS_REFINE, READ, &[Op::TailCall(format!("super_{READ}"))]);
    host.load(&Module::new("debug").refine(READ).write()).unwrap();
    host.load(&tail.write()).unwrap();
    assert_eq!(call(&host, 0), "tail debug base");
    host.unload_by_name("debug").unwrap();
    assert_eq!(call(&host, 0), "tail base");
    host.check();
}

#[test]
fn one_of_everything_loads_and_leaves() {
    let mut base = base();
    base.weak.extend(["demo_note".into(), "bus_space_write_4".into()]);
    let mut host = Host::new(&base.write()).unwrap();
    let before = host.snapshot();
    // The kitchen sink strengthens a stub that does not block.
    let mut sink = Module::kitchen_sink();
    for alias in &mut sink.aliases {
        alias.flags &= u8::from(alias.name == "sink_new");
    }
    let id = host.load(&sink.write()).unwrap();
    host.check();
    assert_eq!(host.domain.module(id).unwrap().state(), ModuleState::Live);
    assert_eq!(host.run(base.call_address(0) + 4), "sink base");
    host.unload(id).unwrap();
    assert_eq!(host.snapshot(), before);
}

#[test]
fn a_layer_over_nobodys_symbol_is_refused() {
    let mut host = Host::new(&base().write()).unwrap();
    let refused = host.load(&Module::new("lost").refine("nobody").write()).unwrap_err();
    assert!(matches!(refused, HostError::Plan(PlanError::NothingToRefine(name)) if name.text() == "nobody"));
    let refused =
        host.load(&Module::new("lost").import("nobody").function("f", &[Op::Call("nobody".into())]).write());
    assert!(matches!(refused, Err(HostError::Plan(PlanError::UnknownImport(_)))));
    assert_eq!(host.load(&Module::new("ret").function("f", &[Op::Word(RET)]).write()).map(|_| ()), Ok(()));
}

#[test]
fn a_damaged_module_is_refused_or_loads_and_leaves() {
    let mut base = base();
    base.weak.extend(["demo_note".into(), "bus_space_write_4".into()]);
    let mut host = Host::new(&base.write()).unwrap();
    let before = host.snapshot();
    let mut sink = Module::kitchen_sink();
    for alias in &mut sink.aliases {
        alias.flags &= u8::from(alias.name == "sink_new");
    }
    let (mut loaded, mut refused) = (0, 0);
    let tried = singles(&sink.write(), Share { index: 0, count: 40 }, |file| {
        match host.load(file) {
            Ok(id) => {
                host.check();
                host.unload(id).unwrap();
                loaded += 1;
            }
            Err(_) => refused += 1,
        }
        host.check();
        assert_eq!(host.snapshot(), before, "no trace either way");
    });
    println!("{tried} damaged images: {loaded} loaded, {refused} refused");
    assert!(loaded > 0 && refused > 0);
}

#[test]
fn a_damaged_base_image_is_refused_or_carries_layers() {
    let layer = Module::new("debug").refine(READ).write();
    let (mut accepted, mut refused) = (0, 0);
    let tried = singles(&base().write(), Share { index: 1, count: 30 }, |file| match Host::new(file) {
        Ok(mut host) => {
            host.check();
            let before = host.snapshot();
            if let Ok(id) = host.load(&layer) {
                host.check();
                host.unload(id).unwrap();
            }
            host.check();
            assert_eq!(host.snapshot(), before);
            accepted += 1;
        }
        Err(_) => refused += 1,
    });
    println!("{tried} damaged base images: {accepted} accepted, {refused} refused");
    assert!(accepted > 0 && refused > 0);
}
