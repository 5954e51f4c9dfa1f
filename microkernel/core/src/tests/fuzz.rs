//! Random system calls, faults and interrupts: the kernel refuses or obeys, and its invariants hold.
//!
//! The calls are those of `kernel-calls`, from which the stress on the target draws, too. In the profile for several
//! cores most runs have as many as there can be, each with a thread of its own to begin with; whole entries interleave.
use super::world::{ROOT, World};
use crate::cap::View;
use crate::cores::CoreId;
use crate::fault::UserFault;
use crate::tcb::SLOT_CSPACE;
use kernel_calls::{Call, Coverage, Names, Random};
use microkernel_abi::error::Error;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::object::{ASID_POOL_BITS, ObjectType};
use microkernel_abi::{NODES_MAX, SMP, init_cap, label, syscall};

/// Slots in which everything happens.
const PLAYGROUND: u64 = 60;
/// Calls between two checks.
const BATCH: usize = 50;

fn names(world: &World) -> Names {
    Names {
        cnode: ROOT,
        first: world.free - 40,
        count: PLAYGROUND,
        untyped: world.untyped,
        vspace: init_cap::VSPACE,
        tcb: init_cap::TCB,
        asid_pool: init_cap::ASID_POOL,
        asid_control: init_cap::ASID_CONTROL,
        irq_control: init_cap::IRQ_CONTROL,
        domain: init_cap::DOMAIN,
        base: 1 << 39,
    }
}

/// Everybody's hands stay off the slots by which the test itself sees the world, and off the root task's thread.
fn is_harmful(call: &Call, names: &Names) -> bool {
    let outside = |place: usize| !(names.first..names.first + names.count).contains(&call.words[place]);
    // What a method of a CNode changes: where it puts something, and where it takes something away.
    let changed: &[usize] = match call.label {
        label::CNODE_MOVE | label::CNODE_MUTATE => &[0, 2],
        label::CNODE_ROTATE => &[0, 3, 6],
        label::CNODE_REVOKE..=label::CNODE_SAVE_CALLER => &[0],
        _ => &[],
    };
    changed.iter().any(|&place| outside(place))
        || call.cptr == names.tcb && (label::TCB_CONFIGURE..=label::TCB_SUSPEND).contains(&call.label)
}

fn step(world: &mut World, r: &mut Random, coverage: &mut Coverage) {
    let core = CoreId::new(r.below(world.k.cores_online() as u64) as usize).unwrap();
    world.k.m.here = core.index();
    world.k.m.interrupted.retain(|&interrupted| interrupted != core);
    if !world.k.enter(core) {
        // The thread was taken away at the door.
        world.k.leave();
        return;
    }
    let Some(tcb) = world.k.current() else {
        // Idle: the root task is helped up by the only thing that comes from outside.
        world.k.interrupt(r.pick(&[27, 30, 33]));
        world.k.leave();
        if world.k.current().is_none() && !world.k.state(world.root).is_runnable() {
            world.k.resume(world.root);
            world.k.leave();
        }
        return;
    };
    match r.below(20) {
        0 => world.k.interrupt(r.pick(&[27, 30, 33, 5, 35, 40, 287, 288, 1019])),
        1 => world.k.user_fault(match r.below(3) {
            0 => UserFault::Memory { address: r.word(), syndrome: r.word(), fetch: r.once_in(2) },
            1 => UserFault::Exception { syndrome: r.word() },
            _ => UserFault::FloatingPoint { syndrome: 7 << 26 },
        }),
        _ => {
            let names = names(world);
            let kind_of =
                |slot| world.k.lookup_slot(tcb, slot).map_or(0, |slot| world.k.view(slot).identify());
            let call = Call::draw(r, &names, kind_of);
            if is_harmful(&call, &names) {
                world.k.leave();
                return;
            }
            world.write_message(&call.words, &call.caps);
            let object = world.k.lookup_slot(tcb, call.cptr).is_ok_and(|slot| {
                !matches!(
                    world.k.view(slot),
                    View::Endpoint { .. } | View::Notification { .. } | View::Reply { .. }
                )
            });
            world.syscall(call.number, call.cptr, call.info());
            if object && call.number == syscall::CALL && world.k.current() == Some(tcb) {
                coverage.record(call.label, MessageInfo(world.reg(tcb, 1)).label());
            }
            return;
        }
    }
    world.k.leave();
}

fn run(seed: u64, steps: usize, coverage: &mut Coverage) {
    // Without the profile for several, whatever is asked for is one.
    let cores = if SMP && !seed.is_multiple_of(4) { NODES_MAX } else { 1 };
    let mut world = World::with_cores(cores);
    // Free slots around which everything happens, and something to begin with.
    world.free += 40;
    for kind in [1, 2, 3, 4, 7, 9, 6] {
        world.make(kind, 3);
    }
    world.make(ObjectType::Untyped as u64, ASID_POOL_BITS);
    // Tables of every level for the first of the addresses that calls name.
    let base = names(&world).base;
    for _ in 0..3 {
        let table = world.make(ObjectType::PageTable as u64, 0);
        assert_eq!(world.invoke(table, label::PAGE_TABLE_MAP, &[base, 3], &[init_cap::VSPACE]), 0);
    }
    for page in 0..2 {
        let frame = world.make(ObjectType::SmallPage as u64, 0);
        let words = [base + (page << 12), 3, 3];
        assert_eq!(world.invoke(frame, label::PAGE_MAP, &words, &[init_cap::VSPACE]), 0);
    }
    for core in 1..cores {
        let (thread, _) = world.thread(50 * core as u64);
        assert_eq!(world.invoke(thread, label::TCB_SET_AFFINITY, &[core as u64], &[]), 0);
        assert_eq!(world.invoke(thread, label::TCB_RESUME, &[], &[]), 0);
    }
    let mut r = Random::new(seed);
    world.k.m.interrupt_after = Some(r.below(500));
    for i in 0..steps {
        step(&mut world, &mut r, coverage);
        if i % BATCH == 0 {
            world.check();
            world.k.m.looks.set(0);
        }
        // A program can move its own root CNode away; what it can reach then is nothing.
        let root = world.root.slot(SLOT_CSPACE);
        let alive = |slot| matches!(world.k.view(slot), View::CNode { .. });
        if !alive(root) || !alive(world.slot(ROOT)) {
            return;
        }
        world.k.m.output.clear();
        world.k.m.remote.clear();
    }
    world.check();
}

/// The seeds: as many as an ordinary run has time for; `STRATA_FUZZ_FIRST` and `STRATA_FUZZ_SEEDS` ask for others.
pub(super) fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("STRATA_FUZZ_FIRST").unwrap_or(1);
    first..first + number("STRATA_FUZZ_SEEDS").unwrap_or(usual)
}

#[test]
fn random_calls() {
    let mut coverage = Coverage::new();
    let seeds = seeds(40);
    let few = seeds.end - seeds.start < 40;
    for seed in seeds {
        std::println!("seed {seed}");
        run(seed, 2500, &mut coverage);
    }
    if few {
        return;
    }
    // Every invocation has been obeyed and refused.
    let answers = |label: u64| *coverage.of(label as usize);
    let never_obeyed: std::vec::Vec<_> = (label::UNTYPED_RETYPE..=label::LAST)
        .filter(|&label| label != label::VSPACE_UNIFY_INSTRUCTION + 1)
        .filter(|&label| answers(label)[Error::NoError as usize] == 0)
        .map(|label| kernel_calls::label_name(label as usize))
        .collect();
    assert!(never_obeyed.is_empty(), "never obeyed: {never_obeyed:?}");
    let refused = coverage.totals();
    assert!(refused.iter().all(|&count| count > 0), "an error was never given: {refused:?}");
}

#[test]
fn a_broken_invariant_is_found() {
    use crate::check::{Notes, Violation};
    use crate::machine::Machine;
    use crate::tcb::QUEUED;
    use std::boxed::Box;

    let broken = |damage: &dyn Fn(&mut World)| {
        let mut world = World::new();
        let thread = world.thread(10);
        assert_eq!(world.invoke(thread.0, label::TCB_RESUME, &[], &[]), 0);
        world.make(2, 0);
        world.check();
        damage(&mut world);
        world.k.check(&mut Box::new(Notes::new())).expect_err("damaged")
    };
    let at = |world: &World, back: u64| world.slot(world.free - back).addr();
    assert!(matches!(
        broken(&|world| world.k.m.store(at(world, 1) + 24, 0xffff_0000_4000_0000)),
        Violation::Neighbour { .. }
    ));
    assert!(matches!(
        broken(&|world| world.k.m.store(world.slot(world.free).addr() + 24, at(world, 1))),
        Violation::EmptyLinked { .. }
    ));
    assert!(matches!(
        broken(&|world| {
            let View::Thread { tcb } = world.view(world.free - 3) else { panic!("a thread was made there") };
            world.k.set(tcb, QUEUED, 0);
        }),
        Violation::Lost { .. }
    ));
    assert!(matches!(
        broken(&|world| {
            let View::Untyped { base, bits, device, .. } = world.view(world.untyped) else {
                panic!("untyped")
            };
            let slot = world.slot(world.untyped);
            world.k.set_cap(slot, View::Untyped { base, bits, device, free: 0 }.pack());
        }),
        Violation::InFree { .. }
    ));
    assert!(matches!(
        broken(&|world| {
            let View::VSpace { base, .. } = world.view(init_cap::VSPACE) else { panic!("an address space") };
            world.k.m.store(base + 8 * 300, 0x4000_0003);
        }),
        Violation::Entry { .. }
    ));
}
