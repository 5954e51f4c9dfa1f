//! Makes processes out of untyped memory and executables, for the root task.
//!
//! Reading order: [`memory`] (objects and slots), [`scratch`] (writing to a frame before anybody runs on it),
//! [`process`] (address space, capabilities, first thread).
#![no_std]
#![cfg(target_arch = "aarch64")]

pub mod memory;
pub mod process;
pub mod scratch;

use boot_plan::executable::ExecutableError;
use boot_plan::untyped::TakeError;
use strata_runtime::kernel::KernelError;

/// Why a process could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MakeError {
    /// There is no memory of the kind asked for.
    Memory(TakeError),
    /// The root CNode is full.
    Slots,
    /// The kernel refused an invocation.
    Kernel(KernelError),
    /// The file is no executable that can be loaded.
    Executable(ExecutableError),
    /// The boot archive has no file of the name.
    NoFile,
    /// The board has no device of this name.
    NoDevice(&'static str),
    /// The start page has no room for another region or grant.
    StartPage,
}

impl From<TakeError> for MakeError {
    fn from(error: TakeError) -> Self {
        MakeError::Memory(error)
    }
}

impl From<KernelError> for MakeError {
    fn from(error: KernelError) -> Self {
        MakeError::Kernel(error)
    }
}

impl From<ExecutableError> for MakeError {
    fn from(error: ExecutableError) -> Self {
        MakeError::Executable(error)
    }
}
