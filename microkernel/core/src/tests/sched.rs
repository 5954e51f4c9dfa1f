//! The scheduler against a naive one: a list of (priority, order).
use super::world::World;
use crate::tcb::State;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::{init_cap, label, syscall};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use std::vec::Vec;

#[derive(Clone, Debug)]
enum Op {
    Yield,
    Suspend(usize),
    Resume(usize),
    Priority(usize, u64),
}

fn op() -> impl Strategy<Value = Op> {
    (0..4_u8, any::<usize>(), 0..3_u64).prop_map(|(kind, who, p)| match kind {
        0 => Op::Yield,
        1 => Op::Suspend(who % 4),
        2 => Op::Resume(who % 4),
        _ => Op::Priority(who % 4, p * 100),
    })
}

proptest! {
    /// Whoever runs is the most urgent of all that are ready, whatever happened before.
    #[test]
    fn the_most_urgent_runs(ops in proptest::collection::vec(op(), 1..40)) {
        let mut world = World::new();
        let threads: Vec<_> = (0..4).map(|i| world.thread(i * 50)).collect();
        // The root task stays the most urgent and gives all orders.
        for op in ops {
            match op {
                Op::Yield => {
                    world.syscall(syscall::YIELD, 0, MessageInfo::default());
                }
                Op::Suspend(i) => {
                    world.invoke(threads[i].0, label::TCB_SUSPEND, &[], &[]);
                    prop_assert_eq!(world.k.state(threads[i].1), State::Inactive);
                }
                Op::Resume(i) => {
                    world.invoke(threads[i].0, label::TCB_RESUME, &[], &[]);
                    prop_assert_eq!(world.k.state(threads[i].1).is_runnable(), true);
                }
                Op::Priority(i, p) => {
                    world.invoke(threads[i].0, label::TCB_SET_PRIORITY, &[p], &[init_cap::TCB]);
                }
            }
            prop_assert_eq!(world.k.current(), Some(world.root));
            world.check();
        }
        // The root task ends: the rest runs in the order of urgency.
        let expected = threads.iter().filter(|t| world.k.state(t.1).is_runnable()).map(|t| world.k.priority(t.1)).max();
        world.invoke(init_cap::TCB, label::TCB_SUSPEND, &[], &[]);
        prop_assert_eq!(world.k.current().map(|tcb| world.k.priority(tcb)), expected);
        world.check();
    }
}

#[test]
fn equals_take_turns_by_ticks() {
    let mut world = World::new();
    let threads: Vec<_> = (0..3).map(|_| world.thread(10)).collect();
    for thread in &threads {
        world.invoke(thread.0, label::TCB_RESUME, &[], &[]);
    }
    world.invoke(init_cap::TCB, label::TCB_SUSPEND, &[], &[]);
    let mut turns = Vec::new();
    for _ in 0..30 {
        turns.push(world.k.current().unwrap());
        world.k.interrupt(crate::IRQ_TICK);
        world.k.leave();
        world.check();
    }
    for (i, chunk) in turns.chunks(5).enumerate() {
        assert!(chunk.iter().all(|&tcb| tcb == turns[i % 3 * 5]), "slice {i}");
    }
    assert_eq!(turns.iter().map(|tcb| tcb.addr()).collect::<std::collections::BTreeSet<_>>().len(), 3);
}
