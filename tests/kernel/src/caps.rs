//! Capabilities: copies, derivation, deletion, retype.
use crate::case;
use crate::env::{COUNTER, ok, park};
use core::sync::atomic::Ordering;
use sel4_sys::{
    api_object, seL4_CNode_CapData, seL4_CapInitThreadCNode, seL4_CapInitThreadVSpace, seL4_CapRights,
    seL4_DebugCapIdentify, seL4_Error, seL4_MessageInfo, seL4_Yield,
};

const ROOT: u64 = seL4_CapInitThreadCNode;

case! {
    /// Revoking deletes what was derived, and the object's memory can be used again.
    cap_revoke, env => {
        let ep = env.endpoint();
        let (a, b) = (env.mint(ep, seL4_CapRights::all(), 1), env.copy(ep));
        let c = env.copy(a);
        assert_eq!([ep, a, b, c].map(seL4_DebugCapIdentify), [4; 4]);
        ok(env.revoke(a));
        assert_eq!([ep, a, b, c].map(seL4_DebugCapIdentify), [4, 4, 4, 0]);
        ok(env.revoke(b));
        assert_eq!([ep, a, b].map(seL4_DebugCapIdentify), [4; 3]);
        ok(env.revoke(ep));
        assert_eq!([ep, a, b].map(seL4_DebugCapIdentify), [4, 0, 0]);
        ok(env.revoke(env.untyped));
        assert_eq!(seL4_DebugCapIdentify(ep), 0);
        let again = env.endpoint();
        assert_eq!(seL4_DebugCapIdentify(again), 4);
    }
}

case! {
    /// The errors of Retype, in the order in which they are checked.
    retype_errors, env => {
        let ut = env.untyped;
        let slot = env.slot();
        let ipc = &mut *env.ipc;
        let mut retype = |kind, bits, root, index, depth, offset, count| {
            ipc.seL4_Untyped_Retype(ut, kind, bits, root, index, depth, offset, count)
        };
        let (ep, table) = (api_object::seL4_EndpointObject, api_object::seL4_CapTableObject);
        assert_eq!(retype(10, 99, 0, 0, 99, 9999, 0), seL4_Error::seL4_InvalidArgument);
        assert_eq!(retype(table, 64, 0, 0, 99, 9999, 0), seL4_Error::seL4_RangeError);
        assert_eq!(retype(table, 44, 0, 0, 99, 9999, 0), seL4_Error::seL4_RangeError);
        assert_eq!(retype(table, 0, 0, 0, 99, 9999, 0), seL4_Error::seL4_InvalidArgument);
        assert_eq!(retype(api_object::seL4_UntypedObject, 3, 0, 0, 99, 9999, 0), seL4_Error::seL4_InvalidArgument);
        assert_eq!(retype(ep, 0, ut, 0, 99, 9999, 0), seL4_Error::seL4_FailedLookup);
        assert_eq!(retype(ep, 0, ROOT, 0, 99, 9999, 0), seL4_Error::seL4_RangeError);
        assert_eq!(retype(ep, 0, ut, 0, 0, 9999, 0), seL4_Error::seL4_FailedLookup);
        assert_eq!(retype(ep, 0, ROOT, 0, 0, 9999, 0), seL4_Error::seL4_RangeError);
        assert_eq!(retype(ep, 0, ROOT, 0, 0, slot, 0), seL4_Error::seL4_RangeError);
        assert_eq!(retype(ep, 0, ROOT, 0, 0, slot, 257), seL4_Error::seL4_RangeError);
        assert_eq!(retype(ep, 0, ROOT, 0, 0, 8191, 2), seL4_Error::seL4_RangeError);
        assert_eq!(retype(ep, 0, ROOT, 0, 0, 1, 1), seL4_Error::seL4_DeleteFirst);
        assert_eq!(retype(api_object::seL4_UntypedObject, 47, ROOT, 0, 0, slot, 1), seL4_Error::seL4_NotEnoughMemory);
        assert_eq!(seL4_DebugCapIdentify(slot), 0);
        let device = env.boot_info.untyped.start;
        assert_eq!(env.boot_info.untypedList[0].isDevice, 1);
        assert_eq!(env.try_make(device, ep, 0, 1).0, seL4_Error::seL4_InvalidArgument);
    }
}

case! {
    /// An untyped is used up to the last byte, and no further; what lies in it does not overlap.
    retype_until_full, env => {
        let small = env.make(api_object::seL4_UntypedObject, 14);
        let (error, first) = env.try_make(small, api_object::seL4_ARM_SmallPageObject, 0, 3);
        ok(error);
        let addresses: [u64; 3] =
            core::array::from_fn(|i| env.ipc.seL4_ARM_Page_GetAddress(first + i as u64).paddr);
        assert_eq!([addresses[1] - addresses[0], addresses[2] - addresses[1]], [4096; 2]);
        let (error, _) = env.try_make(small, api_object::seL4_EndpointObject, 0, 255);
        ok(error);
        let (error, _) = env.try_make(small, api_object::seL4_ARM_SmallPageObject, 0, 1);
        assert_eq!(error, seL4_Error::seL4_NotEnoughMemory);
        assert_eq!(env.ipc.msg[0], 16);
        let (error, _) = env.try_make(small, api_object::seL4_EndpointObject, 0, 1);
        ok(error);
        let (error, _) = env.try_make(small, api_object::seL4_EndpointObject, 0, 1);
        assert_eq!((error, env.ipc.msg[0]), (seL4_Error::seL4_NotEnoughMemory, 0));
    }
}

case! {
    /// Frames are zero when they are made, whatever was in the memory before.
    retype_zeroes, env => {
        let small = env.make(api_object::seL4_UntypedObject, 12);
        for _ in 0..2 {
            let (error, frame) = env.try_make(small, api_object::seL4_ARM_SmallPageObject, 0, 1);
            ok(error);
            env.map(frame, crate::env::SCRATCH);
            let words = core::ptr::with_exposed_provenance_mut::<[u64; 512]>(0x4000_0000);
            // SAFETY: just mapped, used by nobody else.
            let words = unsafe { &mut *words };
            assert!(words.iter().all(|&word| word == 0));
            words.fill(u64::MAX);
            ok(env.delete(frame));
        }
    }
}

case! {
    /// Copy, mint, move, mutate, rotate: what each keeps, and their errors.
    cnode_operations, env => {
        let ep = env.endpoint();
        let (a, b, c) = (env.slot(), env.slot(), env.slot());
        let ipc = &mut *env.ipc;
        let all = seL4_CapRights::all();
        assert_eq!(ipc.seL4_CNode_Copy(ROOT, a, 64, ROOT, b, 64, all), seL4_Error::seL4_FailedLookup);
        assert_eq!(ipc.seL4_CNode_Copy(ROOT, ep, 64, ROOT, b, 64, all), seL4_Error::seL4_DeleteFirst);
        assert_eq!(ipc.seL4_CNode_Copy(ROOT, a, 0, ROOT, b, 64, all), seL4_Error::seL4_RangeError);
        assert_eq!(ipc.seL4_CNode_Copy(ROOT, a, 12, ROOT, b, 64, all), seL4_Error::seL4_FailedLookup);
        assert_eq!(ipc.seL4_CNode_Copy(ROOT, a, 64, ep, b, 64, all), seL4_Error::seL4_FailedLookup);
        ok(ipc.seL4_CNode_Mint(ROOT, a, 64, ROOT, ep, 64, all, 9));
        // A badge is for ever.
        assert_eq!(ipc.seL4_CNode_Mint(ROOT, b, 64, ROOT, a, 64, all, 8), seL4_Error::seL4_IllegalOperation);
        ok(ipc.seL4_CNode_Move(ROOT, b, 64, ROOT, a, 64));
        assert_eq!([seL4_DebugCapIdentify(a), seL4_DebugCapIdentify(b)], [0, 4]);
        let table = env.make(api_object::seL4_CapTableObject, 4);
        let ipc = &mut *env.ipc;
        let data = seL4_CNode_CapData::new(0, 60).into_word();
        assert_eq!(
            ipc.seL4_CNode_Mutate(ROOT, a, 64, ROOT, table, 64, seL4_CNode_CapData::new(0, 61).into_word()),
            seL4_Error::seL4_IllegalOperation
        );
        ok(ipc.seL4_CNode_Mutate(ROOT, a, 64, ROOT, table, 64, data));
        assert_eq!([seL4_DebugCapIdentify(a), seL4_DebugCapIdentify(table)], [10, 0]);
        // Rotate: b to c's place is refused while c is the pivot and empty; a CNode and a thread can be exchanged.
        assert_eq!(
            ipc.seL4_CNode_Rotate(ROOT, a, 64, data, ROOT, a, 64, data, ROOT, a, 64),
            seL4_Error::seL4_IllegalOperation
        );
        assert_eq!(
            ipc.seL4_CNode_Rotate(ROOT, a, 64, data, ROOT, c, 64, data, ROOT, a, 64),
            seL4_Error::seL4_FailedLookup
        );
        let tcb = env.make(api_object::seL4_TCBObject, 0);
        ok(env.ipc.seL4_CNode_Rotate(ROOT, a, 64, data, ROOT, tcb, 64, data, ROOT, a, 64));
        assert_eq!([seL4_DebugCapIdentify(a), seL4_DebugCapIdentify(tcb)], [12, 10]);
    }
}

case! {
    /// CNodes in CNodes, one of them in itself: all of it goes, and the memory comes back.
    delete_nested_cnodes, env => {
        let memory = env.make(api_object::seL4_UntypedObject, 16);
        for _ in 0..3 {
            let (error, outer) = env.try_make(memory, api_object::seL4_CapTableObject, 4, 1);
            ok(error);
            let (error, inner) = env.try_make(memory, api_object::seL4_CapTableObject, 4, 1);
            ok(error);
            let (error, ep) = env.try_make(memory, api_object::seL4_EndpointObject, 0, 1);
            ok(error);
            let (error, tcb) = env.try_make(memory, api_object::seL4_TCBObject, 0, 1);
            ok(error);
            let ipc = &mut *env.ipc;
            // inner[0] = ep, inner[5] = tcb, outer[3] = inner, outer[7] = outer.
            ok(ipc.seL4_CNode_Move(inner, 0, 4, ROOT, ep, 64));
            ok(ipc.seL4_CNode_Move(inner, 5, 4, ROOT, tcb, 64));
            ok(ipc.seL4_CNode_Move(outer, 3, 4, ROOT, inner, 64));
            ok(ipc.seL4_CNode_Copy(outer, 7, 4, ROOT, outer, 64, seL4_CapRights::all()));
            ok(env.delete(outer));
            assert_eq!(seL4_DebugCapIdentify(outer), 0);
            ok(env.revoke(memory));
            // Everything is free again: one object of the whole size fits.
            let (error, whole) = env.try_make(memory, api_object::seL4_CapTableObject, 11, 1);
            ok(error);
            ok(env.delete(whole));
        }
    }
}

extern "C" fn revokes_itself(ipc: &mut sel4_sys::seL4_IPCBuffer, memory: u64, ep: u64) -> ! {
    ipc.seL4_Send(ep, seL4_MessageInfo::new(0, 0, 0, 0));
    // The thread's own memory lies below.
    ipc.seL4_CNode_Revoke(ROOT, memory, 64);
    COUNTER.store(99, Ordering::SeqCst);
    park(ipc)
}

case! {
    /// A thread revokes the memory that it is made of: it stops in the middle, the kernel does not.
    delete_oneself, env => {
        let memory = env.make(api_object::seL4_UntypedObject, 13);
        let ep = env.endpoint();
        let (error, tcb) = env.try_make(memory, api_object::seL4_TCBObject, 0, 1);
        ok(error);
        let model = env.thread(100, 0);
        let thread = crate::env::Thread { tcb, ..model };
        let frame = env.frame();
        ok(env.ipc.seL4_TCB_Configure(tcb, 0, ROOT, 0, seL4_CapInitThreadVSpace, 0, model.buffer, frame));
        ok(env.ipc.seL4_TCB_SetSchedParams(tcb, sel4_sys::seL4_CapInitThreadTCB, 100, 100));
        env.start(thread, revokes_itself, memory, ep);
        env.ipc.seL4_Recv(ep, ());
        env.set_priority(50);
        seL4_Yield();
        assert_eq!(COUNTER.load(Ordering::SeqCst), 0);
        assert_eq!(seL4_DebugCapIdentify(tcb), 0);
        let (error, _) = env.try_make(memory, api_object::seL4_TCBObject, 0, 4);
        ok(error);
    }
}

case! {
    /// A large revoke while ticks and a waiting thread interrupt it.
    revoke_many, env => {
        let ep = env.endpoint();
        for round in 0..3 {
            let (error, table) = env.try_make(env.untyped, api_object::seL4_CapTableObject, 12, 1);
            ok(error);
            let data = seL4_CNode_CapData::new(0, 52).into_word();
            let guarded = env.slot();
            ok(env.ipc.seL4_CNode_Mint(ROOT, guarded, 64, ROOT, table, 64, seL4_CapRights::all(), data));
            for i in 0..4096 {
                ok(env.ipc.seL4_CNode_Mint(guarded, i, 64, ROOT, ep, 64, seL4_CapRights::all(), i + 1));
            }
            if round == 0 {
                ok(env.revoke(ep));
            } else {
                ok(env.revoke(table));
                ok(env.delete(table));
            }
        }
    }
}
