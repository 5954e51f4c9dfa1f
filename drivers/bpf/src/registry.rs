//! Who has attached: kept by the base image whether or not there is a tap.
//!
//! Each attachment has a number of its own, which is never used again. It is what a driver hands to a tap with each
//! packet, so that one which comes late, for an attachment or a tap that is gone, means nobody.
//!
//! **Handover.** A tap never takes the registry away: it copies the list, in order, when it is loaded and again when the
//! registry's [`Registry::generation`] says that it has changed. So attachments that are made while a tap comes or goes
//! have one place where they are recorded, and a tap that is refused, or that faults, loses none (`docs/adr/0023`).

use heapless::Vec;

/// Attachments at a time.
pub const ATTACHMENTS_MAX: usize = 16;
/// Words of an attachment as it crosses to a module.
pub const ATTACHMENT_WORDS: usize = 3;

/// One driver's word: it is told of listeners there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its number, not 0.
    pub number: u32,
    /// The interface.
    pub interface: u32,
    /// What its packets begin with: a link type as in capture files.
    pub link_type: u32,
    /// Bytes of that.
    pub header: u32,
    /// Address of the driver's word: 0 there, or the attachment's number while somebody listens.
    pub listeners: u64,
}

/// Why an attachment is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// There are [`ATTACHMENTS_MAX`].
    Full,
    /// The driver's word is attached already.
    Exists,
}

/// All attachments, the oldest first.
#[derive(Debug, Default)]
pub struct Registry {
    attachments: Vec<Attachment, ATTACHMENTS_MAX>,
    last: u32,
    generation: u64,
}

impl Attachment {
    /// A place for one.
    pub const NONE: Self = Self { number: 0, interface: 0, link_type: 0, header: 0, listeners: 0 };

    /// As it crosses to a module.
    #[must_use]
    pub fn words(&self) -> [u64; ATTACHMENT_WORDS] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        [pair(self.number, self.interface), pair(self.link_type, self.header), self.listeners]
    }

    /// What has crossed.
    #[must_use]
    pub const fn from_words(words: [u64; ATTACHMENT_WORDS]) -> Self {
        const fn halves(word: u64) -> (u32, u32) {
            let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
            (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
        }
        let ((number, interface), (link_type, header)) = (halves(words[0]), halves(words[1]));
        Self { number, interface, link_type, header, listeners: words[2] }
    }
}

impl Registry {
    /// Nobody has attached.
    #[must_use]
    pub const fn new() -> Self {
        Self { attachments: Vec::new(), last: 0, generation: 0 }
    }

    /// Records an attachment behind all others.
    ///
    /// # Errors
    /// [`AttachError`]; nothing has changed.
    pub fn attach(
        &mut self,
        interface: u32,
        link_type: u32,
        header: u32,
        listeners: u64,
    ) -> Result<(), AttachError> {
        if self.attachments.iter().any(|attachment| attachment.listeners == listeners) {
            return Err(AttachError::Exists);
        }
        let number = self.last.wrapping_add(1).max(1);
        let attachment = Attachment { number, interface, link_type, header, listeners };
        self.attachments.push(attachment).map_err(|_| AttachError::Full)?;
        self.last = number;
        self.generation += 1;
        Ok(())
    }

    /// Forgets all attachments of an interface.
    pub fn detach(&mut self, interface: u32) {
        let before = self.attachments.len();
        self.attachments.retain(|attachment| attachment.interface != interface);
        self.generation += u64::from(self.attachments.len() != before);
    }

    /// An interface's first attachment has another link type from now on; `false` where there is none.
    pub fn change_type(&mut self, interface: u32, link_type: u32, header: u32) -> bool {
        let first = self.attachments.iter_mut().find(|attachment| attachment.interface == interface);
        let Some(attachment) = first else { return false };
        (attachment.link_type, attachment.header) = (link_type, header);
        self.generation += 1;
        true
    }

    /// The list, the oldest first.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// Grows with each change.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{ATTACHMENTS_MAX, AttachError, Attachment, Registry};

    fn interfaces(registry: &Registry) -> std::vec::Vec<u32> {
        registry.attachments().iter().map(|attachment| attachment.interface).collect()
    }

    #[test]
    fn attachments_stay_in_order_and_an_interface_leaves_with_all_of_its_own() {
        let mut registry = Registry::new();
        for (interface, word) in [(1, 0x10), (2, 0x20), (1, 0x18), (3, 0x30)] {
            registry.attach(interface, 1, 14, word).unwrap();
        }
        assert_eq!(registry.attach(9, 1, 14, 0x18), Err(AttachError::Exists));
        assert_eq!(interfaces(&registry), [1, 2, 1, 3]);
        assert!(registry.change_type(1, 105, 0) && !registry.change_type(7, 105, 0));
        let types: std::vec::Vec<u32> = registry.attachments().iter().map(|one| one.link_type).collect();
        assert_eq!(types, [105, 1, 1, 1]);
        registry.detach(1);
        assert_eq!(interfaces(&registry), [2, 3]);
    }

    #[test]
    fn a_number_is_never_used_again_and_every_change_is_a_generation() {
        let mut registry = Registry::new();
        let mut seen = std::collections::BTreeSet::new();
        for round in 1..100 {
            registry.attach(round, 1, 14, 8 * u64::from(round)).unwrap();
            assert!(seen.insert(registry.attachments()[0].number));
            registry.detach(round);
            assert_eq!(registry.generation(), 2 * u64::from(round));
        }
        registry.detach(5);
        assert!(!registry.change_type(5, 1, 14));
        assert_eq!(registry.generation(), 198, "what changes nothing is no change");
    }

    #[test]
    fn a_full_registry_refuses_and_has_room_again() {
        let mut registry = Registry::new();
        for interface in 0..u32::try_from(ATTACHMENTS_MAX).unwrap() {
            registry.attach(interface, 1, 14, 8 + 8 * u64::from(interface)).unwrap();
        }
        let generation = registry.generation();
        assert_eq!(registry.attach(99, 1, 14, 8000), Err(AttachError::Full));
        assert_eq!(registry.generation(), generation);
        registry.detach(4);
        registry.attach(99, 1, 14, 8000).unwrap();
        assert_eq!(registry.attachments().last().map(|one| one.interface), Some(99));
    }

    #[test]
    fn an_attachment_crosses_as_words() {
        let attachment =
            Attachment { number: 7, interface: u32::MAX, link_type: 105, header: 24, listeners: 1 << 60 };
        assert_eq!(Attachment::from_words(attachment.words()), attachment);
    }
}
