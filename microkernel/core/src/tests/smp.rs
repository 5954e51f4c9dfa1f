//! Goal: several cores share one kernel, and no thread is lost, runs twice, or runs where it does not belong.
//!
//! Method: a core enters the kernel by `enter`, does one thing, and leaves; what it asks of others is answered at
//! once, as the machine's contract says. First stories, then every sequence of what two cores can do with three
//! threads, then long random ones on four cores.
use super::world::{ROOT, World};
use crate::cap::View;
use crate::cores::{Core, CoreId, CoreSet};
use crate::handle::Tcb;
use crate::machine::{Machine, Remote};
use crate::tcb::{FPU_AREA, Reg, State};
use crate::{IRQ_RESCHEDULE, IRQ_TICK, UserFault};
use microkernel_abi::message::MessageInfo;
use microkernel_abi::{init_cap, label, syscall};
use std::vec::Vec;

fn core(index: usize) -> CoreId {
    CoreId::new(index).unwrap()
}

impl World {
    /// A core comes in. Does its cause hold?
    fn on(&mut self, index: usize) -> bool {
        self.k.m.here = index;
        self.k.m.interrupted.retain(|&interrupted| interrupted != core(index));
        self.k.enter(core(index))
    }

    /// A core comes in by an interrupt and leaves; who runs on it then?
    fn interrupt(&mut self, index: usize, irq: u64) -> Option<Tcb> {
        self.on(index);
        self.k.interrupt(irq);
        self.k.leave()
    }

    fn set_affinity(&mut self, tcb: u64, to: u64) -> u64 {
        self.invoke(tcb, label::TCB_SET_AFFINITY, &[to], &[])
    }

    /// A thread that runs on a core beyond the first.
    fn running(&mut self, index: usize, priority: u64) -> (u64, Tcb) {
        let (cap, tcb) = self.thread(priority);
        assert_eq!(self.set_affinity(cap, index as u64), 0);
        assert_eq!(self.invoke(cap, label::TCB_RESUME, &[], &[]), 0);
        assert_eq!(self.k.m.interrupted, [core(index)]);
        assert_eq!(self.interrupt(index, IRQ_RESCHEDULE), Some(tcb));
        self.k.m.remote.clear();
        self.on(0);
        (cap, tcb)
    }
}

#[test]
fn boot_names_the_cores() {
    assert_eq!(World::with_cores(4).boot_info().num_nodes, 4);
    assert_eq!(World::with_cores(1).boot_info().num_nodes, 1);
}

#[test]
fn each_core_runs_its_thread() {
    let mut world = World::with_cores(4);
    let threads: Vec<_> = (1..4).map(|i| world.running(i, 10)).collect();
    for (i, thread) in threads.iter().enumerate() {
        assert_eq!(world.k.core_of(core(i + 1)).current, Some(thread.1));
    }
    assert_eq!(world.k.current(), Some(world.root));
    world.check();
    // There is no fifth.
    assert_eq!(world.set_affinity(threads[0].0, 4), 3);
    assert_eq!(world.invoke(threads[0].0, label::TCB_SET_AFFINITY, &[], &[]), 7);
    assert_eq!(world.set_affinity(threads[0].0, u64::MAX), 3);
}

#[test]
fn a_running_thread_is_stalled_before_it_is_looked_at() {
    let mut world = World::with_cores(2);
    let (cap, tcb) = world.running(1, 10);
    assert_eq!(world.invoke(cap, label::TCB_READ_REGISTERS, &[0, 36], &[]), 0);
    assert_eq!(world.k.m.remote, [(core(1), Remote::Stall)]);
    assert_eq!(world.k.state(tcb), State::Restart);
    world.check();
    // It runs on, from the instruction at which it was stalled.
    world.k.set_reg(tcb, Reg::FAULT_PC, 0x1234);
    assert!(!world.on(1));
    assert_eq!(world.k.leave(), Some(tcb));
    assert_eq!(world.k.reg(tcb, Reg::PC), 0x1234);
    world.check();
    // The next entry is its own again, and a thread that does not run is not stalled.
    assert!(world.on(1));
    world.syscall(syscall::YIELD, 0, MessageInfo::default());
    world.on(0);
    world.invoke(cap, label::TCB_SUSPEND, &[], &[]);
    assert_eq!(world.k.m.remote.len(), 2);
    world.invoke(cap, label::TCB_READ_REGISTERS, &[0, 36], &[]);
    assert_eq!(world.k.m.remote.len(), 2);
}

#[test]
fn a_call_that_waits_at_the_door_is_not_made_when_its_thread_is_suspended() {
    let mut world = World::with_cores(2);
    let ntfn = world.make(3, 0);
    let (cap, tcb) = world.running(1, 10);
    // The thread executed its svc; before it gets in, it is suspended.
    world.k.set_reg(tcb, Reg::X7, syscall::SEND.cast_unsigned());
    world.k.set_reg(tcb, Reg::X0, ntfn);
    world.k.set_reg(tcb, Reg::FAULT_PC, 0x400);
    world.k.set_reg(tcb, Reg::PC, 0x404);
    assert_eq!(world.invoke(cap, label::TCB_SUSPEND, &[], &[]), 0);
    assert!(!world.on(1), "the entry is void");
    assert_eq!(world.k.leave(), None);
    assert_eq!((world.k.state(tcb), world.k.reg(tcb, Reg::FAULT_PC)), (State::Inactive, 0x400));
    world.on(0);
    world.syscall(syscall::NB_RECV, ntfn, MessageInfo::default());
    assert_eq!(world.reg(world.root, 0), 0, "nobody signalled");
    // Resumed, it makes its call.
    assert_eq!(world.invoke(cap, label::TCB_RESUME, &[], &[]), 0);
    assert_eq!(world.interrupt(1, IRQ_RESCHEDULE), Some(tcb));
    assert_eq!(world.k.reg(tcb, Reg::PC), 0x400);
    world.check();
}

#[test]
fn floating_point_values_travel() {
    let mut world = World::with_cores(3);
    let (cap, tcb) = world.running(1, 10);
    let area = tcb.addr() + FPU_AREA;
    assert!(world.on(1));
    world.k.user_fault(UserFault::FloatingPoint { syndrome: 7 << 26 });
    world.k.leave();
    assert!(world.k.m.cores[1].fpu_open);
    assert_eq!(world.k.m.load(area), 0);
    world.on(0);
    assert_eq!(world.set_affinity(cap, 2), 0);
    assert_eq!(world.k.m.remote, [(core(1), Remote::Stall), (core(1), Remote::SaveFpu { area })]);
    assert_eq!(world.k.m.load(area), 1);
    assert!(!world.on(1));
    assert_eq!(world.k.leave(), None);
    assert_eq!(world.interrupt(2, IRQ_RESCHEDULE), Some(tcb));
    assert!(!world.k.m.cores[2].fpu_open, "the next use loads the values");
    world.check();
}

#[test]
fn a_deleted_address_space_is_left_by_every_core() {
    let mut world = World::with_cores(2);
    let vspace = world.make(6, 0);
    assert_eq!(world.invoke(init_cap::ASID_POOL, label::ASID_POOL_ASSIGN, &[], &[vspace]), 0);
    let (cap, tcb) = world.thread(10);
    assert_eq!(world.invoke(cap, label::TCB_SET_SPACE, &[0, 0, 0], &[ROOT, vspace]), 0);
    assert_eq!(world.set_affinity(cap, 1), 0);
    assert_eq!(world.invoke(cap, label::TCB_RESUME, &[], &[]), 0);
    assert_eq!(world.interrupt(1, IRQ_RESCHEDULE), Some(tcb));
    assert_ne!(world.k.m.cores[1].user_root, (0, 0));
    world.on(0);
    let forgotten = world.k.m.forgotten;
    assert_eq!(world.revoke(vspace), 0);
    assert_eq!(world.delete(vspace), 0);
    assert_eq!(world.k.m.remote.last(), Some(&(core(1), Remote::DropUserRoot)));
    assert_eq!((world.k.m.cores[1].user_root, world.k.m.forgotten - forgotten), ((0, 0), 1));
    world.check();
}

#[test]
fn interrupts_have_their_core() {
    let mut world = World::with_cores(4);
    let get = |world: &mut World, irq, to| {
        let slot = world.next_slot();
        let label = label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER_CORE;
        (slot, world.invoke(init_cap::IRQ_CONTROL, label, &[irq, 0, slot, 64, to], &[ROOT]))
    };
    // The kernel's own: ticks and calls between cores; and what is not there.
    for (irq, to, error) in [(27, 3, 9), (0, 0, 9), (1, 2, 9), (288, 0, 4), (40, 4, 1), (40, u64::MAX, 1)] {
        assert_eq!(get(&mut world, irq, to).1, error, "{irq} on {to}");
    }
    let (own, private) = (get(&mut world, 30, 0), get(&mut world, 30, 2));
    assert_eq!((own.1, private.1, get(&mut world, 30, 2).1), (0, 0, 9));
    let (shared, error) = get(&mut world, 40, 3);
    assert_eq!((error, get(&mut world, 40, 1).1), (0, 9));
    assert_eq!(world.k.m.routes, [(40, core(3))]);
    // The method without a core refuses private ones.
    let slot = world.next_slot();
    let trigger = label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER;
    assert_eq!(world.invoke(init_cap::IRQ_CONTROL, trigger, &[29, 0, slot, 64], &[ROOT]), 3);

    let (ntfn, badged) = (world.make(3, 0), [world.next_slot(), world.next_slot(), world.next_slot()]);
    for (i, (handler, slot)) in [own.0, private.0, shared].into_iter().zip(badged).enumerate() {
        world.mint(ntfn, slot, 15, 1 << i);
        assert_eq!(world.invoke(handler, label::IRQ_SET_IRQ_HANDLER, &[], &[slot]), 0);
    }
    world.interrupt(2, 30);
    world.interrupt(3, 40);
    world.on(0);
    world.syscall(syscall::NB_RECV, ntfn, MessageInfo::default());
    assert_eq!(world.reg(world.root, 0), 0b110);
    world.interrupt(0, 30);
    world.syscall(syscall::NB_RECV, ntfn, MessageInfo::default());
    assert_eq!(world.reg(world.root, 0), 0b001);
    // An acknowledgement reaches the other core when it comes in.
    world.k.m.masked[30] = true;
    world.k.m.interrupted.clear();
    assert_eq!(world.invoke(private.0, label::IRQ_ACK_IRQ, &[], &[]), 0);
    assert!(world.k.m.masked[30]);
    assert_eq!(world.k.m.interrupted, [core(2)]);
    world.interrupt(2, IRQ_RESCHEDULE);
    assert!(!world.k.m.masked[30]);
}

/// What is done in the small world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The root task orders something, if it runs.
    Affinity(usize, u64),
    Suspend(usize),
    Resume(usize),
    Priority(usize, u64),
    /// The thread that runs on a core calls.
    Yield(usize),
    Wait(usize),
    Signal(usize),
    Call(usize),
    ReplyRecv(usize),
    /// An interrupt comes to a core.
    Called(usize),
    Tick(usize),
}

/// The steps so far.
#[derive(Default)]
struct Path(Vec<Step>);

impl Drop for Path {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            std::eprintln!("after {:?}", self.0);
        }
    }
}

/// Three threads beside the root task, a notification and an endpoint.
struct Small {
    world: World,
    threads: Vec<(u64, Tcb)>,
    ntfn: u64,
    ep: u64,
}

/// What stores do not change.
struct Saved {
    cores: Vec<Core>,
    registers: Vec<super::arena::Registers>,
    interrupted: Vec<CoreId>,
    undo: usize,
}

impl Small {
    fn new(cores: usize) -> Self {
        let mut world = World::with_cores(cores);
        let (ntfn, ep) = (world.make(3, 0), world.make(2, 0));
        let threads: Vec<_> = [100, 100, 200].into_iter().map(|priority| world.thread(priority)).collect();
        for (i, thread) in threads.iter().enumerate() {
            world.set_affinity(thread.0, ((i + 1) % cores) as u64);
            world.invoke(thread.0, label::TCB_RESUME, &[], &[]);
        }
        // The root task takes its turns with the others.
        world.invoke(init_cap::TCB, label::TCB_SET_PRIORITY, &[100], &[init_cap::TCB]);
        // Calls and replies go the short way where they can.
        world.short = Some((0, 0));
        world.k.m.undo = Some(Vec::new());
        Self { world, threads, ntfn, ep }
    }

    fn save(&self) -> Saved {
        let k = &self.world.k;
        assert_eq!(k.to_interrupt, CoreSet::EMPTY);
        Saved {
            cores: k.cores.to_vec(),
            registers: k.m.cores.to_vec(),
            interrupted: k.m.interrupted.clone(),
            undo: k.m.undo.as_ref().unwrap().len(),
        }
    }

    fn restore(&mut self, saved: &Saved) {
        let k = &mut self.world.k;
        k.cores.clone_from_slice(&saved.cores);
        k.m.cores.copy_from_slice(&saved.registers);
        k.m.interrupted.clone_from(&saved.interrupted);
        let undo = k.m.undo.as_mut().unwrap();
        for (i, old) in undo.drain(saved.undo..).rev() {
            k.m.words[i] = old;
        }
    }

    /// Takes a step; false if nobody is there to take it.
    fn step(&mut self, step: Step) -> bool {
        let index = match step {
            Step::Affinity(..) | Step::Suspend(_) | Step::Resume(_) | Step::Priority(..) => 0,
            Step::Yield(c) | Step::Wait(c) | Step::Signal(c) | Step::Call(c) | Step::ReplyRecv(c) => c,
            Step::Called(c) | Step::Tick(c) => c,
        };
        let (own, root) = (self.world.k.core_of(core(index)), self.world.root);
        if own.void {
            // Whatever the core came for: first it gets through the door.
            assert!(!self.world.on(index));
            self.world.k.leave();
            return true;
        }
        let possible = match step {
            Step::Affinity(..) | Step::Suspend(_) | Step::Resume(_) | Step::Priority(..) => {
                own.current == Some(root)
            }
            Step::Called(_) | Step::Tick(_) => true,
            _ => own.current.is_some(),
        };
        if !possible {
            return false;
        }
        assert!(self.world.on(index));
        let world = &mut self.world;
        match step {
            Step::Affinity(t, to) => drop(world.set_affinity(self.threads[t].0, to)),
            Step::Suspend(t) => drop(world.invoke(self.threads[t].0, label::TCB_SUSPEND, &[], &[])),
            Step::Resume(t) => drop(world.invoke(self.threads[t].0, label::TCB_RESUME, &[], &[])),
            Step::Priority(t, p) => {
                world.invoke(self.threads[t].0, label::TCB_SET_PRIORITY, &[p], &[init_cap::TCB]);
            }
            Step::Yield(_) => drop(world.syscall(syscall::YIELD, 0, MessageInfo::default())),
            Step::Wait(_) => drop(world.syscall(syscall::RECV, self.ntfn, MessageInfo::default())),
            Step::Signal(_) => drop(world.syscall(syscall::SEND, self.ntfn, MessageInfo::default())),
            Step::Call(_) => drop(world.syscall(syscall::CALL, self.ep, MessageInfo::default())),
            Step::ReplyRecv(_) => drop(world.syscall(syscall::REPLY_RECV, self.ep, MessageInfo::default())),
            Step::Called(_) => {
                world.k.interrupt(IRQ_RESCHEDULE);
                world.k.leave();
            }
            Step::Tick(_) => {
                world.k.interrupt(IRQ_TICK);
                world.k.leave();
            }
        }
        true
    }

    /// Every sequence of `depth` steps after those of `path`, which a failure prints.
    fn explore(&mut self, steps: &[Step], depth: usize, path: &mut Path) -> usize {
        let saved = self.save();
        let mut visited = 1;
        for &step in steps {
            path.0.push(step);
            if self.step(step) {
                self.world.check_queues();
                if depth > 1 {
                    visited += self.explore(steps, depth - 1, path);
                }
            }
            path.0.pop();
            self.restore(&saved);
        }
        visited
    }
}

fn steps(cores: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for t in 0..3 {
        steps.extend((0..cores as u64).map(|to| Step::Affinity(t, to)));
        steps.extend([Step::Suspend(t), Step::Resume(t), Step::Priority(t, 50), Step::Priority(t, 150)]);
    }
    for c in 0..cores {
        steps.extend([Step::Yield(c), Step::Wait(c), Step::Signal(c), Step::Call(c), Step::ReplyRecv(c)]);
        steps.extend([Step::Called(c), Step::Tick(c)]);
    }
    steps
}

/// Steps of the sequences that are exhausted: as many as an ordinary run has time for; `STRATA_SEQUENCE_STEPS` asks for
/// others. One more takes forty times as long.
fn depth() -> usize {
    std::env::var("STRATA_SEQUENCE_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

#[test]
fn every_short_sequence_on_two_cores() {
    let visited = Small::new(2).explore(&steps(2), depth(), &mut Path::default());
    std::println!("{visited} states");
    assert!(visited > 10_000, "{visited}");
}

#[test]
fn long_random_sequences_on_four_cores() {
    let steps = steps(4);
    for seed in super::fuzz::seeds(60) {
        let mut small = Small::new(4);
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..2000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            small.step(steps[(random >> 20) as usize % steps.len()]);
            small.world.check_queues();
        }
        small.world.check();
    }
}

#[test]
fn whoever_runs_elsewhere_can_be_deleted() {
    let mut world = World::with_cores(3);
    let (cap, tcb) = world.running(2, 10);
    assert_eq!(world.delete(cap), 0);
    assert_eq!(world.view(cap), View::Null);
    assert_eq!(world.k.m.remote, [(core(2), Remote::Stall)]);
    assert!(!world.on(2));
    assert_eq!(world.k.leave(), None);
    assert_eq!(world.k.core_of(core(2)).current, None);
    assert_ne!(world.k.state(tcb), State::Running);
    world.on(0);
    world.check();
}
