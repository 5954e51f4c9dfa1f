//! Writing to a frame before anybody runs on it.

use boot_plan::executable::Page;
use sel4_sys::{seL4_CPtr, seL4_CapInitThreadVSpace};
use strata_runtime::Ipc;
use strata_runtime::mapping::{Access, Place, map, unmap};

use crate::MakeError;
use crate::memory::{Memory, Object};

/// Where the root task maps the frame that it is writing to.
const ADDRESS: u64 = 0x7000_0000;
/// Bytes of a page.
const PAGE_SIZE: usize = 4096;

/// The root task's window onto a frame that is not mapped anywhere else.
#[derive(Debug)]
pub struct Scratch(());

impl Scratch {
    /// The window. There is one: it is an address.
    ///
    /// # Safety
    /// The caller makes one `Scratch` in its life, and maps nothing at the window's address itself.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }

    /// Copies a page of an executable; the rest of the frame stays zero.
    pub fn copy(
        &mut self,
        ipc: &mut Ipc,
        memory: &mut Memory,
        frame: seL4_CPtr,
        page: &Page<'_>,
    ) -> Result<(), MakeError> {
        self.open(ipc, memory, frame)?;
        let to = (ADDRESS + page.offset as u64) as *mut u8;
        // SAFETY: `open` has just mapped a whole page there, to which nothing else points; the bytes fit behind
        // the offset (`Segment::pages`), and they are not in this page.
        unsafe { core::ptr::copy_nonoverlapping(page.bytes.as_ptr(), to, page.bytes.len()) };
        self.close(ipc, frame)
    }

    /// Puts a value at the start of the frame.
    pub fn put<T>(
        &mut self,
        ipc: &mut Ipc,
        memory: &mut Memory,
        frame: seL4_CPtr,
        value: T,
    ) -> Result<(), MakeError> {
        const { assert!(size_of::<T>() <= PAGE_SIZE) };
        self.open(ipc, memory, frame)?;
        // SAFETY: `open` has just mapped a whole page there, to which nothing else points; the value fits, and the
        // start of a page is aligned for it.
        unsafe { (ADDRESS as *mut T).write(value) };
        self.close(ipc, frame)
    }

    fn open(&mut self, ipc: &mut Ipc, memory: &mut Memory, frame: seL4_CPtr) -> Result<(), MakeError> {
        let place = Place { vspace: seL4_CapInitThreadVSpace, address: ADDRESS, access: Access::ReadWrite };
        map(ipc, frame, place, |ipc| memory.make(ipc, Object::PageTable))
    }

    fn close(&mut self, ipc: &mut Ipc, frame: seL4_CPtr) -> Result<(), MakeError> {
        // What was written stays in the data cache, which is coherent for other mappings of the frame; instructions
        // are made visible where they execute (`Process::load`).
        Ok(unmap(ipc, frame)?)
    }
}
