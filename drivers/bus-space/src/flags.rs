//! Flags of `bus_space_map` and `bus_space_barrier`, with NetBSD's values.

/// How a mapping is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct MapFlags(u32);

impl MapFlags {
    /// Strict device ordering, nothing asked for.
    pub const NONE: Self = Self(0);
    /// Try to map cacheable.
    pub const CACHEABLE: Self = Self(1);
    /// Map so that `bus_space_vaddr` works; fail if that is impossible.
    pub const LINEAR: Self = Self(2);
    /// Reads have no side effects and writes may be merged; wins over cacheable.
    pub const PREFETCHABLE: Self = Self(4);

    /// The flags that `bits` stands for.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The word that crosses the calling convention.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether accesses through this mapping may pass each other.
    #[must_use]
    pub const fn is_relaxed(self) -> bool {
        self.0 & (Self::CACHEABLE.0 | Self::PREFETCHABLE.0) != 0
    }
}

/// What a barrier orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct BarrierFlags(u32);

impl BarrierFlags {
    /// Earlier reads before later accesses in the range.
    pub const READ: Self = Self(1);
    /// Earlier accesses in the range before later writes anywhere.
    pub const WRITE: Self = Self(2);
    /// Everything before everything; the range is ignored.
    pub const READ_WRITE: Self = Self(3);

    /// The flags that `bits` stands for; unknown bits are dropped.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & 3)
    }

    /// The word that crosses the calling convention.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether reads are ordered.
    #[must_use]
    pub const fn orders_reads(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether writes are ordered.
    #[must_use]
    pub const fn orders_writes(self) -> bool {
        self.0 & 2 != 0
    }
}
