//! Answers that come later: saved reply capabilities, bounded.
//!
//! The slots are reserved once. An answer is sent without blocking: a client that is gone by then has
//! taken its reply capability along, and nobody waits for it.

use linker_books::ledger::Account;
use linker_space::error::ObjectError;
use linker_space::objects::Objects;
use sel4_sys::{seL4_CPtr, seL4_MessageInfo};
use strata_protocol::Errno;
use strata_protocol::linker::Reply;
use strata_runtime::ipc;

/// Answers that are owed at one time: the transaction under way and the ones that wait.
pub const REPLIES_MAX: usize = linker_books::QUEUE_MAX + 2;

/// An answer that is owed. Holding one proves that its slot is this request's alone.
#[derive(Debug, PartialEq, Eq)]
pub struct Owed {
    slot: seL4_CPtr,
    /// Only the errno number, as the label: for a thread of the link domain.
    in_registers: bool,
}

impl Owed {
    /// The answer is the errno number alone, in registers.
    #[must_use]
    pub const fn in_registers(self) -> Self {
        Self { slot: self.slot, in_registers: true }
    }
}

/// The slots of saved reply capabilities.
pub struct Replies {
    all: heapless::Vec<seL4_CPtr, REPLIES_MAX>,
    free: heapless::Vec<seL4_CPtr, REPLIES_MAX>,
}

impl Replies {
    /// Reserves the slots.
    ///
    /// # Errors
    /// [`ObjectError::Slots`].
    pub fn new(objects: &mut Objects) -> Result<Self, ObjectError> {
        let mut free = heapless::Vec::new();
        while !free.is_full() {
            let slot = objects.reserve(Account::LINKER)?;
            let _ = free.push(slot);
        }
        Ok(Self { all: free.clone(), free })
    }

    /// Saves the reply capability of the request at hand; none when all slots are in use.
    pub fn save(&mut self, objects: &mut Objects) -> Option<Owed> {
        let slot = self.free.pop()?;
        match objects.save_caller(slot) {
            Ok(()) => Some(Owed { slot, in_registers: false }),
            Err(_) => {
                let _ = self.free.push(slot);
                None
            }
        }
    }

    /// How many reply capabilities there are now, asked of the kernel: a client that is gone has taken
    /// its own along.
    pub fn in_use(&self, objects: &mut Objects) -> u32 {
        self.all.iter().map(|slot| u32::from(objects.is_filled(*slot))).sum()
    }

    /// Sends an answer that is owed.
    pub fn send(&mut self, objects: &mut Objects, owed: Owed, reply: &Reply) {
        let tag = if owed.in_registers {
            let errno = match reply {
                Reply::Refused(refusal) | Reply::Blocked { refusal, .. } => refusal.errno.number(),
                _ => 0,
            };
            seL4_MessageInfo::new(u64::from(errno.unsigned_abs()), 0, 0, 0)
        } else {
            tag_of(objects, reply, 0)
        };
        objects.ipc.seL4_NBSend(owed.slot, tag);
        // The kernel has used the capability up; a client that was gone has left nothing.
        objects.clear(owed.slot);
        let _ = self.free.push(owed.slot);
    }
}

/// Writes a reply into the IPC buffer.
pub fn tag_of(objects: &mut Objects, reply: &Reply, capabilities: u64) -> seL4_MessageInfo {
    ipc::put(objects.ipc, reply, capabilities).unwrap_or_else(|_| {
        // Every reply fits a message (a constant assertion of the protocol); this one would not be ours.
        let refusal = strata_protocol::Refusal::new(Errno::E2BIG, "linker", "the answer does not fit");
        ipc::put(objects.ipc, &Reply::Refused(refusal), 0).unwrap_or_default()
    })
}
