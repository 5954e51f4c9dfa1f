//! What every user-level image needs: entry, thread block, messages, mapping, log, panic.
//!
//! Reading order: [`entry`] (how a process begins), [`thread`] (what TPIDR_EL0 points to), [`ipc`] (typed messages
//! over the kernel's words), [`kernel`] (errors of invocations), [`slots`] and [`mapping`] (a process's own
//! capabilities and pages), [`clock`], [`log`] and [`debug`] (two ways out for text), `memory` (what the compiler calls
//! to copy), `panic`.
//!
//! **Invariant:** a thread's IPC buffer has one owner, which got it at the thread's start and lends it out as
//! `&mut`. Nothing in here takes it from the thread block behind the owner's back; the logger and the panic
//! handler do without.
#![no_std]
#![cfg(target_arch = "aarch64")]

pub mod clock;
pub mod debug;
pub mod device;
pub mod entry;
pub mod ipc;
pub mod kernel;
pub mod log;
pub mod mapping;
mod memory;
mod panic;
pub mod semihosting;
pub mod slots;
pub mod thread;
pub mod uart;

pub use sel4_sys as sel4;
pub use strata_protocol as protocol;

/// A thread's IPC buffer, through which all system calls with arguments go.
pub type Ipc = sel4_sys::seL4_IPCBuffer;
