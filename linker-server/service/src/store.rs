//! Where images come from, and the one copy of each that is ever parsed.
//!
//! The store's areas are mapped read-only, but others can write to the upload area at any time. So an
//! image is copied once, word by word, into frames that only the linker server has, and everything after
//! that sees the copy.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use linker_books::ledger::Account;
use linker_space::objects::{ObjectError, Objects, PAGE_BITS, PAGE_SIZE};
use linker_space::vspace::{make_tables, map};
use sel4_sys::api_object::seL4_ARM_SmallPageObject;
use sel4_sys::{seL4_ARM_VMAttributes, seL4_CapRights};
use strata_protocol::caps;
use strata_protocol::start::{Region, StartInfo, region};
use strata_protocol::store::{Area, ImageRef};

/// The largest image that is loaded.
pub const IMAGE_SIZE_MAX: u64 = 1 << 20;
/// Where the copy lies in the linker server's address space.
const COPY_AT: u64 = 0x11_0000_0000;

/// The store's areas and the room for the copy.
pub struct Store {
    archive: Region,
    upload: Region,
    copy: &'static mut [u8],
}

/// Why an image cannot be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The reference points outside of its area.
    Outside,
    /// The image is larger than [`IMAGE_SIZE_MAX`].
    TooLarge(u64),
}

impl Store {
    /// Finds the areas in the start page and makes room for the copy.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn new(objects: &mut Objects, start: &StartInfo) -> Result<Self, ObjectError> {
        let untyped = objects.take_untyped(IMAGE_SIZE_MAX, Account::LINKER)?;
        let tables = objects.take_untyped(4 * PAGE_SIZE, Account::LINKER)?;
        let own = caps::slot::VSPACE;
        make_tables(objects, tables, own, COPY_AT, COPY_AT + IMAGE_SIZE_MAX, Account::LINKER)?;
        let count = u32::try_from(IMAGE_SIZE_MAX / PAGE_SIZE).expect("an image has fewer than 2^32 pages");
        let frames = objects.carve(untyped, seL4_ARM_SmallPageObject, PAGE_BITS, count, Account::LINKER)?;
        for page in 0..u64::from(count) {
            let rights = seL4_CapRights::read_write();
            let attributes = seL4_ARM_VMAttributes::data();
            map(objects, frames + page, own, COPY_AT + page * PAGE_SIZE, rights, attributes)?;
        }
        let size = usize::try_from(IMAGE_SIZE_MAX).expect("a usize has 64 bits on AArch64");
        // SAFETY: the frames were just made and mapped here and nowhere else; they are never unmapped,
        // and no other reference to them exists.
        let copy = unsafe { core::slice::from_raw_parts_mut(COPY_AT as *mut u8, size) };
        let none = Region::default();
        Ok(Self {
            archive: start.region(region::STORE).unwrap_or(none),
            upload: start.region(region::UPLOAD).unwrap_or(none),
            copy,
        })
    }

    /// Copies an image.
    ///
    /// # Errors
    /// [`StoreError`]: the reference is an allegation and is checked.
    pub fn copy(&mut self, image: ImageRef) -> Result<(), StoreError> {
        let area = match image.area {
            Area::Archive => self.archive,
            Area::Upload => self.upload,
        };
        if image.size > IMAGE_SIZE_MAX {
            return Err(StoreError::TooLarge(image.size));
        }
        let end = image.offset.checked_add(image.size).ok_or(StoreError::Outside)?;
        if end > area.size || image.size == 0 {
            return Err(StoreError::Outside);
        }
        let from = area.address + image.offset;
        let size = usize::try_from(image.size).map_err(|_| StoreError::Outside)?;
        copy_shared(from, &mut self.copy[..size]);
        Ok(())
    }

    /// The copy of an image of this size.
    #[must_use]
    pub fn image(&self, size: u64) -> &[u8] {
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(self.copy.len());
        &self.copy[..size]
    }

    /// The boot archive.
    #[must_use]
    pub fn archive(start: &StartInfo) -> &'static [u8] {
        let archive = start.region(region::STORE).unwrap_or_default();
        let size = usize::try_from(archive.size).expect("a usize has 64 bits on AArch64");
        if size == 0 {
            return &[];
        }
        // SAFETY: the root task maps the boot archive's frames read-only in every process that has
        // them, for ever, so that nobody changes them.
        unsafe { core::slice::from_raw_parts(archive.address as *const u8, size) }
    }
}

/// Copies bytes that others may write meanwhile: each is loaded once.
fn copy_shared(from: u64, to: &mut [u8]) {
    let mut at = from;
    let (words, rest) = to.as_chunks_mut::<8>();
    if from.is_multiple_of(8) {
        for word in words {
            // SAFETY: the caller has checked that the bytes lie in a mapped area, and the address is
            // aligned; whatever others store meanwhile, an atomic load is one value.
            let value = unsafe { &*(at as *const AtomicU64) }.load(Ordering::Relaxed);
            *word = value.to_ne_bytes();
            at += 8;
        }
    } else {
        for byte in words.as_flattened_mut() {
            // SAFETY: as above, for a byte.
            *byte = unsafe { &*(at as *const AtomicU8) }.load(Ordering::Relaxed);
            at += 1;
        }
    }
    for byte in rest {
        // SAFETY: as above, for a byte.
        *byte = unsafe { &*(at as *const AtomicU8) }.load(Ordering::Relaxed);
        at += 1;
    }
}
