//! Object types and sizes.

/// What `Untyped_Retype` can make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ObjectType {
    /// Memory without a type.
    Untyped = 0,
    /// A thread.
    Tcb = 1,
    /// A synchronous rendezvous.
    Endpoint = 2,
    /// A word of signals.
    Notification = 3,
    /// An array of capability slots.
    CapTable = 4,
    /// A 1 GiB frame.
    HugePage = 5,
    /// The root of an address space.
    VSpace = 6,
    /// A 4 KiB frame.
    SmallPage = 7,
    /// A 2 MiB frame.
    LargePage = 8,
    /// A translation table of any lower level.
    PageTable = 9,
}

impl ObjectType {
    /// The type that a word names.
    pub const fn from_word(word: u64) -> Option<Self> {
        Some(match word {
            0 => Self::Untyped,
            1 => Self::Tcb,
            2 => Self::Endpoint,
            3 => Self::Notification,
            4 => Self::CapTable,
            5 => Self::HugePage,
            6 => Self::VSpace,
            7 => Self::SmallPage,
            8 => Self::LargePage,
            9 => Self::PageTable,
            _ => return None,
        })
    }

    /// log2 of the object's size in bytes; `user_size` counts for untypeds and CapTables only.
    pub const fn size_bits(self, user_size: u64) -> u64 {
        match self {
            Self::Untyped => user_size,
            Self::Tcb => TCB_BITS,
            Self::Endpoint => ENDPOINT_BITS,
            Self::Notification => NOTIFICATION_BITS,
            Self::CapTable => user_size + SLOT_BITS,
            Self::HugePage => HUGE_PAGE_BITS,
            Self::VSpace | Self::PageTable => PAGE_TABLE_BITS,
            Self::SmallPage => PAGE_BITS,
            Self::LargePage => LARGE_PAGE_BITS,
        }
    }

    /// A frame of memory, which device untypeds can become?
    pub const fn is_frame(self) -> bool {
        matches!(self, Self::HugePage | Self::SmallPage | Self::LargePage)
    }
}

/// log2 of a capability slot.
pub const SLOT_BITS: u64 = 5;
/// log2 of a TCB.
pub const TCB_BITS: u64 = 11;
/// log2 of an endpoint.
pub const ENDPOINT_BITS: u64 = 4;
/// log2 of a notification.
pub const NOTIFICATION_BITS: u64 = 5;
/// log2 of a small page.
pub const PAGE_BITS: u64 = 12;
/// log2 of a large page.
pub const LARGE_PAGE_BITS: u64 = 21;
/// log2 of a huge page.
pub const HUGE_PAGE_BITS: u64 = 30;
/// log2 of a translation table of any level.
pub const PAGE_TABLE_BITS: u64 = 12;
/// log2 of the entries of a translation table.
pub const PAGE_TABLE_INDEX_BITS: u64 = 9;
/// log2 of the memory of an ASID pool.
pub const ASID_POOL_BITS: u64 = 12;
/// log2 of the address spaces that one ASID pool serves.
pub const ASID_POOL_INDEX_BITS: u64 = 9;
/// log2 of the number of ASID pools.
pub const ASID_POOLS_BITS: u64 = 7;
/// log2 of the smallest untyped.
pub const UNTYPED_BITS_MIN: u64 = 4;
/// log2 of the largest untyped.
pub const UNTYPED_BITS_MAX: u64 = 47;
/// log2 of the IPC buffer.
pub const IPC_BUFFER_BITS: u64 = 10;
