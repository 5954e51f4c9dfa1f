//! Raw binding of the seL4 ABI for AArch64; names follow rust-sel4.
//!
//! The subset that the profile has: non-MCS, one core, no hypervisor mode. As in rust-sel4, calls
//! that pass words or capabilities through memory are methods of [`seL4_IPCBuffer`]: holding
//! `&mut` to the thread's own buffer is what makes them safe. Numbers come from `microkernel-abi`.
//!
//! `types` has words and packed fields, `boot_info` what the kernel tells the root task, `fault`
//! fault messages, `syscalls` the system calls, `invocations` the object methods.
#![no_std]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, reason = "the ABI's own names")]

mod boot_info;
mod constants;
mod fault;
#[cfg(target_arch = "aarch64")]
mod invocations;
mod ipc_buffer;
#[cfg(target_arch = "aarch64")]
mod svc;
#[cfg(target_arch = "aarch64")]
mod syscalls;
mod types;

pub use boot_info::{
    SEL4_BOOTINFO_HEADER_FDT, SEL4_BOOTINFO_HEADER_PADDING, seL4_BootInfo, seL4_BootInfoHeader,
    seL4_SlotRegion, seL4_UntypedDesc,
};
pub use constants::{api_object, init_cap, seL4_Error, seL4_LookupFailureType, seL4_RootCNodeCapSlots};
pub use constants::{
    seL4_ASIDPoolBits, seL4_CapASIDControl, seL4_CapBootInfoFrame, seL4_CapDomain, seL4_CapIRQControl,
    seL4_CapInitThreadASIDPool, seL4_CapInitThreadCNode, seL4_CapInitThreadIPCBuffer, seL4_CapInitThreadTCB,
    seL4_CapInitThreadVSpace, seL4_CapNull, seL4_EndpointBits, seL4_FastMessageRegisters, seL4_HugePageBits,
    seL4_IPCBufferSizeBits, seL4_LargePageBits, seL4_MaxPrio, seL4_MaxUntypedBits, seL4_MinPrio,
    seL4_MinUntypedBits, seL4_MsgMaxExtraCaps, seL4_MsgMaxLength, seL4_NotificationBits, seL4_NumInitialCaps,
    seL4_PageBits, seL4_PageTableBits, seL4_SlotBits, seL4_TCBBits, seL4_TCBFlag_fpuDisabled, seL4_UserTop,
    seL4_VSpaceBits, seL4_WordBits,
};
pub use fault::{
    seL4_CapFault, seL4_Fault, seL4_Fault_CapFault, seL4_Fault_NullFault, seL4_Fault_UnknownSyscall,
    seL4_Fault_UserException, seL4_Fault_VMFault, seL4_UnknownSyscall, seL4_UserException, seL4_VMFault,
};
#[cfg(target_arch = "aarch64")]
pub use invocations::{seL4_ARM_Page_GetAddress_ret, seL4_TCB_SetFlags_ret};
pub use ipc_buffer::seL4_IPCBuffer;
pub use microkernel_abi as abi;
#[cfg(target_arch = "aarch64")]
pub use syscalls::{
    seL4_CallWithMRsWithoutIPCBuffer, seL4_DebugCapIdentify, seL4_DebugDumpScheduler,
    seL4_DebugGetThreadAffinity, seL4_DebugHalt, seL4_DebugPutChar, seL4_DebugSnapshot,
    seL4_RecvWithMRsWithoutIPCBuffer, seL4_ReplyWithMRsWithoutIPCBuffer, seL4_SendWithMRsWithoutIPCBuffer,
    seL4_Signal, seL4_Yield,
};
pub use types::{
    seL4_ARM_ASIDControl, seL4_ARM_ASIDPool, seL4_ARM_Page, seL4_ARM_PageTable, seL4_ARM_VMAttributes,
    seL4_ARM_VSpace, seL4_Bool, seL4_CNode, seL4_CNode_CapData, seL4_CPtr, seL4_CapRights, seL4_DomainSet,
    seL4_IRQControl, seL4_IRQHandler, seL4_MessageInfo, seL4_TCB, seL4_Uint8, seL4_Untyped, seL4_UserContext,
    seL4_Word,
};
