//! What the kernel tells the root task.
use crate::Word;
use core::mem::offset_of;

/// Untypeds that the boot information can list.
pub const UNTYPED_MAX: usize = 230;
/// log2 of the boot information frame.
pub const BOOT_INFO_FRAME_BITS: u64 = 12;
/// Header id of filler.
pub const HEADER_PADDING: u64 = 0;
/// Header id of the flattened device tree.
pub const HEADER_FDT: u64 = 6;

/// A range of slots, the end not included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct SlotRegion {
    /// First slot.
    pub start: Word,
    /// One past the last slot.
    pub end: Word,
}

/// One initial untyped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct UntypedDesc {
    /// Physical address.
    pub paddr: Word,
    /// log2 of the size.
    pub size_bits: u8,
    /// 1: not memory that the kernel may use.
    pub is_device: u8,
    /// Zero.
    pub padding: [u8; 6],
}

/// The boot information frame.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BootInfo {
    /// Bytes of extra boot information, which starts one page later.
    pub extra_len: Word,
    /// This core.
    pub node_id: Word,
    /// Cores.
    pub num_nodes: Word,
    /// Levels of I/O page tables.
    pub num_io_pt_levels: Word,
    /// User address of the IPC buffer.
    pub ipc_buffer: Word,
    /// Free slots of the root CNode.
    pub empty: SlotRegion,
    /// Frames shared by cores.
    pub shared_frames: SlotRegion,
    /// Frames of the user image, in address order.
    pub user_image_frames: SlotRegion,
    /// Translation tables of the user image.
    pub user_image_paging: SlotRegion,
    /// I/O space capabilities.
    pub io_space_caps: SlotRegion,
    /// Frames of the extra boot information.
    pub extra_bi_pages: SlotRegion,
    /// log2 of the slots of the root CNode (a byte in the C declaration).
    pub init_thread_cnode_size_bits: Word,
    /// Scheduling domain of the root task.
    pub init_thread_domain: Word,
    /// Untyped capabilities.
    pub untyped: SlotRegion,
    /// What each of them covers.
    pub untyped_list: [UntypedDesc; UNTYPED_MAX],
}

/// Head of one piece of extra boot information.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct BootInfoHeader {
    /// [`HEADER_FDT`] or another id.
    pub id: Word,
    /// Bytes, this header included.
    pub len: Word,
}

const _: () = assert!(size_of::<BootInfo>() == 3848);
const _: () = assert!(size_of::<UntypedDesc>() == 16);
const _: () = assert!(offset_of!(UntypedDesc, size_bits) == 8);
const _: () = assert!(offset_of!(UntypedDesc, is_device) == 9);
const _: () = assert!(size_of::<BootInfoHeader>() == 16);
const _: () = assert!(offset_of!(BootInfo, ipc_buffer) == 32);
const _: () = assert!(offset_of!(BootInfo, empty) == 40);
const _: () = assert!(offset_of!(BootInfo, shared_frames) == 56);
const _: () = assert!(offset_of!(BootInfo, user_image_frames) == 72);
const _: () = assert!(offset_of!(BootInfo, user_image_paging) == 88);
const _: () = assert!(offset_of!(BootInfo, io_space_caps) == 104);
const _: () = assert!(offset_of!(BootInfo, extra_bi_pages) == 120);
const _: () = assert!(offset_of!(BootInfo, init_thread_cnode_size_bits) == 136);
const _: () = assert!(offset_of!(BootInfo, init_thread_domain) == 144);
const _: () = assert!(offset_of!(BootInfo, untyped) == 152);
const _: () = assert!(offset_of!(BootInfo, untyped_list) == 168);
