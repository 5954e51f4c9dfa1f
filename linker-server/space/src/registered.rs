//! The kernel objects behind what modules register: endpoints, devices, signals, memory, interrupts.
//!
//! Each is charged to its module's account and gone when it is given back: an endpoint and memory of a module's own have
//! untyped objects of their own, so that a revoke takes every copy; what leads to a thread or to a device of the board is
//! one capability that is deleted.

use crate::domain::{DomainSpace, endpoint_bits};
use crate::error::{ObjectError, Operation, check};
use crate::objects::{Objects, PAGE_BITS, PAGE_SIZE, Untyped};
use crate::thread::DOMAIN_CNODE_BITS;
use crate::vspace::map;
use linker_books::ledger::Account;
use sel4_sys::api_object::{seL4_ARM_SmallPageObject, seL4_EndpointObject};
use sel4_sys::{
    seL4_ARM_VMAttributes, seL4_CPtr, seL4_CapRights, seL4_EndpointBits, seL4_MessageInfo, seL4_Word,
};
use strata_protocol::Errno;
use strata_protocol::caps::signal;
use strata_protocol::domain::slot;

/// Callers that a device which goes may have kept waiting and that are answered; the kernel's queue has no bound, and one
/// core's clients are fewer.
const CALLERS_MAX: usize = 64;

/// An endpoint on which a module receives.
#[derive(Debug)]
pub struct Endpoint {
    /// The endpoint.
    pub endpoint: seL4_CPtr,
    /// Where it stands in the link domain's CNode.
    pub slot: u64,
    untyped: Untyped,
}

/// Memory that is mapped in the link domain.
#[derive(Debug)]
pub struct Mapping {
    /// First address.
    pub at: u64,
    /// Pages.
    pub count: u32,
    frames: seL4_CPtr,
    /// What the frames are carved from; none for a device's.
    untyped: Option<Untyped>,
}

/// An interrupt that wakes a thread of a module.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt {
    /// Its handler.
    pub handler: seL4_CPtr,
    signal: seL4_CPtr,
}

impl Endpoint {
    /// Makes an endpoint at place `place` of those that modules may have.
    ///
    /// # Errors
    /// [`ObjectError`]; then nothing is left of it.
    pub fn make(
        objects: &mut Objects,
        space: &DomainSpace,
        account: Account,
        place: u64,
    ) -> Result<Self, ObjectError> {
        let untyped = objects.take_untyped(PAGE_SIZE, account)?;
        let bits = endpoint_bits(seL4_EndpointBits);
        let endpoint = match objects.carve(untyped, seL4_EndpointObject, bits, 1, account) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                objects.give_back_untyped(untyped)?;
                return Err(error);
            }
        };
        let made = Self { endpoint, slot: slot::FIRST_REGISTERED + place, untyped };
        // The module receives from it and may send to itself; it hands it to nobody.
        let rights = seL4_CapRights::new(1, 0, 1, 1);
        match objects.copy_into(space.cnode, made.slot, DOMAIN_CNODE_BITS, endpoint, rights) {
            Ok(()) => Ok(made),
            Err(error) => {
                made.destroy(objects, account)?;
                Err(error)
            }
        }
    }

    /// Deletes the endpoint and every capability to it.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn destroy(self, objects: &mut Objects, account: Account) -> Result<(), ObjectError> {
        objects.give_back_untyped(self.untyped)?;
        objects.forget(self.endpoint, 1, 0, account)
    }
}

/// Answers everybody who waits at an endpoint with `errno`; whether a signal of the linker server's own has come instead
/// of a message, and is to be looked after.
///
/// The capability to reply to the request at hand is lost by this: it has been answered or saved before.
pub fn turn_away(objects: &mut Objects, endpoint: seL4_CPtr, errno: Errno) -> bool {
    let mut signalled = false;
    for _ in 0..CALLERS_MAX {
        let (_, badge) = objects.ipc.seL4_NBRecv(endpoint, ());
        if signal::is_signal(badge) {
            signalled = true;
        } else if badge == 0 {
            // Every client's capability has a badge: nobody waits.
            break;
        } else {
            let label = u64::from(errno.number().unsigned_abs());
            objects.ipc.seL4_Reply(seL4_MessageInfo::new(label, 0, 0, 0));
        }
    }
    signalled
}

/// Makes the capability of which clients of a device get copies: all of them have its badge, and a revoke takes them.
///
/// # Errors
/// [`ObjectError`].
pub fn device(
    objects: &mut Objects,
    endpoint: seL4_CPtr,
    badge: seL4_Word,
    account: Account,
) -> Result<seL4_CPtr, ObjectError> {
    // A client may call, and the answer may carry a capability; it may not receive or grant.
    objects.mint(endpoint, seL4_CapRights::new(1, 0, 0, 1), badge, account)
}

impl Mapping {
    /// Maps `count` fresh pages at `at`, which the caller has taken from the window.
    ///
    /// # Errors
    /// [`ObjectError`]; then nothing is left of it.
    pub fn make(
        objects: &mut Objects,
        space: &DomainSpace,
        account: Account,
        at: u64,
        count: u32,
    ) -> Result<Self, ObjectError> {
        let untyped = objects.take_untyped(u64::from(count) * PAGE_SIZE, account)?;
        let frames = match objects.carve(untyped, seL4_ARM_SmallPageObject, PAGE_BITS, count, account) {
            Ok(frames) => frames,
            Err(error) => {
                objects.give_back_untyped(untyped)?;
                return Err(error);
            }
        };
        let made = Self { at, count, frames, untyped: Some(untyped) };
        for page in 0..u64::from(count) {
            let (rights, attributes) = (seL4_CapRights::read_write(), seL4_ARM_VMAttributes::data());
            let to = at + page * PAGE_SIZE;
            if let Err(error) = map(objects, frames + page, space.spaces.domain, to, rights, attributes) {
                made.destroy(objects, account)?;
                return Err(error);
            }
        }
        Ok(made)
    }

    /// Maps the frame of a device's registers at `at`, which the caller has taken from the window.
    ///
    /// # Errors
    /// [`ObjectError`]; then nothing is left of it.
    pub fn of_device(
        objects: &mut Objects,
        space: &DomainSpace,
        account: Account,
        at: u64,
        frame: seL4_CPtr,
    ) -> Result<Self, ObjectError> {
        let rights = seL4_CapRights::read_write();
        let copy = objects.copy(frame, rights, account)?;
        let made = Self { at, count: 1, frames: copy, untyped: None };
        let attributes = seL4_ARM_VMAttributes::device();
        match map(objects, copy, space.spaces.domain, at, rights, attributes) {
            Ok(()) => Ok(made),
            Err(error) => {
                made.destroy(objects, account)?;
                Err(error)
            }
        }
    }

    /// Unmaps the memory, and deletes it if it is no device's. The addresses are the caller's.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn destroy(self, objects: &mut Objects, account: Account) -> Result<(), ObjectError> {
        let Some(untyped) = self.untyped else {
            // Deleting a copy of a frame's capability unmaps what it has mapped.
            return objects.delete(self.frames, account);
        };
        objects.give_back_untyped(untyped)?;
        objects.forget(self.frames, self.count, self.count, account)
    }
}

impl Interrupt {
    /// Has an interrupt wake a thread through its notification `own`, with `badge`.
    ///
    /// # Errors
    /// [`ObjectError`]; then it wakes nobody.
    pub fn make(
        objects: &mut Objects,
        handler: seL4_CPtr,
        own: seL4_CPtr,
        badge: seL4_Word,
        account: Account,
    ) -> Result<Self, ObjectError> {
        let signal = objects.mint(own, seL4_CapRights::write_only(), badge, account)?;
        let made = Self { handler, signal };
        let set = check(Operation::Interrupt, objects.ipc.seL4_IRQHandler_SetNotification(handler, signal));
        match set.and_then(|()| made.acknowledge(objects)) {
            Ok(()) => Ok(made),
            Err(error) => {
                made.destroy(objects, account)?;
                Err(error)
            }
        }
    }

    /// Lets it come again.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn acknowledge(&self, objects: &mut Objects) -> Result<(), ObjectError> {
        check(Operation::Interrupt, objects.ipc.seL4_IRQHandler_Ack(self.handler))
    }

    /// Has it wake nobody: the kernel masks it when it comes next.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn destroy(self, objects: &mut Objects, account: Account) -> Result<(), ObjectError> {
        check(Operation::Interrupt, objects.ipc.seL4_IRQHandler_Clear(self.handler))?;
        objects.delete(self.signal, account)
    }
}
