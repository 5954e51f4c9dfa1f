//! Where images come from, the one copy of each that is ever parsed, and the bytes that are made of it.
//!
//! The store's areas are mapped read-only, but others can write to the upload area at any time. So an
//! image is copied once, word by word, into frames that only the linker server has, and everything after
//! that sees the copy. Planning a load makes the linked bytes beside it; mapping copies them to their pages.

use core::sync::atomic::{AtomicU8, Ordering};
use linker_books::ledger::Account;
use linker_space::asm::{self, BLOCK_WORDS};
use linker_space::error::ObjectError;
use linker_space::objects::{Objects, PAGE_BITS, PAGE_SIZE};
use linker_space::vspace::{make_tables, map};
use sel4_sys::api_object::seL4_ARM_SmallPageObject;
use sel4_sys::{seL4_ARM_VMAttributes, seL4_CapRights};
use strata_protocol::caps;
use strata_protocol::start::{Region, StartInfo, region};
use strata_protocol::store::{Area, ImageRef};
use zerocopy::FromBytes;

/// The largest image that is loaded.
pub const IMAGE_SIZE_MAX: u64 = 1 << 20;
/// The most linked bytes: those of the image, and what rounds text and constants up to pages.
const LINKED_SIZE_MAX: u64 = IMAGE_SIZE_MAX + 2 * PAGE_SIZE;
/// Where the copy lies in the linker server's address space.
const COPY_AT: u64 = 0x11_0000_0000;
/// Where the linked bytes lie.
const LINKED_AT: u64 = 0x11_1000_0000;

/// The store's areas, the room for the copy and for the linked bytes.
pub struct Store {
    archive: Region,
    upload: Region,
    copy: &'static mut [u8],
    linked: &'static mut [u8],
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
        let copy = make_room(objects, COPY_AT, IMAGE_SIZE_MAX)?;
        let linked = make_room(objects, LINKED_AT, LINKED_SIZE_MAX)?;
        let none = Region::default();
        Ok(Self {
            archive: start.region(region::STORE).unwrap_or(none),
            upload: start.region(region::UPLOAD).unwrap_or(none),
            copy,
            linked,
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

    /// The copy of an image of this size, and the room for its linked bytes.
    #[must_use]
    pub fn image(&mut self, size: u64) -> (&[u8], &mut [u8]) {
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(self.copy.len());
        (&self.copy[..size], self.linked)
    }

    /// What the last image that was planned has been linked to.
    #[must_use]
    pub fn linked(&self) -> &[u8] {
        self.linked
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

/// Maps `size` bytes of fresh memory at `at`, for ever.
fn make_room(objects: &mut Objects, at: u64, size: u64) -> Result<&'static mut [u8], ObjectError> {
    let untyped = objects.take_untyped(size, Account::LINKER)?;
    let tables = objects.take_untyped(4 * PAGE_SIZE, Account::LINKER)?;
    let own = caps::slot::VSPACE;
    make_tables(objects, tables, own, at, at + size, Account::LINKER)?;
    let count = u32::try_from(size / PAGE_SIZE).expect("an image has fewer than 2^32 pages");
    let frames = objects.carve(untyped, seL4_ARM_SmallPageObject, PAGE_BITS, count, Account::LINKER)?;
    for page in 0..u64::from(count) {
        let rights = seL4_CapRights::read_write();
        let attributes = seL4_ARM_VMAttributes::data();
        map(objects, frames + page, own, at + page * PAGE_SIZE, rights, attributes)?;
    }
    let size = usize::try_from(size).expect("a usize has 64 bits on AArch64");
    // SAFETY: the frames were just made and mapped here and nowhere else; they are never unmapped,
    // and no other reference to them exists.
    Ok(unsafe { core::slice::from_raw_parts_mut(at as *mut u8, size) })
}

/// Copies bytes that others may write meanwhile: each is loaded once.
fn copy_shared(from: u64, to: &mut [u8]) {
    const BLOCK_SIZE: usize = BLOCK_WORDS * size_of::<u64>();
    let (head, rest) = to.split_at_mut(to.len() / BLOCK_SIZE * BLOCK_SIZE);
    let behind = from + head.len() as u64;
    if from.is_multiple_of(8) {
        let blocks = <[[u64; BLOCK_WORDS]]>::mut_from_bytes(head).expect("the copy begins on a page");
        // SAFETY: the caller has checked that the bytes lie in a mapped area, and the address is aligned.
        unsafe { asm::copy_shared(from, blocks) };
    } else {
        copy_bytes(from, head);
    }
    copy_bytes(behind, rest);
}

fn copy_bytes(from: u64, to: &mut [u8]) {
    for (at, byte) in (from..).zip(to) {
        // SAFETY: as in `copy_shared`, for a byte.
        *byte = unsafe { &*(at as *const AtomicU8) }.load(Ordering::Relaxed);
    }
}
