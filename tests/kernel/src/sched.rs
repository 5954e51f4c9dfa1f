//! Who runs: priorities, time slices, suspension.
use crate::case;
use crate::env::{COUNTER, ok, park};
use core::sync::atomic::{AtomicU64, Ordering};
use sel4_sys::{seL4_CapInitThreadTCB, seL4_Error, seL4_IPCBuffer, seL4_Signal, seL4_Yield};

extern "C" fn count_once(ipc: &mut seL4_IPCBuffer, ntfn: u64, _: u64) -> ! {
    COUNTER.fetch_add(1, Ordering::SeqCst);
    seL4_Signal(ntfn);
    park(ipc)
}

case! {
    /// A less urgent thread does not run; lowering oneself lets it; the authority's limit holds.
    sched_priorities, env => {
        let ntfn = env.notification();
        let done = env.mint(ntfn, sel4_sys::seL4_CapRights::all(), 1);
        let thread = env.spawn(100, count_once, done, 0);
        seL4_Yield();
        assert_eq!(COUNTER.load(Ordering::SeqCst), 0);
        env.set_priority(99);
        assert_eq!(env.ipc.seL4_Wait(ntfn).1, 1);
        assert_eq!(COUNTER.load(Ordering::SeqCst), 1);
        assert_eq!(
            env.ipc.seL4_TCB_SetPriority(thread.tcb, seL4_CapInitThreadTCB, 256),
            seL4_Error::seL4_RangeError
        );
        assert_eq!(env.ipc.msg[1], 255);
        ok(env.ipc.seL4_TCB_SetMCPriority(thread.tcb, seL4_CapInitThreadTCB, 10));
        assert_eq!(
            env.ipc.seL4_TCB_SetPriority(thread.tcb, thread.tcb, 11),
            seL4_Error::seL4_RangeError
        );
        ok(env.ipc.seL4_TCB_SetPriority(thread.tcb, thread.tcb, 10));
    }
}

static ROUNDS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

extern "C" fn rounds(_: &mut seL4_IPCBuffer, which: u64, _: u64) -> ! {
    loop {
        ROUNDS[usize::try_from(which).expect("0 or 1")].fetch_add(1, Ordering::SeqCst);
    }
}

case! {
    /// Two threads that never give up the processor share it by ticks; suspended, one stands still.
    sched_round_robin, env => {
        let one = env.spawn(100, rounds, 0, 0);
        env.spawn(100, rounds, 1, 0);
        env.set_priority(100);
        while ROUNDS.iter().any(|rounds| rounds.load(Ordering::SeqCst) == 0) {
            seL4_Yield();
        }
        ok(env.ipc.seL4_TCB_Suspend(one.tcb));
        let (before, other) = (ROUNDS[0].load(Ordering::SeqCst), ROUNDS[1].load(Ordering::SeqCst));
        while ROUNDS[1].load(Ordering::SeqCst) == other {
            seL4_Yield();
        }
        assert_eq!(ROUNDS[0].load(Ordering::SeqCst), before);
        ok(env.ipc.seL4_TCB_Resume(one.tcb));
        while ROUNDS[0].load(Ordering::SeqCst) == before {
            seL4_Yield();
        }
    }
}

case! {
    /// A thread that is woken and more urgent runs at once, in the middle of the other's loop.
    sched_preempts, env => {
        let ntfn = env.notification();
        let signal = env.mint(ntfn, sel4_sys::seL4_CapRights::all(), 1);
        env.spawn(200, wait_and_count, ntfn, 0);
        env.set_priority(100);
        assert_eq!(COUNTER.load(Ordering::SeqCst), 0);
        seL4_Signal(signal);
        assert_eq!(COUNTER.load(Ordering::SeqCst), 1);
        seL4_Signal(signal);
        assert_eq!(COUNTER.load(Ordering::SeqCst), 2);
    }
}

extern "C" fn wait_and_count(ipc: &mut seL4_IPCBuffer, ntfn: u64, _: u64) -> ! {
    loop {
        ipc.seL4_Wait(ntfn);
        COUNTER.fetch_add(1, Ordering::SeqCst);
    }
}
