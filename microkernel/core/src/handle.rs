//! Handles: addresses of objects that cannot be mixed up.
use crate::machine::DIRECT_MAP;
use core::num::NonZeroU64;

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(transparent)]
        pub struct $name(NonZeroU64);

        impl $name {
            /// The object at a kernel address.
            #[inline]
            pub const fn at(address: u64) -> Self {
                // Object addresses lie in the direct map; setting its bits makes the value non-zero by construction.
                match NonZeroU64::new(address | DIRECT_MAP) {
                    Some(address) => Self(address),
                    None => unreachable!(),
                }
            }

            /// The object that a link word names; 0 names none.
            #[inline]
            #[allow(dead_code, reason = "endpoints are never in a link")]
            pub(crate) const fn link(word: u64) -> Option<Self> {
                match NonZeroU64::new(word) {
                    Some(address) => Some(Self(address)),
                    None => None,
                }
            }

            /// The object's kernel address.
            #[inline]
            pub const fn addr(self) -> u64 {
                self.0.get()
            }
        }
    };
}

handle! {
    /// A capability slot: 16 bytes of capability, 16 of derivation links.
    Slot
}
handle! {
    /// A thread.
    Tcb
}
handle! {
    /// An endpoint.
    Endpoint
}
handle! {
    /// A notification.
    Notification
}

/// The link word of an optional handle.
macro_rules! word {
    ($option:expr) => {
        match $option {
            Some(handle) => handle.addr(),
            None => 0,
        }
    };
}
pub(crate) use word;
