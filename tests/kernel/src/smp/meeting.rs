//! Threads of different cores meet: messages, signals, faults, interrupts.
use super::{advances, clear, spawn_on, until, value, word};
use crate::case;
use crate::env::{COUNTER, SCRATCH, ok, park};
use crate::ipc::echo;
use core::arch::asm;
use core::sync::atomic::Ordering;
use sel4_sys::{
    seL4_CapIRQControl, seL4_CapInitThreadCNode, seL4_CapRights, seL4_Error, seL4_Fault, seL4_IPCBuffer,
    seL4_MessageInfo, seL4_Signal,
};

const ROOT: u64 = seL4_CapInitThreadCNode;

case! {
    /// Calls to a server on each core, short and long, come back answered.
    smp_call_reply, env => {
        for core in 1..4 {
            let ep = env.endpoint();
            spawn_on(env, core, echo, ep, 0);
            for round in 0..60 {
                let length = [0, 1, 4, 5, 60, 119][round % 6];
                env.ipc.msg[..length].fill(round as u64);
                let reply = env.ipc.seL4_Call(ep, seL4_MessageInfo::new(7, 0, 0, length as u64));
                assert_eq!((reply.get_label(), reply.get_length()), (8, length as u64 + 1));
                assert!(env.ipc.msg[..length].iter().all(|&word| word == round as u64 + 1));
            }
        }
    }
}

/// Calls a server again and again; each answer is one more than what was sent.
extern "C" fn caller(ipc: &mut seL4_IPCBuffer, ep: u64, i: u64) -> ! {
    let mut number = 0;
    loop {
        ipc.msg[0] = number;
        ipc.seL4_Call(ep, seL4_MessageInfo::new(0, 0, 0, 1));
        if ipc.msg[0] != number + 1 {
            COUNTER.store(1, Ordering::SeqCst);
            park(ipc);
        }
        number += 1;
        word(i).store(number, Ordering::SeqCst);
    }
}

case! {
    /// Three pairs talk across cores while the root task moves, stops and starts all of them: no call is lost, and none
    /// is made twice.
    smp_calls_while_moved, env => {
        clear();
        let mut threads = [0; 6];
        for pair in 0..3 {
            let ep = env.endpoint();
            threads[pair] = spawn_on(env, 1 + pair as u64, echo, ep, 0).tcb;
            threads[3 + pair] = spawn_on(env, 1 + (pair as u64 + 1) % 3, caller, ep, pair as u64).tcb;
        }
        let mut random = 1_u64;
        for _ in 0..1500 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let thread = threads[usize::try_from(random >> 33).expect("64 bits") % 6];
            ok(env.ipc.seL4_TCB_SetAffinity(thread, 1 + (random >> 40) % 3));
            if random >> 50 & 3 == 0 {
                env.registers(thread);
            }
        }
        (0..3).for_each(advances);
        assert_eq!(COUNTER.load(Ordering::SeqCst), 0);
    }
}

extern "C" fn answers_signals(ipc: &mut seL4_IPCBuffer, ntfn: u64, answer: u64) -> ! {
    loop {
        ipc.seL4_Wait(ntfn);
        COUNTER.fetch_add(1, Ordering::SeqCst);
        seL4_Signal(answer);
    }
}

case! {
    /// A signal wakes the thread that waits on another core, and its signal wakes this one.
    smp_signal, env => {
        for core in 1..4 {
            let (there, back) = (env.notification(), env.notification());
            spawn_on(env, core, answers_signals, there, back);
            for _ in 0..100 {
                seL4_Signal(there);
                env.ipc.seL4_Wait(back);
            }
        }
        assert_eq!(COUNTER.load(Ordering::SeqCst), 300);
    }
}

extern "C" fn load_and_say(_: &mut seL4_IPCBuffer, address: u64, i: u64) -> ! {
    let found: u64;
    // SAFETY: the load may fault; the handler deals with it.
    unsafe { asm!("ldr {v}, [{a}]", v = out(reg) found, a = in(reg) address) };
    word(i).store(found, Ordering::SeqCst);
    loop {
        core::hint::spin_loop();
    }
}

case! {
    /// A fault on another core reaches its handler here, who maps the page; the load is repeated there.
    smp_fault, env => {
        clear();
        for core in 1..4 {
            let ep = env.endpoint();
            let va = SCRATCH + core * 4096;
            let thread = env.thread(100, ep);
            ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, core));
            env.start(thread, load_and_say, va + 8, core);
            let (info, _) = env.ipc.seL4_Recv(ep, ());
            let fault = seL4_Fault::get_from_ipc_buffer(info, env.ipc).expect("a fault");
            assert!(matches!(fault, seL4_Fault::VMFault(fault) if fault.addr == va + 8));
            let reply = env.slot();
            ok(env.ipc.seL4_CNode_SaveCaller(ROOT, reply, 64));
            let frame = env.frame();
            env.map(frame, va);
            let at = usize::try_from(va + 8).expect("64 bits");
            // SAFETY: just mapped read-write, used by nobody else.
            unsafe { core::ptr::with_exposed_provenance_mut::<u64>(at).write_volatile(70 + core) };
            env.ipc.seL4_Send(reply, seL4_MessageInfo::new(0, 0, 0, 0));
            until(|| value(core) == 70 + core);
        }
    }
}

const TIMER: u64 = 30;

/// Waits for timer interrupts; bound to the timer of its core, so that it may use the registers.
extern "C" fn timer_user(ipc: &mut seL4_IPCBuffer, ntfn: u64, handler: u64) -> ! {
    for _ in 0..3 {
        // SAFETY: sets the physical timer: 1000 ticks from now, enabled.
        unsafe { asm!("msr cntp_tval_el0, {}", "msr cntp_ctl_el0, {}", in(reg) 1000_u64, in(reg) 1_u64) };
        ipc.seL4_Wait(ntfn);
        // SAFETY: stops the timer.
        unsafe { asm!("msr cntp_ctl_el0, xzr") };
        ipc.seL4_IRQHandler_Ack(handler);
        COUNTER.fetch_add(1, Ordering::SeqCst);
    }
    park(ipc)
}

case! {
    /// Each core has a physical timer: its interrupt reaches the handler of that core.
    smp_private_interrupts, env => {
        for core in 1..4 {
            let (handler, again) = (env.slot(), env.slot());
            let mut get = |slot, core| {
                env.ipc.seL4_IRQControl_GetTriggerCore(seL4_CapIRQControl, TIMER, 0, ROOT, slot, 64, core)
            };
            ok(get(handler, core));
            assert_eq!(get(again, core), seL4_Error::seL4_RevokeFirst);
            assert_eq!(get(again, 4), seL4_Error::seL4_InvalidArgument);
            let ntfn = env.notification();
            let badged = env.mint(ntfn, seL4_CapRights::all(), 4);
            ok(env.ipc.seL4_IRQHandler_SetNotification(handler, badged));
            let thread = env.thread(100, 0);
            ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, core));
            ok(env.ipc.seL4_TCB_BindNotification(thread.tcb, ntfn));
            COUNTER.store(0, Ordering::SeqCst);
            env.start(thread, timer_user, ntfn, handler);
            until(|| COUNTER.load(Ordering::SeqCst) == 3);
        }
        let slot = env.slot();
        let trigger = env.ipc.seL4_IRQControl_GetTrigger(seL4_CapIRQControl, TIMER, 0, ROOT, slot, 64);
        assert_eq!(trigger, seL4_Error::seL4_IllegalOperation);
    }
}
