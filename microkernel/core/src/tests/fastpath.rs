//! The short way of Call and ReplyRecv does what the general way does.
//!
//! Two worlds get the same random system calls, faults and interrupts; one of them takes the short way where it can.
//! After each step everything is compared: all memory, and the kernel's own state.
use super::world::{ROOT, World};
use crate::cap::View;
use crate::fault::UserFault;
use crate::handle::Tcb;
use crate::tcb::{Reg, State};
use kernel_calls::Random;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::{init_cap, label, object, syscall};
use std::vec::Vec;

/// A world of threads that talk.
struct Talk {
    world: World,
    threads: Vec<(u64, Tcb)>,
    /// Capabilities of endpoints and notifications with different rights, and some that nobody can talk through.
    talk: Vec<u64>,
    pool: u64,
}

const ENDPOINTS: u64 = 3;
const RIGHTS: [u64; 6] = [15, 1, 2, 3, 9, 7];

fn talk(short: bool, seed: u64) -> Talk {
    let mut world = World::new();
    let mut r = Random::new(seed);
    let mut talk = Vec::from([0, 1 << 40, ROOT]);
    let mut first = 0;
    for _ in 0..ENDPOINTS {
        let ep = world.make(2, 0);
        for rights in RIGHTS {
            let slot = world.next_slot();
            assert_eq!(world.mint(ep, slot, rights, r.below(2) * 7), 0);
            talk.push(slot);
        }
        // Full rights more often than the rest.
        talk.extend([ep; 10]);
        first = ep;
    }
    let notifications = [world.make(3, 0), world.make(3, 0)];
    talk.extend(notifications);
    // A second address space, whose ASID can be taken away.
    let (pool, memory) = (world.next_slot(), world.make(0, 12));
    let words = [pool, 64];
    assert_eq!(
        world.invoke(init_cap::ASID_CONTROL, label::ASID_CONTROL_MAKE_POOL, &words, &[memory, ROOT]),
        0
    );
    let space = world.make(object::ObjectType::VSpace as u64, 0);
    assert_eq!(world.invoke(pool, label::ASID_POOL_ASSIGN, &[], &[space]), 0);
    let mut threads = Vec::new();
    for i in 0..7 {
        let (slot, tcb) = world.thread(r.pick(&[50, 50, 100, 200]));
        let space = if i % 2 == 0 { space } else { init_cap::VSPACE };
        let handler = if i % 3 == 0 { 0 } else { first };
        assert_eq!(world.invoke(slot, label::TCB_SET_SPACE, &[handler, 0, 0], &[ROOT, space]), 0);
        threads.push((slot, tcb));
    }
    for (i, ntfn) in notifications.into_iter().enumerate() {
        assert_eq!(world.invoke(threads[i].0, label::TCB_BIND_NOTIFICATION, &[], &[ntfn]), 0);
    }
    for &(slot, _) in &threads {
        assert_eq!(world.invoke(slot, label::TCB_RESUME, &[], &[]), 0);
    }
    threads.push((init_cap::TCB, world.root));
    world.short = short.then_some((0, 0));
    Talk { world, threads, talk, pool }
}

fn step(t: &mut Talk, r: &mut Random) {
    let k = &mut t.world.k;
    let Some(tcb) = k.current() else {
        // Idle: somebody is helped up.
        let (_, helped) = r.pick(&t.threads);
        if k.state(helped) != State::BlockedOnReceive || r.below(4) == 0 {
            k.resume(helped);
        }
        k.leave();
        return;
    };
    for i in 2..6 {
        let word = r.word();
        k.set_reg(tcb, Reg::x(i), word);
    }
    let cap = r.pick(&t.talk);
    let length = r.pick(&[0, 0, 1, 2, 3, 4, 5, 120]);
    let info = MessageInfo::new(r.below(1 << 20), r.below(8), u64::from(r.below(10) == 0), length);
    match r.below(100) {
        0..40 => drop(t.world.syscall(syscall::CALL, cap, info)),
        40..75 => drop(t.world.syscall(syscall::REPLY_RECV, cap, info)),
        75..78 => drop(t.world.syscall(syscall::RECV, cap, info)),
        78..80 => drop(t.world.syscall(r.pick(&[syscall::NB_RECV, syscall::REPLY]), cap, info)),
        80..83 => drop(t.world.syscall(r.pick(&[syscall::SEND, syscall::NB_SEND]), cap, info)),
        83..86 => drop(t.world.syscall(r.pick(&[syscall::YIELD, 5]), cap, info)),
        86..89 => {
            let fault = r.pick(&[
                UserFault::Memory { address: 5, syndrome: 6, fetch: false },
                UserFault::Exception { syndrome: 9 },
                UserFault::FloatingPoint { syndrome: 7 << 26 },
                UserFault::FloatingPoint { syndrome: 7 << 26 },
            ]);
            k.user_fault(fault);
            k.leave();
        }
        89..91 => {
            k.interrupt(crate::IRQ_TICK);
            k.leave();
        }
        91 => {
            let slot = t.world.free + r.below(20);
            t.world.invoke(ROOT, label::CNODE_SAVE_CALLER, &[slot, 64], &[]);
            t.talk.push(slot);
        }
        92 if r.below(60) == 0 => drop(t.world.delete(t.pool)),
        _ => {
            let (thread, _) = r.pick(&t.threads);
            let (label, word) = r.pick(&[
                (label::TCB_SUSPEND, 0),
                (label::TCB_RESUME, 0),
                (label::TCB_RESUME, 0),
                (label::TCB_SET_PRIORITY, 50),
                (label::TCB_SET_PRIORITY, 200),
                (label::TCB_SET_FLAGS, 0),
            ]);
            t.world.invoke(thread, label, &[word, r.below(2)], &[init_cap::TCB]);
        }
    }
}

/// Everything that a kernel entry can change.
fn assert_equal(general: &World, short: &World, what: &str) {
    let (a, b) = (&general.k, &short.k);
    if a.m.words != b.m.words {
        let i = a.m.words.iter().zip(&b.m.words).position(|(a, b)| a != b).unwrap();
        panic!("{what}: word {:#x} is {:#x}, the short way made it {:#x}", i * 8, a.m.words[i], b.m.words[i]);
    }
    assert_eq!(a.current(), b.current(), "{what}");
    let (a, b) = (a.core(), b.core());
    assert_eq!(a.action, b.action, "{what}");
    assert_eq!(a.active_root, b.active_root, "{what}");
    assert_eq!((a.fpu_owner, a.fpu_open, a.timer_open), (b.fpu_owner, b.fpu_open, b.timer_open), "{what}");
    assert_eq!(a.ready.heads(), b.ready.heads(), "{what}");
    let (a, b) = (&general.k.m, &short.k.m);
    assert_eq!((a.cores, a.forgotten), (b.cores, b.forgotten));
}

fn run(seed: u64, steps: u64) -> (u64, u64) {
    let (mut general, mut short) = (talk(false, seed), talk(true, seed));
    let (mut r, mut same) = (Random::new(seed), Random::new(seed));
    for i in 0..steps {
        step(&mut general, &mut r);
        step(&mut short, &mut same);
        assert_equal(&general.world, &short.world, &std::format!("seed {seed}, step {i}"));
        if i % 50 == 0 {
            short.world.check();
        }
    }
    assert!(matches!(general.world.view(ROOT), View::CNode { .. }));
    short.world.short.unwrap()
}

#[test]
fn the_short_way_leads_to_the_same_place() {
    let (mut calls, mut replies) = (0, 0);
    for seed in super::fuzz::seeds(12) {
        let (c, r) = run(seed * 7919, 600);
        calls += c;
        replies += r;
    }
    assert!(calls > 20 && replies > 10, "hardly anything was short: {calls} {replies}");
}
