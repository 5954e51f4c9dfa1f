//! What one core does to memory and capabilities is so for the others.
use super::{advances, clear, spawn_on, until, value, word};
use crate::case;
use crate::env::{COUNTER, Env, SCRATCH, ok, park};
use core::sync::atomic::Ordering;
use sel4_sys::{
    api_object, seL4_ARM_VMAttributes, seL4_CapInitThreadASIDPool, seL4_CapInitThreadCNode,
    seL4_CapInitThreadVSpace, seL4_CapRights, seL4_Fault, seL4_IPCBuffer, seL4_MessageInfo, seL4_Yield,
};

const ROOT: u64 = seL4_CapInitThreadCNode;
/// Where data is written that is seen elsewhere at [`SEEN`].
const WRITTEN: u64 = SCRATCH + (5 << 39);
const SEEN: u64 = WRITTEN + 0x10_0000;

fn store(at: u64, bits: u64) {
    let at = usize::try_from(at).expect("64 bits");
    // SAFETY: mapped read-write; no Rust object lies there.
    unsafe { core::ptr::with_exposed_provenance_mut::<u64>(at).write_volatile(bits) };
}

fn store_instruction(at: u64, bits: u32) {
    let at = usize::try_from(at).expect("64 bits");
    // SAFETY: mapped read-write; no Rust object lies there.
    unsafe { core::ptr::with_exposed_provenance_mut::<u32>(at).write_volatile(bits) };
}

/// Reads an address for ever; says what it found last, and how often it looked.
extern "C" fn reads(_: &mut seL4_IPCBuffer, address: u64, i: u64) -> ! {
    let at = core::ptr::with_exposed_provenance::<u64>(usize::try_from(address).expect("64 bits"));
    loop {
        // SAFETY: mapped, or the fault handler deals with it.
        let found = unsafe { at.read_volatile() };
        word(i).store(found, Ordering::SeqCst);
        word(i + 1).fetch_add(1, Ordering::SeqCst);
    }
}

case! {
    /// A page that is unmapped, or replaced, is so at once for a thread that reads it on another core.
    smp_unmap, env => {
        clear();
        let frames = [env.frame(), env.frame()];
        for (frame, at) in frames.into_iter().zip([WRITTEN, WRITTEN + 4096]) {
            env.map(frame, at);
            store(at, at);
        }
        let copies = frames.map(|frame| env.copy(frame));
        let data = seL4_ARM_VMAttributes::data();
        env.map_in(seL4_CapInitThreadVSpace, copies[0], SEEN, seL4_CapRights::read_only(), data);
        let ep = env.endpoint();
        let thread = env.thread(100, ep);
        ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, 2));
        env.start(thread, reads, SEEN, 0);
        for round in 0..40 {
            let now = round % 2;
            advances(1);
            until(|| value(0) == [WRITTEN, WRITTEN + 4096][now]);
            ok(env.ipc.seL4_ARM_Page_Unmap(copies[now]));
            // It cannot look any more: it faults, and nothing but that.
            let (info, _) = env.ipc.seL4_Recv(ep, ());
            let fault = seL4_Fault::get_from_ipc_buffer(info, env.ipc).expect("a fault");
            assert!(matches!(fault, seL4_Fault::VMFault(fault) if fault.addr == SEEN));
            let reply = env.slot();
            ok(env.ipc.seL4_CNode_SaveCaller(ROOT, reply, 64));
            let ro = seL4_CapRights::read_only();
            ok(env.ipc.seL4_ARM_Page_Map(copies[1 - now], seL4_CapInitThreadVSpace, SEEN, ro, data));
            env.ipc.seL4_Send(reply, seL4_MessageInfo::new(0, 0, 0, 0));
        }
    }
}

/// Calls a function for ever and says what it returned.
extern "C" fn calls(_: &mut seL4_IPCBuffer, address: u64, i: u64) -> ! {
    let at = core::ptr::with_exposed_provenance::<()>(usize::try_from(address).expect("64 bits"));
    // SAFETY: a function without arguments is there, before the thread starts and ever after.
    let function: extern "C" fn() -> u64 = unsafe { core::mem::transmute(at) };
    loop {
        word(i).store(function(), Ordering::SeqCst);
        word(i + 1).fetch_add(1, Ordering::SeqCst);
    }
}

case! {
    /// A branch is replaced by a branch while a thread on another core executes it, as the architecture allows (Arm ARM
    /// B2.2.5). When SetAffinity has returned after the cache was unified, the thread executes the new one: it was
    /// stalled, which synchronises its context. (QEMU with a host thread for each core does not hold this: it forgets
    /// its translation before it does the store.)
    smp_patch, env => {
        clear();
        let data = env.frame();
        env.map(data, WRITTEN);
        let text = env.copy(data);
        let attributes = seL4_ARM_VMAttributes::seL4_ARM_Default_VMAttributes;
        env.map_in(seL4_CapInitThreadVSpace, text, SEEN, seL4_CapRights::read_only(), attributes);
        // b +1 or +3: mov x0, #0; ret; mov x0, #1; ret.
        let branch = |n: u64| if n == 0 { 0x1400_0001 } else { 0x1400_0003 };
        for (bits, place) in [branch(0), 0xd280_0000, 0xd65f_03c0, 0xd280_0020, 0xd65f_03c0].into_iter().zip(0..) {
            store_instruction(WRITTEN + place * 4, bits);
        }
        ok(env.ipc.seL4_ARM_Page_Unify_Instruction(text, 0, 64));
        let thread = spawn_on(env, 3, calls, SEEN, 0);
        advances(1);
        for n in 1..200 {
            store_instruction(WRITTEN, branch(n % 2));
            ok(env.ipc.seL4_ARM_Page_Unify_Instruction(text, 0, 64));
            ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, 3));
            // One call may have returned before and not said so yet; the second was made afterwards.
            advances(1);
            assert_eq!(value(0), n % 2);
        }
    }
}

/// Makes an address space in which the own image is mapped as it is here.
fn twin(env: &mut Env) -> u64 {
    let vspace = env.make(api_object::seL4_ARM_VSpaceObject, 0);
    ok(env.ipc.seL4_ARM_ASIDPool_Assign(seL4_CapInitThreadASIDPool, vspace));
    let frames = env.boot_info.userImageFrames;
    let mut va = 0x40_0000;
    for frame in frames.start..frames.end {
        let copy = env.copy(frame);
        let attributes = seL4_ARM_VMAttributes::seL4_ARM_Default_VMAttributes;
        env.map_in(vspace, copy, va, seL4_CapRights::read_write(), attributes);
        va += 4096;
    }
    vspace
}

case! {
    /// An address space is deleted under a thread that runs in it on another core: its next fetch faults.
    smp_delete_vspace, env => {
        clear();
        for core in 1..3 {
            let vspace = twin(env);
            let ep = env.endpoint();
            let thread = env.thread(100, ep);
            ok(env.ipc.seL4_TCB_SetSpace(thread.tcb, ep, ROOT, 0, vspace, 0));
            ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, core));
            env.start(thread, super::count, 0, 0);
            advances(0);
            ok(env.revoke(vspace));
            ok(env.delete(vspace));
            let (info, _) = env.ipc.seL4_Recv(ep, ());
            let fault = seL4_Fault::get_from_ipc_buffer(info, env.ipc).expect("a fault");
            assert!(matches!(fault, seL4_Fault::VMFault(_)));
            super::stands_still(0);
            env.reset();
        }
    }
}

/// Makes and unmakes capabilities and objects in slots of its own. The first one holds an untyped.
extern "C" fn shuffles(ipc: &mut seL4_IPCBuffer, first: u64, i: u64) -> ! {
    let all = seL4_CapRights::all();
    let slot = |n: u64| first + n;
    let check = |error: u32| {
        if error != 0 {
            COUNTER.store(u64::from(error), Ordering::SeqCst);
        }
    };
    loop {
        check(ipc.seL4_Untyped_Retype(first, api_object::seL4_EndpointObject, 0, ROOT, 0, 0, slot(1), 2));
        check(ipc.seL4_Untyped_Retype(first, api_object::seL4_CapTableObject, 3, ROOT, 0, 0, slot(3), 1));
        check(ipc.seL4_CNode_Mint(ROOT, slot(4), 64, ROOT, slot(1), 64, all, 7));
        check(ipc.seL4_CNode_Copy(ROOT, slot(5), 64, ROOT, slot(4), 64, all));
        check(ipc.seL4_CNode_Move(ROOT, slot(6), 64, ROOT, slot(5), 64));
        check(ipc.seL4_CNode_Revoke(ROOT, slot(1), 64));
        check(ipc.seL4_CNode_Delete(ROOT, slot(2), 64));
        check(ipc.seL4_CNode_Revoke(ROOT, first, 64));
        word(i).fetch_add(1, Ordering::SeqCst);
        seL4_Yield();
    }
}

case! {
    /// Four cores change one derivation tree at the same time; afterwards all memory is free.
    smp_at_once, env => {
        clear();
        let mut own = [0; 4];
        let mut threads = [0; 4];
        for (core, first) in (0..).zip(&mut own) {
            *first = env.make(api_object::seL4_UntypedObject, 12);
            (1..7).for_each(|_| _ = env.slot());
            threads[usize::try_from(core).expect("few")] = spawn_on(env, core, shuffles, *first, core).tcb;
        }
        // The one on core 0 takes turns with the root task.
        env.set_priority(100);
        until(|| {
            seL4_Yield();
            (0..4).all(|core| value(core) >= 60)
        });
        env.set_priority(255);
        threads.into_iter().for_each(|thread| ok(env.ipc.seL4_TCB_Suspend(thread)));
        assert_eq!(COUNTER.load(Ordering::SeqCst), 0);
        for first in own {
            ok(env.revoke(first));
            let (error, whole) = env.try_make(first, api_object::seL4_CapTableObject, 7, 1);
            ok(error);
            ok(env.delete(whole));
        }
    }
}

/// Asks for an endpoint's deletion from two sides.
extern "C" fn deletes(ipc: &mut seL4_IPCBuffer, slot: u64, i: u64) -> ! {
    ipc.seL4_CNode_Revoke(ROOT, slot, 64);
    ipc.seL4_CNode_Delete(ROOT, slot, 64);
    word(i).store(1, Ordering::SeqCst);
    park(ipc)
}

case! {
    /// Two cores delete the same large thing at once: both come to an end, and it is gone.
    smp_delete_twice, env => {
        for _ in 0..5 {
            clear();
            let table = env.make(api_object::seL4_CapTableObject, 8);
            let ep = env.endpoint();
            for i in 0..256 {
                let all = seL4_CapRights::all();
                let data = sel4_sys::seL4_CNode_CapData::new(0, 56).into_word();
                let guarded = env.slot();
                ok(env.ipc.seL4_CNode_Mint(ROOT, guarded, 64, ROOT, table, 64, all, data));
                ok(env.ipc.seL4_CNode_Copy(guarded, i, 64, ROOT, ep, 64, all));
                ok(env.delete(guarded));
            }
            for core in 1..4 {
                spawn_on(env, core, deletes, table, core);
            }
            until(|| (1..4).all(|core| value(core) == 1));
            assert_eq!(sel4_sys::seL4_DebugCapIdentify(table), 0);
            env.reset();
        }
    }
}
