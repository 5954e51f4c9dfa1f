//! Numbers and layouts of the seL4 ABI profile, for both sides of the system call.
//!
//! AArch64, non-MCS, kernel at EL1, in two profiles: one core, and several (feature `smp`). Everything here is a fact that user programs were
//! compiled against: a change is a break. Reading order: [`syscall`], [`message`], [`label`],
//! [`object`], then the layouts ([`ipc_buffer`], [`bootinfo`], [`registers`], [`fault`]) and the
//! kernel image's own header ([`image`]).
#![no_std]
#![forbid(unsafe_code)]

pub mod bootinfo;
pub mod error;
pub mod fault;
pub mod image;
pub mod init_cap;
pub mod ipc_buffer;
pub mod label;
pub mod message;
pub mod object;
pub mod registers;
pub mod rights;
pub mod syscall;

/// A machine word: the width of every argument and message register.
pub type Word = u64;

/// Is this the profile for several cores? Its invocation labels differ.
pub const SMP: bool = cfg!(feature = "smp");
/// Cores that the kernel uses at most (`CONFIG_MAX_NUM_NODES`).
pub const NODES_MAX: usize = if SMP { 4 } else { 1 };

/// Message registers that travel in CPU registers.
pub const FAST_MESSAGE_REGISTERS: usize = 4;
/// Message registers of one message.
pub const MESSAGE_WORDS_MAX: usize = 120;
/// Capabilities that one message can carry.
pub const EXTRA_CAPS_MAX: usize = 3;
/// Objects that one `Retype` can make.
pub const RETYPE_FAN_OUT_MAX: u64 = 256;
/// The highest priority.
pub const PRIORITY_MAX: u64 = 255;
/// Scheduling domains (`CONFIG_NUM_DOMAINS`).
pub const DOMAINS_MAX: u64 = 1;
/// Entries of the domain schedule (`CONFIG_NUM_DOMAIN_SCHEDULES`).
pub const DOMAIN_SCHEDULE_MAX: usize = 2;
/// The last address that a user mapping can cover.
pub const USER_TOP: u64 = 0x7fff_ffff_ffff;
/// The TCB flag that takes the floating-point unit away from a thread.
pub const TCB_FLAG_FPU_DISABLED: u64 = 1;
