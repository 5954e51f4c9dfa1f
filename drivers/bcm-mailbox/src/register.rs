//! Registers of the mailboxes between cores and firmware (Raspberry Pi firmware wiki, "Mailboxes"), as offsets in their page,
//! and the message that the property channel carries ("Mailbox property interface").

/// MAIL0_READ: the oldest answer.
pub const ANSWER: u64 = 0x880;
/// MAIL0_STATUS.
pub const ANSWER_STATUS: u64 = 0x898;
/// MAIL1_WRITE: a question.
pub const QUESTION: u64 = 0x8a0;
/// MAIL1_STATUS.
pub const QUESTION_STATUS: u64 = 0x8b8;

/// A status: there is no room.
pub const STATUS_FULL: u32 = 1 << 31;
/// A status: there is nothing.
pub const STATUS_EMPTY: u32 = 1 << 30;
/// Bits of a status that are never set; the low ones count what is there.
pub const STATUS_NEVER: u32 = 0x3fff_ff00;
/// The channel of properties, from the cores to the firmware.
pub const CHANNEL_PROPERTIES: u32 = 8;
/// The low bits of a word are its channel's.
pub const ALIGNMENT: u32 = 16;

/// The message, as offsets in the memory.
pub mod message {
    /// Bytes of all.
    pub const SIZE: u32 = 0x00;
    /// What is asked, and whether it was done.
    pub const CODE: u32 = 0x04;
    /// The property.
    pub const TAG: u32 = 0x08;
    /// Bytes that there is room for.
    pub const ROOM: u32 = 0x0c;
    /// Bytes of the answer.
    pub const LENGTH: u32 = 0x10;
    /// The first value.
    pub const VALUES: u32 = 0x14;

    /// A question.
    pub const CODE_REQUEST: u32 = 0;
    /// It has been answered, which says nothing about single properties.
    pub const CODE_DONE: u32 = 1 << 31;
    /// In the length: the firmware has answered.
    pub const LENGTH_ANSWERED: u32 = 1 << 31;
    /// Behind the last property.
    pub const END: u32 = 0;
}
