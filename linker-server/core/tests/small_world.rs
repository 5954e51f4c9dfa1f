//! Goal: in a world of three layers, every order of loads and unloads, every refused write and every stale plan
//! leave the link domain as the rules say.
//!
//! Method: all of them. After each step the invariants are checked, the text is followed, and the traces are
//! compared with a list that a child could keep.
#![allow(clippy::unwrap_used)]

mod support;

use linker_core::{AliasKind, CommitError, ModuleState, ReferenceKind, Referent, plan_unload};
use support::{ATTACH, Image, LoadError, READ, WRITE, World, layer};

/// Three layers that differ in what they touch: all of them READ, two of them WRITE, one an address.
fn layers() -> [Image; 3] {
    let c = layer("c").imports(READ).refers(Referent::Import(0), ReferenceKind::Address);
    [layer("a"), Image::new("b").layer(READ), c.refers(Referent::Import(0), ReferenceKind::Jump)]
}

/// Loads the layer if it is not there, unloads it if it is.
fn toggle(world: &mut World, list: &mut Vec<&'static str>, which: usize) {
    let name = ["a", "b", "c"][which];
    if let Some(index) = list.iter().position(|loaded| *loaded == name) {
        world.unload_by_name(name).unwrap();
        list.remove(index);
    } else {
        world.load(&layers()[which]).unwrap();
        list.push(name);
    }
}

fn agrees(world: &World, list: &[&str]) {
    world.check();
    let mut read: Vec<&str> = list.iter().rev().copied().collect();
    read.push("base");
    let write: Vec<&str> = read.iter().copied().filter(|name| *name != "b").collect();
    assert_eq!(world.call(READ), read.join(" "));
    assert_eq!(world.stack(READ), read.join(" "));
    assert_eq!(world.call(WRITE), write.join(" "));
    assert_eq!(world.call(ATTACH), "base");
    for site in world.domain.modules().flat_map(|module| world.domain.sites_of_module(module)) {
        if site.slot {
            assert_eq!(world.trace(site.at), read.join(" "));
        }
    }
}

#[test]
fn every_sequence_of_seven() {
    let empty = World::new().snapshot();
    let mut states = 0;
    for count in 0..=7 {
        for sequence in 0..3_usize.pow(count) {
            let mut world = World::new();
            let mut list = Vec::new();
            let mut rest = sequence;
            for _ in 0..count {
                toggle(&mut world, &mut list, rest % 3);
                rest /= 3;
            }
            agrees(&world, &list);
            if list.is_empty() {
                assert_eq!(world.snapshot(), empty, "nothing is left behind");
            }
            states += 1;
        }
    }
    assert_eq!(states, 3280);
}

#[test]
fn every_refused_write() {
    for count in 0..=4 {
        for sequence in 0..3_usize.pow(count) {
            for which in 0..3 {
                refuse_each_write(sequence, count, which);
            }
        }
    }
}

/// Goes to a state, then makes each write of the next step fail in turn, the last time none.
fn refuse_each_write(sequence: usize, count: u32, which: usize) {
    let mut refused = 0;
    loop {
        let mut world = World::new();
        let mut list = Vec::new();
        let mut rest = sequence;
        for _ in 0..count {
            toggle(&mut world, &mut list, rest % 3);
            rest /= 3;
        }
        let before = world.snapshot();
        let name = ["a", "b", "c"][which];
        world.text.refuse_after = Some(refused);
        let result = match world.find(name) {
            Some(id) => world.unload(id),
            None => world.load(&layers()[which]).map(|_| ()),
        };
        if world.text.refuse_after.take().is_some() {
            assert_eq!(result, Ok(()));
            break;
        }
        assert!(matches!(result, Err(LoadError::Commit(CommitError::Refused(_)))), "{result:?}");
        assert_eq!(world.snapshot(), before, "none of it");
        agrees(&world, &list);
        // And the next attempt does all of it.
        toggle(&mut world, &mut list, which);
        agrees(&world, &list);
        refused += 1;
    }
    assert!(refused > 0, "a load or an unload writes");
}

#[test]
fn every_revert_finds_the_same_index() {
    for sequence in 0..3_usize.pow(5) {
        let mut world = World::new();
        let mut list = Vec::new();
        let mut rest = sequence;
        for _ in 0..5 {
            toggle(&mut world, &mut list, rest % 3);
            rest /= 3;
        }
        for name in list.clone() {
            let before = world.snapshot();
            let id = world.find(name).unwrap();
            world.unlink(id).unwrap();
            world.check();
            assert_eq!(world.domain.module(id).unwrap().state(), ModuleState::Leaving);
            assert!(world.call(READ).split(' ').all(|ran| ran != name));
            world.revert();
            assert_eq!(world.snapshot(), before);
            agrees(&world, &list);
        }
    }
}

#[test]
fn a_stale_plan_is_refused() {
    let mut world = World::new();
    let a = world.load(&layers()[0]).unwrap();
    let b = world.load(&layers()[1]).unwrap();
    plan_unload(&world.domain, a, &mut world.plan).unwrap();
    // Another plan is carried out in between.
    let mut other = Box::new(linker_core::LinkPlan::EMPTY);
    plan_unload(&world.domain, b, &mut other).unwrap();
    linker_core::commit(&mut other, &mut world.domain, &mut world.text).unwrap();
    let before = world.snapshot();
    assert_eq!(world.commit(), Err(CommitError::StalePlan));
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_plan_is_carried_out_once() {
    let mut world = World::new();
    let a = world.load(&layers()[0]).unwrap();
    assert_eq!(world.commit(), Err(CommitError::WrongStage));
    world.unlink(a).unwrap();
    assert_eq!(world.commit(), Err(CommitError::WrongStage));
    world.revert();
    world.check();
    let image = world.plan_load(&layers()[1]).unwrap();
    assert_eq!(world.commit(), Err(CommitError::WrongStage), "a load is affixed first");
    assert_eq!(image.name, "b");
}

#[test]
fn foreign_text_is_never_overwritten() {
    let mut world = World::new();
    let base = world.images[0].1.clone();
    for index in 0..base.references.len() - 3 {
        let at = base.site(index).0;
        let right = world.text.words[&at];
        world.text.words.insert(at, 0xd503_201f);
        let words = world.text.words.clone();
        let result =
            world.affix(&layers()[0]).and_then(|id| world.commit().map_err(LoadError::Commit).map(|()| id));
        assert!(matches!(result, Err(LoadError::Commit(CommitError::Unexpected { .. }))));
        let id = world.find("a").unwrap();
        world.forget(id);
        let kept: Vec<_> =
            words.iter().filter(|(at, _)| world.text.words.get(at) != Some(words.get(at).unwrap())).collect();
        assert_eq!(kept, [], "what was replaced before it is put back");
        world.text.words.insert(at, right);
        world.check();
    }
}

#[test]
fn a_relink_looks_at_its_own_sites_only() {
    // Planning cost does not depend on what else is loaded: the patches of a relink are the sites of its symbols.
    let mut world = World::new();
    world.load(&layers()[0]).unwrap();
    let patches = world.plan.patches().len();
    let mut world = World::new();
    for number in 0..20 {
        let other = Image::new(&format!("other{number}")).alias(AliasKind::Weak, &format!("symbol{number}"));
        world.load(&other.calls(ATTACH)).unwrap();
    }
    let writes = world.text.writes;
    world.load(&layers()[0]).unwrap();
    assert_eq!(world.plan.patches().len(), patches);
    assert_eq!(world.text.writes - writes, patches + 2 * 12, "two gates and the patches");
}
