//! The root task's own image: the memory of its thread, the boot archive, and the frames of both.

use core::arch::global_asm;

use boot_plan::executable::PAGE_SIZE;
use sel4_sys::{seL4_BootInfo, seL4_BootInfoHeader, seL4_CPtr};

global_asm!(include_str!("start.s"));

/// Bytes at a page boundary.
#[repr(C, align(4096))]
struct Pages<T: ?Sized>(T);

/// The files that the system starts from. Its section has whole pages to itself (`image.ld`).
#[unsafe(link_section = ".archive")]
static ARCHIVE: &Pages<[u8]> = &Pages(*include_bytes!(env!("STRATA_ARCHIVE")));

unsafe extern "C" {
    /// The first byte of the image (`image.ld`).
    static __image_start: u8;
    /// The log page (`start.s`).
    static root_log_ring: u8;
}

/// The boot archive.
pub(crate) fn archive() -> &'static [u8] {
    &ARCHIVE.0
}

/// The address of the root task's log page.
pub(crate) fn log_ring() -> u64 {
    (&raw const root_log_ring) as u64
}

/// The frame of the image that this address lies in.
pub(crate) fn frame_of(boot_info: &seL4_BootInfo, address: u64) -> seL4_CPtr {
    let start = (&raw const __image_start) as u64;
    let frame = boot_info.userImageFrames.start + (address - start) / PAGE_SIZE;
    assert!(frame < boot_info.userImageFrames.end, "the address is not in the image");
    frame
}

/// The extra boot information with this id, without its header.
pub(crate) fn extra(boot_info: &'static seL4_BootInfo, id: u64) -> Option<&'static [u8]> {
    let start = core::ptr::from_ref(boot_info) as u64 + PAGE_SIZE;
    let header_size = size_of::<seL4_BootInfoHeader>() as u64;
    let mut offset = 0;
    while offset + header_size <= boot_info.extraLen {
        // SAFETY: the kernel maps `extraLen` bytes one page behind BootInfo, read by nobody else; a header lies
        // there and is aligned, because lengths are multiples of 8.
        let header = unsafe { *((start + offset) as *const seL4_BootInfoHeader) };
        if header.len < header_size
            || !header.len.is_multiple_of(8)
            || offset + header.len > boot_info.extraLen
        {
            return None;
        }
        if header.id == id {
            let length = usize::try_from(header.len - header_size).ok()?;
            // SAFETY: as above; the bytes behind the header belong to it and never change.
            return Some(unsafe {
                core::slice::from_raw_parts((start + offset + header_size) as *const u8, length)
            });
        }
        offset += header.len;
    }
    None
}
