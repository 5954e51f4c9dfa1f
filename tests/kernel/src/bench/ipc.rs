//! Paths between two threads. The other thread lives in an address space of its own, like a server.
use super::{
    ENTERED, HERE, Registers, THERE, bench, measure, measure_batches, report, report_words, system_call,
    timed,
};
use crate::env::{COUNTER, Env, SCRATCH, Thread, ok};
use core::arch::asm;
use core::sync::atomic::Ordering;
use sel4_sys::abi::syscall::{CALL, RECV, REPLY_RECV, SEND, YIELD};
use sel4_sys::{
    api_object, seL4_ARM_VMAttributes, seL4_CapInitThreadASIDPool, seL4_CapInitThreadCNode,
    seL4_CapInitThreadVSpace, seL4_CapRights, seL4_IPCBuffer, seL4_MessageInfo,
};

/// Message lengths of the table.
const LENGTHS: [u64; 6] = [0, 1, 2, 3, 4, 10];
/// Priority of the other thread.
const OTHER: u64 = 254;

fn info(length: u64) -> u64 {
    seL4_MessageInfo::new(0, 0, 0, length).0.0
}

/// A second address space with everything that is mapped in the first: the image and the buffers of threads.
fn address_space(env: &mut Env) -> u64 {
    let vspace = env.make(api_object::seL4_ARM_VSpaceObject, 0);
    ok(env.ipc.seL4_ARM_ASIDPool_Assign(seL4_CapInitThreadASIDPool, vspace));
    let frames = env.boot_info.userImageFrames;
    let image = env.boot_info.ipcBuffer.addr() as u64 - (frames.end - frames.start) * 4096;
    for (page, frame) in (frames.start..frames.end).enumerate() {
        let copy = env.copy(frame);
        let va = image + page as u64 * 4096;
        env.map_in(
            vspace,
            copy,
            va,
            seL4_CapRights::read_write(),
            seL4_ARM_VMAttributes::seL4_ARM_Default_VMAttributes,
        );
    }
    vspace
}

/// A thread in an address space of its own.
fn server(env: &mut Env, entry: extern "C" fn(&mut seL4_IPCBuffer, u64, u64) -> !, a: u64, b: u64) -> Thread {
    let vspace = address_space(env);
    let thread = env.thread(OTHER, 0);
    let (frame, buffer) = (env.frame(), thread.buffer);
    env.map_in(vspace, frame, buffer, seL4_CapRights::read_write(), seL4_ARM_VMAttributes::data());
    let root = seL4_CapInitThreadCNode;
    ok(env.ipc.seL4_TCB_Configure(thread.tcb, 0, root, 0, vspace, 0, buffer, frame));
    env.start(thread, entry, a, b);
    thread
}

/// Answers calls with messages of `length` words and counts the paths that bring them.
extern "C" fn answer(_: &mut seL4_IPCBuffer, ep: u64, length: u64) -> ! {
    let reply = Registers { capability: ep, info: info(length), words: [0; 4] };
    system_call(RECV, &reply);
    loop {
        THERE.add(system_call(REPLY_RECV, &reply));
    }
}

/// Receives and counts the paths that bring messages or signals.
extern "C" fn receive(_: &mut seL4_IPCBuffer, from: u64, _: u64) -> ! {
    let wait = Registers { capability: from, ..Default::default() };
    loop {
        THERE.add(system_call(RECV, &wait));
    }
}

/// Uses a floating-point register.
fn touch_fpu() {
    // SAFETY: the register is declared as changed.
    unsafe { asm!("fmov d0, xzr", out("v0") _, options(nomem, nostack, preserves_flags)) };
}

/// Takes the floating-point registers and sleeps.
extern "C" fn own_fpu(ipc: &mut seL4_IPCBuffer, _: u64, _: u64) -> ! {
    touch_fpu();
    crate::env::park(ipc);
}

bench! {
    /// Call and ReplyRecv by message length, between two threads of one priority.
    bench_call, env => {
        for length in LENGTHS {
            let ep = env.endpoint();
            server(env, answer, ep, length);
            let call = Registers { capability: ep, info: info(length), words: [1, 2, 3, 4] };
            // Compiled code uses floating-point registers to copy things: here neither thread has them.
            env.spawn(OTHER, own_fpu, 0, 0);
            env.settle();
            env.set_priority(OTHER);
            let cost = measure(env, |_| HERE.add(system_call(CALL, &call)));
            report_words("call", length, cost.there);
            report_words("replyrecv", length, cost.here);
            report_words("roundtrip", length, cost.here + cost.there);
            env.reset();
        }
    }
}

bench! {
    /// The same when the caller owns the floating-point registers, so that they change hands at each call.
    bench_call_fpu, env => {
        let ep = env.endpoint();
        server(env, answer, ep, 0);
        env.settle();
        env.set_priority(OTHER);
        let call = Registers { capability: ep, info: info(0), words: [0; 4] };
        let cost = measure(env, |_| {
            touch_fpu();
            HERE.add(system_call(CALL, &call));
        });
        report("kernel.call.fpu", cost.there);
        report("kernel.replyrecv.fpu", cost.here);
        report("kernel.roundtrip.fpu", cost.here + cost.there);
    }
}

bench! {
    /// A message or signal to a more urgent thread, and that thread's next wait.
    bench_wake, env => {
        for (what, kind) in
            [("send", api_object::seL4_EndpointObject), ("signal", api_object::seL4_NotificationObject)]
        {
            let object = env.make(kind, 0);
            server(env, receive, object, 0);
            env.set_priority(100);
            let send = Registers { capability: object, info: info(0), words: [0; 4] };
            let cost = measure(env, |_| HERE.add(system_call(SEND, &send)));
            let (wake, block) = if what == "send" {
                ("kernel.send.wake", "kernel.recv.block")
            } else {
                ("kernel.signal.wake", "kernel.wait.block")
            };
            report(wake, cost.there);
            report(block, cost.here);
            env.reset();
        }
    }
}

extern "C" fn take_turns(_: &mut seL4_IPCBuffer, _: u64, _: u64) -> ! {
    loop {
        THERE.add(system_call(YIELD, &Registers::default()));
    }
}

bench! {
    /// Yield: alone, and to another thread.
    bench_yield, env => {
        let cost = measure(env, |_| HERE.add(system_call(YIELD, &Registers::default())));
        report("kernel.yield", cost.here);
        server(env, take_turns, 0, 0);
        env.set_priority(OTHER);
        let cost = measure(env, |_| HERE.add(system_call(YIELD, &Registers::default())));
        report("kernel.yield.switch", cost.there);
    }
}

/// Where the faulting thread reads.
const HOLE: u64 = SCRATCH + 4096;

/// Maps the page that a fault misses and answers; counts the paths that bring faults.
extern "C" fn handle_faults(ipc: &mut seL4_IPCBuffer, ep: u64, frame: u64) -> ! {
    let reply = Registers { capability: ep, info: info(0), words: [0; 4] };
    system_call(RECV, &reply);
    loop {
        ok(ipc.seL4_ARM_Page_Map(
            frame,
            seL4_CapInitThreadVSpace,
            HOLE,
            seL4_CapRights::read_write(),
            seL4_ARM_VMAttributes::data(),
        ));
        THERE.add(system_call(REPLY_RECV, &reply));
    }
}

/// The stack and buffer of the thread that measures faults: it is not the root task, which has no handler.
extern "C" fn fault(ipc: &mut seL4_IPCBuffer, frame: u64, done: u64) -> ! {
    let mut faults = FaultRounds { ipc, frame };
    faults.run();
    COUNTER.store(1, Ordering::SeqCst);
    sel4_sys::seL4_Signal(done);
    crate::env::park(faults.ipc);
}

struct FaultRounds<'a> {
    ipc: &'a mut seL4_IPCBuffer,
    frame: u64,
}

impl FaultRounds<'_> {
    fn run(&mut self) {
        let cost = measure_batches(
            self,
            |_| {},
            |this| {
                HERE.add(timed!("ldr xzr, [x11]", in("x11") HOLE,));
                ok(this.ipc.seL4_ARM_Page_Unmap(this.frame));
            },
        );
        report("kernel.fault.deliver", cost.there);
        report("kernel.fault.reply", cost.here);
        report("kernel.fault.roundtrip", cost.there + cost.here);
    }
}

bench! {
    /// A page fault to its handler, and the answer.
    bench_fault, env => {
        let ep = env.endpoint();
        let (frame, neighbour) = (env.frame(), env.frame());
        // The table is there before.
        env.map(neighbour, SCRATCH);
        server(env, handle_faults, ep, frame);
        let done = env.notification();
        let thread = env.thread(OTHER - 1, ep);
        env.start(thread, fault, frame, done);
        env.ipc.seL4_Wait(done);
        assert_eq!(COUNTER.load(Ordering::SeqCst), 1);
    }
}
