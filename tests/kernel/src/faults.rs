//! Faults reach the handler, and the handler decides.
use crate::case;
use crate::env::{COUNTER, Env, SCRATCH, Thread, ok, park};
use core::arch::asm;
use core::sync::atomic::Ordering;
use sel4_sys::{
    seL4_ARM_VMAttributes, seL4_CapInitThreadVSpace, seL4_CapRights, seL4_Fault, seL4_IPCBuffer,
    seL4_MessageInfo,
};
use selected_board::BOARD;

extern "C" fn load(ipc: &mut seL4_IPCBuffer, address: u64, _: u64) -> ! {
    let value: u64;
    // SAFETY: the load may fault; the handler deals with it. The register is an output.
    unsafe { asm!("ldr {v}, [{a}]", v = out(reg) value, a = in(reg) address) };
    COUNTER.store(value, Ordering::SeqCst);
    park(ipc)
}

extern "C" fn store(ipc: &mut seL4_IPCBuffer, address: u64, _: u64) -> ! {
    // SAFETY: the store may fault; the handler deals with it.
    unsafe { asm!("str xzr, [{a}]", a = in(reg) address) };
    COUNTER.store(1, Ordering::SeqCst);
    park(ipc)
}

extern "C" fn jump(ipc: &mut seL4_IPCBuffer, address: u64, _: u64) -> ! {
    // SAFETY: the fetch faults, or a `ret` is there.
    unsafe { asm!("blr {a}", a = in(reg) address, out("x30") _) };
    COUNTER.store(1, Ordering::SeqCst);
    park(ipc)
}

extern "C" fn undefined(ipc: &mut seL4_IPCBuffer, _: u64, _: u64) -> ! {
    // SAFETY: the instruction is undefined; the handler skips it.
    unsafe { asm!("udf #1") };
    COUNTER.store(1, Ordering::SeqCst);
    park(ipc)
}

extern "C" fn unknown_syscall(ipc: &mut seL4_IPCBuffer, _: u64, _: u64) -> ! {
    let result: u64;
    // SAFETY: no such system call: the handler answers in x0.
    unsafe { asm!("svc #0", in("x7") 1234, inlateout("x0") 5_u64 => result) };
    COUNTER.store(result, Ordering::SeqCst);
    park(ipc)
}

extern "C" fn bad_cptr(ipc: &mut seL4_IPCBuffer, cptr: u64, receive: u64) -> ! {
    if receive == 0 {
        ipc.seL4_Send(cptr, seL4_MessageInfo::new(0, 0, 0, 0));
    } else {
        ipc.seL4_Recv(cptr, ());
    }
    COUNTER.store(1, Ordering::SeqCst);
    park(ipc)
}

type Entry = extern "C" fn(&mut seL4_IPCBuffer, u64, u64) -> !;

/// Starts a thread that faults; gives the fault as its handler gets it.
fn fault_of(env: &mut Env, entry: Entry, a: u64, b: u64) -> (Thread, seL4_Fault) {
    let ep = env.endpoint();
    let handler = env.mint(ep, seL4_CapRights::all(), 0xfa);
    let thread = env.thread(200, handler);
    env.start(thread, entry, a, b);
    let (info, badge) = env.ipc.seL4_Recv(ep, ());
    assert_eq!(badge, 0xfa);
    (thread, seL4_Fault::get_from_ipc_buffer(info, env.ipc).expect("a fault"))
}

fn memory_fault(env: &mut Env, entry: Entry, address: u64) -> (Thread, sel4_sys::seL4_VMFault) {
    match fault_of(env, entry, address, 0) {
        (thread, seL4_Fault::VMFault(fault)) => (thread, fault),
        (_, other) => panic!("{other:?}"),
    }
}

case! {
    /// A load from nowhere: the handler maps a page there, and the load is repeated.
    fault_page_in, env => {
        let (_, fault) = memory_fault(env, load, SCRATCH + 8);
        assert_eq!((fault.addr, fault.prefetch_fault), (SCRATCH + 8, 0));
        assert_eq!(fault.fsr >> 26, 0x24);
        // The reply is saved: mapping makes calls.
        let reply = env.slot();
        ok(env.ipc.seL4_CNode_SaveCaller(sel4_sys::seL4_CapInitThreadCNode, reply, 64));
        let frame = env.frame();
        env.map(frame, SCRATCH);
        // SAFETY: just mapped read-write, used by nobody else.
        unsafe { core::ptr::with_exposed_provenance_mut::<u64>(0x4000_0008).write_volatile(77) };
        env.ipc.seL4_Send(reply, seL4_MessageInfo::new(0, 0, 0, 0));
        env.settle();
        assert_eq!(COUNTER.load(Ordering::SeqCst), 77);
    }
}

case! {
    /// A kernel address, a null pointer and an address beyond the tables fault alike.
    fault_bad_addresses, env => {
        for address in [0, 0xffff_0000_4008_0000, 0x8000_0000_0000_0000, 0x7fff_ffff_f000] {
            let (thread, fault) = memory_fault(env, load, address);
            assert_eq!(fault.addr, address);
            assert_eq!(env.registers(thread.tcb).pc, fault.ip);
        }
    }
}

case! {
    /// Writing a read-only page, executing a never-executable one.
    fault_page_rights, env => {
        let frame = env.frame();
        env.map_in(
            seL4_CapInitThreadVSpace,
            frame,
            SCRATCH,
            seL4_CapRights::read_only(),
            seL4_ARM_VMAttributes::data(),
        );
        let (_, fault) = memory_fault(env, store, SCRATCH);
        // Permission fault at level 3, a write.
        assert_eq!((fault.addr, fault.fsr & 0x7f), (SCRATCH, 0x4f));
        let (_, fault) = memory_fault(env, jump, SCRATCH);
        assert_eq!((fault.ip, fault.addr, fault.prefetch_fault), (SCRATCH, SCRATCH, 1));
        assert_eq!(fault.fsr & 0x3f, 0xf);
    }
}

case! {
    /// A device that is not there answers with an external abort, and the thread's handler hears of it.
    fault_hole, env => {
        let hole = board::device(BOARD, "hole").registers.start;
        let count = env.boot_info.untyped.end - env.boot_info.untyped.start;
        let (index, desc) = (0..count)
            .map(|i| (i, env.boot_info.untypedList[usize::try_from(i).expect("few")]))
            .find(|(_, d)| d.isDevice == 1 && d.paddr <= hole && hole < d.paddr + (1 << d.sizeBits))
            .expect("the hole is device memory");
        let untyped = env.boot_info.untyped.start + index;
        // Down to the page: pieces before it are used up by untypeds of the right sizes.
        let page = hole - desc.paddr;
        let mut done = 0;
        while done < page {
            let bits = u64::from((page - done).ilog2());
            let (error, _) = env.try_make(untyped, sel4_sys::api_object::seL4_UntypedObject, bits, 1);
            ok(error);
            done += 1 << bits;
        }
        let (error, frame) = env.try_make(untyped, sel4_sys::api_object::seL4_ARM_SmallPageObject, 0, 1);
        ok(error);
        let address = env.ipc.seL4_ARM_Page_GetAddress(frame);
        assert_eq!((address.error, address.paddr), (0, hole));
        env.map_in(
            seL4_CapInitThreadVSpace,
            frame,
            SCRATCH,
            seL4_CapRights::read_write(),
            seL4_ARM_VMAttributes::device(),
        );
        let (_, fault) = memory_fault(env, load, SCRATCH);
        assert_eq!((fault.addr, fault.fsr), (SCRATCH, 0x9200_0010 | fault.fsr & 1 << 25));
        let (thread, fault) = memory_fault(env, store, SCRATCH + 0x80);
        assert_eq!((fault.addr, fault.fsr & 0x7f), (SCRATCH + 0x80, 0x50));
        // The handler lets the thread go on behind the store.
        let mut regs = env.registers(thread.tcb);
        regs.pc += 4;
        ok(env.ipc.seL4_TCB_WriteRegisters(thread.tcb, 1, 0, 36, &regs));
        env.settle();
        assert_eq!(COUNTER.load(Ordering::SeqCst), 1);
        ok(env.revoke(untyped));
    }
}

case! {
    /// An undefined instruction is a user exception; the handler moves the program counter on.
    fault_undefined, env => {
        let (_, fault) = fault_of(env, undefined, 0, 0);
        let seL4_Fault::UserException(fault) = fault else { panic!("{fault:?}") };
        assert_eq!(fault.number >> 26, 0);
        env.ipc.msg[0] = fault.fault_ip + 4;
        env.ipc.msg[1] = fault.sp;
        env.ipc.msg[2] = fault.spsr;
        env.ipc.seL4_Reply(seL4_MessageInfo::new(0, 0, 0, 3));
        env.settle();
        assert_eq!(COUNTER.load(Ordering::SeqCst), 1);
    }
}

case! {
    /// An unknown system call shows its registers and takes the handler's.
    fault_unknown_syscall, env => {
        let (_, fault) = fault_of(env, unknown_syscall, 0, 0);
        let seL4_Fault::UnknownSyscall(fault) = fault else { panic!("{fault:?}") };
        assert_eq!((fault.syscall, fault.x[0], fault.x[7]), (1234, 5, 1234));
        let words = [6, 1, 2, 3, 4, 5, 6, 7, fault.fault_ip + 4, fault.sp, fault.lr, fault.spsr];
        env.ipc.msg[..12].copy_from_slice(&words);
        env.ipc.seL4_Reply(seL4_MessageInfo::new(0, 0, 0, 12));
        env.settle();
        assert_eq!(COUNTER.load(Ordering::SeqCst), 6);
    }
}

case! {
    /// Addresses that name no capability: sending, receiving; the empty slot and the slot beyond the CNode.
    fault_capability, env => {
        let (_, fault) = fault_of(env, bad_cptr, 1 << 40, 0);
        let seL4_Fault::CapFault(fault) = fault else { panic!("{fault:?}") };
        assert_eq!((fault.addr, fault.in_recv_phase, fault.lookup_failure_type), (1 << 40, 0, 4));
        assert_eq!((fault.bits_left, fault.word5, fault.word6), (64, 0, 51));
        let empty = env.slot();
        let (_, fault) = fault_of(env, bad_cptr, empty, 1);
        let seL4_Fault::CapFault(fault) = fault else { panic!("{fault:?}") };
        assert_eq!((fault.addr, fault.in_recv_phase, fault.lookup_failure_type), (empty, 1, 2));
    }
}

case! {
    /// A fault that nobody handles stops the thread and nothing else.
    fault_without_handler, env => {
        let thread = env.spawn(200, load, 0x10, 0);
        env.settle();
        let before = env.registers(thread.tcb);
        env.settle();
        assert_eq!(env.registers(thread.tcb), before);
        assert_eq!(COUNTER.load(Ordering::SeqCst), 0);
    }
}

case! {
    /// EL0 reads the counters, not the physical timer's registers (that is for the thread bound to it).
    fault_timer_registers, env => {
        let counter: u64;
        // SAFETY: reads a counter.
        unsafe { asm!("mrs {}, cntvct_el0", out(reg) counter) };
        let physical: u64;
        // SAFETY: reads a counter.
        unsafe { asm!("mrs {}, cntpct_el0", out(reg) physical) };
        assert!(counter != 0 && physical != 0);
        let (_, fault) = fault_of(env, read_timer, 0, 0);
        assert!(matches!(fault, seL4_Fault::UserException(fault) if fault.number >> 26 == 0x18));
    }
}

extern "C" fn read_timer(ipc: &mut seL4_IPCBuffer, _: u64, _: u64) -> ! {
    let value: u64;
    // SAFETY: traps unless this thread holds the timer.
    unsafe { asm!("mrs {}, cntp_ctl_el0", out(reg) value) };
    COUNTER.store(value + 1, Ordering::SeqCst);
    park(ipc)
}
