//! How an invocation ends without doing what was asked.
use microkernel_abi::error::{Error, LookupFailure};

/// The error of an invocation, with the words that its reply carries. In words, because it is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum InvocationError {
    /// Argument n makes no sense.
    InvalidArgument(u64),
    /// Capability n is of the wrong kind.
    InvalidCapability(u64),
    /// Not allowed for this capability.
    IllegalOperation,
    /// Outside `min..=max`.
    Range {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// Not aligned.
    Alignment,
    /// A lookup failed, of the source or of another capability.
    FailedLookup {
        /// It was the source capability.
        source: bool,
        /// Why.
        why: LookupFailure,
    },
    /// Too few words or capabilities.
    Truncated,
    /// Something is in the way.
    DeleteFirst,
    /// Something was derived from it.
    RevokeFirst,
    /// The untyped has so many bytes left.
    NotEnoughMemory(u64),
}

impl InvocationError {
    /// The label of the reply.
    pub const fn label(self) -> u64 {
        (match self {
            Self::InvalidArgument(_) => Error::InvalidArgument,
            Self::InvalidCapability(_) => Error::InvalidCapability,
            Self::IllegalOperation => Error::IllegalOperation,
            Self::Range { .. } => Error::RangeError,
            Self::Alignment => Error::AlignmentError,
            Self::FailedLookup { .. } => Error::FailedLookup,
            Self::Truncated => Error::TruncatedMessage,
            Self::DeleteFirst => Error::DeleteFirst,
            Self::RevokeFirst => Error::RevokeFirst,
            Self::NotEnoughMemory(_) => Error::NotEnoughMemory,
        }) as u64
    }
}

/// Why work stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The caller is told.
    Error(InvocationError),
    /// An interrupt waits: the system call runs again later and goes on where it was.
    Preempted,
}

impl From<InvocationError> for Stop {
    fn from(error: InvocationError) -> Self {
        Self::Error(error)
    }
}

const _: () = assert!(size_of::<Stop>() == 24);

/// The words of a lookup failure in a message: kind, then what the kind carries.
pub(crate) fn lookup_words(why: LookupFailure) -> ([u64; 4], usize) {
    match why {
        LookupFailure::InvalidRoot => ([1, 0, 0, 0], 1),
        LookupFailure::MissingCapability { bits_left } => ([2, bits_left.into(), 0, 0], 2),
        LookupFailure::DepthMismatch { bits_left, bits_found } => {
            ([3, bits_left.into(), bits_found.into(), 0], 3)
        }
        LookupFailure::GuardMismatch { bits_left, guard_found, bits_found } => {
            ([4, bits_left.into(), guard_found, bits_found.into()], 4)
        }
    }
}
