//! The root task's untyped memory and its CSpace.

use boot_plan::untyped::{DeviceStep, Pool};
use sel4_sys::{
    api_object, seL4_BootInfo, seL4_CPtr, seL4_CapInitThreadCNode, seL4_CapRights, seL4_EndpointBits,
    seL4_NotificationBits, seL4_PageBits, seL4_PageTableBits, seL4_SlotBits, seL4_TCBBits, seL4_VSpaceBits,
    seL4_Word,
};
use strata_runtime::Ipc;
use strata_runtime::ipc::DEPTH;
use strata_runtime::kernel::{KernelError, check};

use crate::MakeError;

/// What can be made of untyped memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A thread.
    Tcb,
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A CNode with this many slots, as a power of two.
    CNode(u8),
    /// Untyped memory of this size, as a power of two.
    Untyped(u8),
    /// A frame of 4 KiB.
    Page,
    /// A translation table below the root.
    PageTable,
    /// An address space.
    VSpace,
}

impl Object {
    const fn kind(self) -> seL4_Word {
        match self {
            Object::Tcb => api_object::seL4_TCBObject,
            Object::Endpoint => api_object::seL4_EndpointObject,
            Object::Notification => api_object::seL4_NotificationObject,
            Object::CNode(_) => api_object::seL4_CapTableObject,
            Object::Untyped(_) => api_object::seL4_UntypedObject,
            Object::Page => api_object::seL4_ARM_SmallPageObject,
            Object::PageTable => api_object::seL4_ARM_PageTableObject,
            Object::VSpace => api_object::seL4_ARM_VSpaceObject,
        }
    }

    /// The size argument of the retype.
    const fn argument(self) -> seL4_Word {
        match self {
            Object::CNode(bits) | Object::Untyped(bits) => bits as seL4_Word,
            _ => 0,
        }
    }

    /// How much memory it takes, as a power of two.
    fn size_bits(self) -> u8 {
        let bits = match self {
            Object::Tcb => seL4_TCBBits,
            Object::Endpoint => seL4_EndpointBits,
            Object::Notification => seL4_NotificationBits,
            Object::CNode(bits) => seL4_SlotBits + seL4_Word::from(bits),
            Object::Untyped(bits) => bits.into(),
            Object::Page => seL4_PageBits,
            Object::PageTable => seL4_PageTableBits,
            Object::VSpace => seL4_VSpaceBits,
        };
        u8::try_from(bits).expect("sizes of objects are below 64 bits")
    }
}

/// The memory and the slots that the root task has not given away.
#[derive(Debug)]
pub struct Memory {
    pool: Pool,
    next: seL4_CPtr,
    end: seL4_CPtr,
}

impl Memory {
    /// Everything that the kernel left to the root task.
    pub fn new(boot_info: &seL4_BootInfo) -> Result<Self, MakeError> {
        let mut pool = Pool::new();
        let slots = boot_info.untyped.start..boot_info.untyped.end;
        for (slot, untyped) in slots.zip(&boot_info.untypedList) {
            pool.add(slot, untyped.paddr, untyped.sizeBits, untyped.isDevice != 0)?;
        }
        Ok(Self { pool, next: boot_info.empty.start, end: boot_info.empty.end })
    }

    /// Bytes of ordinary memory that are left.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.pool.free_bytes()
    }

    /// An empty slot of the root CNode.
    pub fn slot(&mut self) -> Result<seL4_CPtr, MakeError> {
        if self.next == self.end {
            return Err(MakeError::Slots);
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Makes an object; its capability stays with the root task.
    pub fn make(&mut self, ipc: &mut Ipc, object: Object) -> Result<seL4_CPtr, MakeError> {
        let slot = self.slot()?;
        self.make_at(ipc, object, seL4_CapInitThreadCNode, slot)?;
        Ok(slot)
    }

    /// Makes an object whose only capability goes into another CNode.
    pub fn make_at(
        &mut self,
        ipc: &mut Ipc,
        object: Object,
        cnode: seL4_CPtr,
        slot: seL4_CPtr,
    ) -> Result<(), MakeError> {
        let from = self.pool.take(object.size_bits())?;
        Ok(retype(ipc, from, object, cnode, slot)?)
    }

    /// Makes a frame of a device's page whose only capability goes into another CNode.
    pub fn device_at(
        &mut self,
        ipc: &mut Ipc,
        paddr: u64,
        cnode: seL4_CPtr,
        slot: seL4_CPtr,
    ) -> Result<(), MakeError> {
        loop {
            match self.pool.take_device(paddr, Object::Page.size_bits())? {
                DeviceStep::Split { from, size_bits, paddr } => {
                    let part = self.slot()?;
                    retype(ipc, from, Object::Untyped(size_bits), seL4_CapInitThreadCNode, part)?;
                    self.pool.add_split(part, paddr, size_bits)?;
                }
                DeviceStep::Take { from } => return Ok(retype(ipc, from, Object::Page, cnode, slot)?),
            }
        }
    }

    /// Copies one of the root task's capabilities within its CSpace.
    pub fn copy(&mut self, ipc: &mut Ipc, capability: seL4_CPtr) -> Result<seL4_CPtr, MakeError> {
        let slot = self.slot()?;
        let root = seL4_CapInitThreadCNode;
        check(ipc.seL4_CNode_Copy(root, slot, DEPTH, root, capability, DEPTH, seL4_CapRights::all()))?;
        Ok(slot)
    }
}

fn retype(
    ipc: &mut Ipc,
    from: seL4_CPtr,
    object: Object,
    cnode: seL4_CPtr,
    slot: seL4_CPtr,
) -> Result<(), KernelError> {
    // Depth 0: `cnode` itself receives the capability.
    check(ipc.seL4_Untyped_Retype(from, object.kind(), object.argument(), cnode, 0, 0, slot, 1))
}
