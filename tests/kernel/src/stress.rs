//! Random invocations by several threads, and the kernel's invariants after each batch.
//!
//! The root task stands aside: it makes workers with a CNode of their own, which holds that CNode itself, their own
//! threads and address space, untyped memory with children, and whatever they make of it. Each worker draws calls
//! (`kernel-calls`) and makes them; whoever is hit by another's call stops where it is. The root task is the least
//! urgent thread, so that it runs when nobody else can: then it has the kernel check its invariants, starts the workers
//! again, and now and then makes everything anew. A seed replays.
//!
//! Boot arguments: `seed=N calls=N workers=N`; `trace=1` prints every answer instead of checking, for comparing kernels.
use crate::bench::counter;
use crate::env::{Env, SCRATCH, Thread, ok};
use crate::{CHECKED, case, say};
use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kernel_calls::{ANSWERS, Call, Coverage, LABELS, Names, Random, answer_name, label_name};
use microkernel_abi::label;
use microkernel_abi::syscall::{CALL, DEBUG_CHECK};
use sel4_sys::{
    api_object, seL4_CNode_CapData, seL4_CPtr, seL4_CapASIDControl, seL4_CapDomain, seL4_CapIRQControl,
    seL4_CapInitThreadASIDPool, seL4_CapInitThreadCNode, seL4_CapInitThreadTCB, seL4_CapInitThreadVSpace,
    seL4_CapRights, seL4_DebugCapIdentify, seL4_IPCBuffer, seL4_TCBFlag_fpuDisabled,
};

/// Threads that make calls.
const WORKERS_MAX: usize = 4;
/// Calls of one worker between two checks.
const QUOTA: u64 = 100;
/// Batches after which everything is made anew.
const EPOCH: u64 = 12;
/// Ticks of the counter without a call after which workers on other cores are at their end: many calls' time.
const QUIET_TICKS: u64 = 20_000;
/// Calls of a run that nobody gave a number, on one core and on several, where each takes the emulator longer.
const CALLS_DEFAULT: [u64; 2] = [20_000, 4_000];

const ROOT: seL4_CPtr = seL4_CapInitThreadCNode;
/// log2 of the slots of the workers' CNode.
const CNODE_BITS: u64 = 8;
/// What is where in the workers' CNode.
const NAMES: Names = Names {
    cnode: 1,
    first: 16,
    count: 64,
    untyped: 6,
    vspace: 2,
    tcb: 3,
    asid_pool: 4,
    asid_control: 7,
    irq_control: 9,
    domain: 5,
    base: SCRATCH + (8 << 39),
};
/// log2 of the memory that workers may do with as they like.
const ARENA_BITS: u64 = 20;

/// A worker's own things.
struct Worker {
    random: AtomicU64,
    /// Calls left in this batch.
    left: AtomicU64,
    calls: AtomicU64,
    coverage: UnsafeCell<Coverage>,
}

// SAFETY: only its worker touches a coverage, and the root task while no worker runs.
unsafe impl Sync for Worker {}

static WORKERS: [Worker; WORKERS_MAX] = [const {
    Worker {
        random: AtomicU64::new(1),
        left: AtomicU64::new(0),
        calls: AtomicU64::new(0),
        coverage: UnsafeCell::new(Coverage::new()),
    }
}; WORKERS_MAX];

static TRACE: AtomicBool = AtomicBool::new(false);

/// What comes back from a system call.
struct Answer {
    info: u64,
    words: [u64; 4],
}

/// Makes the call, whatever it is.
fn make(call: &Call, ipc: &mut seL4_IPCBuffer) -> Answer {
    ipc.msg[4..8].copy_from_slice(&call.words[4..]);
    ipc.caps_or_badges.copy_from_slice(&call.caps);
    let mut answer = Answer { info: call.info().0, words: [0; 4] };
    answer.words.copy_from_slice(&call.words[..4]);
    let [m0, m1, m2, m3] = &mut answer.words;
    // SAFETY: the kernel keeps every register but these; it may write the IPC buffer, which is handed in.
    unsafe {
        asm!(
            "svc #0",
            in("x7") call.number,
            in("x6") core::ptr::from_mut(ipc),
            inlateout("x0") call.cptr => _,
            inlateout("x1") answer.info,
            inlateout("x2") *m0,
            inlateout("x3") *m1,
            inlateout("x4") *m2,
            inlateout("x5") *m3,
            options(nostack),
        );
    }
    answer
}

/// Does a message to a capability of this kind, as the debug call names it, reach somebody else than the kernel?
const fn is_message(kind: u64) -> bool {
    matches!(kind, 0 | 4 | 6 | 8)
}

/// Something that no thread may do, or that only the floating-point unit can.
fn misbehave(random: &mut Random) {
    match random.below(4) {
        // SAFETY: nothing is mapped there: the load faults, and whoever handles that may let it go on.
        0 => unsafe { asm!("ldr {0}, [{0}]", inout(reg) NAMES.base + (random.below(3) << 39) => _) },
        // SAFETY: the instruction is undefined: as above.
        1 => unsafe { asm!("udf #3") },
        // SAFETY: the address is no instruction's: as above.
        2 => unsafe { asm!("blr {}", in(reg) 0x10_u64, clobber_abi("C")) },
        // SAFETY: changes a register that is declared as changed.
        _ => unsafe { asm!("fmov d0, xzr", out("v0") _) },
    }
}

/// Draws a call that leaves the program's own registers alone: a copy of another worker's would run on its stack.
fn draw(random: &mut Random) -> Call {
    let mut call = Call::draw(random, &NAMES, seL4_DebugCapIdentify);
    if call.label == label::TCB_COPY_REGISTERS {
        call.words[0] &= !0xc;
    }
    call
}

extern "C" fn work(ipc: &mut seL4_IPCBuffer, index: u64, _: u64) -> ! {
    let worker = &WORKERS[usize::try_from(index).unwrap_or(0) % WORKERS_MAX];
    let trace = TRACE.load(Ordering::Relaxed);
    while worker.left.load(Ordering::Relaxed) > 0 {
        worker.left.fetch_sub(1, Ordering::Relaxed);
        let mut random = Random::resume(worker.random.load(Ordering::Relaxed));
        let call = draw(&mut random);
        let bad = random.once_in(64);
        // A call may never come back: the next one is another one all the same.
        let mut later = random;
        worker.random.store(random.state(), Ordering::Relaxed);
        let number = worker.calls.fetch_add(1, Ordering::Relaxed);
        if bad {
            misbehave(&mut later);
        }
        let kind = seL4_DebugCapIdentify(call.cptr);
        let answer = make(&call, ipc);
        if call.number == CALL && !is_message(kind) {
            let label = answer.info >> 12;
            // SAFETY: this worker's own; the root task looks at it when nobody works.
            unsafe { &mut *worker.coverage.get() }.record(call.label, label);
            if trace {
                tell(number, kind, &call, &answer);
            }
        }
    }
    loop {
        // No capability is there: a fault, which nobody handles or somebody else does.
        ipc.seL4_Recv(1 << 40, ());
    }
}

/// One line for an answer: what it depends on, without physical addresses.
fn tell(number: u64, kind: u64, call: &Call, answer: &Answer) {
    let length = usize::try_from(answer.info & 0x7f).unwrap_or(0).min(4);
    let (label, words) = (answer.info >> 12, &answer.words[..length]);
    let address = call.label == label::PAGE_GET_ADDRESS;
    say!(
        "answer {number}: cap {} of kind {kind}, {} ({} words, {} caps) {:x?}: {} {:x?}",
        call.cptr,
        label_name(usize::try_from(call.label).unwrap_or(0)),
        call.length,
        call.extra,
        &call.words[..4],
        answer_name(usize::try_from(label).unwrap_or(0)),
        if address { &[] } else { words },
    );
}

/// The system call that checks: how many capabilities, threads and table entries there are.
fn check() -> (u64, u64, u64) {
    let (capabilities, threads, entries): (u64, u64, u64);
    // SAFETY: a system call that changes x0 to x2 only.
    unsafe {
        asm!("svc #0", in("x7") DEBUG_CHECK, out("x0") capabilities, out("x1") threads, out("x2") entries, options(nostack));
    }
    (capabilities, threads, entries)
}

/// Everybody else runs until nobody can.
fn settle(env: &mut Env) {
    // On this core that is as soon as the least urgent thread runs again.
    env.set_priority(1);
    let calls = || WORKERS.iter().map(|worker| worker.calls.load(Ordering::Relaxed)).sum::<u64>();
    if env.boot_info.numNodes > 1 {
        // On the others, when nothing has happened for long.
        loop {
            let (before, start) = (calls(), counter());
            while counter() - start < QUIET_TICKS {
                core::hint::spin_loop();
            }
            if calls() == before {
                break;
            }
        }
    }
    env.set_priority(255);
}

/// A number among the boot arguments.
fn argument(env: &Env, key: &str) -> Option<u64> {
    let text = core::str::from_utf8(env.boot_argument(key)?).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{key}{text} is no number")))
}

/// What the root task keeps of the workers.
struct Crew {
    /// The workers' CNode with the guard that makes it a capability space.
    space: seL4_CPtr,
    workers: [Thread; WORKERS_MAX],
}

impl Crew {
    /// Makes everything.
    fn new(env: &mut Env, count: usize) -> Self {
        let table = env.make(api_object::seL4_CapTableObject, CNODE_BITS);
        let guard = seL4_CNode_CapData::new(0, 64 - CNODE_BITS).into_word();
        let space = env.slot();
        let all = seL4_CapRights::all();
        ok(env.ipc.seL4_CNode_Mint(ROOT, space, 64, ROOT, table, 64, all, guard));
        // Some workers lie in the memory that they do with as they like.
        let arena = env.make(api_object::seL4_UntypedObject, ARENA_BITS);
        let none = Thread { tcb: 0, buffer: 0, frame: 0 };
        let mut crew = Self { space, workers: [none; WORKERS_MAX] };
        for index in 0..count {
            let thread = env.thread(10, 0);
            crew.workers[index] = thread;
            if index % 2 == 1 {
                let (error, tcb) = env.try_make(arena, api_object::seL4_TCBObject, 0, 1);
                ok(error);
                crew.workers[index].tcb = tcb;
            }
        }
        for (from, to) in [
            (space, NAMES.cnode),
            (seL4_CapInitThreadVSpace, NAMES.vspace),
            (crew.workers[0].tcb, NAMES.tcb),
            (seL4_CapInitThreadASIDPool, NAMES.asid_pool),
            (seL4_CapASIDControl, NAMES.asid_control),
            (seL4_CapDomain, NAMES.domain),
        ] {
            ok(env.ipc.seL4_CNode_Copy(space, to, 64, ROOT, from, 64, all));
        }
        for index in 0..count {
            let place = NAMES.first + index as u64;
            ok(env.ipc.seL4_CNode_Copy(space, place, 64, ROOT, crew.workers[index].tcb, 64, all));
        }
        // Tables for some of the addresses that calls name.
        let frame = env.frame();
        env.map(frame, NAMES.base);
        // Something to begin with: of each kind two.
        let mut place = NAMES.first + WORKERS_MAX as u64;
        for (kind, bits) in [(2, 0), (3, 0), (4, 3), (1, 0), (7, 0), (9, 0), (6, 0), (0, 12)] {
            ok(env.ipc.seL4_Untyped_Retype(arena, kind, bits, space, 0, 0, place, 2));
            place += 2;
        }
        ok(env.ipc.seL4_CNode_Move(space, NAMES.untyped, 64, ROOT, arena, 64));
        crew
    }

    /// Starts every worker at its beginning, whatever became of it. False: one of them is no more.
    fn start(&self, env: &mut Env, count: usize) -> bool {
        for (index, worker) in WORKERS.iter().enumerate().take(count) {
            let thread = self.workers[index];
            worker.left.store(QUOTA, Ordering::Relaxed);
            let handler = NAMES.first + WORKERS_MAX as u64;
            let ipc = &mut *env.ipc;
            let vspace = seL4_CapInitThreadVSpace;
            // Whoever waits for another's answer does so no longer.
            let made = ipc.seL4_TCB_Suspend(thread.tcb) == 0
                && ipc.seL4_TCB_Configure(
                    thread.tcb,
                    handler,
                    self.space,
                    0,
                    vspace,
                    0,
                    thread.buffer,
                    thread.frame,
                ) == 0
                && ipc.seL4_TCB_SetSchedParams(thread.tcb, seL4_CapInitThreadTCB, 100, 10 + index as u64)
                    == 0
                && ipc.seL4_TCB_SetFlags(thread.tcb, seL4_TCBFlag_fpuDisabled, 0).error == 0;
            let cores = env.boot_info.numNodes;
            if !made || cores > 1 && !self.place(env, index, cores) {
                return false;
            }
            env.start_on(index, thread, work, index as u64, 0);
        }
        true
    }

    /// Puts a worker on the core that is its own.
    #[cfg(feature = "smp")]
    fn place(&self, env: &mut Env, index: usize, cores: u64) -> bool {
        env.ipc.seL4_TCB_SetAffinity(self.workers[index].tcb, index as u64 % cores) == 0
    }

    /// There is one core.
    #[cfg(not(feature = "smp"))]
    fn place(&self, _: &mut Env, _: usize, _: u64) -> bool {
        true
    }

    /// The root task's own part: what only it can name.
    fn own_calls(&self, env: &mut Env, random: &mut Random, coverage: &mut Coverage) {
        for _ in 0..QUOTA / 10 {
            let mut call = Call::draw(random, &NAMES, |_| 0);
            if call.cptr == NAMES.irq_control && call.number == CALL {
                call.cptr = seL4_CapIRQControl;
                // One that does not resolve would be this thread's own fault.
                call.caps = [self.space; 3];
                let answer = make(&call, env.ipc);
                coverage.record(call.label, answer.info >> 12);
            }
        }
    }
}

fn report(seed: u64, calls: u64, coverage: &Coverage, checks: u64) {
    say!("stress: seed {seed}, {calls} calls, {checks} checks");
    let totals = coverage.totals();
    for (answer, count) in totals.iter().enumerate() {
        say!("stress: {:<10} {count}", answer_name(answer));
    }
    say!("stress: invocation, answers");
    for label in 1..LABELS {
        let row = coverage.of(label);
        if row.iter().all(|&count| count == 0) {
            continue;
        }
        let mut cells = [""; ANSWERS];
        cells.iter_mut().enumerate().for_each(|(i, cell)| *cell = answer_name(i));
        crate::say_part!("stress: {:<28}", label_name(label));
        for (name, count) in cells.iter().zip(row).filter(|&(_, &count)| count > 0) {
            crate::say_part!(" {name} {count}");
        }
        say!("");
    }
}

case! {
    /// Calls without sense, by several threads: no panic, no hang, no broken invariant.
    stress_calls, env, CHECKED => {
        let seed = argument(env, "seed=").unwrap_or(1);
        let wanted = argument(env, "calls=").unwrap_or(CALLS_DEFAULT[usize::from(env.boot_info.numNodes > 1)]);
        let trace = argument(env, "trace=").is_some();
        let count = usize::try_from(argument(env, "workers=").unwrap_or(4)).expect("few").clamp(1, WORKERS_MAX);
        TRACE.store(trace, Ordering::Relaxed);
        for (index, worker) in WORKERS.iter().enumerate() {
            worker.random.store(Random::new(seed * WORKERS_MAX as u64 + index as u64 + 1).state(), Ordering::Relaxed);
        }
        let mut own = Random::new(!seed);
        let mut coverage = Coverage::new();
        let (mut calls, mut checks, mut epochs) = (0, 0, 0_u64);
        let mut most = (0, 0, 0);
        while calls < wanted {
            let crew = Crew::new(env, count);
            epochs += 1;
            for _ in 0..EPOCH {
                if !crew.start(env, count) {
                    break;
                }
                settle(env);
                if !trace {
                    let census = check();
                    checks += 1;
                    most = (census.0.max(most.0), census.1.max(most.1), census.2.max(most.2));
                    crew.own_calls(env, &mut own, &mut coverage);
                }
                calls = WORKERS.iter().map(|worker| worker.calls.load(Ordering::Relaxed)).sum();
                if calls >= wanted {
                    break;
                }
            }
            env.reset();
            if !trace {
                check();
                checks += 1;
            }
        }
        for worker in &WORKERS {
            // SAFETY: no worker runs any more: their memory was revoked.
            coverage.add(unsafe { &*worker.coverage.get() });
        }
        report(seed, calls, &coverage, checks);
        say!(
            "stress: {epochs} times made anew; at most {} capabilities, {} threads, {} table entries",
            most.0, most.1, most.2
        );
        let obeyed = coverage.totals()[0];
        assert!(trace || u64::from(obeyed) > calls / 20, "hardly anything was obeyed: {obeyed} of {calls}");
    }
}
