//! Errors of invocations as results.

use sel4_sys::seL4_Error;

/// The kernel refused an invocation: one of `seL4_Error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct KernelError(pub u64);

impl KernelError {
    /// The lookup of a capability or a translation table failed.
    pub const FAILED_LOOKUP: Self = Self::from_code(seL4_Error::seL4_FailedLookup);
    /// The place is taken.
    pub const DELETE_FIRST: Self = Self::from_code(seL4_Error::seL4_DeleteFirst);

    const fn from_code(code: seL4_Error::Type) -> Self {
        Self(code as u64)
    }
}

/// Turns the error of a reply into a result.
pub fn check(code: seL4_Error::Type) -> Result<(), KernelError> {
    if code == seL4_Error::seL4_NoError { Ok(()) } else { Err(KernelError::from_code(code)) }
}
