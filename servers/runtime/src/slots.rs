//! Slots of a process's own CSpace.

use heapless::Vec;
use sel4_sys::seL4_CPtr;
use strata_protocol::caps::slot;
use strata_protocol::start::StartInfo;

use crate::Ipc;
use crate::ipc::DEPTH;
use crate::kernel::{KernelError, check};

/// Slots that can wait to be used again.
const RETURNED_MAX: usize = 64;

/// The slots that a process may fill.
#[derive(Debug)]
pub struct Slots {
    next: seL4_CPtr,
    end: seL4_CPtr,
    returned: Vec<seL4_CPtr, RETURNED_MAX>,
}

impl Slots {
    /// All slots that the start page leaves to the process.
    #[must_use]
    pub const fn new(start: &StartInfo) -> Self {
        Self { next: start.slots_start, end: start.slots_end, returned: Vec::new() }
    }

    /// An empty slot.
    pub fn take(&mut self) -> Option<seL4_CPtr> {
        self.returned.pop().or_else(|| {
            let slot = self.next;
            (slot < self.end).then(|| {
                self.next += 1;
                slot
            })
        })
    }

    /// Takes back a slot that is empty again. One too many is forgotten: a leak of a number, not of an object.
    pub fn give_back(&mut self, slot: seL4_CPtr) {
        let _ = self.returned.push(slot);
    }

    /// Deletes the capability in a slot and takes the slot back.
    pub fn delete(&mut self, ipc: &mut Ipc, slot: seL4_CPtr) -> Result<(), KernelError> {
        delete(ipc, slot)?;
        self.give_back(slot);
        Ok(())
    }
}

/// Deletes the capability in a slot of this process.
pub fn delete(ipc: &mut Ipc, at: seL4_CPtr) -> Result<(), KernelError> {
    check(ipc.seL4_CNode_Delete(slot::CNODE, at, DEPTH))
}
