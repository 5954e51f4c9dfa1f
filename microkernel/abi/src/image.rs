//! The header in the kernel's raw image that says where the root task lies.
//!
//! Zero in the linked binary. The packer appends the root task, flattened to whole pages, and fills
//! the header in. The kernel maps those very frames, so nothing is copied at boot.
use core::mem::offset_of;

/// Where the header is in the raw image.
pub const HEADER_OFFSET: usize = 0x40;
/// `STRATAKI`, as bytes in address order.
pub const MAGIC: [u8; 8] = *b"STRATAKI";
/// The version that this kernel reads.
pub const VERSION: u32 = 1;
/// Alignment of `user_image_offset`, `user_image_size` and `user_virt_base`.
pub const USER_IMAGE_ALIGN: u64 = 4096;

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct KernelImageHeader {
    /// [`MAGIC`], or zero when there is no root task.
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// Zero.
    pub flags: u32,
    /// Offset of the flattened root task from the start of the raw image, in whole pages.
    pub user_image_offset: u64,
    /// Bytes of the flattened root task, in whole pages, zero-initialised data included.
    pub user_image_size: u64,
    /// User address of its first page.
    pub user_virt_base: u64,
    /// User address where it starts.
    pub user_entry: u64,
    /// Bytes of the whole raw image.
    pub total_size: u64,
}

/// Bytes of the header.
pub const HEADER_SIZE: usize = size_of::<KernelImageHeader>();

const _: () = assert!(HEADER_SIZE == 56);
const _: () = assert!(offset_of!(KernelImageHeader, user_image_offset) == 16);
