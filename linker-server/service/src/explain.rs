//! Errors in words: the errno-like word, the name that it is about, and one line that says why.

use kmod::ParseError;
use linker_books::window::WindowError;
use linker_core::layout::LayoutError;
use linker_core::{CommitError, Errno as CoreErrno, ModuleState, PlanError};
use linker_space::error::ObjectError;
use linker_space::module::ModuleError;
use strata_protocol::{Errno, Refusal};

use crate::store::StoreError;

/// The protocol's word for the core's number.
#[must_use]
pub fn errno(number: i32) -> Errno {
    Errno::from_number(number).unwrap_or(Errno::EIO)
}

/// The core's word for the protocol's.
#[must_use]
pub const fn core_errno(errno: Errno) -> CoreErrno {
    match errno {
        Errno::EPERM => CoreErrno::EPERM,
        Errno::ENOENT => CoreErrno::ENOENT,
        Errno::EINTR => CoreErrno::EINTR,
        Errno::EIO => CoreErrno::EIO,
        Errno::E2BIG => CoreErrno::E2BIG,
        Errno::ENOEXEC => CoreErrno::ENOEXEC,
        Errno::EDEADLK => CoreErrno::EDEADLK,
        Errno::ENOMEM => CoreErrno::ENOMEM,
        Errno::EFAULT => CoreErrno::EFAULT,
        Errno::EBUSY => CoreErrno::EBUSY,
        Errno::EEXIST => CoreErrno::EEXIST,
        Errno::ENODEV | Errno::ENXIO | Errno::EINVAL => CoreErrno::EINVAL,
        Errno::ENOTTY => CoreErrno::ENOTTY,
        Errno::ENOSPC => CoreErrno::ENOSPC,
        Errno::ERANGE => CoreErrno::ERANGE,
        Errno::EAGAIN => CoreErrno::EAGAIN,
        Errno::ETIMEDOUT => CoreErrno::ETIMEDOUT,
        Errno::ENAMETOOLONG => CoreErrno::ENAMETOOLONG,
        Errno::ESTALE => CoreErrno::ESTALE,
        Errno::EPROGMISMATCH => CoreErrno::EPROGMISMATCH,
        Errno::EAUTH => CoreErrno::EAUTH,
        Errno::ENOSYS => CoreErrno::ENOSYS,
        Errno::ECANCELED => CoreErrno::ECANCELED,
    }
}

/// An image that cannot be copied.
#[must_use]
pub fn store(name: &str, error: StoreError) -> Refusal {
    match error {
        StoreError::Outside => Refusal::new(Errno::EINVAL, name, "the image lies outside of the store"),
        StoreError::TooLarge(size) => {
            Refusal::format(Errno::E2BIG, name, format_args!("the image has {size} bytes, more than 1 MiB"))
        }
    }
}

/// An image that breaks a rule of the format.
#[must_use]
pub fn parse(name: &str, error: ParseError) -> Refusal {
    Refusal::format(Errno::ENOEXEC, name, format_args!("the image breaks a rule: {error:?}"))
}

/// No addresses.
#[must_use]
pub fn window(name: &str, error: WindowError) -> Refusal {
    Refusal::format(Errno::ENOMEM, name, format_args!("no addresses are left: {error:?}"))
}

/// No memory.
#[must_use]
pub fn module(name: &str, error: ModuleError) -> Refusal {
    match error {
        ModuleError::Object(error) => object(name, error),
        ModuleError::Window(error) => window(name, error),
    }
}

/// No objects.
#[must_use]
pub fn object(name: &str, error: ObjectError) -> Refusal {
    Refusal::format(Errno::ENOMEM, name, format_args!("no memory or no slots are left: {error:?}"))
}

/// An image that cannot be laid out.
#[must_use]
pub fn layout(name: &str, error: LayoutError) -> Refusal {
    Refusal::format(errno(error.errno().number()), name, format_args!("no room: {error:?}"))
}

/// A plan that was not carried out.
#[must_use]
pub fn commit(name: &str, error: &CommitError) -> Refusal {
    Refusal::format(errno(error.errno().number()), name, format_args!("patching: {error:?}"))
}

/// A plan that was refused.
#[must_use]
pub fn plan(name: &str, error: &PlanError) -> Refusal {
    let word = errno(error.errno().number());
    match error {
        PlanError::Image(error) => parse(name, *error),
        PlanError::ModuleExists(_) => Refusal::new(word, name, "a module of that name is loaded"),
        PlanError::AlreadyIntroduced { symbol, by } => {
            Refusal::format(word, name, format_args!("{symbol} is introduced by {by}"))
        }
        PlanError::SecondStrong { symbol, by } => {
            Refusal::format(word, name, format_args!("{symbol} is provided by {by}"))
        }
        PlanError::NothingToProvide(symbol) => {
            Refusal::format(word, name, format_args!("nobody introduces {symbol}, which it provides"))
        }
        PlanError::NothingToRefine(symbol) => {
            Refusal::format(word, name, format_args!("nobody introduces {symbol}, which it refines"))
        }
        PlanError::NotOverridable(symbol) => {
            Refusal::format(word, name, format_args!("{symbol} is an export and is never layered"))
        }
        PlanError::Fingerprint { symbol, .. } => {
            Refusal::format(word, name, format_args!("{symbol} has another signature"))
        }
        PlanError::MayBlock(symbol) => {
            Refusal::format(word, name, format_args!("{symbol} must not block, and its alias may"))
        }
        PlanError::UnknownImport(symbol) => {
            Refusal::format(word, name, format_args!("nobody introduces {symbol}, which it calls"))
        }
        PlanError::NotPermitted { symbol, right } => {
            Refusal::format(word, name, format_args!("{symbol}: the right {right:?} is missing"))
        }
        PlanError::Dependency { symbol, by } => {
            Refusal::format(word, name, format_args!("{by} uses its {symbol}"))
        }
        PlanError::NotLive(ModuleState::Wedged) => Refusal::new(word, name, "the module is wedged"),
        other => Refusal::format(word, name, format_args!("{other:?}")),
    }
}
