//! Goal: no binding and no request without a capability that allows it, and none outlives its capability.
//!
//! Method: stories of revokes, followed in the text; every right against every operation; a refused write at every
//! position of a revoke; a million random derivation graphs against a naive list of facts; random worlds of loads and
//! revokes whose text is followed after every step.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use linker_core::capability::{CAPABILITIES_MAX, Object, Usage};
use linker_core::{
    AliasKind, BindRights, CapRights, Capabilities, CapabilityError, CapabilityId, CommitError, ModuleId,
    Name, PlanError, Quota, ReferenceKind, Referent,
};
use support::{ATTACH, Image, LoadError, READ, WRITE, World, layer, name};

const ROOT: CapabilityId = CapabilityId::ROOT;
const BIND: [BindRights; 5] =
    [BindRights::CALL, BindRights::PROVIDE, BindRights::REFINE, BindRights::EXPORT, BindRights::TAKE_ADDRESS];
const REQUEST: [CapRights; 5] =
    [CapRights::LOAD, CapRights::STATUS, CapRights::UNLOAD, CapRights::CONTROL, CapRights::OPEN];

fn derive(table: &mut Capabilities, from: CapabilityId, object: Object, rights: CapRights) -> CapabilityId {
    table.derive(from, object, rights, Quota::UNLIMITED).unwrap()
}

fn interface(prefix: &str) -> Object {
    Object::Interface(name(prefix))
}

/// A client that may load, and an interface with these rights to present.
fn client(table: &mut Capabilities, rights: CapRights) -> (CapabilityId, CapabilityId) {
    let loader = derive(table, ROOT, Object::Domain, CapRights::LOAD.with(CapRights::UNLOAD));
    (loader, derive(table, ROOT, interface("bus_space"), rights))
}

#[test]
fn story_of_a_layer_whose_right_is_revoked() {
    let mut world = World::new();
    let mut table = Capabilities::new();
    let (loader, bus) = client(&mut table, CapRights::BIND);
    world.load(&layer("below")).unwrap();
    assert_eq!(
        world.load_by(&layer("middle"), &table, loader, &[]),
        Err(LoadError::Plan(PlanError::NotPermitted { symbol: name(READ), right: BindRights::REFINE })),
        "nothing is looked up by name alone"
    );
    let middle = world.load_by(&layer("middle"), &table, loader, &[bus]).unwrap();
    world.load(&layer("top")).unwrap();
    assert_eq!(world.call(READ), "top middle below base");
    let receipt = world.domain.module(middle).unwrap().grants();
    assert_eq!(receipt.len(), 2);
    assert!(
        receipt.iter().all(|grant| grant.by == bus && grant.right == BindRights::REFINE && !grant.revoked)
    );

    // Another right of the same capability: nothing changes, and nothing is patched.
    table.revoke(ROOT, bus, CapRights::bind(BindRights::CALL)).unwrap();
    world.revoke(&table).unwrap();
    assert_eq!((world.call(READ), world.plan.patches().len()), ("top middle below base".into(), 0));

    table.revoke(ROOT, bus, CapRights::bind(BindRights::REFINE)).unwrap();
    world.revoke(&table).unwrap();
    assert_eq!(world.call(READ), "top below base");
    assert_eq!(world.call(WRITE), "top below base");
    assert!(world.domain.module(middle).unwrap().grants().iter().all(|grant| grant.revoked));
    world.check();
    // Who is still inside goes on to what lies below, whatever becomes of that.
    assert_eq!(world.call_of(middle, 0), "below base");
    world.unload_by_name("below").unwrap();
    assert_eq!((world.call_of(middle, 0), world.call(READ)), ("base".into(), "top base".into()));
    // A way back of its unload does not link it again.
    world.unlink(middle).unwrap();
    world.revert();
    assert_eq!(world.call(READ), "top base");
    world.check();
    world.unload_by_name("middle").unwrap();
    world.unload_by_name("top").unwrap();
    world.check();
}

#[test]
fn story_of_a_caller_whose_right_is_revoked() {
    let mut world = World::new();
    let mut table = Capabilities::new();
    let (loader, bus) = client(&mut table, CapRights::BIND);
    let before = world.snapshot();
    let caller =
        Image::new("caller").calls(READ).calls(WRITE).refers(Referent::Import(0), ReferenceKind::Jump);
    let other = world.load(&Image::new("other").calls(READ)).unwrap();
    let caller = world.load_by(&caller, &table, loader, &[bus]).unwrap();
    assert_eq!(world.call_of(caller, 0), "base");
    table.revoke(ROOT, bus, CapRights::BIND).unwrap();
    world.revoke(&table).unwrap();
    for reference in 0..3 {
        assert_eq!(world.call_of(caller, reference), "denied");
    }
    assert_eq!(
        (world.call(READ), world.call_of(other, 0)),
        ("base".into(), "base".into()),
        "nobody else notices"
    );
    world.check();
    // Layers come and go over it: it stays denied.
    world.load(&layer("layer")).unwrap();
    assert_eq!((world.call_of(caller, 0), world.call_of(other, 0)), ("denied".into(), "layer base".into()));
    world.unload_by_name("layer").unwrap();
    assert_eq!(world.call_of(caller, 0), "denied");
    world.check();
    world.unload_by_name("caller").unwrap();
    // Whoever gets its place next is not denied.
    let next = world.load(&Image::new("next").calls(READ)).unwrap();
    assert_eq!((next.index, world.call_of(next, 0)), (caller.index, "base".into()));
    world.unload_by_name("next").unwrap();
    world.unload_by_name("other").unwrap();
    world.check();
    let used = world.domain.linker_text_used();
    assert_eq!(used, 2 * 32, "one stub for each symbol stays, for the next revoke");
    let after = world.snapshot();
    assert_eq!(after.replace(&format!("{used} "), "0 "), before);
}

#[test]
fn take_address_and_export_are_revoked_apart_from_calls() {
    let mut world = World::new();
    let mut table = Capabilities::new();
    let loader = derive(&mut table, ROOT, Object::Domain, CapRights::LOAD.with(CapRights::BIND));
    let owner = Image::new("owner").alias(AliasKind::Weak, "lamp_on").alias(AliasKind::Export, "lamp_colour");
    let owner = world.load_by(&owner, &table, loader, &[]).unwrap();
    let user = Image::new("user").calls("lamp_on").calls("lamp_colour");
    let user = world.load(&user.refers(Referent::Import(0), ReferenceKind::Address)).unwrap();
    let holder = Image::new("holder").calls(READ).refers(Referent::Import(0), ReferenceKind::Address);
    let holder = world.load_by(&holder, &table, loader, &[]).unwrap();
    let slot = |world: &World, module: ModuleId| {
        let module = world.domain.module(module).unwrap();
        world.domain.sites_of_module(module).find(|site| site.slot).unwrap().at
    };

    table.revoke(ROOT, loader, CapRights::bind(BindRights::TAKE_ADDRESS)).unwrap();
    world.revoke(&table).unwrap();
    assert_eq!(world.trace(slot(&world, holder)), "denied", "a pointer that was copied anywhere");
    assert_eq!((world.call_of(holder, 0), world.trace(slot(&world, user))), ("base".into(), "owner".into()));
    world.check();

    table.revoke(ROOT, loader, CapRights::bind(BindRights::EXPORT)).unwrap();
    world.revoke(&table).unwrap();
    for at in [0, 1] {
        assert_eq!(world.call_of(user, at), "denied");
    }
    assert_eq!(world.trace(slot(&world, user)), "denied");
    assert_eq!(
        world.load(&Image::new("late").calls("lamp_on")),
        Err(LoadError::Plan(PlanError::NotPermitted { symbol: name("lamp_on"), right: BindRights::EXPORT }))
    );
    world.check();
    world.unload(user).unwrap();
    world.unload(owner).unwrap();
    world.unload(holder).unwrap();
    assert_eq!(world.domain.linker_text_used(), 32, "the stubs of symbols that are gone are gone");
    world.check();
}

#[test]
fn a_provider_that_is_revoked_leaves_its_place_to_another() {
    let mut world = World::new();
    let mut table = Capabilities::new();
    let (loader, _) = client(&mut table, CapRights::BIND);
    let bpf = derive(&mut table, ROOT, interface("bpf"), CapRights::bind(BindRights::PROVIDE));
    let provider = |name: &str| Image::new(name).alias(AliasKind::Strong, ATTACH);
    let first = world.load_by(&provider("first"), &table, loader, &[bpf]).unwrap();
    world.load(&Image::new("tap").layer(ATTACH)).unwrap();
    assert_eq!(world.call(ATTACH), "tap first");
    table.revoke(ROOT, bpf, CapRights::ALL).unwrap();
    world.revoke(&table).unwrap();
    assert_eq!(world.call(ATTACH), "tap base");
    let refused = world.load_by(&provider("second"), &table, loader, &[bpf]);
    assert!(matches!(refused, Err(LoadError::Plan(PlanError::NotPermitted { .. }))), "{refused:?}");
    world.load(&provider("second")).unwrap();
    assert_eq!(world.call(ATTACH), "tap second");
    world.unlink(first).unwrap();
    world.revert();
    assert_eq!(world.call(ATTACH), "tap second");
    world.check();
}

#[test]
fn a_refused_write_at_every_position_of_a_revoke_changes_nothing() {
    let make = || {
        let mut world = World::new();
        let mut table = Capabilities::new();
        let (loader, bus) = client(&mut table, CapRights::BIND);
        let both = layer("both").calls(READ).refers(Referent::Import(0), ReferenceKind::Address);
        world.load_by(&both, &table, loader, &[bus]).unwrap();
        world.load(&layer("top")).unwrap();
        table.revoke(ROOT, bus, CapRights::BIND).unwrap();
        (world, table)
    };
    let (mut world, table) = make();
    world.text.writes = 0;
    world.revoke(&table).unwrap();
    let writes = world.text.writes;
    let done = (world.call(READ), world.snapshot());
    assert_eq!(done.0, "top base");
    for position in 0..writes {
        let (mut world, table) = make();
        let before = world.snapshot();
        world.text.refuse_after = Some(position);
        let refused = world.revoke(&table);
        assert!(
            matches!(refused, Err(LoadError::Commit(CommitError::Refused(_)))),
            "{position}: {refused:?}"
        );
        assert_eq!(world.snapshot(), before, "write {position} of {writes}");
        world.check();
        world.revoke(&table).unwrap();
        assert_eq!((world.call(READ), world.snapshot()), done);
    }
}

/// What a capability about this object must let through, said without looking at the table's code.
fn expected(object: &Object, has: CapRights, wanted: CapRights, own: bool) -> bool {
    let concerned = match object {
        Object::Domain => true,
        Object::Interface(_) => false,
        Object::Module(_) => own,
    };
    concerned && has.contains(wanted)
}

#[test]
fn every_right_against_every_operation() {
    let (module, other) = (ModuleId { index: 3, generation: 1 }, ModuleId { index: 3, generation: 2 });
    let all: Vec<CapRights> = REQUEST.into_iter().chain(BIND.into_iter().map(CapRights::bind)).collect();
    let mut cells = 0;
    for object in [Object::Domain, interface("bus_space"), Object::Module(module)] {
        for has in all.iter().copied() {
            let mut table = Capabilities::new();
            let made = table.derive(ROOT, object, has, Quota::UNLIMITED);
            if !object.rights().contains(has) {
                assert_eq!(made, Err(CapabilityError::Senseless));
                continue;
            }
            let id = made.unwrap();
            for wanted in REQUEST {
                let domain = matches!(object, Object::Domain) && has.contains(wanted);
                assert_eq!(table.permit(id, wanted).is_ok(), domain, "{object:?} {has:?} {wanted:?}");
                for (about, owner) in [(module, ROOT), (other, ROOT), (module, id), (other, id)] {
                    // A link domain's capability reaches what was loaded by it, not what the root loaded.
                    let own = if object == Object::Domain { owner == id } else { about == module };
                    let domain = !matches!(object, Object::Domain) || own;
                    let allowed = expected(&object, has, wanted, own) && domain;
                    let found = table.permit_module(id, about, owner, wanted).is_ok();
                    assert_eq!(found, allowed, "{object:?} {has:?} {wanted:?} {about:?} {owner:?}");
                    assert!(
                        table.permit_module(ROOT, about, owner, wanted).is_ok(),
                        "the root reaches everything"
                    );
                    cells += 1;
                }
            }
            for right in BIND {
                for symbol in [READ, ATTACH] {
                    let named = match object {
                        Object::Domain => true,
                        Object::Interface(_) => symbol == READ,
                        Object::Module(_) => false,
                    };
                    let allowed = named && has == CapRights::bind(right);
                    assert_eq!(table.allows(id, &name(symbol), right), allowed);
                    let through = table.binds(id, &[], &name(symbol), right).is_some();
                    assert_eq!(through, allowed, "alone");
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, (10 + 5 + 3) * (5 * 4 + 5 * 2));
}

#[test]
fn stale_foreign_senseless_and_too_many() {
    let mut table = Capabilities::new();
    let domain = derive(&mut table, ROOT, Object::Domain, CapRights::LOAD);
    let bus = derive(&mut table, ROOT, interface("bus_space"), CapRights::bind(BindRights::CALL));
    let narrow = derive(&mut table, bus, interface("bus_space_read"), CapRights::bind(BindRights::CALL));
    let make =
        |table: &mut Capabilities, from, object, rights| table.derive(from, object, rights, Quota::UNLIMITED);
    let call = CapRights::bind(BindRights::CALL);
    assert_eq!(make(&mut table, narrow, interface("bus_space"), call), Err(CapabilityError::Outside));
    assert_eq!(make(&mut table, bus, Object::Domain, call), Err(CapabilityError::Outside));
    let more = call.with(CapRights::bind(BindRights::REFINE));
    let missing = CapabilityError::Denied(CapRights::bind(BindRights::REFINE));
    assert_eq!(make(&mut table, bus, interface("bus_space"), more), Err(missing));
    assert_eq!(make(&mut table, ROOT, Object::Domain, CapRights::NONE), Err(CapabilityError::Senseless));
    assert_eq!(table.revoke(domain, bus, CapRights::ALL), Err(CapabilityError::NotYours));
    assert_eq!(table.revoke(bus, bus, CapRights::ALL), Err(CapabilityError::NotYours));
    assert_eq!(table.revoke(ROOT, ROOT, CapRights::ALL), Err(CapabilityError::NotYours), "the root stays");
    // What was derived goes along, and the names do not come back.
    let gone = table.revoke(ROOT, bus, CapRights::ALL).unwrap();
    assert_eq!(gone.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([bus, narrow]));
    let stale = CapabilityError::Stale { generation: 1 };
    assert_eq!(table.get(bus).unwrap_err(), stale);
    assert_eq!(table.permit(bus, CapRights::LOAD), Err(stale));
    assert_eq!(make(&mut table, bus, interface("bus_space"), call), Err(stale));
    assert_eq!(table.revoke(ROOT, bus, CapRights::ALL), Err(stale));
    let again = derive(&mut table, ROOT, interface("bpf"), call);
    assert_eq!((again.index, again.generation), (bus.index, 1));
    assert!(
        !table.allows(bus, &name(ATTACH), BindRights::CALL)
            && table.allows(again, &name(ATTACH), BindRights::CALL)
    );
    assert_eq!(CapabilityId::from_bits(again.bits()), again);
    // To the last place.
    for _ in table.all().count()..CAPABILITIES_MAX {
        derive(&mut table, ROOT, Object::Domain, CapRights::STATUS);
    }
    assert_eq!(make(&mut table, ROOT, Object::Domain, CapRights::STATUS), Err(CapabilityError::Full));
    table.check().unwrap();
}

#[test]
fn quotas_bind_a_client_and_all_that_it_hands_out() {
    let mut table = Capabilities::new();
    let quota = Quota { modules: 2, frames: 10, symbols: 1, command_ms: 50 };
    let client = table.derive(ROOT, Object::Domain, CapRights::LOAD, quota).unwrap();
    let child = table.derive(client, Object::Domain, CapRights::LOAD, Quota::UNLIMITED).unwrap();
    assert_eq!(table.get(child).unwrap().quota, quota, "no more than it was derived from");
    let usage = |modules, frames, symbols| Usage { modules, frames, symbols };
    table.charge(client, usage(1, 6, 0)).unwrap();
    assert_eq!(table.charge(child, usage(1, 5, 0)), Err(CapabilityError::Quota("frames")));
    assert_eq!(table.charge(child, usage(1, 4, 2)), Err(CapabilityError::Quota("symbols")));
    assert_eq!(table.charge(child, usage(0, u32::MAX, 0)), Err(CapabilityError::Quota("frames")));
    table.charge(child, usage(1, 4, 1)).unwrap();
    assert_eq!(table.charge(client, usage(1, 0, 0)), Err(CapabilityError::Quota("modules")));
    assert_eq!(table.get(ROOT).unwrap().used, usage(2, 10, 1));
    table.charge(ROOT, usage(1, 1000, 1)).unwrap();
    table.check().unwrap();
    table.credit(child, usage(1, 4, 1));
    table.credit(client, usage(1, 6, 0));
    assert_eq!(table.get(client).unwrap().used, usage(0, 0, 0));
    assert_eq!(table.get(ROOT).unwrap().used, usage(1, 1000, 1));
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

const PREFIXES: [&str; 4] = ["b", "bus_space", "bus_space_read", "bpf"];
const SYMBOLS: [&str; 3] = [READ, WRITE, ATTACH];

/// The naive model: a capability is the list of facts that it allows, and a list of those derived from it.
struct Facts {
    id: CapabilityId,
    parent: Option<usize>,
    alive: bool,
    facts: u16,
}

/// Facts about three symbols and five rights as 15 bits.
fn facts(object: &Object, rights: CapRights) -> u16 {
    let mut bits = 0;
    for (index, symbol) in SYMBOLS.iter().enumerate() {
        let about = match object {
            Object::Domain => true,
            Object::Interface(prefix) => symbol.as_bytes().starts_with(prefix.bytes()),
            Object::Module(_) => false,
        };
        if about {
            bits |= (rights.bits() & 31) << (5 * index);
        }
    }
    bits
}

#[test]
fn a_million_random_graphs_allow_what_a_list_of_facts_allows() {
    const SEED: u64 = 0x5eed;
    let graphs = 1_000_000;
    let mut random = Random(SEED);
    let names: Vec<Name> = SYMBOLS.iter().map(|symbol| name(symbol)).collect();
    let prefixes: Vec<Name> = PREFIXES.iter().map(|prefix| name(prefix)).collect();
    let (mut granted, mut refused) = (0_u32, 0_u32);
    let mut table = Capabilities::new();
    for graph in 0..graphs {
        let mut model = vec![Facts { id: ROOT, parent: None, alive: true, facts: 0x7fff }];
        for _ in 0..2 + random.below(5) {
            let from = usize::try_from(random.below(model.len() as u64)).unwrap();
            if random.below(4) == 0 && from != 0 {
                // Only the naive way knows who is derived from whom by looking at everybody.
                let by = usize::try_from(random.below(model.len() as u64)).unwrap();
                let rights = CapRights::from_bits(u16::try_from(random.below(32)).unwrap()).unwrap();
                let ancestor = |mut at: usize| loop {
                    match model[at].parent {
                        Some(parent) if parent == by => break true,
                        Some(parent) => at = parent,
                        None => break false,
                    }
                };
                let may = model[by].alive && model[from].alive && ancestor(from);
                let done = table.revoke(model[by].id, model[from].id, rights);
                assert_eq!(done.is_ok(), may, "seed {SEED:#x}, graph {graph}: {done:?}");
                if may {
                    let lost = (0..3).fold(0, |bits, index| bits | rights.bits() << (5 * index));
                    let mut concerned = vec![from];
                    for (at, row) in model.iter().enumerate().skip(from + 1) {
                        if row.parent.is_some_and(|parent| concerned.contains(&parent)) {
                            concerned.push(at);
                        }
                    }
                    for at in concerned {
                        model[at].facts &= !lost;
                        model[at].alive = table.get(model[at].id).is_ok();
                    }
                }
            } else {
                let object = match random.below(5) {
                    0 => Object::Domain,
                    n => Object::Interface(prefixes[usize::try_from(n - 1).unwrap()]),
                };
                let rights = CapRights::from_bits(u16::try_from(1 + random.below(31)).unwrap()).unwrap();
                if let Ok(id) = table.derive(model[from].id, object, rights, Quota::UNLIMITED) {
                    let facts = facts(&object, rights);
                    assert_eq!(
                        facts & !model[from].facts,
                        0,
                        "seed {SEED:#x}, graph {graph}: more than the parent"
                    );
                    model.push(Facts { id, parent: Some(from), alive: true, facts });
                }
            }
        }
        let pick = |random: &mut Random| usize::try_from(random.below(model.len() as u64)).unwrap();
        let (loader, first, second) = (pick(&mut random), pick(&mut random), pick(&mut random));
        let presented = [model[first].id, model[second].id];
        for (index, symbol) in names.iter().enumerate() {
            for (place, right) in BIND.into_iter().enumerate() {
                let has = |at: usize| model[at].alive && model[at].facts >> (5 * index + place) & 1 != 0;
                let found = table.binds(model[loader].id, &presented, symbol, right);
                let naive = [first, second, loader].into_iter().find(|at| has(*at)).map(|at| model[at].id);
                assert_eq!(found, naive, "seed {SEED:#x}, graph {graph}: {symbol} {right:?}");
                if naive.is_some() { granted += 1 } else { refused += 1 }
            }
        }
        for entry in model.iter().skip(1).rev() {
            // Leave the table as it was: what is left goes with its ancestors.
            let _ = table.revoke(ROOT, entry.id, CapRights::ALL);
        }
        assert_eq!(table.all().count(), 1);
    }
    assert!(granted > graphs && refused > graphs, "{granted} granted, {refused} refused");
}

#[test]
fn random_worlds_never_hold_a_binding_without_a_capability() {
    const SEED: u64 = 0xcafe;
    let mut random = Random(SEED);
    for round in 0..400 {
        let mut world = World::new();
        let mut table = Capabilities::new();
        let mut capabilities = vec![ROOT];
        let mut modules = Vec::new();
        for step in 0..14 {
            let place = format!("seed {SEED:#x}, round {round}, step {step}");
            let from = capabilities[usize::try_from(random.below(capabilities.len() as u64)).unwrap()];
            match random.below(4) {
                0 => {
                    let object = interface(PREFIXES[usize::try_from(random.below(4)).unwrap()]);
                    let rights = CapRights::from_bits(u16::try_from(1 + random.below(31)).unwrap()).unwrap();
                    capabilities.extend(table.derive(from, object, rights, Quota::UNLIMITED));
                }
                1 if capabilities.len() > 1 => {
                    let rights = CapRights::from_bits(u16::try_from(random.below(32)).unwrap()).unwrap();
                    if table.revoke(ROOT, from, rights).is_ok() {
                        world.revoke(&table).unwrap();
                    }
                }
                2 if !modules.is_empty() => {
                    let at = usize::try_from(random.below(modules.len() as u64)).unwrap();
                    world.unload(modules.swap_remove(at)).unwrap();
                }
                _ => {
                    let symbol = SYMBOLS[usize::try_from(random.below(3)).unwrap()];
                    let image = Image::new(&format!("m{step}")).layer(symbol).calls(READ);
                    let image = image.refers(Referent::Import(0), ReferenceKind::Address);
                    let loader = derive(&mut table, ROOT, Object::Domain, CapRights::LOAD);
                    let other =
                        capabilities[usize::try_from(random.below(capabilities.len() as u64)).unwrap()];
                    modules.extend(world.load_by(&image, &table, loader, &[from, other]));
                }
            }
            world.check();
            for module in &modules {
                let module = world.domain.module(*module).unwrap();
                for grant in module.grants() {
                    let symbol = world.domain.symbol(grant.symbol).unwrap();
                    let holds = table.allows(grant.by, &symbol.name, grant.right);
                    assert_eq!(grant.revoked, !holds, "{place}: {grant:?}");
                    let linked = symbol.stack().of(module.id()).is_some_and(|alias| alias.linked);
                    if grant.right == BindRights::REFINE {
                        assert_eq!(linked, holds, "{place}: {grant:?}");
                    }
                }
                let image = &world.images.iter().find(|(id, _)| *id == module.id()).unwrap().1;
                let call = module.grants().iter().find(|grant| grant.right == BindRights::CALL).unwrap();
                let trace = world.trace(image.site(1));
                assert_eq!(trace == "denied", call.revoked, "{place}: {trace}");
            }
        }
    }
}
