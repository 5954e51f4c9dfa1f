//! The IPC buffer: the page that a thread and the kernel share.
use crate::{seL4_CPtr, seL4_MessageInfo, seL4_Word};
use core::mem::offset_of;
use microkernel_abi::ipc_buffer::IpcBuffer;

/// The IPC buffer of a thread.
///
/// System calls that use it take `&mut self`: the caller has the thread's buffer to itself.
#[derive(Debug)]
#[repr(C, align(1024))]
pub struct seL4_IPCBuffer {
    /// For the user.
    pub tag: seL4_MessageInfo,
    /// Message words.
    pub msg: [seL4_Word; 120],
    /// For the user.
    pub userData: seL4_Word,
    /// Out: CPtrs to send; in: badges of unwrapped capabilities.
    pub caps_or_badges: [seL4_Word; 3],
    /// CNode under which the receive slot is looked up.
    pub receiveCNode: seL4_CPtr,
    /// Index of the receive slot.
    pub receiveIndex: seL4_CPtr,
    /// Depth of the receive slot.
    pub receiveDepth: seL4_Word,
}

impl seL4_IPCBuffer {
    /// Where capabilities of the next received message go.
    pub fn set_recv_slot(&mut self, cnode: seL4_CPtr, index: seL4_CPtr, depth: seL4_Word) {
        self.receiveCNode = cnode;
        self.receiveIndex = index;
        self.receiveDepth = depth;
    }

    /// Names a capability to send.
    pub fn set_cap(&mut self, i: usize, cptr: seL4_CPtr) {
        self.caps_or_badges[i] = cptr;
    }
}

const _: () = assert!(size_of::<seL4_IPCBuffer>() == size_of::<IpcBuffer>());
const _: () = assert!(offset_of!(seL4_IPCBuffer, msg) == offset_of!(IpcBuffer, msg));
const _: () = assert!(offset_of!(seL4_IPCBuffer, userData) == offset_of!(IpcBuffer, user_data));
const _: () = assert!(offset_of!(seL4_IPCBuffer, caps_or_badges) == offset_of!(IpcBuffer, caps_or_badges));
const _: () = assert!(offset_of!(seL4_IPCBuffer, receiveCNode) == offset_of!(IpcBuffer, receive_cnode));
const _: () = assert!(offset_of!(seL4_IPCBuffer, receiveIndex) == offset_of!(IpcBuffer, receive_index));
const _: () = assert!(offset_of!(seL4_IPCBuffer, receiveDepth) == offset_of!(IpcBuffer, receive_depth));
