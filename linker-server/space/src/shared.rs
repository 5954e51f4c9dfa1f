//! Shared regions: pages that a module writes and clients read.
//!
//! A region has an untyped object of its own, so that it outlives its module while a client holds it.
//! Clients get read-only copies of the frames. In the kernel's derivation tree a copy is a child of
//! the capability that Retype made and never of another copy; so one client's copies cannot be
//! revoked apart from another's. All copies are revoked when the last client gives the region back.

use crate::error::ObjectError;
use crate::objects::{Objects, PAGE_BITS, PAGE_SIZE, Untyped};
use crate::vspace::{VSpaces, map};
use heapless::Vec;
use linker_books::ledger::Account;
use linker_core::ModuleId;
use sel4_sys::api_object::seL4_ARM_SmallPageObject;
use sel4_sys::{seL4_ARM_VMAttributes, seL4_CPtr, seL4_CapRights};
use strata_protocol::ModuleName;

/// Regions at once: of modules that are there, and of modules that are gone.
pub const REGIONS_MAX: usize = 16;
/// Clients of one region.
pub const HOLDERS_MAX: usize = 4;

/// A region.
#[derive(Debug)]
pub struct Region {
    /// Its module.
    pub module: ModuleId,
    /// Its module's name.
    pub name: ModuleName,
    /// First address in the link domain.
    pub at: u64,
    /// Pages.
    pub count: u32,
    /// Whether its module is gone.
    pub orphan: bool,
    account: Account,
    untyped: Untyped,
    frames: seL4_CPtr,
    holders: Vec<u64, HOLDERS_MAX>,
}

impl Region {
    /// Makes a region and maps it read-write in the link domain.
    ///
    /// # Errors
    /// [`ObjectError`]; then nothing is left of it.
    pub fn make(
        objects: &mut Objects,
        spaces: VSpaces,
        module: ModuleId,
        name: &str,
        at: u64,
        count: u32,
    ) -> Result<Self, ObjectError> {
        let title = strata_protocol::Text::<31>::format(format_args!("{name}/shared"));
        let account = objects.open_account(&title)?;
        let size = u64::from(count) * PAGE_SIZE;
        let made = objects.take_untyped(size, account).and_then(|untyped| {
            match objects.carve(untyped, seL4_ARM_SmallPageObject, PAGE_BITS, count, account) {
                Ok(frames) => Ok((untyped, frames)),
                Err(error) => {
                    objects.give_back_untyped(untyped)?;
                    Err(error)
                }
            }
        });
        let (untyped, frames) = match made {
            Ok(made) => made,
            Err(error) => {
                objects.close_account(account)?;
                return Err(error);
            }
        };
        let name = ModuleName::cut(name);
        let region =
            Self { module, name, at, count, orphan: false, account, untyped, frames, holders: Vec::new() };
        let rights = seL4_CapRights::read_write();
        for page in 0..u64::from(count) {
            let (frame, to) = (frames + page, at + page * PAGE_SIZE);
            let attributes = seL4_ARM_VMAttributes::data();
            if let Err(error) = map(objects, frame, spaces.domain, to, rights, attributes) {
                region.destroy(objects)?;
                return Err(error);
            }
        }
        Ok(region)
    }

    /// Bytes in the region.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.count as u64 * PAGE_SIZE
    }

    /// A read-only copy of a page's frame for a client; the caller hands it on and then deletes it.
    /// None when there is no such page or no room for another client.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn lend(
        &mut self,
        objects: &mut Objects,
        client: u64,
        page: u32,
    ) -> Result<Option<seL4_CPtr>, ObjectError> {
        if page >= self.count {
            return Ok(None);
        }
        if !self.holders.contains(&client) && self.holders.push(client).is_err() {
            return Ok(None);
        }
        let frame = self.frames + seL4_CPtr::from(page);
        objects.copy(frame, seL4_CapRights::read_only(), Account::LINKER).map(Some)
    }

    /// Takes the region back from a client; whether it held it. When nobody holds it any more, every
    /// copy that was ever lent is deleted.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn release(&mut self, objects: &mut Objects, client: u64) -> Result<bool, ObjectError> {
        let before = self.holders.len();
        self.holders.retain(|holder| *holder != client);
        let held = self.holders.len() != before;
        if held && self.holders.is_empty() {
            for page in 0..seL4_CPtr::from(self.count) {
                objects.revoke(self.frames + page)?;
            }
        }
        Ok(held)
    }

    /// Whether nobody needs the region any more.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.orphan && self.holders.is_empty()
    }

    /// Unmaps and deletes the region everywhere and closes its account.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn destroy(self, objects: &mut Objects) -> Result<(), ObjectError> {
        objects.give_back_untyped(self.untyped)?;
        objects.forget(self.frames, self.count, self.count, self.account)?;
        objects.close_account(self.account)
    }
}
