//! The IPC buffer.
use crate::{EXTRA_CAPS_MAX, MESSAGE_WORDS_MAX, Word, message::MessageInfo};
use core::mem::offset_of;

/// The page that a thread and the kernel share: message words, capabilities, receive path.
#[derive(Clone, Copy)]
#[repr(C, align(1024))]
pub struct IpcBuffer {
    /// For the user: the tag of the message.
    pub tag: MessageInfo,
    /// Message registers; the first four travel in CPU registers.
    pub msg: [Word; MESSAGE_WORDS_MAX],
    /// For the user.
    pub user_data: Word,
    /// Out: CPtrs to send; in: badges of unwrapped capabilities.
    pub caps_or_badges: [Word; EXTRA_CAPS_MAX],
    /// CNode under which the receive slot is looked up.
    pub receive_cnode: Word,
    /// Index of the receive slot.
    pub receive_index: Word,
    /// Depth of the receive slot.
    pub receive_depth: Word,
}

const _: () = assert!(size_of::<IpcBuffer>() == 1024);
const _: () = assert!(offset_of!(IpcBuffer, msg) == 8);
const _: () = assert!(offset_of!(IpcBuffer, user_data) == 968);
const _: () = assert!(offset_of!(IpcBuffer, caps_or_badges) == 976);
const _: () = assert!(offset_of!(IpcBuffer, receive_cnode) == 1000);
const _: () = assert!(offset_of!(IpcBuffer, receive_index) == 1008);
const _: () = assert!(offset_of!(IpcBuffer, receive_depth) == 1016);
