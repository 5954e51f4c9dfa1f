//! Why there is no object: what was asked of whom, and the answer.

use linker_books::buddy::BuddyError;
use linker_books::ledger::LedgerError;
use linker_books::slots::OutOfSlots;
use sel4_sys::seL4_Error;

/// What the kernel was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `Untyped_Retype`.
    Retype,
    /// `CNode_Copy`, `CNode_Mint`.
    Copy,
    /// `CNode_Delete`.
    Delete,
    /// `CNode_Revoke`.
    Revoke,
    /// `CNode_SaveCaller`.
    SaveCaller,
    /// `Page_Map`, `PageTable_Map`, `ASIDPool_Assign`.
    Map,
    /// `Page_Unmap`.
    Unmap,
    /// `VSpace_Unify`, `VSpace_CleanInvalidate`.
    Unify,
    /// TCB invocations that set a thread up.
    Configure,
    /// `TCB_ReadRegisters`, `TCB_WriteRegisters`.
    Registers,
    /// `TCB_SetPriority`.
    Priority,
    /// `TCB_SetAffinity`.
    Affinity,
    /// IRQ handler invocations.
    Interrupt,
}

/// Why there is no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectError {
    /// No untyped memory of this size is left.
    Memory(BuddyError),
    /// No slots are left.
    Slots(OutOfSlots),
    /// The ledger refuses.
    Ledger(LedgerError),
    /// The kernel refuses, with its error number.
    Kernel(Operation, u32),
}

impl From<BuddyError> for ObjectError {
    fn from(error: BuddyError) -> Self {
        Self::Memory(error)
    }
}

impl From<OutOfSlots> for ObjectError {
    fn from(error: OutOfSlots) -> Self {
        Self::Slots(error)
    }
}

impl From<LedgerError> for ObjectError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// Turns the kernel's error number into a result.
///
/// # Errors
/// [`ObjectError::Kernel`] for any number but 0.
pub const fn check(operation: Operation, error: seL4_Error::Type) -> Result<(), ObjectError> {
    if error == seL4_Error::seL4_NoError { Ok(()) } else { Err(ObjectError::Kernel(operation, error)) }
}
