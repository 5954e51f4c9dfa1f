//! Long operations, interrupted everywhere, end in the same state.
use super::world::{ROOT, World};
use crate::cap::View;
use crate::machine::Machine;
use crate::tcb::Reg;
use crate::{PREEMPTION_WORK_MAX, RESET_CHUNK_BITS};
use microkernel_abi::message::MessageInfo;
use microkernel_abi::object::SLOT_BITS;
use microkernel_abi::{label, syscall};

/// Makes a CNode full of things, some of them containers, and one of them the CNode itself if `loops`.
fn full_cnode(world: &mut World, loops: bool) -> (u64, u64) {
    let memory = world.make(0, 18);
    let table = world.next_slot();
    assert_eq!(world.retype(memory, 4, 8, table, 1), 0);
    for i in 0..200 {
        let slot = world.next_slot();
        let (kind, bits) = [(2, 0), (3, 0), (1, 0), (4, 2)][i as usize % 4];
        assert_eq!(world.retype(memory, kind, bits, slot, 1), 0);
        assert_eq!(world.invoke(table, label::CNODE_MOVE, &[i, 8, slot, 64], &[ROOT]), 0);
    }
    if loops {
        assert_eq!(world.invoke(table, label::CNODE_COPY, &[222, 8, table, 64, 15], &[ROOT]), 0);
    }
    (memory, table)
}

/// Runs a system call that an interrupt stops after every look; counts the stops.
fn run_interrupted(world: &mut World, cptr: u64, label: u64, words: &[u64]) -> usize {
    let tcb = world.k.current().unwrap();
    world.write_message(words, &[]);
    world.k.m.interrupt_after = Some(0);
    let info = MessageInfo::new(label, 0, 0, words.len() as u64);
    let start = world.k.reg(tcb, Reg::PC);
    world.syscall(syscall::CALL, cptr, info);
    let mut stops = 0;
    while world.k.reg(tcb, Reg::PC) == start {
        // The thread is back at its svc: between the two an interrupt is served.
        stops += 1;
        assert!(stops < 100_000, "no progress");
        world.k.interrupt(crate::IRQ_TICK);
        world.k.leave();
        world.check();
        assert_eq!(world.reg(tcb, 0), cptr, "the call's registers are as they were");
        world.syscall(syscall::CALL, cptr, info);
    }
    world.k.m.interrupt_after = None;
    assert_eq!(MessageInfo(world.reg(tcb, 1)).label(), 0);
    stops
}

#[test]
fn delete_is_interrupted() {
    let mut world = World::new();
    let (memory, table) = full_cnode(&mut world, false);
    let stops = run_interrupted(&mut world, ROOT, label::CNODE_DELETE, &[table, 64]);
    assert!(stops >= 2, "{stops}");
    assert_eq!(world.view(table), View::Null);
    let stops = run_interrupted(&mut world, ROOT, label::CNODE_REVOKE, &[memory, 64]);
    let whole = world.next_slot();
    assert_eq!(world.retype(memory, 0, 18, whole, 1), 0, "after {stops} stops");
    world.check();
}

#[test]
fn revoke_is_interrupted() {
    let mut world = World::new();
    let (memory, table) = full_cnode(&mut world, true);
    let stops = run_interrupted(&mut world, ROOT, label::CNODE_REVOKE, &[memory, 64]);
    assert!(stops >= 2, "{stops}");
    assert_eq!(world.view(table), View::Null);
    world.check();
}

/// log2 of memory that takes several looks for an interrupt to zero.
const LARGE: u64 = 20;
/// What is zeroed between two looks.
const BETWEEN: u64 = PREEMPTION_WORK_MAX << RESET_CHUNK_BITS;

/// Checks after a stop that memory is still counted as used down to where it is zeroed, and returns that place.
fn still_used(world: &World, memory: u64, stops: u64) -> u64 {
    let View::Untyped { base, free, .. } = world.view(memory) else { panic!() };
    assert!(free.is_multiple_of(1 << RESET_CHUNK_BITS), "{free:#x}");
    assert!(free <= (1 << LARGE) - (stops - 1) * BETWEEN, "{free:#x} {stops}");
    let zeroed = base + free..base + (1 << LARGE);
    assert!(zeroed.step_by(8).all(|at| world.k.m.load(at) == 0), "from {free:#x} on, {stops}");
    free
}

#[test]
fn retype_is_interrupted_while_it_zeroes() {
    let mut world = World::new();
    let memory = world.make(0, LARGE);
    let frame = world.next_slot();
    assert_eq!(world.retype(memory, 0, LARGE, frame, 1), 0);
    assert_eq!(world.delete(frame), 0);
    let slot = world.next_slot();
    world.write_message(&[], &[ROOT]);
    let tcb = world.k.current().unwrap();
    world.write_message(&[2, 0, 0, 0, slot, 1], &[ROOT]);
    world.k.m.interrupt_after = Some(0);
    let info = MessageInfo::new(label::UNTYPED_RETYPE, 0, 1, 6);
    let start = world.k.reg(tcb, Reg::PC);
    let mut stops = 0;
    loop {
        world.syscall(syscall::CALL, memory, info);
        if world.k.reg(tcb, Reg::PC) != start {
            break;
        }
        stops += 1;
        still_used(&world, memory, stops);
    }
    assert!((9..=11).contains(&stops), "{stops}");
    assert!(matches!(world.view(slot), View::Endpoint { .. }));
    world.check();
}

#[test]
fn revoke_leaves_zeroes() {
    let mut world = World::new();
    let memory = world.make(0, LARGE);
    let tables = world.next_slot();
    world.free += 2;
    // CNodes fill it, and capabilities in them are no zeroes.
    assert_eq!(world.retype(memory, 4, LARGE - SLOT_BITS - 1, tables, 2), 0);
    for table in [tables, tables + 1] {
        for at in [0, 7, (1 << (LARGE - SLOT_BITS - 1)) - 1] {
            assert_eq!(world.invoke(table, label::CNODE_COPY, &[at, 14, ROOT, 64, 15], &[ROOT]), 0);
        }
    }
    let stops = run_interrupted(&mut world, ROOT, label::CNODE_REVOKE, &[memory, 64]);
    assert!(stops >= 9, "{stops}");
    assert_eq!(still_used(&world, memory, 1), 0);
    // An interrupt finds nothing to stop any more.
    assert_eq!(run_interrupted(&mut world, ROOT, label::CNODE_REVOKE, &[memory, 64]), 0);
    world.check();
}
