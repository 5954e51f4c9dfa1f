//! Invocation labels, numbered by position in the pinned configuration.
//!
//! The profile for several cores has one TCB method more, which shifts everything behind it.
#![allow(missing_docs, reason = "each name says the object and the method; the manual says the rest")]

use crate::SMP;

/// What `TCB_SetAffinity` shifts the labels behind it by.
const SHIFT: u64 = if SMP { 1 } else { 0 };
/// A method that this profile does not have: no object answers to this label.
const ABSENT: u64 = (1 << 52) - 1;

/// The last label of the profile.
pub const LAST: u64 = if SMP { IRQ_ISSUE_IRQ_HANDLER_TRIGGER_CORE } else { IRQ_ISSUE_SGI_SIGNAL };

pub const INVALID_INVOCATION: u64 = 0;
pub const UNTYPED_RETYPE: u64 = 1;
pub const TCB_READ_REGISTERS: u64 = 2;
pub const TCB_WRITE_REGISTERS: u64 = 3;
pub const TCB_COPY_REGISTERS: u64 = 4;
pub const TCB_CONFIGURE: u64 = 5;
pub const TCB_SET_PRIORITY: u64 = 6;
pub const TCB_SET_MC_PRIORITY: u64 = 7;
pub const TCB_SET_SCHED_PARAMS: u64 = 8;
pub const TCB_SET_IPC_BUFFER: u64 = 9;
pub const TCB_SET_SPACE: u64 = 10;
pub const TCB_SUSPEND: u64 = 11;
pub const TCB_RESUME: u64 = 12;
pub const TCB_BIND_NOTIFICATION: u64 = 13;
pub const TCB_UNBIND_NOTIFICATION: u64 = 14;
/// Only with several cores.
pub const TCB_SET_AFFINITY: u64 = if SMP { 15 } else { ABSENT };
pub const TCB_SET_TLS_BASE: u64 = 15 + SHIFT;
pub const TCB_SET_FLAGS: u64 = 16 + SHIFT;
pub const CNODE_REVOKE: u64 = 17 + SHIFT;
pub const CNODE_DELETE: u64 = 18 + SHIFT;
pub const CNODE_CANCEL_BADGED_SENDS: u64 = 19 + SHIFT;
pub const CNODE_COPY: u64 = 20 + SHIFT;
pub const CNODE_MINT: u64 = 21 + SHIFT;
pub const CNODE_MOVE: u64 = 22 + SHIFT;
pub const CNODE_MUTATE: u64 = 23 + SHIFT;
pub const CNODE_ROTATE: u64 = 24 + SHIFT;
pub const CNODE_SAVE_CALLER: u64 = 25 + SHIFT;
pub const IRQ_ISSUE_IRQ_HANDLER: u64 = 26 + SHIFT;
pub const IRQ_ACK_IRQ: u64 = 27 + SHIFT;
pub const IRQ_SET_IRQ_HANDLER: u64 = 28 + SHIFT;
pub const IRQ_CLEAR_IRQ_HANDLER: u64 = 29 + SHIFT;
pub const DOMAIN_SET_SET: u64 = 30 + SHIFT;
pub const DOMAIN_SCHEDULE_CONFIGURE: u64 = 31 + SHIFT;
pub const DOMAIN_SCHEDULE_SET_START: u64 = 32 + SHIFT;
pub const VSPACE_CLEAN_DATA: u64 = 33 + SHIFT;
pub const VSPACE_INVALIDATE_DATA: u64 = 34 + SHIFT;
pub const VSPACE_CLEAN_INVALIDATE_DATA: u64 = 35 + SHIFT;
pub const VSPACE_UNIFY_INSTRUCTION: u64 = 36 + SHIFT;
pub const PAGE_TABLE_MAP: u64 = 38 + SHIFT;
pub const PAGE_TABLE_UNMAP: u64 = 39 + SHIFT;
pub const PAGE_MAP: u64 = 40 + SHIFT;
pub const PAGE_UNMAP: u64 = 41 + SHIFT;
pub const PAGE_CLEAN_DATA: u64 = 42 + SHIFT;
pub const PAGE_INVALIDATE_DATA: u64 = 43 + SHIFT;
pub const PAGE_CLEAN_INVALIDATE_DATA: u64 = 44 + SHIFT;
pub const PAGE_UNIFY_INSTRUCTION: u64 = 45 + SHIFT;
pub const PAGE_GET_ADDRESS: u64 = 46 + SHIFT;
pub const ASID_CONTROL_MAKE_POOL: u64 = 47 + SHIFT;
pub const ASID_POOL_ASSIGN: u64 = 48 + SHIFT;
pub const IRQ_ISSUE_IRQ_HANDLER_TRIGGER: u64 = 49 + SHIFT;
/// Only with one core.
pub const IRQ_ISSUE_SGI_SIGNAL: u64 = if SMP { ABSENT } else { 50 };
/// Only with several cores.
pub const IRQ_ISSUE_IRQ_HANDLER_TRIGGER_CORE: u64 = if SMP { 51 } else { ABSENT };
