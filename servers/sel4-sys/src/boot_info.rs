//! Boot information under the ABI's field names.
use crate::{seL4_IPCBuffer, seL4_Uint8, seL4_Word};
use core::mem::offset_of;
use microkernel_abi::bootinfo::{BootInfo, HEADER_FDT, HEADER_PADDING, UNTYPED_MAX};

/// Header id of filler.
pub const SEL4_BOOTINFO_HEADER_PADDING: seL4_Word = HEADER_PADDING;
/// Header id of the flattened device tree.
pub const SEL4_BOOTINFO_HEADER_FDT: seL4_Word = HEADER_FDT;

/// A range of slots, the end not included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct seL4_SlotRegion {
    /// First slot.
    pub start: seL4_Word,
    /// One past the last slot.
    pub end: seL4_Word,
}

/// One initial untyped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct seL4_UntypedDesc {
    /// Physical address.
    pub paddr: seL4_Word,
    /// log2 of the size.
    pub sizeBits: seL4_Uint8,
    /// 1: device memory.
    pub isDevice: seL4_Uint8,
    /// Zero.
    pub padding: [seL4_Uint8; 6],
}

/// What the kernel tells the root task; x0 at its entry.
#[derive(Debug)]
#[repr(C)]
pub struct seL4_BootInfo {
    /// Bytes of extra boot information, one page after this frame.
    pub extraLen: seL4_Word,
    /// This core.
    pub nodeID: seL4_Word,
    /// Cores.
    pub numNodes: seL4_Word,
    /// Levels of I/O page tables.
    pub numIOPTLevels: seL4_Word,
    /// The root task's IPC buffer.
    pub ipcBuffer: *mut seL4_IPCBuffer,
    /// Free slots of the root CNode.
    pub empty: seL4_SlotRegion,
    /// Frames shared by cores.
    pub sharedFrames: seL4_SlotRegion,
    /// Frames of the root task's image, in address order.
    pub userImageFrames: seL4_SlotRegion,
    /// Translation tables of the root task's image.
    pub userImagePaging: seL4_SlotRegion,
    /// I/O spaces.
    pub ioSpaceCaps: seL4_SlotRegion,
    /// Frames of the extra boot information.
    pub extraBIPages: seL4_SlotRegion,
    /// log2 of the slots of the root CNode.
    pub initThreadCNodeSizeBits: seL4_Uint8,
    /// Scheduling domain.
    pub initThreadDomain: seL4_Word,
    /// Untyped capabilities.
    pub untyped: seL4_SlotRegion,
    /// What each of them covers.
    pub untypedList: [seL4_UntypedDesc; UNTYPED_MAX],
}

/// Head of one piece of extra boot information.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct seL4_BootInfoHeader {
    /// What it is.
    pub id: seL4_Word,
    /// Bytes, this header included.
    pub len: seL4_Word,
}

const _: () = assert!(size_of::<seL4_BootInfo>() == size_of::<BootInfo>());
const _: () = assert!(offset_of!(seL4_BootInfo, ipcBuffer) == offset_of!(BootInfo, ipc_buffer));
const _: () = assert!(offset_of!(seL4_BootInfo, empty) == offset_of!(BootInfo, empty));
const _: () = assert!(offset_of!(seL4_BootInfo, userImageFrames) == offset_of!(BootInfo, user_image_frames));
const _: () = assert!(offset_of!(seL4_BootInfo, userImagePaging) == offset_of!(BootInfo, user_image_paging));
const _: () = assert!(offset_of!(seL4_BootInfo, extraBIPages) == offset_of!(BootInfo, extra_bi_pages));
const _: () = assert!(
    offset_of!(seL4_BootInfo, initThreadCNodeSizeBits) == offset_of!(BootInfo, init_thread_cnode_size_bits)
);
const _: () =
    assert!(offset_of!(seL4_BootInfo, initThreadDomain) == offset_of!(BootInfo, init_thread_domain));
const _: () = assert!(offset_of!(seL4_BootInfo, untyped) == offset_of!(BootInfo, untyped));
const _: () = assert!(offset_of!(seL4_BootInfo, untypedList) == offset_of!(BootInfo, untyped_list));
const _: () = assert!(size_of::<seL4_UntypedDesc>() == 16);
