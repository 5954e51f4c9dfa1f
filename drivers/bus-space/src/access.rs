//! What kind of access a call is, and how wide.

/// The operation a ring record stands for. The numbers are the ring's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// `bus_space_read_N`.
    Read = 1,
    /// `bus_space_write_N`.
    Write = 2,
    /// `bus_space_read_multi_N`.
    ReadMulti = 3,
    /// `bus_space_write_multi_N`.
    WriteMulti = 4,
    /// `bus_space_read_region_N`.
    ReadRegion = 5,
    /// `bus_space_write_region_N`.
    WriteRegion = 6,
    /// `bus_space_set_*_N`.
    Set = 7,
    /// `bus_space_copy_region_N`.
    Copy = 8,
    /// `bus_space_peek_N`.
    Peek = 9,
    /// `bus_space_poke_N`.
    Poke = 10,
    /// `bus_space_barrier`.
    Barrier = 11,
    /// `bus_space_map` and `bus_space_subregion`.
    Map = 12,
    /// `bus_space_unmap`.
    Unmap = 13,
    /// `bus_space_vaddr`.
    Vaddr = 14,
    /// One element of a multi or region call.
    Data = 15,
    /// A mark that somebody set on purpose.
    Mark = 16,
    /// An interrupt.
    Irq = 17,
}

impl Op {
    /// The operation numbered `number`.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Read,
            2 => Self::Write,
            3 => Self::ReadMulti,
            4 => Self::WriteMulti,
            5 => Self::ReadRegion,
            6 => Self::WriteRegion,
            7 => Self::Set,
            8 => Self::Copy,
            9 => Self::Peek,
            10 => Self::Poke,
            11 => Self::Barrier,
            12 => Self::Map,
            13 => Self::Unmap,
            14 => Self::Vaddr,
            15 => Self::Data,
            16 => Self::Mark,
            17 => Self::Irq,
            _ => return None,
        })
    }

    /// The word a trace prints.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadMulti => "read_multi",
            Self::WriteMulti => "write_multi",
            Self::ReadRegion => "read_region",
            Self::WriteRegion => "write_region",
            Self::Set => "set",
            Self::Copy => "copy",
            Self::Peek => "peek",
            Self::Poke => "poke",
            Self::Barrier => "barrier",
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Vaddr => "vaddr",
            Self::Data => "data",
            Self::Mark => "mark",
            Self::Irq => "irq",
        }
    }
}

/// How many bytes one element has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Width {
    /// One byte.
    One = 1,
    /// Two bytes.
    Two = 2,
    /// Four bytes.
    Four = 4,
    /// Eight bytes.
    Eight = 8,
}

impl Width {
    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self as u8 as u64
    }

    /// All ones in this width: what a bus returns when nobody answers.
    #[must_use]
    pub const fn all_ones(self) -> u64 {
        u64::MAX >> (64 - 8 * self as u8 as u32)
    }
}
