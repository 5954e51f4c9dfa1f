//! Interrupts for user level: the physical timer.
use crate::case;
use crate::env::{COUNTER, ok, park};
use core::arch::asm;
use core::sync::atomic::Ordering;
use sel4_sys::{
    seL4_CapIRQControl, seL4_CapInitThreadCNode, seL4_CapRights, seL4_Error, seL4_IPCBuffer, seL4_MessageInfo,
};

const TIMER: u64 = 30;
const ROOT: u64 = seL4_CapInitThreadCNode;

/// Waits for three timer interrupts; bound to the timer, so that it may use the registers.
extern "C" fn timer_user(ipc: &mut seL4_IPCBuffer, ntfn: u64, handler: u64) -> ! {
    for _ in 0..3 {
        // SAFETY: sets the physical timer: 1000 ticks from now, enabled.
        unsafe { asm!("msr cntp_tval_el0, {}", "msr cntp_ctl_el0, {}", in(reg) 1000_u64, in(reg) 1_u64) };
        assert_eq!(ipc.seL4_Wait(ntfn).1, 4);
        // SAFETY: stops the timer.
        unsafe { asm!("msr cntp_ctl_el0, xzr") };
        assert_eq!(ipc.seL4_IRQHandler_Ack(handler), 0);
        COUNTER.fetch_add(1, Ordering::SeqCst);
    }
    ipc.seL4_Call(COUNTER.load(Ordering::SeqCst) + 1_000_000, seL4_MessageInfo::new(0, 0, 0, 0));
    park(ipc)
}

case! {
    /// The physical timer's interrupt reaches the thread that is bound to it, which alone may set the timer.
    irq_timer, env => {
        let (handler, ep) = (env.slot(), env.endpoint());
        ok(env.ipc.seL4_IRQControl_Get(seL4_CapIRQControl, TIMER, ROOT, handler, 64));
        let again = env.slot();
        assert_eq!(
            env.ipc.seL4_IRQControl_Get(seL4_CapIRQControl, TIMER, ROOT, again, 64),
            seL4_Error::seL4_RevokeFirst
        );
        // The kernel's own tick, and numbers that the controller does not have.
        assert_eq!(
            env.ipc.seL4_IRQControl_Get(seL4_CapIRQControl, 27, ROOT, again, 64),
            seL4_Error::seL4_RevokeFirst
        );
        assert_eq!(
            env.ipc.seL4_IRQControl_Get(seL4_CapIRQControl, 5000, ROOT, again, 64),
            seL4_Error::seL4_RangeError
        );
        let ntfn = env.notification();
        let badged = env.mint(ntfn, seL4_CapRights::all(), 4);
        ok(env.ipc.seL4_IRQHandler_SetNotification(handler, badged));
        let thread = env.thread(100, ep);
        ok(env.ipc.seL4_TCB_BindNotification(thread.tcb, ntfn));
        env.start(thread, timer_user, ntfn, handler);
        let (info, _) = env.ipc.seL4_Recv(ep, ());
        // It ends with a call to nowhere: a capability fault, not a user exception.
        assert_eq!(info.get_label(), 1);
        assert_eq!(COUNTER.load(Ordering::SeqCst), 3);
        // Deleting the last handler capability frees the interrupt.
        ok(env.delete(handler));
        ok(env.ipc.seL4_IRQControl_Get(seL4_CapIRQControl, TIMER, ROOT, handler, 64));
        ok(env.ipc.seL4_IRQHandler_Clear(handler));
    }
}

#[cfg(not(feature = "smp"))]
case! {
    /// A software interrupt arrives at the notification of its handler.
    irq_sgi, env => {
        let (handler, sgi) = (env.slot(), env.slot());
        ok(env.ipc.seL4_IRQControl_Get(seL4_CapIRQControl, 5, ROOT, handler, 64));
        ok(env.ipc.seL4_IRQControl_IssueSGISignal(seL4_CapIRQControl, 5, 0, ROOT, sgi, 64));
        assert_eq!(sel4_sys::seL4_DebugCapIdentify(handler), 16);
        let ntfn = env.notification();
        let badged = env.mint(ntfn, seL4_CapRights::all(), 2);
        ok(env.ipc.seL4_IRQHandler_SetNotification(handler, badged));
        for _ in 0..3 {
            env.ipc.seL4_Send(sgi, seL4_MessageInfo::new(0, 0, 0, 0));
            assert_eq!(env.ipc.seL4_Wait(ntfn).1, 2);
            ok(env.ipc.seL4_IRQHandler_Ack(handler));
        }
    }
}
