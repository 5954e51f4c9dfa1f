//! TCB invocations: registers, flags, floating point.
use crate::case;
use crate::env::{COUNTER, Env, ok, park};
use core::arch::asm;
use core::sync::atomic::Ordering;
use sel4_sys::{
    seL4_CapInitThreadTCB, seL4_Error, seL4_Fault, seL4_IPCBuffer, seL4_MessageInfo,
    seL4_TCBFlag_fpuDisabled, seL4_UserContext, seL4_Yield,
};

extern "C" fn spin(_: &mut seL4_IPCBuffer, _: u64, _: u64) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

case! {
    /// All 36 registers are written and read back; flags are cut to what a user may set.
    registers_write_read, env => {
        let thread = env.thread(10, 0);
        let mut words: [u64; 36] = core::array::from_fn(|i| 0x1000 + i as u64);
        words[2] = u64::MAX;
        let regs = seL4_UserContext::from_words(&words);
        ok(env.ipc.seL4_TCB_WriteRegisters(thread.tcb, 0, 0, 36, &regs));
        let got = env.registers(thread.tcb).to_words();
        assert_eq!(got[2] & 0xf000_000f, 0xf000_0000);
        words[2] = got[2];
        assert_eq!(got, words);
        let mut few = seL4_UserContext::default();
        ok(env.ipc.seL4_TCB_ReadRegisters(thread.tcb, 0, 0, 2, &mut few));
        assert_eq!((few.pc, few.sp, few.x0), (0x1000, 0x1001, 0));
        assert_eq!(env.ipc.seL4_TCB_ReadRegisters(thread.tcb, 0, 0, 0, &mut few), seL4_Error::seL4_RangeError);
        assert_eq!(env.ipc.seL4_TCB_ReadRegisters(thread.tcb, 0, 0, 37, &mut few), seL4_Error::seL4_RangeError);
        assert_eq!(
            env.ipc.seL4_TCB_ReadRegisters(seL4_CapInitThreadTCB, 0, 0, 36, &mut few),
            seL4_Error::seL4_IllegalOperation
        );
        // Copying: frame registers, then the others.
        let copy = env.thread(10, 0);
        ok(env.ipc.seL4_TCB_CopyRegisters(copy.tcb, thread.tcb, 0, 0, 1, 0, 0));
        let got = env.registers(copy.tcb).to_words();
        assert_eq!(got[..17], words[..17]);
        assert!(got[17..].iter().all(|&word| word == 0));
        ok(env.ipc.seL4_TCB_CopyRegisters(copy.tcb, thread.tcb, 0, 0, 0, 1, 0));
        assert_eq!(env.registers(copy.tcb).to_words(), words);
    }
}

case! {
    /// A thread that runs is looked at from outside: its program counter is in its loop.
    registers_of_running, env => {
        let thread = env.spawn(100, spin, 0, 0);
        env.set_priority(100);
        seL4_Yield();
        let entry = spin as *const () as usize as u64;
        let regs = env.registers(thread.tcb);
        assert!((entry..entry + 64).contains(&regs.pc), "{:#x}", regs.pc);
        assert_eq!(regs.x0, thread.buffer);
    }
}

extern "C" fn own_pointer(ipc: &mut seL4_IPCBuffer, _: u64, _: u64) -> ! {
    let value: u64;
    // SAFETY: reads the thread pointer.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) value) };
    COUNTER.store(value, Ordering::SeqCst);
    // SAFETY: writes the thread pointer, which nothing in this program uses.
    unsafe { asm!("msr tpidr_el0, {}", in(reg) 0x55_u64) };
    park(ipc)
}

case! {
    /// The thread pointer is the thread's own.
    registers_thread_pointer, env => {
        let thread = env.thread(200, 0);
        ok(env.ipc.seL4_TCB_SetTLSBase(thread.tcb, 0x1234));
        ok(env.ipc.seL4_TCB_SetTLSBase(seL4_CapInitThreadTCB, 0x99));
        env.start(thread, own_pointer, 0, 0);
        env.settle();
        // Starting wrote all registers, the thread pointer too.
        assert_eq!(COUNTER.load(Ordering::SeqCst), 0);
        let value: u64;
        // SAFETY: reads the thread pointer.
        unsafe { asm!("mrs {}, tpidr_el0", out(reg) value) };
        assert_eq!(value, 0x99);
        assert_eq!(env.registers(thread.tcb).tpidr_el0, 0x55);
    }
}

/// Fills the vector registers with `value`, gives way, and checks them; for ever.
extern "C" fn fpu_user(_: &mut seL4_IPCBuffer, value: u64, _: u64) -> ! {
    loop {
        let (low, high): (u64, u64);
        // SAFETY: uses vector registers that are declared as changed; the system call in the middle is Yield.
        unsafe {
            asm!(
                "dup v0.2d, {value}",
                "mov v31.16b, v0.16b",
                "mov x7, #-7",
                "svc #0",
                "mov {low}, v0.d[0]",
                "mov {high}, v31.d[1]",
                value = in(reg) value,
                low = out(reg) low,
                high = out(reg) high,
                out("x7") _,
                out("v0") _,
                out("v31") _,
            );
        }
        if (low, high) != (value, value) {
            COUNTER.store(value, Ordering::SeqCst);
        }
        if COUNTER.load(Ordering::SeqCst) < 1000 {
            COUNTER.fetch_add(1, Ordering::SeqCst);
        }
    }
}

case! {
    /// Threads keep their vector registers while others use them.
    fpu_switch, env => {
        for value in [0x1111_1111_1111_1111, 0x2222_2222_2222_2222, 0x3333_3333_3333_3333] {
            env.spawn(100, fpu_user, value, 0);
        }
        env.set_priority(100);
        while COUNTER.load(Ordering::SeqCst) < 1000 {
            seL4_Yield();
        }
        assert_eq!(COUNTER.load(Ordering::SeqCst), 1000, "a register was lost");
    }
}

case! {
    /// A thread without the unit faults when it uses it, and can be given it.
    fpu_disabled, env => {
        let ep = env.endpoint();
        let thread = env.thread(200, ep);
        let flags = env.ipc.seL4_TCB_SetFlags(thread.tcb, 0, seL4_TCBFlag_fpuDisabled);
        assert_eq!((flags.error, flags.flags), (0, 1));
        env.start(thread, fpu_user, 7, 0);
        let (info, _) = env.ipc.seL4_Recv(ep, ());
        let fault = seL4_Fault::get_from_ipc_buffer(info, env.ipc).expect("a fault");
        let seL4_Fault::UserException(fault) = fault else { panic!("{fault:?}") };
        assert_eq!(fault.number >> 26, 7);
        let words = [fault.fault_ip, fault.sp, fault.spsr];
        let flags = env.ipc.seL4_TCB_SetFlags(thread.tcb, seL4_TCBFlag_fpuDisabled, 0);
        assert_eq!((flags.error, flags.flags), (0, 0));
        ok(env.ipc.seL4_TCB_SetPriority(thread.tcb, seL4_CapInitThreadTCB, 100));
        env.ipc.msg[..3].copy_from_slice(&words);
        env.ipc.seL4_Reply(seL4_MessageInfo::new(0, 0, 0, 3));
        env.set_priority(100);
        while COUNTER.load(Ordering::SeqCst) < 10 {
            seL4_Yield();
        }
    }
}

case! {
    /// The errors of Configure and SetIPCBuffer.
    configure_errors, env => {
        let tcb = env.make(sel4_sys::api_object::seL4_TCBObject, 0);
        let (frame, ep) = (env.frame(), env.endpoint());
        let (root, vspace) = (sel4_sys::seL4_CapInitThreadCNode, sel4_sys::seL4_CapInitThreadVSpace);
        let bare = env.make(sel4_sys::api_object::seL4_ARM_VSpaceObject, 0);
        let illegal = seL4_Error::seL4_IllegalOperation;
        let run = |env: &mut Env, cspace, vspace, buffer, frame| {
            env.ipc.seL4_TCB_Configure(tcb, 0, cspace, 0, vspace, 0, buffer, frame)
        };
        assert_eq!(run(env, ep, vspace, 0, 0), illegal);
        assert_eq!(run(env, root, ep, 0, 0), illegal);
        assert_eq!(run(env, root, bare, 0, 0), illegal);
        assert_eq!(run(env, root, vspace, 0x1000, ep), illegal);
        assert_eq!(run(env, root, vspace, 0x1008, frame), seL4_Error::seL4_AlignmentError);
        ok(run(env, root, vspace, 0x1400, frame));
        ok(run(env, root, vspace, 0, 0));
        assert_eq!(env.ipc.seL4_TCB_SetPriority(tcb, ep, 1), seL4_Error::seL4_InvalidCapability);
    }
}
