//! The memory of a module: one untyped object, from which every frame of it is carved.
//!
//! Giving that object back revokes it: the kernel unmaps and deletes every frame and every copy of a
//! frame capability, in the link domain, in the mirror and wherever else one went. Nothing of the
//! module can survive its untyped object.

use crate::error::{ObjectError, Operation, check};
use crate::mirror::View;
use crate::objects::{Objects, PAGE_SIZE, Untyped};
use crate::vspace::{Access, Pages, VSpaces, make_pages, mirror, publish};
use linker_books::ledger::Account;
use linker_books::window::WindowError;
use linker_unwind::Tables;
use linker_unwind::tables::ENTRY_SIZE;

/// How many pages of each kind a module has, in the order of their addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// Read-execute.
    pub text: u32,
    /// Read-only.
    pub rodata: u32,
    /// Read-write.
    pub data: u32,
    /// Unwind tables: in the mirror only.
    pub tables: u32,
}

impl PageCounts {
    /// All pages.
    #[must_use]
    pub const fn total(self) -> u32 {
        self.text + self.rodata + self.data + self.tables
    }

    /// Bytes of all pages.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.total() as u64 * PAGE_SIZE
    }
}

/// Why a module has no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleError {
    /// No objects.
    Object(ObjectError),
    /// No addresses.
    Window(WindowError),
}

impl From<ObjectError> for ModuleError {
    fn from(error: ObjectError) -> Self {
        Self::Object(error)
    }
}

impl From<WindowError> for ModuleError {
    fn from(error: WindowError) -> Self {
        Self::Window(error)
    }
}

/// The memory of a module. Holding one proves that the frames are mapped as their kind says and that
/// text is writable in the mirror only.
#[derive(Debug)]
pub struct ModuleSpace {
    /// What it is charged to.
    pub account: Account,
    /// First address.
    pub at: u64,
    /// Bytes in all.
    pub size: u64,
    spaces: VSpaces,
    untyped: Untyped,
    pieces: [Option<Pages>; 4],
    tables: (usize, usize),
}

impl ModuleSpace {
    /// Makes the memory of a module at `at`, which the caller has taken from the link domain's window.
    ///
    /// # Errors
    /// [`ModuleError`]; then nothing is left of it, and `at` is the caller's again.
    pub fn make(
        objects: &mut Objects,
        spaces: VSpaces,
        name: &str,
        at: u64,
        counts: PageCounts,
    ) -> Result<Self, ModuleError> {
        let account = objects.open_account(name)?;
        let untyped = match objects.take_untyped(counts.size(), account) {
            Ok(untyped) => untyped,
            Err(error) => {
                objects.close_account(account)?;
                return Err(error.into());
            }
        };
        let mut space =
            Self { account, at, size: counts.size(), spaces, untyped, pieces: [None; 4], tables: (0, 0) };
        let kinds = [
            (counts.text, Access::Text),
            (counts.rodata, Access::ReadOnly),
            (counts.data, Access::Data),
            (counts.tables, Access::None),
        ];
        let mut next = at;
        for (piece, (count, access)) in kinds.into_iter().enumerate() {
            if count == 0 {
                continue;
            }
            match make_pages(objects, spaces, untyped, next, count, access, account) {
                Ok(pages) => space.pieces[piece] = Some(pages),
                Err(error) => {
                    space.destroy(objects)?;
                    return Err(error.into());
                }
            }
            next += u64::from(count) * PAGE_SIZE;
        }
        Ok(space)
    }

    /// The module's text, for patching; it must not be used once the module is destroyed.
    #[must_use]
    pub fn text(&self) -> Option<View> {
        // SAFETY: the caller drops the view before it destroys this module: views of module text live
        // for the length of one commit, and destroying takes the module by value.
        self.pieces[0].map(|pages| unsafe { View::of(pages) })
    }

    /// Where its unwind tables begin, as if they were mapped behind the module.
    #[must_use]
    pub fn tables_at(&self) -> Option<u64> {
        self.pieces[3].map(|pages| pages.at)
    }

    /// Notes what has been put at [`ModuleSpace::tables_at`]: tables of `size` bytes, and behind them, on a multiple of
    /// 8, an index of `count` entries. They are not written any more.
    pub const fn set_tables(&mut self, size: usize, count: usize) {
        self.tables = (size, count);
    }

    /// Its unwind tables.
    #[must_use]
    pub fn tables(&self) -> Option<Tables<'_>> {
        let pages = self.pieces[3]?;
        let (size, count) = self.tables;
        let room = usize::try_from(u64::from(pages.count) * PAGE_SIZE).ok()?;
        // SAFETY: the pages are mapped in the mirror for as long as this value lives, nobody has them in the link
        // domain, and after `set_tables` nobody writes them.
        let bytes = unsafe { core::slice::from_raw_parts(mirror(pages.at) as *const u8, room) };
        let (frames, rest) = bytes.split_at_checked(size.next_multiple_of(ENTRY_SIZE))?;
        let (index, _) = rest.as_chunks();
        Some(Tables::with_index(pages.at, frames.get(..size)?, index.get(..count)?))
    }

    /// All bytes of the module, in the order text, rodata, data, unwind tables: the mirror is contiguous as the
    /// module is.
    ///
    /// # Safety
    /// No thread of the link domain has an address of the module yet, and no other view is used.
    #[must_use]
    pub unsafe fn bytes(&mut self) -> &mut [u8] {
        let size = usize::try_from(self.size).expect("a usize has 64 bits on AArch64");
        // SAFETY: all pages are mapped read-write in the mirror, one behind the other; the contract
        // says that nobody else uses them.
        unsafe { core::slice::from_raw_parts_mut(mirror(self.at) as *mut u8, size) }
    }

    /// Makes the first `size` bytes of text, freshly written, visible to instruction fetch.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn publish(&self, objects: &mut Objects, size: u64) -> Result<(), ObjectError> {
        let Some(text) = self.pieces[0] else { return Ok(()) };
        publish(objects, self.spaces, text.at, text.at + size.min(u64::from(text.count) * PAGE_SIZE))
    }

    /// Unmaps every page from the link domain. From here on a stale address faults.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn unmap(&self, objects: &mut Objects) -> Result<(), ObjectError> {
        for pages in self.pieces[..3].iter().flatten() {
            for frame in pages.frames..pages.frames + u64::from(pages.count) {
                check(Operation::Unmap, objects.ipc.seL4_ARM_Page_Unmap(frame))?;
            }
        }
        Ok(())
    }

    /// Unmaps and deletes everything and closes the account. The addresses are the caller's.
    ///
    /// # Errors
    /// [`ObjectError`]: something was left, and stays on the account.
    pub fn destroy(self, objects: &mut Objects) -> Result<(), ObjectError> {
        objects.give_back_untyped(self.untyped)?;
        for pages in self.pieces.into_iter().flatten() {
            objects.forget(pages.mirrors, pages.count, 0, self.account)?;
            objects.forget(pages.frames, pages.count, pages.count, self.account)?;
        }
        objects.close_account(self.account)
    }
}
