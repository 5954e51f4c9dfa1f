//! The message tag: length, capabilities and label in one word.

/// The tag of a message.
///
/// Bits 0–6 length, 7–8 extra capabilities, 9–11 capabilities unwrapped, 12–63 label.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct MessageInfo(pub u64);

impl MessageInfo {
    /// Packs the four fields; each is cut to its width.
    pub const fn new(label: u64, caps_unwrapped: u64, extra_caps: u64, length: u64) -> Self {
        Self(label << 12 | (caps_unwrapped & 7) << 9 | (extra_caps & 3) << 7 | (length & 0x7f))
    }

    /// Message registers in use, as the sender claims: may exceed [`crate::MESSAGE_WORDS_MAX`].
    pub const fn length(self) -> u64 {
        self.0 & 0x7f
    }

    /// Capabilities sent along.
    pub const fn extra_caps(self) -> u64 {
        self.0 >> 7 & 3
    }

    /// Bit n: capability n arrived as a badge.
    pub const fn caps_unwrapped(self) -> u64 {
        self.0 >> 9 & 7
    }

    /// What is asked; in a reply of the kernel, the error.
    pub const fn label(self) -> u64 {
        self.0 >> 12
    }
}

const _: () = assert!(MessageInfo::new(1, 0, 0, 0).0 == 4096);
const _: () = assert!(MessageInfo::new(0, 1, 0, 0).0 == 512);
const _: () = assert!(MessageInfo::new(0, 0, 1, 0).0 == 128);
const _: () = assert!(MessageInfo::new(0, 0, 0, 1).0 == 1);
