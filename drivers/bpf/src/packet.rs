//! A packet as a tap sees it: up to two pieces that lie apart, read as one.

/// A packet in two pieces: `bpf_mtap2` puts a made-up header in front of one that it must not copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    head: &'a [u8],
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// A packet in one piece.
    #[must_use]
    pub const fn new(body: &'a [u8]) -> Self {
        Self { head: &[], body }
    }

    /// A packet with a header in front.
    #[must_use]
    pub const fn with_header(head: &'a [u8], body: &'a [u8]) -> Self {
        Self { head, body }
    }

    /// Bytes in all; more than 32 bits hold count as that many.
    #[must_use]
    pub fn length(&self) -> u32 {
        u32::try_from(self.head.len().saturating_add(self.body.len())).unwrap_or(u32::MAX)
    }

    /// The bytes, in order.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.head.iter().chain(self.body).copied()
    }

    /// The byte at a place.
    #[must_use]
    pub fn byte(&self, at: u32) -> Option<u8> {
        let at = usize::try_from(at).ok()?;
        match at.checked_sub(self.head.len()) {
            None => self.head.get(at).copied(),
            Some(at) => self.body.get(at).copied(),
        }
    }

    /// `count` bytes from a place on, at most four, as a number in network order.
    #[must_use]
    pub fn number(&self, at: u32, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, i| Some(value << 8 | u32::from(self.byte(at.checked_add(i)?)?)))
    }
}
