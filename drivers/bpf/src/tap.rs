//! Listeners over the recorded attachments: what a tap does with each packet.
//!
//! A driver's word says whether anybody listens to it, so that a packet to which nobody listens costs its driver one load
//! and a branch. The tap sets the words and clears them; it knows their addresses from the registry.

use heapless::Vec;

use crate::capture::{Capture, LINK_TYPES, SNAP_MAX, Time};
use crate::filter::{Filter, Invalid, StoredFilter};
use crate::instruction::Instruction;
use crate::packet::Packet;
use crate::registry::{ATTACHMENTS_MAX, Attachment};

/// Listeners at a time.
pub const LISTENERS_MAX: usize = 4;

/// Pages that a tap shares with its clients: what it says of the file, and the file.
pub const REGION_PAGES: u16 = 9;
/// Bytes of those.
pub const REGION_SIZE: usize = REGION_PAGES as usize * 4096;
/// Where the file begins. The first word of the region is [`REGION_MAGIC`], the second the file's length.
pub const FILE_AT: usize = 4096;
/// What a region begins with.
pub const REGION_MAGIC: u64 = u64::from_le_bytes(*b"STRABPF1");

/// What CONTROL's first word asks of a tap.
pub mod control {
    /// Instruction word 1 of the program that the next listener gets is word 2.
    pub const PROGRAM: u64 = 1;
    /// Opens a listener to interface word 1 with the first word 2 instructions; the low half of word 3 is the most bytes
    /// of a packet, the high half the directions. Answers its number.
    pub const OPEN: u64 = 2;
    /// Closes listener word 1. Answers what it has received, captured, dropped.
    pub const CLOSE: u64 = 3;
}

/// Directions of packets, and of what a listener wants.
pub mod direction {
    /// Comes in.
    pub const IN: u32 = 1;
    /// Goes out.
    pub const OUT: u32 = 2;
    /// Both.
    pub const BOTH: u32 = IN | OUT;
}

/// What a listener has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets of its interface and direction.
    pub received: u64,
    /// Those that its filter wanted and that are in the file.
    pub captured: u64,
    /// Those that its filter wanted and that had no room.
    pub dropped: u64,
}

/// What somebody who opens a listener asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The interface, by its first attachment.
    pub interface: u32,
    /// The filter.
    pub program: &'a [Instruction],
    /// The most bytes of a packet.
    pub snap: u32,
    /// See [`direction`].
    pub directions: u32,
}

/// Why a listener is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// There are [`LISTENERS_MAX`].
    TooMany,
    /// The interface has not attached.
    NoInterface,
    /// Another listener's packets have another link type, and they share a file; or no file can carry it.
    LinkType,
    /// The program is no filter.
    Program(Invalid),
    /// The program has more than [`crate::filter::STORED_MAX`] instructions.
    TooLong,
    /// There is no such direction, or no byte is wanted.
    Senseless,
}

/// A listener.
#[derive(Debug)]
struct Listener {
    /// The attachment's number.
    attachment: u32,
    link_type: u32,
    filter: StoredFilter,
    snap: u32,
    directions: u32,
    counters: Counters,
}

/// A change to a driver's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it is.
    pub at: u64,
    /// What it becomes.
    pub value: u64,
}

/// The tap's memory.
#[derive(Debug)]
pub struct Tap {
    generation: Option<u64>,
    attachments: Vec<Attachment, ATTACHMENTS_MAX>,
    listeners: [Option<Listener>; LISTENERS_MAX],
}

/// Drivers' words to be changed.
pub type Words = Vec<Word, ATTACHMENTS_MAX>;

impl Tap {
    /// Nothing known, nobody listens.
    #[must_use]
    pub const fn new() -> Self {
        Self { generation: None, attachments: Vec::new(), listeners: [const { None }; LISTENERS_MAX] }
    }

    /// Whether the list is the registry's of this generation.
    #[must_use]
    pub fn is_current(&self, generation: u64) -> bool {
        self.generation == Some(generation)
    }

    /// Takes the registry's list over. Listeners of attachments that are still there stay; others hear nothing more. No
    /// word is touched: a driver that has detached may be gone.
    pub fn take_over(&mut self, generation: u64, list: &[Attachment]) {
        self.attachments.clear();
        for attachment in list.iter().take(ATTACHMENTS_MAX) {
            // As many as there is room for.
            let _ = self.attachments.push(*attachment);
        }
        self.generation = Some(generation);
    }

    /// The list, the oldest first.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// Opens a listener: its number, and the words to be set.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has changed.
    pub fn open(&mut self, wanted: Wanted<'_>) -> Result<(usize, Words), OpenError> {
        let attachment = self.attachments.iter().find(|attachment| attachment.interface == wanted.interface);
        let attachment = *attachment.ok_or(OpenError::NoInterface)?;
        let sensible = 1..=direction::BOTH;
        if !sensible.contains(&wanted.directions) || wanted.snap == 0 {
            return Err(OpenError::Senseless);
        }
        let shared = self.link_type().unwrap_or(attachment.link_type);
        if shared != attachment.link_type || shared >= LINK_TYPES {
            return Err(OpenError::LinkType);
        }
        let filter = Filter::new(wanted.program).map_err(OpenError::Program)?;
        let filter = filter.store().ok_or(OpenError::TooLong)?;
        let free = self.listeners.iter_mut().enumerate().find(|(_, place)| place.is_none());
        let (number, place) = free.ok_or(OpenError::TooMany)?;
        *place = Some(Listener {
            attachment: attachment.number,
            link_type: attachment.link_type,
            filter,
            snap: wanted.snap.min(SNAP_MAX),
            directions: wanted.directions,
            counters: Counters::default(),
        });
        Ok((number, self.words()))
    }

    /// Closes a listener: what it has seen, and the words to be set; `None` where there is none of that number.
    pub fn close(&mut self, number: usize) -> Option<(Counters, Words)> {
        let listener = self.listeners.get_mut(number)?.take()?;
        Some((listener.counters, self.words()))
    }

    /// What a listener has seen so far.
    #[must_use]
    pub fn counters(&self, number: usize) -> Option<Counters> {
        Some(self.listeners.get(number)?.as_ref()?.counters)
    }

    /// How many listeners are open.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.listeners.iter().flatten().count()
    }

    /// The link type of the file that is being written.
    #[must_use]
    pub fn link_type(&self) -> Option<u32> {
        self.listeners.iter().flatten().next().map(|listener| listener.link_type)
    }

    /// Whether anybody listens to an attachment.
    #[must_use]
    pub fn is_heard(&self, attachment: u32) -> bool {
        self.listeners.iter().flatten().any(|listener| listener.attachment == attachment)
    }

    /// Each driver's word as it should be now.
    #[must_use]
    pub fn words(&self) -> Words {
        let word = |attachment: &Attachment| {
            let heard = self.is_heard(attachment.number);
            Word { at: attachment.listeners, value: if heard { attachment.number.into() } else { 0 } }
        };
        self.attachments.iter().map(word).collect()
    }

    /// Each driver's word as if nobody listened.
    #[must_use]
    pub fn quiet(&self) -> Words {
        self.attachments.iter().map(|attachment| Word { at: attachment.listeners, value: 0 }).collect()
    }

    /// The words of an interface, as if nobody listened: its driver is about to detach.
    #[must_use]
    pub fn quiet_of(&self, interface: u32) -> Words {
        let of = |attachment: &&Attachment| attachment.interface == interface;
        let quiet = |attachment: &Attachment| Word { at: attachment.listeners, value: 0 };
        self.attachments.iter().filter(of).map(quiet).collect()
    }

    /// Gives a packet to everybody who listens to an attachment. A number that means nobody does nothing.
    pub fn deliver(
        &mut self,
        attachment: u64,
        packet: &Packet<'_>,
        towards: u32,
        time: Time,
        file: &mut Capture<'_>,
    ) {
        let Some(known) = self.attachments.iter().find(|known| u64::from(known.number) == attachment) else {
            return;
        };
        let of = |listener: &&mut Listener| {
            listener.attachment == known.number
                && listener.link_type == known.link_type
                && listener.directions & towards != 0
        };
        for listener in self.listeners.iter_mut().flatten().filter(of) {
            listener.counters.received += 1;
            let wanted = listener.filter.as_filter().run(packet);
            if wanted == 0 {
                continue;
            }
            if file.packet(packet, wanted.min(listener.snap), time) {
                listener.counters.captured += 1;
            } else {
                listener.counters.dropped += 1;
            }
        }
    }
}

impl Default for Tap {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
