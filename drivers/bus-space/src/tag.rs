//! Tags and handles: which bus, and where on it.
//!
//! Both are plain words that are passed by value. NetBSD's tag is a pointer to a table of functions; here the functions
//! are aliasable symbols, so nothing is left to point to, and a layer can read a tag without following a pointer.

/// The kind of space a tag stands for, shown by traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Memory-mapped registers.
    Memory,
    /// A port space behind a bridge.
    Io,
}

/// Names a bus: its number, its kind, and how far apart its registers lie.
///
/// Bits 0 to 15 hold the id, bits 16 to 19 the stride shift, bit 20 says "I/O space". The default accessors shift each
/// offset left by the stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct BusTag(u64);

impl BusTag {
    /// The highest stride shift that fits a tag.
    pub const STRIDE_SHIFT_MAX: u8 = 15;
    /// Memory space number 0 with adjacent registers: all that QEMU virt has.
    pub const MEMORY: Self = Self(0);

    /// A tag from its parts; a stride beyond [`Self::STRIDE_SHIFT_MAX`] is cut to its low four bits.
    #[must_use]
    pub const fn new(id: u16, space: Space, stride_shift: u8) -> Self {
        let io = match space {
            Space::Memory => 0,
            Space::Io => 1 << 20,
        };
        Self(id as u64 | ((stride_shift & Self::STRIDE_SHIFT_MAX) as u64) << 16 | io)
    }

    /// The word that crosses the calling convention.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The tag that `bits` stands for.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number of the bus.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the id")]
    pub const fn id(self) -> u16 {
        self.0 as u16
    }

    /// How far offsets are shifted left.
    #[must_use]
    pub const fn stride_shift(self) -> u8 {
        (self.0 >> 16 & 15) as u8
    }

    /// The kind of space.
    #[must_use]
    pub const fn space(self) -> Space {
        if self.0 >> 20 & 1 == 1 { Space::Io } else { Space::Memory }
    }
}

/// Where a mapping lies: the address that the processor uses.
///
/// Layers leave handles as they are: a handle that a layer had wrapped would dangle after the layer's unload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct BusHandle(u64);

impl BusHandle {
    /// The handle of the mapping at virtual address `address`.
    #[must_use]
    pub const fn new(address: u64) -> Self {
        Self(address)
    }

    /// The virtual address of the first register.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0
    }

    /// The virtual address that an access at `offset` touches.
    #[must_use]
    pub const fn at(self, tag: BusTag, offset: u64) -> u64 {
        self.0.wrapping_add(offset << tag.stride_shift())
    }
}

#[cfg(test)]
mod tests {
    use super::{BusHandle, BusTag, Space};

    #[test]
    fn tag_keeps_its_parts() {
        let tag = BusTag::new(0xbeef, Space::Io, 2);
        assert_eq!((tag.id(), tag.space(), tag.stride_shift()), (0xbeef, Space::Io, 2));
        assert_eq!(BusTag::from_bits(tag.bits()), tag);
        assert_eq!(BusTag::MEMORY.space(), Space::Memory);
        assert_eq!(BusHandle::new(0x1000).at(tag, 3), 0x100c);
    }
}
