//! Kernel objects, derivation tree, IPC, scheduler and decoding, as safe code.
//!
//! Everything the kernel decides is here and runs on the host as well; everything it does to the
//! machine goes through [`Machine`]. A system call is one call of [`Kernel::syscall`], a fault one of
//! [`Kernel::user_fault`], an interrupt one of [`Kernel::interrupt`]; each follows on
//! [`Kernel::enter`], which says whose entry it is, and is followed by [`Kernel::leave`], which says which
//! thread runs next.
//!
//! Reading order: `cap` (what a capability is), `slot` (the derivation tree), `tcb`, `sched` and `cores`
//! (threads), `endpoint`, `notification`, `ipc`, `fault` (meeting), `fastpath` (meeting at once), `delete` (ending), then the
//! invocations: `invoke`, `untyped`, `cnode`, `thread`, `memory`, `interrupt`. `boot` makes the first
//! objects.
//!
//! Invariants, each held by a test:
//! * Memory of an untyped below its free index belongs to children in the tree, above it to nobody.
//! * All capabilities of one object are neighbours in the derivation list.
//! * A thread is in exactly one queue that its state names, or in none.
//! * Nothing a user passes makes the kernel panic.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod boot;
pub mod bootargs;
pub mod cap;
#[cfg(any(test, feature = "check"))]
pub mod check;
mod cnode;
pub mod cores;
mod debug;
mod delete;
mod domain;
mod endpoint;
pub mod error;
mod fastpath;
mod fault;
pub mod fdt;
pub mod handle;
mod interrupt;
mod invoke;
mod ipc;
mod kernel;
mod lookup;
pub mod machine;
mod memory;
mod notification;
mod sched;
mod slot;
mod syscall;
pub mod tcb;
pub mod text;
mod thread;
mod untyped;
mod vspace;

#[cfg(test)]
mod tests;

pub use cores::CoreId;
pub use fastpath::{Message, Short};
pub use fault::UserFault;
pub use kernel::Kernel;
pub use machine::{CacheOp, Machine, Remote};

/// Is it a debug build? Then there are the debug system calls, which are unknown ones otherwise.
pub const DEBUG: bool = cfg!(feature = "debug");
/// Interrupts that the kernel can hand out.
pub const IRQS_MAX: usize = 1020;
/// Ticks of a time slice.
pub const TIME_SLICE_TICKS: u64 = 5;
/// Length of a tick.
pub const TICK_US: u64 = 2000;
/// The kernel's own tick: the virtual timer, PPI 27.
pub const IRQ_TICK: u64 = 27;
/// Between cores: the software interrupt that makes a core come to the kernel's door and serve a [`Remote`].
pub const IRQ_COME: u64 = 0;
/// Between cores: the software interrupt that makes a core choose its thread anew.
pub const IRQ_RESCHEDULE: u64 = 1;
/// The physical timer, PPI 30: free for a user-level timer server.
pub const IRQ_PHYSICAL_TIMER: u64 = 30;
/// Work units between two looks for a waiting interrupt.
pub const PREEMPTION_WORK_MAX: u64 = 100;
/// log2 of the bytes that are zeroed in one work unit: a third of what deleting a capability takes.
pub const RESET_CHUNK_BITS: u64 = 10;
/// log2 of the slots of the root CNode.
pub const ROOT_CNODE_BITS: u64 = 13;
