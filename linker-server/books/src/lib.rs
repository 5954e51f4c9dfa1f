//! The books of the linker server: memory, slots, addresses, charges, waiting requests.
//!
//! Everything here is decided without touching a capability. The target crate `linker-space` asks
//! one of these what to do, does it with the kernel, and tells the book that it is done; a host
//! test can therefore walk every state. Reading order: [`buddy`] (which block of untyped memory),
//! [`slots`] (which capability slots), [`window`] (which addresses of the link domain),
//! [`log_indices`] (which indices of log strings), [`ledger`] (who pays), [`queue`] (whose turn it is), [`deadlines`] (what has
//! taken too long).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod buddy;
pub mod deadlines;
pub mod ledger;
pub mod log_indices;
pub mod queue;
pub mod registrations;
pub mod slots;
pub mod window;

/// Size in bits of the largest block of untyped memory that the buddy book manages: 64 MiB.
pub const ROOT_BITS_MAX: u8 = 26;
/// Size in bits of the smallest block: one page, the smallest thing a module is charged for.
pub const BLOCK_BITS_MIN: u8 = 12;
/// Slots of the linker server's capability space: radix 14.
pub const SLOTS_MAX: usize = 1 << 14;
/// Accounts in the ledger: the linker itself, link domains, modules, shared regions.
pub const ACCOUNTS_MAX: usize = 64;
/// Address ranges that are in use or poisoned at one time.
pub const RANGES_MAX: usize = 96;
/// Bytes of a page.
pub const PAGE_SIZE: u64 = 1 << BLOCK_BITS_MIN;
/// Pages of one window: 64 MiB.
pub const WINDOW_PAGES_MAX: usize = 1 << 14;
/// Unloads for which the addresses of an unloaded module stay unmapped.
pub const POISON_UNLOADS: u32 = 16;
/// Requests that wait for their turn.
pub const QUEUE_MAX: usize = 8;
/// Requests of one badge that wait for their turn.
pub const QUEUE_PER_BADGE_MAX: usize = 4;
