//! The objects that calls are made on. Their slots are constants, so that every kernel is given the same words.
use crate::env::{Env, ok};
use sel4_sys::{
    api_object, seL4_ARM_VMAttributes, seL4_CPtr, seL4_CapIRQControl, seL4_CapInitThreadASIDPool,
    seL4_CapInitThreadCNode, seL4_CapInitThreadTCB, seL4_CapInitThreadVSpace, seL4_CapRights,
    seL4_DebugCapIdentify,
};

pub(super) const ROOT: u64 = seL4_CapInitThreadCNode;
pub(super) const OWN_TCB: u64 = seL4_CapInitThreadTCB;
pub(super) const OWN_VSPACE: u64 = seL4_CapInitThreadVSpace;
pub(super) const OWN_POOL: u64 = seL4_CapInitThreadASIDPool;

/// The first slot of the world; boot information says that it is free.
const FIRST: u64 = 6000;
/// Nothing is in it.
pub(super) const FREE: u64 = FIRST;
/// Nor in this.
pub(super) const FREE_TOO: u64 = FIRST + 1;
pub(super) const EP: u64 = FIRST + 2;
/// The same endpoint with badge 5, to send only.
pub(super) const EP_BADGED: u64 = FIRST + 3;
pub(super) const NTFN: u64 = FIRST + 4;
/// The same notification, to wait only.
pub(super) const NTFN_READ: u64 = FIRST + 5;
/// The notification that is bound to [`TCB_READY`].
pub(super) const NTFN_BOUND: u64 = FIRST + 6;
/// A thread as it is made.
pub(super) const TCB: u64 = FIRST + 7;
/// A thread that has everything, and does not run.
pub(super) const TCB_READY: u64 = FIRST + 8;
/// Four slots.
pub(super) const CNODE: u64 = FIRST + 9;
/// Untyped memory of 4 KiB.
pub(super) const UNTYPED: u64 = FIRST + 10;
/// Of 8 KiB.
pub(super) const UNTYPED_LARGE: u64 = FIRST + 11;
/// Of 4 KiB, with an endpoint in it.
pub(super) const UNTYPED_USED: u64 = FIRST + 12;
/// That endpoint.
pub(super) const CHILD: u64 = FIRST + 13;
/// An address space without an ASID.
pub(super) const BARE: u64 = FIRST + 14;
/// An address space with one.
pub(super) const SPACE: u64 = FIRST + 15;
/// A frame that is not mapped.
pub(super) const FRAME: u64 = FIRST + 16;
/// A frame at [`VA`] of [`SPACE`], to read and write.
pub(super) const MAPPED: u64 = FIRST + 17;
/// A frame at [`VA_READ`], to read.
pub(super) const MAPPED_READ: u64 = FIRST + 18;
/// A copy of [`FRAME`] with the read right only.
pub(super) const FRAME_READ: u64 = FIRST + 19;
/// A translation table that is not mapped.
pub(super) const TABLE: u64 = FIRST + 20;
/// The lowest of the tables of [`VA`], and the two above.
pub(super) const TABLE_MAPPED: u64 = FIRST + 21;
const TABLE_MIDDLE: u64 = FIRST + 22;
pub(super) const TABLE_TOP: u64 = FIRST + 23;
/// A copy of [`TABLE_MIDDLE`].
pub(super) const TABLE_COPIED: u64 = FIRST + 24;
/// The handler of [`IRQ_TAKEN`].
pub(super) const HANDLER: u64 = FIRST + 25;
const COUNT: u64 = 26;

/// A shared interrupt that has a handler.
pub(super) const IRQ_TAKEN: u64 = 45;

pub(super) const VA: u64 = 0x10_0000_0000;
pub(super) const VA_READ: u64 = VA + 0x1000;
/// The tables for it are there, and nothing else.
pub(super) const VA_FREE: u64 = VA + 0x2000;
/// The lowest table for it is missing.
pub(super) const VA_NEAR: u64 = VA + (2 << 20);
/// All tables for it are missing.
pub(super) const VA_FAR: u64 = VA + (1 << 39);

/// log2 of the memory of the world.
const ARENA_BITS: u64 = 17;

/// The world.
pub(super) struct World {
    arena: seL4_CPtr,
}

impl World {
    pub(super) fn new(env: &mut Env) -> Self {
        assert!(env.boot_info.empty.start <= FIRST && FIRST + COUNT <= env.boot_info.empty.end);
        Self { arena: env.make(api_object::seL4_UntypedObject, ARENA_BITS) }
    }

    /// What kind of capability is in each slot, as the debug call says.
    pub(super) fn kinds(&self) -> impl Iterator<Item = u64> {
        (FIRST..FIRST + COUNT).map(seL4_DebugCapIdentify)
    }

    /// Nothing of it is left.
    pub(super) fn end(&self, env: &mut Env) {
        ok(env.revoke(self.arena));
        (FIRST..FIRST + COUNT).for_each(|slot| ok(env.delete(slot)));
    }

    /// Makes an object from `memory` in a slot.
    fn make(env: &mut Env, memory: seL4_CPtr, kind: u64, bits: u64, slot: u64) {
        ok(env.ipc.seL4_Untyped_Retype(memory, kind, bits, ROOT, 0, 0, slot, 1));
    }

    fn copy(env: &mut Env, from: u64, to: u64, rights: seL4_CapRights, badge: u64) {
        ok(env.ipc.seL4_CNode_Mint(ROOT, to, 64, ROOT, from, 64, rights, badge));
    }

    /// Puts everything where it belongs, whatever was done to it.
    pub(super) fn make_anew(&self, env: &mut Env) {
        self.end(env);
        for (kind, bits, slot) in [
            (api_object::seL4_UntypedObject, 12, UNTYPED),
            (api_object::seL4_UntypedObject, 13, UNTYPED_LARGE),
            (api_object::seL4_UntypedObject, 12, UNTYPED_USED),
            (api_object::seL4_ARM_VSpaceObject, 0, BARE),
            (api_object::seL4_ARM_VSpaceObject, 0, SPACE),
            (api_object::seL4_ARM_SmallPageObject, 0, FRAME),
            (api_object::seL4_ARM_SmallPageObject, 0, MAPPED),
            (api_object::seL4_ARM_SmallPageObject, 0, MAPPED_READ),
            (api_object::seL4_ARM_PageTableObject, 0, TABLE),
            (api_object::seL4_ARM_PageTableObject, 0, TABLE_MAPPED),
            (api_object::seL4_ARM_PageTableObject, 0, TABLE_MIDDLE),
            (api_object::seL4_ARM_PageTableObject, 0, TABLE_TOP),
            (api_object::seL4_TCBObject, 0, TCB),
            (api_object::seL4_TCBObject, 0, TCB_READY),
            (api_object::seL4_CapTableObject, 2, CNODE),
            (api_object::seL4_EndpointObject, 0, EP),
            (api_object::seL4_NotificationObject, 0, NTFN),
            (api_object::seL4_NotificationObject, 0, NTFN_BOUND),
        ] {
            Self::make(env, self.arena, kind, bits, slot);
        }
        Self::make(env, UNTYPED_USED, api_object::seL4_EndpointObject, 0, CHILD);
        let all = seL4_CapRights::all();
        let read = seL4_CapRights::read_only();
        Self::copy(env, EP, EP_BADGED, seL4_CapRights::write_only(), 5);
        Self::copy(env, NTFN, NTFN_READ, read, 0);
        Self::copy(env, FRAME, FRAME_READ, read, 0);
        ok(env.ipc.seL4_ARM_ASIDPool_Assign(OWN_POOL, SPACE));
        let data = seL4_ARM_VMAttributes::data();
        for table in [TABLE_TOP, TABLE_MIDDLE, TABLE_MAPPED] {
            ok(env.ipc.seL4_ARM_PageTable_Map(table, SPACE, VA, data));
        }
        Self::copy(env, TABLE_MIDDLE, TABLE_COPIED, all, 0);
        ok(env.ipc.seL4_ARM_Page_Map(MAPPED, SPACE, VA, seL4_CapRights::read_write(), data));
        ok(env.ipc.seL4_ARM_Page_Map(MAPPED_READ, SPACE, VA_READ, read, data));
        ok(env.ipc.seL4_TCB_Configure(TCB_READY, 0, ROOT, 0, SPACE, 0, 0, 0));
        ok(env.ipc.seL4_TCB_BindNotification(TCB_READY, NTFN_BOUND));
        ok(env.ipc.seL4_IRQControl_Get(seL4_CapIRQControl, IRQ_TAKEN, ROOT, HANDLER, 64));
        ok(env.ipc.seL4_IRQHandler_SetNotification(HANDLER, NTFN));
    }
}
