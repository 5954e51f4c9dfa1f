//! Goal: David Young's proposal, as he tells it, holds for the linker's core. Method: the story, followed in the
//! words of the text; then one test for each rule that refuses.
#![allow(clippy::unwrap_used)]

mod support;

use linker_core::capability::Object;
use linker_core::{
    AliasKind, BindRights, Binding, CapRights, Capabilities, CapabilityId, Command, Errno, LoadOptions,
    ModuleState, Name, PlanError, Quota, ReferenceKind, Referent, Rights, plan_pop,
};
use support::{ATTACH, Image, LoadError, READ, WRITE, World, layer, name};

#[test]
fn seed_story() {
    let mut world = World::new();
    // "The kernel provides a stub": every call goes to the default.
    assert_eq!(world.call(READ), "base");
    // "A loadable module could provide a full-fledged implementation."
    let bpf = world.load(&Image::new("bpf").alias(AliasKind::Strong, ATTACH)).unwrap();
    assert_eq!(world.call(ATTACH), "bpf");
    // "Loading modules that refine each other": the top is the last loaded, super_ leads down.
    let debug = world.load(&layer("debug")).unwrap();
    let xh = world.load(&layer("xh")).unwrap();
    assert_eq!(world.call(READ), "xh debug base");
    assert_eq!(world.stack(READ), "xh debug base");
    // "Unloading" from the middle: only xh's super_ is re-pointed.
    world.unload(debug).unwrap();
    assert_eq!(world.call(READ), "xh base");
    // A second full replacement is refused.
    let refused = world.load(&Image::new("bpf2").alias(AliasKind::Strong, ATTACH)).unwrap_err();
    let expected = PlanError::SecondStrong { symbol: name(ATTACH), by: name("bpf") };
    assert_eq!(refused, LoadError::Plan(expected));
    assert_eq!(expected.errno(), Errno::EEXIST);
    // "Put things back": an unload that cannot finish.
    world.unlink(xh).unwrap();
    assert_eq!(world.call(READ), "base");
    world.revert();
    assert_eq!(world.call(READ), "xh base");
    // "Re-link the kernel's stub implementations."
    world.unload(xh).unwrap();
    world.unload(bpf).unwrap();
    assert_eq!((world.call(READ), world.call(ATTACH)), ("base".into(), "base".into()));
    world.check();
    assert_eq!(world.snapshot(), World::new().snapshot());
}

#[test]
fn a_strong_goes_under_the_refiners() {
    let mut world = World::new();
    world.load(&Image::new("tap").layer(ATTACH)).unwrap();
    assert_eq!(world.call(ATTACH), "tap base");
    world.load(&Image::new("bpf").alias(AliasKind::Strong, ATTACH)).unwrap();
    assert_eq!(world.call(ATTACH), "tap bpf");
    world.unload_by_name("bpf").unwrap();
    assert_eq!(world.call(ATTACH), "tap base");
    world.check();
}

#[test]
fn a_position_orders_the_refiners() {
    let mut world = World::new();
    let at = |name: &str, position| Image::new(name).layer(READ).change(|alias| alias.position = position);
    world.load(&at("top", 9)).unwrap();
    world.load(&at("bottom", 0)).unwrap();
    world.load(&at("middle", 5)).unwrap();
    world.load(&at("bottom2", 0)).unwrap();
    assert_eq!(world.call(READ), "top middle bottom2 bottom base");
    world.check();
}

#[test]
fn an_address_is_a_permanent_slot() {
    let mut world = World::new();
    let user = Image::new("user").imports(READ).refers(Referent::Import(0), ReferenceKind::Address);
    let user = user.refers(Referent::Import(0), ReferenceKind::Address);
    let id = world.load(&user).unwrap();
    let slots: Vec<_> =
        world.domain.sites_of_module(world.domain.module(id).unwrap()).filter(|site| site.slot).collect();
    assert_eq!(slots.len(), 1, "one slot for each holder and symbol");
    let before = slots[0].at;
    assert_eq!(world.trace(before), "base");
    world.load(&layer("debug")).unwrap();
    assert_eq!(world.trace(before), "debug base", "a pointer taken before the load reaches the layer");
    world.unload_by_name("debug").unwrap();
    assert_eq!(world.trace(before), "base");
    assert_eq!(world.domain.inside(before).unwrap().id(), id, "who stands in the slot is inside its holder");
    world.check();
}

#[test]
fn the_address_of_super_is_a_slot_of_the_layer() {
    let mut world = World::new();
    let image = Image::new("debug")
        .alias(AliasKind::Refine, READ)
        .refers(Referent::Super(0), ReferenceKind::Address)
        .refers(Referent::Super(0), ReferenceKind::Jump);
    let debug = world.load(&image).unwrap();
    let slot = |world: &World| {
        let module = world.domain.module(debug).unwrap();
        world.domain.sites_of_module(module).find(|site| site.slot).unwrap().at
    };
    assert_eq!(world.trace(slot(&world)), "base");
    world.load(&layer("xh")).unwrap();
    assert_eq!(world.trace(slot(&world)), "base");
    world.check();
}

#[test]
fn a_layer_that_calls_what_it_refines_goes_to_the_top() {
    let mut world = World::new();
    let image = Image::new("debug").layer(READ).calls(READ);
    let debug = world.affix(&image).unwrap();
    let image = world.images.last().unwrap().1.clone();
    assert_eq!(world.trace(image.site(1)), "base", "INIT runs on the system as it is");
    world.commit().unwrap();
    assert_eq!(world.trace(image.site(1)), "debug base");
    world.load(&layer("xh")).unwrap();
    assert_eq!(world.trace(image.site(1)), "xh debug base");
    world.unload_by_name("xh").unwrap();
    world.unlink(debug).unwrap();
    assert_eq!(world.trace(image.site(1)), "base", "a leaving module is not entered, not even by itself");
    world.check();
}

#[test]
fn nobody_is_left_unbound() {
    // A leaving layer's super_ branch stays valid until it has drained, in every order and place.
    for order in
        [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "c", "b"], ["b", "a", "c"], ["c", "b", "a"]]
    {
        let mut world = World::new();
        for name in ["a", "b", "c"] {
            world.load(&layer(name)).unwrap();
        }
        for leaving in order {
            let id = world.find(leaving).unwrap();
            let image = world.images.iter().find(|(other, _)| *other == id).unwrap().1.clone();
            let below = world.trace(image.site(0));
            world.unlink(id).unwrap();
            world.check();
            assert_eq!(world.trace(image.site(0)), below, "who is still inside comes down as before");
            world.forget(id);
            world.check();
        }
        assert_eq!(world.call(READ), "base");
    }
}

#[test]
fn a_wedged_layer_follows_what_lies_below_it() {
    let mut world = World::new();
    world.load(&layer("debug")).unwrap();
    let xh = world.load(&layer("xh")).unwrap();
    let image = world.images.last().unwrap().1.clone();
    plan_pop(&world.domain, xh, &mut world.plan).unwrap();
    world.commit().unwrap();
    world.domain.wedge(xh);
    assert_eq!(world.call(READ), "debug base", "the layer below serves the next call");
    assert_eq!(world.trace(image.site(0)), "debug base");
    world.unload_by_name("debug").unwrap();
    world.check();
    assert_eq!(
        world.trace(image.site(0)),
        "base",
        "a thread stuck in the wedged layer does not run into freed text"
    );
    // The name is free for a better version, and the wedged one is beyond unloading.
    world.load(&layer("xh")).unwrap();
    assert_eq!(world.call(READ), "xh base");
    let refused = world.unload(xh).unwrap_err();
    assert_eq!(refused, LoadError::Plan(PlanError::NotLive(ModuleState::Wedged)));
    world.unload_by_name("xh").unwrap();
    world.check();
}

#[test]
fn who_depends_on_a_module_is_named() {
    let mut world = World::new();
    let owner = world
        .load(&Image::new("owner").alias(AliasKind::Weak, "ping").alias(AliasKind::Export, "helper"))
        .unwrap();
    let busy = |symbol: &str, by: &str| {
        LoadError::Plan(PlanError::Dependency { symbol: name(symbol), by: name(by) })
    };
    world.load(&Image::new("caller").calls("helper")).unwrap();
    assert_eq!(world.unload(owner), Err(busy("helper", "caller")));
    world.unload_by_name("caller").unwrap();
    world.load(&Image::new("over").layer("ping")).unwrap();
    assert_eq!(world.unload(owner), Err(busy("ping", "over")));
    world.unload_by_name("over").unwrap();
    world.unload(owner).unwrap();
    world.check();
    assert_eq!(world.snapshot(), World::new().snapshot());
}

#[test]
fn a_module_calls_what_it_introduces() {
    let mut world = World::new();
    let owner = world.load(&Image::new("owner").alias(AliasKind::Weak, "ping").calls("ping")).unwrap();
    let image = world.images.last().unwrap().1.clone();
    assert_eq!(world.trace(image.site(0)), "owner");
    world.load(&Image::new("over").layer("ping")).unwrap();
    assert_eq!(world.trace(image.site(0)), "over owner");
    world.unload_by_name("over").unwrap();
    world.unload(owner).unwrap();
    world.check();
}

fn refusal(image: &Image) -> PlanError {
    let mut world = World::new();
    world.load(&layer("debug")).unwrap();
    let before = world.snapshot();
    let LoadError::Plan(error) = world.load(image).unwrap_err() else { panic!("planning refuses") };
    assert_eq!(world.snapshot(), before, "a refused plan leaves no trace");
    world.check();
    error
}

#[test]
fn each_rule_has_its_own_error() {
    let refine = |symbol: &str| Image::new("new").alias(AliasKind::Refine, symbol);
    assert_eq!(refusal(&layer("debug")), PlanError::ModuleExists(name("debug")));
    assert_eq!(refusal(&refine("nobody")), PlanError::NothingToRefine(name("nobody")));
    assert_eq!(
        refusal(&Image::new("new").alias(AliasKind::Strong, "nobody")),
        PlanError::NothingToProvide(name("nobody"))
    );
    assert_eq!(refusal(&Image::new("new").calls("nobody")), PlanError::UnknownImport(name("nobody")));
    assert_eq!(
        refusal(&Image::new("new").alias(AliasKind::Weak, READ)),
        PlanError::AlreadyIntroduced { symbol: name(READ), by: name("base") }
    );
    assert_eq!(refusal(&refine(READ).alias(AliasKind::Refine, READ)), PlanError::DuplicateAlias(name(READ)));
    assert_eq!(refusal(&refine(READ).alias(AliasKind::Strong, READ)), PlanError::DuplicateAlias(name(READ)));
    let twice = Image::new("new").alias(AliasKind::Weak, "x").alias(AliasKind::Weak, "x");
    assert_eq!(refusal(&twice), PlanError::DuplicateAlias(name("x")));
    let own = Image::new("new").alias(AliasKind::Weak, "x").alias(AliasKind::Refine, "x");
    assert_eq!(refusal(&own), PlanError::DuplicateAlias(name("x")));
    assert_eq!(
        refusal(&refine(READ).change(|alias| alias.may_block = true)),
        PlanError::MayBlock(name(READ))
    );
    let strong =
        Image::new("new").alias(AliasKind::Strong, ATTACH).refers(Referent::Super(0), ReferenceKind::Call);
    assert_eq!(refusal(&strong), PlanError::SuperWithoutRefine(name(ATTACH)));
    let error = refusal(&refine(READ).change(|alias| alias.fingerprint ^= 1));
    assert!(matches!(error, PlanError::Fingerprint { symbol, .. } if symbol == name(READ)));
    assert_eq!(error.errno(), Errno::ENOEXEC);
    let mut import = Image::new("new").calls(READ);
    import.imports[0].fingerprint ^= 1;
    assert!(matches!(refusal(&import), PlanError::Fingerprint { .. }));
    let mut mute = Image::new("new");
    mute.commands = 1 << Command::Init as u32;
    assert_eq!(refusal(&mute), PlanError::MissingCommand);
    let lost = Image::new("new").refers(Referent::Import(3), ReferenceKind::Call);
    assert!(matches!(refusal(&lost), PlanError::UnknownReference(_)));
}

#[test]
fn an_export_is_bound_and_never_layered() {
    let mut world = World::new();
    world.load(&Image::new("owner").alias(AliasKind::Export, "helper")).unwrap();
    let refused = world.load(&Image::new("over").layer("helper")).unwrap_err();
    assert_eq!(refused, LoadError::Plan(PlanError::NotOverridable(name("helper"))));
}

#[test]
fn refiners_are_bounded() {
    let mut world = World::new();
    for number in 0..linker_core::REFINERS_MAX {
        world.load(&layer(&format!("layer{number}"))).unwrap();
    }
    let before = world.snapshot();
    let refused = world.load(&layer("one-more")).unwrap_err();
    assert_eq!(refused, LoadError::Plan(PlanError::TooManyRefiners(name(READ))));
    assert_eq!(world.snapshot(), before);
    // The place of the strong is not theirs.
    world.load(&Image::new("strong").alias(AliasKind::Strong, READ)).unwrap();
    world.check();
}

#[test]
fn bindings_are_a_choice() {
    let mut world = World::new();
    world.options = LoadOptions { binding: Some(Binding::Isolated), ..LoadOptions::default() };
    assert_eq!(world.load(&layer("x")), Err(LoadError::Plan(PlanError::IsolatedUnsupported)));
    world.options = LoadOptions { binding: Some(Binding::Direct), ..LoadOptions::default() };
    world.load(&layer("direct")).unwrap();
    assert_eq!(world.domain.linker_text_used(), 0, "a direct binding has no gate");
    world.options = LoadOptions::default();
    world.load(&layer("counted")).unwrap();
    assert_eq!(world.domain.linker_text_used(), 2 * 48);
    assert_eq!(world.call(READ), "counted direct base");
    world.unload_by_name("direct").unwrap();
    assert_eq!(world.call(READ), "counted base");
    world.check();
}

#[test]
fn the_rule_binds_directly_unless_calls_may_block_or_tables_are_missing() {
    const GATE: usize = 48;
    let mut world = World::new();
    world.options = LoadOptions { binding: None, ..LoadOptions::default() };
    world.load(&layer("tabled").tabled()).unwrap();
    assert_eq!(world.domain.linker_text_used(), 0, "straight to the function");
    world.load(&layer("bare")).unwrap();
    assert_eq!(world.domain.linker_text_used(), 2 * GATE, "nothing tells who is inside of it");
    let blocking =
        Image::new("blocking").alias(AliasKind::Weak, "wait").change(|alias| alias.may_block = true);
    world.load(&blocking.tabled()).unwrap();
    assert_eq!(world.domain.linker_text_used(), 3 * GATE, "its calls may block");
    // What counts is the symbol: a layer that does not block itself waits for what lies below.
    world.load(&Image::new("over").layer("wait").tabled()).unwrap();
    assert_eq!(world.domain.linker_text_used(), 4 * GATE, "calls of the symbol may block");
    world.options.binding = Some(Binding::Direct);
    let refused = world.load(&Image::new("forced").layer("wait").tabled());
    assert_eq!(refused, Err(LoadError::Plan(PlanError::DirectMayBlock(name("wait")))));
    world.check();
}

#[test]
fn rights_are_checked_for_each_symbol() {
    let all = [
        BindRights::CALL,
        BindRights::PROVIDE,
        BindRights::REFINE,
        BindRights::EXPORT,
        BindRights::TAKE_ADDRESS,
    ];
    let images = [
        (BindRights::CALL, Image::new("new").calls(READ)),
        (BindRights::PROVIDE, Image::new("new").alias(AliasKind::Strong, READ)),
        (BindRights::REFINE, Image::new("new").layer(READ)),
        (BindRights::EXPORT, Image::new("new").alias(AliasKind::Weak, "bus_space_new")),
        (
            BindRights::CALL | BindRights::TAKE_ADDRESS,
            Image::new("new").imports(READ).refers(Referent::Import(0), ReferenceKind::Address),
        ),
    ];
    for (needed, image) in images {
        for missing in all {
            let left = BindRights::from_bits(BindRights::ALL.bits() & !missing.bits());
            let mut table = Capabilities::new();
            let mut derive =
                |object, rights| table.derive(CapabilityId::ROOT, object, rights, Quota::UNLIMITED).unwrap();
            let loader = derive(Object::Domain, CapRights::LOAD);
            let interface = Object::Interface(Name::new(b"bus_space_").unwrap());
            let presented = Vec::leak(vec![derive(interface, CapRights::bind(left))]);
            let mut world = World::new();
            let rights = Rights::presented(Box::leak(Box::new(table)), loader, presented);
            world.options = LoadOptions { rights, binding: Some(Binding::Counted) };
            let before = world.snapshot();
            let result = world.load(&image);
            if needed.contains(missing) {
                let Err(LoadError::Plan(PlanError::NotPermitted { right, .. })) = result else {
                    panic!("{result:?}")
                };
                assert_eq!(right, missing);
                assert_eq!(world.snapshot(), before);
            } else {
                result.unwrap();
            }
        }
    }
}

#[test]
fn a_far_module_gets_veneers() {
    let mut world = World::new();
    // Linker-owned text is in reach of everybody, base and modules are not in reach of each other.
    world.stride = 0x0c00_0000;
    let near = world.load(&layer("near")).unwrap();
    let far = Image::new("far").layer(READ).calls(WRITE);
    world.load(&far).unwrap_err();
    // Text at 0x1300_0000 + 0x0c00_0000 is 0x0d00_0000 away from linker-owned text: too far even for a veneer.
    world.unload(near).unwrap();
    let mut base = support::base_image();
    base.start = 0x0a80_0000;
    let mut world = World::with_base(base);
    // 0x1300_0000 is beyond 128 MiB from 0x0a80_0000; 0x1200_0000 is within reach of both.
    let id = world.load(&Image::new("far").layer(READ).calls(WRITE)).unwrap();
    let image = world.images.last().unwrap().1.clone();
    assert_eq!(world.call(READ), "far base");
    assert_eq!(world.trace(image.site(1)), "base");
    assert_eq!(world.domain.linker_text_used(), 48 + 2 * 16);
    world.check();
    let used = world.domain.linker_text_used();
    world.unload(id).unwrap();
    world.check();
    assert_eq!(world.domain.linker_text_used(), used - 48, "veneers to the base image's defaults stay");
    world.load(&layer("again")).unwrap();
    assert_eq!(world.domain.linker_text_used(), 2 * 48 + 2 * 16, "and are used again");
    world.check();
}

#[test]
fn a_stale_module_is_named_by_its_generation() {
    let mut world = World::new();
    let old = world.load(&layer("debug")).unwrap();
    world.unload(old).unwrap();
    world.load(&layer("debug")).unwrap();
    let refused = world.unload(old).unwrap_err();
    assert_eq!(refused, LoadError::Plan(PlanError::Stale { generation: old.generation + 1 }));
    assert_eq!(world.stack(WRITE), "debug base");
}
