//! Goal: an address that was given away leads to its function while the module is linked, to an error stub else, and
//! never into text that is gone. Method: the story; the small world of one module and a few callbacks, every sequence of
//! what can happen; then more callbacks than there is room for.
#![allow(clippy::unwrap_used)]

mod support;

use linker_core::text::failing;
use linker_core::{CALLBACKS_MAX, Callback, CallbackError, Errno, ModuleId, Va};
use support::{World, layer};

const ANSWER: u64 = 0xdead_0000_beef;

fn function(world: &World, id: ModuleId) -> Va {
    world.domain.module(id).unwrap().facts.text_start.plus(0x2000)
}

fn issue(world: &mut World, id: ModuleId, answer: u64) -> Result<Va, CallbackError> {
    let function = function(world, id);
    world.domain.issue_callback(id, function, answer, &mut world.text)
}

/// Unlinks or links, as the linker server does: the stacks and then the callbacks.
fn unlink(world: &mut World, id: ModuleId) {
    world.unlink(id).unwrap();
    assert!(world.domain.point_callbacks(id, &mut world.text));
}

fn put_back(world: &mut World, id: ModuleId) {
    world.revert();
    assert!(world.domain.point_callbacks(id, &mut world.text));
}

/// What a call of the address does: the function that it reaches, or the answer of the stub.
fn call(world: &World, at: Va) -> Result<Va, u64> {
    let word = |at: Va| world.text.words[&at.0];
    let target = linker_core::Branch::decode(word(at)).unwrap().target(at);
    let words: Vec<u32> =
        (0..8).map_while(|n| world.text.words.get(&target.plus(n * 4).0).copied()).collect();
    let half = |n: usize| u64::from(words[n] >> 5 & 0xffff);
    if words.len() == 8 && words[1] == 0x5280_00b1 {
        let answer = half(3) | half(4) << 16 | half(5) << 32 | half(6) << 48;
        assert_eq!(words[..], failing(answer));
        return Err(answer);
    }
    Ok(target)
}

#[test]
fn the_story_of_a_pointer_that_is_kept() {
    let mut world = World::new();
    let module = world.affix(&layer("tap")).unwrap();
    // INIT: nobody reaches the module yet, by whichever way.
    let kept = issue(&mut world, module, ANSWER).unwrap();
    assert_eq!(call(&world, kept), Err(ANSWER));
    world.commit().unwrap();
    assert!(world.domain.point_callbacks(module, &mut world.text));
    assert_eq!(call(&world, kept), Ok(function(&world, module)));
    assert_eq!(
        world.domain.inside(kept).map(|module| module.id()),
        Some(module),
        "its way in is the module's"
    );
    world.check();
    // The unload closes this entry with all others, and a refused FINI opens it again.
    unlink(&mut world, module);
    assert_eq!(call(&world, kept), Err(ANSWER));
    world.check();
    put_back(&mut world, module);
    assert_eq!(call(&world, kept), Ok(function(&world, module)));
    // The module leaves and forgets it: whoever has kept the pointer is answered.
    unlink(&mut world, module);
    assert!(world.domain.retire_callback(module, kept, &mut world.text));
    assert!(!world.domain.retire_callback(module, kept, &mut world.text), "once");
    world.forget(module);
    world.check();
    assert_eq!(call(&world, kept), Err(ANSWER));
    assert_eq!(world.domain.inside(kept).map(|module| module.id()), Some(ModuleId::BASE));
    // Its successor in the same place of memory gets another address.
    let next = world.load(&layer("tap")).unwrap();
    let other = issue(&mut world, next, ANSWER).unwrap();
    assert_ne!(other, kept);
    assert_eq!((call(&world, kept), call(&world, other)), (Err(ANSWER), Ok(function(&world, next))));
    world.check();
}

#[test]
fn every_sequence_of_seven_events() {
    const EVENTS: usize = 4;
    for count in 0..=7 {
        for sequence in 0..EVENTS.pow(count) {
            let mut world = World::new();
            let mut module = None;
            let mut linked = false;
            // Every address that was ever given away, and whose it is now.
            let mut given: Vec<(Va, Option<ModuleId>)> = Vec::new();
            let mut rest = sequence;
            for _ in 0..count {
                match (rest % EVENTS, module) {
                    (0, None) => (module, linked) = (Some(world.load(&layer("m")).unwrap()), true),
                    (0, Some(id)) if linked => {
                        unlink(&mut world, id);
                        linked = false;
                    }
                    (0, Some(id)) => {
                        put_back(&mut world, id);
                        linked = true;
                    }
                    (1, Some(id)) => given.push((issue(&mut world, id, ANSWER).unwrap(), Some(id))),
                    (2, Some(id)) => {
                        if let Some(last) = given.iter_mut().rev().find(|(_, owner)| *owner == module) {
                            assert!(world.domain.retire_callback(id, last.0, &mut world.text));
                            last.1 = None;
                        }
                    }
                    (3, Some(id)) if !linked => {
                        for (at, owner) in given.iter_mut().filter(|(_, owner)| *owner == module) {
                            assert!(world.domain.retire_callback(id, *at, &mut world.text));
                            *owner = None;
                        }
                        world.forget(id);
                        module = None;
                    }
                    _ => {}
                }
                rest /= EVENTS;
                world.check();
                for (at, owner) in &given {
                    let expected = match owner {
                        Some(id) if linked => Ok(function(&world, *id)),
                        _ => Err(ANSWER),
                    };
                    assert_eq!(call(&world, *at), expected, "sequence {sequence} of {count}");
                }
            }
        }
    }
}

#[test]
fn retired_ones_are_used_again_last_and_with_the_same_answer_only() {
    let mut world = World::new();
    let id = world.load(&layer("m")).unwrap();
    let all: Vec<Va> = (0..CALLBACKS_MAX).map(|n| issue(&mut world, id, n as u64 / 2).unwrap()).collect();
    assert_eq!(issue(&mut world, id, 0), Err(CallbackError::Full));
    assert_eq!(CallbackError::Full.errno(), Errno::ENOSPC);
    for at in [all[7], all[6]] {
        assert!(world.domain.retire_callback(id, at, &mut world.text));
    }
    assert_eq!(issue(&mut world, id, 0), Err(CallbackError::Full), "another answer is another stub");
    let stub: Vec<u32> = (4..12).map(|n| world.text.words[&all[7].plus(n * 4).0]).collect();
    assert_eq!(issue(&mut world, id, 3), Ok(all[7]), "the oldest");
    assert_eq!((4..12).map(|n| world.text.words[&all[7].plus(n * 4).0]).collect::<Vec<_>>(), stub);
    assert_eq!(issue(&mut world, id, 3), Ok(all[6]));
    assert_eq!(
        world.domain.callbacks().filter(|callback: &&Callback| callback.owner == id).count(),
        CALLBACKS_MAX
    );
    world.check();
}

#[test]
fn what_is_no_function_of_the_module_is_refused() {
    let mut world = World::new();
    let id = world.load(&layer("m")).unwrap();
    let within = function(&world, id);
    let before = world.snapshot();
    let mut refused = |owner, at| world.domain.issue_callback(owner, at, 0, &mut world.text).unwrap_err();
    assert_eq!(refused(id, within.plus(2)), CallbackError::NotItsFunction(within.plus(2)));
    assert_eq!(refused(id, Va(support::BASE)), CallbackError::NotItsFunction(Va(support::BASE)));
    assert_eq!(refused(ModuleId::BASE, Va(support::BASE)), CallbackError::NoModule);
    let stale = ModuleId { generation: id.generation + 1, ..id };
    assert_eq!(refused(stale, within), CallbackError::NoModule);
    for write in 0..13 {
        world.text.refuse_after = Some(write);
        let refused = issue(&mut world, id, ANSWER);
        assert_eq!(refused.is_ok(), world.text.refuse_after.is_some(), "write {write}: {refused:x?}");
        if let Ok(at) = refused {
            assert!(world.domain.retire_callback(id, at, &mut world.text));
        }
        world.text.refuse_after = None;
        world.domain.check().unwrap();
    }
    assert_eq!(world.snapshot().lines().next(), before.lines().next());
}
