//! Threads that run on other cores: moved, stopped, looked at, ended.
use super::{advances, clear, count, spawn_on, stands_still, until, value, word};
use crate::case;
use crate::env::{COUNTER, ok, park};
use core::arch::asm;
use core::sync::atomic::Ordering;
use sel4_sys::{seL4_DebugGetThreadAffinity, seL4_Error, seL4_IPCBuffer, seL4_UserContext};

case! {
    /// All four cores run threads at the same time.
    smp_cores_run, env => {
        clear();
        assert_eq!((env.boot_info.nodeID, env.boot_info.numNodes), (0, 4));
        for core in 1..4 {
            let thread = spawn_on(env, core, count, core, 0);
            assert_eq!(seL4_DebugGetThreadAffinity(thread.tcb), core);
        }
        for _ in 0..5 {
            (1..4).for_each(advances);
        }
        let thread = env.thread(100, 0);
        assert_eq!(env.ipc.seL4_TCB_SetAffinity(thread.tcb, 4), seL4_Error::seL4_IllegalOperation);
    }
}

case! {
    /// Equals on one core take turns, whichever core it is.
    smp_turns, env => {
        clear();
        for i in 1..4 {
            spawn_on(env, 2, count, i, 0);
        }
        for _ in 0..3 {
            (1..4).for_each(advances);
        }
    }
}

case! {
    /// A thread goes round while it runs. On core 0 it is less urgent than the root task, so there it waits.
    smp_move_running, env => {
        clear();
        let thread = spawn_on(env, 1, count, 0, 0);
        for round in 0..60 {
            let core = round % 4;
            ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, core));
            assert_eq!(seL4_DebugGetThreadAffinity(thread.tcb), core);
            if core == 0 { stands_still(0) } else { advances(0) }
        }
        // Where it is already: it is stopped and goes on.
        ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, 3));
        advances(0);
        ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, 3));
        advances(0);
    }
}

extern "C" fn goes_round(ipc: &mut seL4_IPCBuffer, own: u64, rounds: u64) -> ! {
    for round in 0..rounds {
        assert_eq!(ipc.seL4_TCB_SetAffinity(own, 1 + round % 3), 0);
        COUNTER.fetch_add(1, Ordering::SeqCst);
    }
    park(ipc)
}

case! {
    /// A thread moves itself.
    smp_move_oneself, env => {
        let thread = env.thread(100, 0);
        ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, 1));
        env.start(thread, goes_round, thread.tcb, 200);
        until(|| COUNTER.load(Ordering::SeqCst) == 200);
    }
}

case! {
    /// When Suspend returns the thread stands, and when it is resumed it goes on.
    smp_suspend_running, env => {
        clear();
        let thread = spawn_on(env, 1, count, 0, 0);
        for _ in 0..50 {
            advances(0);
            ok(env.ipc.seL4_TCB_Suspend(thread.tcb));
            stands_still(0);
            ok(env.ipc.seL4_TCB_Resume(thread.tcb));
        }
        advances(0);
    }
}

/// Counts in x19 and, one instruction later, in a word.
extern "C" fn count_twice(_: &mut seL4_IPCBuffer, i: u64, _: u64) -> ! {
    // SAFETY: stores to the word, for ever.
    unsafe {
        asm!("2: add x19, x19, #1", "str x19, [{}]", "b 2b", in(reg) word(i).as_ptr(), options(noreturn))
    }
}

case! {
    /// Registers of a running thread are of one moment, between two instructions: its registers and what it wrote.
    smp_registers_of_running, env => {
        clear();
        let thread = env.thread(100, 0);
        ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, 2));
        env.start(thread, count_twice, 0, 0);
        advances(0);
        for _ in 0..100 {
            // Bring it here, where it does not run: the look and what it wrote are of one moment.
            ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, 0));
            let (regs, seen) = (env.registers(thread.tcb), value(0));
            assert!(regs.x19 == seen || regs.x19 == seen + 1, "{} {seen}", regs.x19);
            ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, 2));
            advances(0);
            // Without moving it: later than before.
            let regs: seL4_UserContext = env.registers(thread.tcb);
            assert!(regs.x19 >= seen);
        }
        // Written while it runs: it goes on from there.
        let mut regs = env.registers(thread.tcb);
        regs.x19 = 1 << 40;
        ok(env.ipc.seL4_TCB_WriteRegisters(thread.tcb, 0, 0, 36, &regs));
        until(|| value(0) > 1 << 40);
        // Copied from it while it runs, the frame and the rest.
        let copy = env.thread(100, 0);
        ok(env.ipc.seL4_TCB_CopyRegisters(copy.tcb, thread.tcb, 0, 0, 1, 1, 0));
        assert!(env.registers(copy.tcb).x19 > 1 << 40);
    }
}

case! {
    /// A running thread is deleted: it stands, and its memory is free.
    smp_delete_running, env => {
        clear();
        for round in 0..20 {
            let thread = spawn_on(env, 1 + round % 3, count, 0, 0);
            advances(0);
            ok(env.delete(thread.tcb));
            stands_still(0);
            env.reset();
        }
        // The same by revoking all memory below it.
        spawn_on(env, 3, count, 0, 0);
        advances(0);
        ok(env.revoke(env.untyped));
        stands_still(0);
    }
}

/// Keeps a value in d8 and says so.
extern "C" fn keeps_a_double(_: &mut seL4_IPCBuffer, i: u64, bits: u64) -> ! {
    // SAFETY: stores to the word, for ever. The value goes through d8 alone.
    unsafe {
        asm!(
            "fmov d8, {bits}",
            "2: fmov x20, d8",
            "cmp x20, {bits}",
            "b.ne 3f",
            "add x19, x19, #1",
            "str x19, [{at}]",
            "b 2b",
            "3: b 3b",
            bits = in(reg) bits,
            at = in(reg) word(i).as_ptr(),
            options(noreturn)
        )
    }
}

case! {
    /// Floating-point values travel with their threads, and two on one core do not mix.
    smp_floating_point, env => {
        clear();
        let a = spawn_on(env, 1, keeps_a_double, 0, 0x1234_5678_9abc_def0);
        let b = spawn_on(env, 2, keeps_a_double, 1, 0x0fed_cba9_8765_4321);
        for round in 0..60 {
            ok(env.ipc.seL4_TCB_SetAffinity(a.tcb, 1 + round % 3));
            ok(env.ipc.seL4_TCB_SetAffinity(b.tcb, 1 + round / 3 % 3));
            advances(0);
            advances(1);
        }
    }
}
