//! Address spaces: the link domain's, and the mirror of it in the linker server's own.
//!
//! Every page of the link domain that the linker server writes or reads has a second mapping at
//! [`MIRROR_OFFSET`] above its address there, read-write and execute-never. Text is mapped
//! read-execute in the link domain and nowhere writable but in the mirror; everything else is mapped
//! execute-never. Page tables for the whole window are made with the link domain, so that a load
//! never has to make one and an unload leaves none behind.

use crate::asm::complete_stores;
use crate::error::{ObjectError, Operation, check};
use crate::objects::{Objects, PAGE_BITS, PAGE_SIZE, Untyped};
use linker_books::ledger::Account;
use sel4_sys::api_object::{seL4_ARM_PageTableObject, seL4_ARM_SmallPageObject};
use sel4_sys::{seL4_ARM_VMAttributes, seL4_CPtr, seL4_CapRights, seL4_Error};

/// How far above its address in the link domain a page is mapped in the linker server: 64 GiB.
pub const MIRROR_OFFSET: u64 = 0x10_0000_0000;
/// Bytes that one last-level page table maps.
const TABLE_SPAN: u64 = 2 << 20;

/// What the link domain may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and execute.
    Text,
    /// Read.
    ReadOnly,
    /// Read and write.
    Data,
    /// Nothing: the pages are mapped in the mirror only.
    None,
}

/// Pages that are mapped in the link domain and in the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// First address in the link domain.
    pub at: u64,
    /// How many pages.
    pub count: u32,
    /// The first frame's capability; the others follow.
    pub frames: seL4_CPtr,
    /// The first mirror capability; the others follow.
    pub mirrors: seL4_CPtr,
}

/// The two address spaces that share a link domain's frames.
#[derive(Clone, Copy, Debug)]
pub struct VSpaces {
    /// The link domain's.
    pub domain: seL4_CPtr,
    /// The linker server's own.
    pub own: seL4_CPtr,
}

/// Makes frames out of `untyped` and maps them at `at` in the link domain and in the mirror.
///
/// # Errors
/// [`ObjectError`]; what exists by then goes when the caller gives `untyped` back, and its slots
/// are released here.
pub fn make_pages(
    objects: &mut Objects,
    spaces: VSpaces,
    untyped: Untyped,
    at: u64,
    count: u32,
    access: Access,
    account: Account,
) -> Result<Pages, ObjectError> {
    let frames = objects.carve(untyped, seL4_ARM_SmallPageObject, PAGE_BITS, count, account)?;
    let mirrors = match objects.copy_run(frames, count, seL4_CapRights::read_write(), account) {
        Ok(mirrors) => mirrors,
        Err(error) => {
            objects.drop_run(frames, count, count, account)?;
            return Err(error);
        }
    };
    let pages = Pages { at, count, frames, mirrors };
    if let Err(error) = map_pages(objects, spaces, pages, access) {
        objects.drop_run(mirrors, count, 0, account)?;
        objects.drop_run(frames, count, count, account)?;
        return Err(error);
    }
    Ok(pages)
}

fn map_pages(
    objects: &mut Objects,
    spaces: VSpaces,
    pages: Pages,
    access: Access,
) -> Result<(), ObjectError> {
    let data = seL4_ARM_VMAttributes::data();
    let (rights, attributes) = match access {
        Access::Text => (seL4_CapRights::read_only(), seL4_ARM_VMAttributes::seL4_ARM_Default_VMAttributes),
        Access::ReadOnly => (seL4_CapRights::read_only(), data),
        Access::Data => (seL4_CapRights::read_write(), data),
        Access::None => (seL4_CapRights::read_only(), data),
    };
    for page in 0..u64::from(pages.count) {
        let at = pages.at + page * PAGE_SIZE;
        // The mirror first: no instruction is fetched from a page before its words can be written.
        map(objects, pages.mirrors + page, spaces.own, mirror(at), seL4_CapRights::read_write(), data)?;
        if access != Access::None {
            map(objects, pages.frames + page, spaces.domain, at, rights, attributes)?;
        }
    }
    Ok(())
}

/// Where an address of the link domain is mapped in the linker server.
#[must_use]
pub const fn mirror(at: u64) -> u64 {
    at + MIRROR_OFFSET
}

/// Maps one frame.
///
/// # Errors
/// [`ObjectError::Kernel`].
pub fn map(
    objects: &mut Objects,
    frame: seL4_CPtr,
    vspace: seL4_CPtr,
    at: u64,
    rights: seL4_CapRights,
    attributes: seL4_ARM_VMAttributes,
) -> Result<(), ObjectError> {
    objects.step(Operation::Map)?;
    check(Operation::Map, objects.ipc.seL4_ARM_Page_Map(frame, vspace, at, rights, attributes))
}

/// Makes every page table that `start..end` needs, out of `untyped`.
///
/// A table is mapped at the highest level that is missing; when none is missing any more, the kernel
/// says `DeleteFirst` and the table serves the next span.
///
/// # Errors
/// [`ObjectError`].
pub fn make_tables(
    objects: &mut Objects,
    untyped: Untyped,
    vspace: seL4_CPtr,
    start: u64,
    end: u64,
    account: Account,
) -> Result<(), ObjectError> {
    let attributes = seL4_ARM_VMAttributes::seL4_ARM_Default_VMAttributes;
    let mut spare = None;
    let mut at = start & !(TABLE_SPAN - 1);
    while at < end {
        let table = match spare.take() {
            Some(table) => table,
            None => objects.carve(untyped, seL4_ARM_PageTableObject, PAGE_BITS, 1, account)?,
        };
        match objects.ipc.seL4_ARM_PageTable_Map(table, vspace, at, attributes) {
            seL4_Error::seL4_DeleteFirst => {
                spare = Some(table);
                at += TABLE_SPAN;
            }
            error => check(Operation::Map, error)?,
        }
    }
    if let Some(table) = spare {
        objects.delete(table, account)?;
    }
    Ok(())
}

/// Makes freshly written text visible to instruction fetch, page by page.
///
/// # Errors
/// [`ObjectError::Kernel`].
pub fn publish(objects: &mut Objects, spaces: VSpaces, start: u64, end: u64) -> Result<(), ObjectError> {
    complete_stores();
    let mut from = start;
    while from < end {
        let to = end.min((from / PAGE_SIZE + 1) * PAGE_SIZE);
        unify(objects, spaces, from, to)?;
        from = to;
    }
    Ok(())
}

/// Makes instructions that were written through the mirror visible to instruction fetch at their
/// executing addresses. `start..end` lies within one page, and the stores are complete ([`complete_stores`]).
///
/// The kernel does what Arm ARM B2.2.5 asks of a patch after that: it switches to the link domain's address space, which
/// depends on nobody in the link domain, cleans the lines to the point of unification, waits, invalidates them in the
/// instruction caches, and waits again. All of it is by the executing address. For the invalidation it has to be:
/// instruction caches may be virtually indexed. For the clean it may be: data caches behave as physically indexed (Arm
/// ARM, "data and unified caches"), and both mappings are of the same memory type, so that the lines which were written
/// through the mirror are found. A clean by the mirror's address before that would do it twice.
///
/// # Errors
/// [`ObjectError::Kernel`].
pub fn unify(objects: &mut Objects, spaces: VSpaces, start: u64, end: u64) -> Result<(), ObjectError> {
    let error = objects.ipc.seL4_ARM_VSpace_Unify_Instruction(spaces.domain, start, end);
    check(Operation::Unify, error)
}
