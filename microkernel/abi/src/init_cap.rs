//! Where the initial capabilities are.
#![allow(missing_docs, reason = "each name is the object")]

pub const NULL: u64 = 0;
pub const TCB: u64 = 1;
pub const CNODE: u64 = 2;
pub const VSPACE: u64 = 3;
pub const IRQ_CONTROL: u64 = 4;
pub const ASID_CONTROL: u64 = 5;
pub const ASID_POOL: u64 = 6;
pub const BOOT_INFO_FRAME: u64 = 9;
pub const IPC_BUFFER: u64 = 10;
pub const DOMAIN: u64 = 11;
/// The first slot that boot fills as it needs.
pub const NUM_INITIAL: u64 = 16;
