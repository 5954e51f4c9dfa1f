//! What modules register with the linker server, which owns the records.

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use crate::text::ModuleName;

/// Bytes of a registration's name.
pub const NAME_SIZE: usize = 16;

/// What is registered, as a number in messages.
pub mod kind {
    /// A function that others may call: arguments are its address and the answer while the module does not. The value is
    /// the address to give away.
    pub const CALLBACK: u64 = 1;
    /// A thread: arguments are its function and the function's argument. The value is the slot by which it is woken.
    pub const THREAD: u64 = 2;
    /// A timer: the first argument is the handle of the thread that it wakes. The value is the badge that it wakes it with.
    pub const TIMER: u64 = 3;
    /// An endpoint. The value is the slot to receive from.
    pub const ENDPOINT: u64 = 4;
    /// A device that clients open by its name: the first argument is the handle of the endpoint on which it is served. The
    /// value is the badge of its clients' requests.
    pub const DEVICE: u64 = 5;
    /// Memory: arguments are a device's physical address, or 0 for memory of the module's own, and the size in bytes. The
    /// value is the address.
    pub const MAPPING: u64 = 6;
    /// An interrupt: arguments are its number and the handle of the thread that it wakes. The value is the badge that it
    /// wakes it with.
    pub const INTERRUPT: u64 = 7;
    /// The last of them.
    pub const LAST: u64 = INTERRUPT;
}

/// What is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Kind {
    /// A function that others may call.
    Callback,
    /// A thread.
    Thread,
    /// A timer.
    Timer,
    /// An endpoint.
    Endpoint,
    /// A device that clients open by its name.
    Device,
    /// Memory.
    Mapping,
    /// An interrupt.
    Interrupt,
}

impl Kind {
    /// The kind of a number in a message.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            kind::CALLBACK => Self::Callback,
            kind::THREAD => Self::Thread,
            kind::TIMER => Self::Timer,
            kind::ENDPOINT => Self::Endpoint,
            kind::DEVICE => Self::Device,
            kind::MAPPING => Self::Mapping,
            kind::INTERRUPT => Self::Interrupt,
            _ => return None,
        })
    }

    /// The kind in a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Thread => "thread",
            Self::Timer => "timer",
            Self::Endpoint => "endpoint",
            Self::Device => "device",
            Self::Mapping => "mapping",
            Self::Interrupt => "interrupt",
        }
    }
}

/// A row of `registrations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct RegistrationRow {
    /// Whose.
    pub module: ModuleName,
    /// What.
    pub kind: Kind,
    /// What the module calls it.
    pub name: ModuleName,
    /// Its handle.
    pub handle: u32,
    /// The handle of what it builds on, 0 for nothing.
    pub on: u32,
    /// The address, slot or badge that the module was given for it.
    pub value: u64,
}

/// A name as two message words: eight bytes a word, padded with zeros; what is longer than [`NAME_SIZE`] is cut.
#[must_use]
pub const fn name_words(name: &str) -> [u64; 2] {
    let bytes = name.as_bytes();
    let mut words = [0; 2];
    let mut at = 0;
    while at < bytes.len() && at < NAME_SIZE {
        words[at / 8] |= (bytes[at] as u64) << (at % 8 * 8);
        at += 1;
    }
    words
}

/// The name in two message words; what is no UTF-8 is no name.
#[must_use]
pub fn name_of(words: [u64; 2]) -> ModuleName {
    let mut bytes = [0; NAME_SIZE];
    for (bytes, word) in bytes.chunks_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ModuleName::cut(crate::start::padded(&bytes))
}

#[cfg(test)]
mod tests {
    //! Goal: a name comes through two registers as it is, and every number of a kind is one.
    use super::*;

    #[test]
    fn names_come_through() {
        for name in ["", "a", "sixteen letters!", "exactly8"] {
            assert_eq!(name_of(name_words(name)).as_str(), name);
        }
        assert_eq!(name_of(name_words("seventeen letters")).as_str(), "seventeen letter");
    }

    #[test]
    fn every_number_is_a_kind() {
        for number in 0..=kind::LAST + 1 {
            assert_eq!(Kind::from_number(number).is_some(), (1..=kind::LAST).contains(&number));
        }
    }
}
