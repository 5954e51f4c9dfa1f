//! Errors of invocations and of capability lookup.

/// The label of an invocation's reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Error {
    /// Done.
    NoError = 0,
    /// Argument n makes no sense.
    InvalidArgument = 1,
    /// Capability n is of the wrong kind.
    InvalidCapability = 2,
    /// Not allowed for this capability.
    IllegalOperation = 3,
    /// Outside the range that the reply names.
    RangeError = 4,
    /// Not aligned.
    AlignmentError = 5,
    /// A capability or table is not where it was looked for.
    FailedLookup = 6,
    /// Fewer words or capabilities than the invocation needs.
    TruncatedMessage = 7,
    /// Something is in the way.
    DeleteFirst = 8,
    /// Something was derived from it.
    RevokeFirst = 9,
    /// The untyped is too small.
    NotEnoughMemory = 10,
}

/// Why a capability address does not resolve. Small, because most results of the kernel have room for one, and in words,
/// because they are copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum LookupFailure {
    /// The root is no CNode.
    InvalidRoot,
    /// The slot is empty, with so many bits left.
    MissingCapability {
        /// Bits not yet resolved.
        bits_left: u16,
    },
    /// The address is too short or too long.
    DepthMismatch {
        /// Bits not yet resolved.
        bits_left: u16,
        /// Bits that the next level resolves.
        bits_found: u16,
    },
    /// A guard differs from the address.
    GuardMismatch {
        /// Bits not yet resolved.
        bits_left: u16,
        /// The guard's width.
        bits_found: u16,
        /// The guard.
        guard_found: u64,
    },
}

impl LookupFailure {
    /// The ABI's number.
    pub const fn kind(self) -> u64 {
        match self {
            Self::InvalidRoot => 1,
            Self::MissingCapability { .. } => 2,
            Self::DepthMismatch { .. } => 3,
            Self::GuardMismatch { .. } => 4,
        }
    }
}

const _: () = assert!(size_of::<LookupFailure>() == 16);
