//! A process: an address space, a CSpace and a thread.

use boot_plan::addresses;
use boot_plan::executable::{Executable, PAGE_SIZE};
use sel4_sys::{
    seL4_CNode_CapData, seL4_CPtr, seL4_CapInitThreadASIDPool, seL4_CapInitThreadCNode,
    seL4_CapInitThreadTCB, seL4_CapRights, seL4_UserContext,
};
use strata_protocol::caps::slot;
use strata_runtime::Ipc;
use strata_runtime::ipc::DEPTH;
use strata_runtime::kernel::check;
use strata_runtime::mapping::{Access, Place, map};

use crate::MakeError;
use crate::memory::{Memory, Object};
use crate::scratch::Scratch;

/// What making a process needs.
#[derive(Debug)]
pub struct Maker<'a> {
    /// The root task's IPC buffer.
    pub ipc: &'a mut Ipc,
    /// Where objects come from.
    pub memory: &'a mut Memory,
    /// The window onto new frames.
    pub scratch: &'a mut Scratch,
}

/// A process under construction, and afterwards what the root task keeps of it.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Its first thread.
    pub tcb: seL4_CPtr,
    /// Its address space.
    pub vspace: seL4_CPtr,
    /// Its CNode, without a guard: slots are addressed at depth `cnode_bits`.
    pub cnode: seL4_CPtr,
    /// Slots of the CNode as a power of two.
    pub cnode_bits: u8,
}

impl Process {
    /// An empty process: nothing mapped, no capabilities, not running.
    pub fn new(maker: &mut Maker<'_>, cnode_bits: u8) -> Result<Self, MakeError> {
        let tcb = maker.memory.make(maker.ipc, Object::Tcb)?;
        let vspace = maker.memory.make(maker.ipc, Object::VSpace)?;
        let cnode = maker.memory.make(maker.ipc, Object::CNode(cnode_bits))?;
        check(maker.ipc.seL4_ARM_ASIDPool_Assign(seL4_CapInitThreadASIDPool, vspace))?;
        Ok(Self { tcb, vspace, cnode, cnode_bits })
    }

    /// What makes a CPtr resolve at depth 64 in this process's CNode.
    #[must_use]
    pub fn guard(&self) -> u64 {
        seL4_CNode_CapData::new(0, u64::from(DEPTH - self.cnode_bits)).into_word()
    }

    /// Maps all segments of an executable.
    pub fn load(&self, maker: &mut Maker<'_>, executable: &Executable<'_>) -> Result<(), MakeError> {
        for segment in executable.segments() {
            let access = match (segment.write, segment.execute) {
                (true, _) => Access::ReadWrite,
                (false, true) => Access::ReadExecute,
                (false, false) => Access::Read,
            };
            for page in segment.pages() {
                let frame = maker.memory.make(maker.ipc, Object::Page)?;
                if !page.bytes.is_empty() {
                    maker.scratch.copy(maker.ipc, maker.memory, frame, &page)?;
                }
                self.map(maker, frame, page.address, access)?;
                if access == Access::ReadExecute {
                    // At the executing address: an instruction cache may be virtually indexed (Arm ARM D7.5.2).
                    check(maker.ipc.seL4_ARM_Page_Unify_Instruction(frame, 0, PAGE_SIZE))?;
                }
            }
        }
        Ok(())
    }

    /// Maps a frame that is mapped nowhere else.
    pub fn map(
        &self,
        maker: &mut Maker<'_>,
        frame: seL4_CPtr,
        address: u64,
        access: Access,
    ) -> Result<(), MakeError> {
        let memory = &mut *maker.memory;
        let place = Place { vspace: self.vspace, address, access };
        map(maker.ipc, frame, place, |ipc| memory.make(ipc, Object::PageTable))
    }

    /// Maps a frame that others have mapped too.
    pub fn share(
        &self,
        maker: &mut Maker<'_>,
        frame: seL4_CPtr,
        address: u64,
        access: Access,
    ) -> Result<(), MakeError> {
        let copy = maker.memory.copy(maker.ipc, frame)?;
        self.map(maker, copy, address, access)
    }

    /// Maps new pages of zeros from `address` up; the capability of the first comes back.
    pub fn map_zeros(
        &self,
        maker: &mut Maker<'_>,
        address: u64,
        pages: u64,
    ) -> Result<Option<seL4_CPtr>, MakeError> {
        let mut first = None;
        for page in 0..pages {
            let frame = maker.memory.make(maker.ipc, Object::Page)?;
            self.map(maker, frame, address + page * PAGE_SIZE, Access::ReadWrite)?;
            first.get_or_insert(frame);
        }
        Ok(first)
    }

    /// Maps a new page that begins with this value.
    pub fn map_value<T>(
        &self,
        maker: &mut Maker<'_>,
        value: T,
        address: u64,
        access: Access,
    ) -> Result<(), MakeError> {
        let frame = maker.memory.make(maker.ipc, Object::Page)?;
        maker.scratch.put(maker.ipc, maker.memory, frame, value)?;
        self.map(maker, frame, address, access)
    }

    /// Puts a copy of one of the root task's capabilities into a slot of the process, with a badge (or, for a
    /// CNode, a guard) when it is not 0.
    pub fn grant(
        &self,
        ipc: &mut Ipc,
        capability: seL4_CPtr,
        slot: u64,
        rights: seL4_CapRights,
        badge: u64,
    ) -> Result<(), MakeError> {
        let (depth, root) = (self.cnode_bits, seL4_CapInitThreadCNode);
        let code = if badge == 0 {
            ipc.seL4_CNode_Copy(self.cnode, slot, depth, root, capability, DEPTH, rights)
        } else {
            ipc.seL4_CNode_Mint(self.cnode, slot, depth, root, capability, DEPTH, rights, badge)
        };
        Ok(check(code)?)
    }

    /// Lets the first thread run: entry, priorities, and the addresses that every server starts with.
    pub fn start(&self, maker: &mut Maker<'_>, entry: u64, mcp: u64, priority: u64) -> Result<(), MakeError> {
        let buffer = maker.memory.make(maker.ipc, Object::Page)?;
        self.map(maker, buffer, addresses::IPC_BUFFER, Access::ReadWrite)?;
        check(maker.ipc.seL4_TCB_Configure(
            self.tcb,
            slot::FAULT,
            self.cnode,
            self.guard(),
            self.vspace,
            0,
            addresses::IPC_BUFFER,
            buffer,
        ))?;
        check(maker.ipc.seL4_TCB_SetSchedParams(self.tcb, seL4_CapInitThreadTCB, mcp, priority))?;
        let registers = seL4_UserContext {
            pc: entry,
            sp: addresses::STACK_TOP,
            x0: addresses::START,
            tpidr_el0: addresses::THREAD,
            ..Default::default()
        };
        let count = (size_of::<seL4_UserContext>() / 8) as u64;
        Ok(check(maker.ipc.seL4_TCB_WriteRegisters(self.tcb, 1, 0, count, &registers))?)
    }
}
