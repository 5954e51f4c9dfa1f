//! Frames, tables, address spaces, caches.
use crate::case;
use crate::env::{SCRATCH, ok};
use sel4_sys::{
    api_object, seL4_ARM_VMAttributes, seL4_CapASIDControl, seL4_CapInitThreadASIDPool,
    seL4_CapInitThreadCNode, seL4_CapInitThreadVSpace, seL4_CapRights, seL4_DebugCapIdentify, seL4_Error,
};

const VSPACE: u64 = seL4_CapInitThreadVSpace;
const DATA: seL4_ARM_VMAttributes = seL4_ARM_VMAttributes::data();

fn word(address: u64) -> *mut u64 {
    core::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("64 bits"))
}

case! {
    /// The errors of Map and Unmap, and the rules of mapping again.
    page_map_rules, env => {
        let (frame, other) = (env.frame(), env.frame());
        let rw = seL4_CapRights::read_write();
        let fresh = SCRATCH + (1 << 39);
        assert_eq!(env.ipc.seL4_ARM_Page_Map(frame, frame, fresh, rw, DATA), seL4_Error::seL4_InvalidCapability);
        assert_eq!(
            env.ipc.seL4_ARM_Page_Map(frame, VSPACE, 1 << 47, rw, DATA),
            seL4_Error::seL4_InvalidArgument
        );
        assert_eq!(
            env.ipc.seL4_ARM_Page_Map(frame, VSPACE, fresh + 8, rw, DATA),
            seL4_Error::seL4_AlignmentError
        );
        assert_eq!(env.ipc.seL4_ARM_Page_Map(frame, VSPACE, fresh, rw, DATA), seL4_Error::seL4_FailedLookup);
        // Missing at 39 bits: the root has no entry.
        assert_eq!(env.ipc.msg[2], 39);
        env.map(frame, fresh);
        // The same capability: again at the same address, nowhere else.
        ok(env.ipc.seL4_ARM_Page_Map(frame, VSPACE, fresh, seL4_CapRights::read_only(), DATA));
        assert_eq!(
            env.ipc.seL4_ARM_Page_Map(frame, VSPACE, fresh + 4096, rw, DATA),
            seL4_Error::seL4_InvalidArgument
        );
        // A copy is another mapping.
        let copy = env.copy(frame);
        ok(env.ipc.seL4_ARM_Page_Map(copy, VSPACE, fresh + 4096, rw, DATA));
        // SAFETY: mapped read-write by the copy; no Rust object lies there.
        unsafe { word(fresh + 4096).write_volatile(5) };
        // SAFETY: mapped read-only.
        assert_eq!(unsafe { word(fresh).read_volatile() }, 5);
        ok(env.ipc.seL4_ARM_Page_Unmap(frame));
        ok(env.ipc.seL4_ARM_Page_Unmap(frame));
        ok(env.ipc.seL4_ARM_Page_Map(other, VSPACE, fresh, rw, DATA));
        // SAFETY: mapped, another frame now.
        assert_eq!(unsafe { word(fresh).read_volatile() }, 0);
        let table = env.make(api_object::seL4_ARM_PageTableObject, 0);
        assert_eq!(env.ipc.seL4_ARM_PageTable_Map(table, VSPACE, fresh, DATA), seL4_Error::seL4_DeleteFirst);
        assert_eq!(env.ipc.seL4_ARM_PageTable_Map(table, table, fresh, DATA), seL4_Error::seL4_InvalidCapability);
        let copied = env.slot();
        let root = seL4_CapInitThreadCNode;
        assert_eq!(
            env.ipc.seL4_CNode_Copy(root, copied, 64, root, table, 64, seL4_CapRights::all()),
            seL4_Error::seL4_IllegalOperation
        );
    }
}

case! {
    /// Large pages; a table cannot be put over one, nor one over a table.
    page_large, env => {
        let at = SCRATCH + (2 << 39);
        let large = env.make(api_object::seL4_ARM_LargePageObject, 0);
        env.map_in(VSPACE, large, at, seL4_CapRights::read_write(), DATA);
        // SAFETY: mapped read-write; no Rust object lies there.
        unsafe { word(at + 0x1f_fff8).write_volatile(9) };
        let small = env.frame();
        assert_eq!(
            env.ipc.seL4_ARM_Page_Map(small, VSPACE, at, seL4_CapRights::read_write(), DATA),
            seL4_Error::seL4_FailedLookup
        );
        let table = env.make(api_object::seL4_ARM_PageTableObject, 0);
        assert_eq!(env.ipc.seL4_ARM_PageTable_Map(table, VSPACE, at, DATA), seL4_Error::seL4_DeleteFirst);
        ok(env.ipc.seL4_ARM_Page_Unmap(large));
        ok(env.ipc.seL4_ARM_PageTable_Map(table, VSPACE, at, DATA));
        ok(env.ipc.seL4_ARM_Page_Map(small, VSPACE, at, seL4_CapRights::read_write(), DATA));
        assert_eq!(
            env.ipc.seL4_ARM_Page_Map(large, VSPACE, at, seL4_CapRights::read_write(), DATA),
            seL4_Error::seL4_FailedLookup
        );
        // SAFETY: mapped, a fresh frame.
        assert_eq!(unsafe { word(at).read_volatile() }, 0);
        // Without its table the page is gone; the table comes back empty.
        ok(env.ipc.seL4_ARM_PageTable_Unmap(table));
        ok(env.ipc.seL4_ARM_PageTable_Map(table, VSPACE, at, DATA));
        let another = env.frame();
        ok(env.ipc.seL4_ARM_Page_Map(another, VSPACE, at, seL4_CapRights::read_write(), DATA));
        // The first frame's capability believes that it is mapped here: unmapping it must not hit the other one.
        // SAFETY: mapped read-write.
        unsafe { word(at).write_volatile(3) };
        ok(env.ipc.seL4_ARM_Page_Unmap(small));
        // SAFETY: still mapped.
        assert_eq!(unsafe { word(at).read_volatile() }, 3);
    }
}

case! {
    /// A second address space: ASIDs, the same address with other contents, cache maintenance on it from here.
    vspace_second, env => {
        let vspace = env.make(api_object::seL4_ARM_VSpaceObject, 0);
        let frame = env.frame();
        let rw = seL4_CapRights::read_write();
        assert_eq!(
            env.ipc.seL4_ARM_Page_Map(frame, vspace, SCRATCH, rw, DATA),
            seL4_Error::seL4_InvalidCapability
        );
        ok(env.ipc.seL4_ARM_ASIDPool_Assign(seL4_CapInitThreadASIDPool, vspace));
        assert_eq!(
            env.ipc.seL4_ARM_ASIDPool_Assign(seL4_CapInitThreadASIDPool, vspace),
            seL4_Error::seL4_InvalidCapability
        );
        env.map(frame, SCRATCH);
        // mov x0, #1 … str x0, [x1]; udf: a program of its own.
        let program: [u32; 3] = [0xd280_0540, 0xf900_0020, 0x0000_0000];
        // SAFETY: mapped read-write.
        unsafe { word(SCRATCH).cast::<[u32; 3]>().write_volatile(program) };
        let text = env.copy(frame);
        let default = seL4_ARM_VMAttributes::seL4_ARM_Default_VMAttributes;
        env.map_in(vspace, text, 0x10_0000, seL4_CapRights::read_only(), default);
        ok(env.ipc.seL4_ARM_Page_Unify_Instruction(text, 0, 12));
        ok(env.ipc.seL4_ARM_VSpace_Unify_Instruction(vspace, 0x10_0000, 0x10_000c));
        let data = env.frame();
        env.map_in(vspace, data, 0x20_0000, rw, DATA);
        let ep = env.endpoint();
        let thread = env.thread(200, ep);
        ok(env.ipc.seL4_TCB_SetSpace(thread.tcb, ep, seL4_CapInitThreadCNode, 0, vspace, 0));
        let regs = sel4_sys::seL4_UserContext { pc: 0x10_0000, x1: 0x20_0000, ..Default::default() };
        ok(env.ipc.seL4_TCB_WriteRegisters(thread.tcb, 1, 0, 36, &regs));
        let (info, _) = env.ipc.seL4_Recv(ep, ());
        assert_eq!((info.get_label(), env.ipc.msg[0]), (3, 0x10_0008));
        let seen = env.copy(data);
        env.map(seen, SCRATCH + 0x1000);
        // SAFETY: mapped.
        assert_eq!(unsafe { word(SCRATCH + 0x1000).read_volatile() }, 42);
        // Without its address space the thread faults at once, and the kernel lives.
        ok(env.delete(vspace));
    }
}

case! {
    /// Making ASID pools: a 4 KiB untyped, once.
    asid_pool, env => {
        let memory = env.make(api_object::seL4_UntypedObject, 12);
        let pool = env.slot();
        let root = seL4_CapInitThreadCNode;
        let wrong = env.make(api_object::seL4_UntypedObject, 13);
        assert_eq!(
            env.ipc.seL4_ARM_ASIDControl_MakePool(seL4_CapASIDControl, wrong, root, pool, 64),
            seL4_Error::seL4_InvalidCapability
        );
        ok(env.ipc.seL4_ARM_ASIDControl_MakePool(seL4_CapASIDControl, memory, root, pool, 64));
        assert_eq!(seL4_DebugCapIdentify(pool), 13);
        assert_eq!(
            env.ipc.seL4_ARM_ASIDControl_MakePool(seL4_CapASIDControl, memory, root, pool, 64),
            seL4_Error::seL4_RevokeFirst
        );
        let vspace = env.make(api_object::seL4_ARM_VSpaceObject, 0);
        ok(env.ipc.seL4_ARM_ASIDPool_Assign(pool, vspace));
        let frame = env.frame();
        env.map_in(vspace, frame, SCRATCH, seL4_CapRights::read_write(), DATA);
        ok(env.revoke(memory));
        assert_eq!(
            env.ipc.seL4_ARM_Page_Map(frame, vspace, SCRATCH, seL4_CapRights::read_write(), DATA),
            seL4_Error::seL4_FailedLookup
        );
    }
}
