//! Pages in an address space, with the translation tables that they need.

use sel4_sys::{api_object, seL4_ARM_VMAttributes, seL4_CPtr, seL4_CapRights};
use strata_protocol::caps::slot;

use crate::Ipc;
use crate::ipc::DEPTH;
use crate::kernel::{KernelError, check};
use crate::slots::Slots;

/// Levels of translation tables below the root.
const LEVELS: usize = 3;

/// What a page may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
}

impl Access {
    const fn rights(self) -> seL4_CapRights {
        match self {
            Access::Read | Access::ReadExecute => seL4_CapRights::read_only(),
            Access::ReadWrite => seL4_CapRights::read_write(),
        }
    }

    const fn attributes(self) -> seL4_ARM_VMAttributes {
        match self {
            Access::ReadExecute => seL4_ARM_VMAttributes::seL4_ARM_Default_VMAttributes,
            Access::Read | Access::ReadWrite => seL4_ARM_VMAttributes::data(),
        }
    }
}

/// Where a page goes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The address space.
    pub vspace: seL4_CPtr,
    /// The address, a multiple of 4 KiB.
    pub address: u64,
    /// What the page may be used for.
    pub access: Access,
}

/// Maps a frame. For each missing translation table `table` is asked for a new one.
pub fn map<E: From<KernelError>>(
    ipc: &mut Ipc,
    frame: seL4_CPtr,
    place: Place,
    mut table: impl FnMut(&mut Ipc) -> Result<seL4_CPtr, E>,
) -> Result<(), E> {
    for _ in 0..LEVELS {
        match try_map(ipc, frame, place) {
            Err(KernelError::FAILED_LOOKUP) => {
                let table = table(ipc)?;
                let attributes = seL4_ARM_VMAttributes::seL4_ARM_Default_VMAttributes;
                check(ipc.seL4_ARM_PageTable_Map(table, place.vspace, place.address, attributes))?;
            }
            result => return Ok(result?),
        }
    }
    Ok(try_map(ipc, frame, place)?)
}

fn try_map(ipc: &mut Ipc, frame: seL4_CPtr, place: Place) -> Result<(), KernelError> {
    let (rights, attributes) = (place.access.rights(), place.access.attributes());
    check(ipc.seL4_ARM_Page_Map(frame, place.vspace, place.address, rights, attributes))
}

/// Maps a frame into the process's own address space; tables come from its own untyped memory.
pub fn map_own(
    ipc: &mut Ipc,
    slots: &mut Slots,
    frame: seL4_CPtr,
    address: u64,
    access: Access,
) -> Result<(), KernelError> {
    map(ipc, frame, Place { vspace: slot::VSPACE, address, access }, |ipc| {
        let at = slots.take().ok_or(KernelError::DELETE_FIRST)?;
        retype_own(ipc, api_object::seL4_ARM_PageTableObject, 0, at)?;
        Ok(at)
    })
}

/// Makes one object of the process's own untyped memory, at an empty slot.
pub fn retype_own(ipc: &mut Ipc, kind: u64, size_bits: u64, at: seL4_CPtr) -> Result<(), KernelError> {
    // Node depth 0 names the process's own root CNode.
    check(ipc.seL4_Untyped_Retype(slot::UNTYPED, kind, size_bits, slot::CNODE, 0, 0, at, 1))
}

/// Unmaps a frame.
pub fn unmap(ipc: &mut Ipc, frame: seL4_CPtr) -> Result<(), KernelError> {
    check(ipc.seL4_ARM_Page_Unmap(frame))
}

const _: () = assert!(DEPTH == 64);
