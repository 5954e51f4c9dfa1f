//! Constants under the ABI's names.
use crate::seL4_Word;
use microkernel_abi as abi;

/// Errors, as rust-sel4 spells them: `seL4_Error::seL4_NoError`.
pub mod seL4_Error {
    use microkernel_abi::error::Error;

    /// The type of an error.
    pub type Type = u32;
    /// Done.
    pub const seL4_NoError: Type = Error::NoError as Type;
    /// An argument makes no sense.
    pub const seL4_InvalidArgument: Type = Error::InvalidArgument as Type;
    /// A capability is of the wrong kind.
    pub const seL4_InvalidCapability: Type = Error::InvalidCapability as Type;
    /// Not allowed for this capability.
    pub const seL4_IllegalOperation: Type = Error::IllegalOperation as Type;
    /// Out of range.
    pub const seL4_RangeError: Type = Error::RangeError as Type;
    /// Not aligned.
    pub const seL4_AlignmentError: Type = Error::AlignmentError as Type;
    /// A capability or table is missing.
    pub const seL4_FailedLookup: Type = Error::FailedLookup as Type;
    /// Too few words or capabilities.
    pub const seL4_TruncatedMessage: Type = Error::TruncatedMessage as Type;
    /// Something is in the way.
    pub const seL4_DeleteFirst: Type = Error::DeleteFirst as Type;
    /// Something was derived from it.
    pub const seL4_RevokeFirst: Type = Error::RevokeFirst as Type;
    /// The untyped is too small.
    pub const seL4_NotEnoughMemory: Type = Error::NotEnoughMemory as Type;
}

/// Why a capability lookup failed.
pub mod seL4_LookupFailureType {
    /// The type of a failure.
    pub type Type = u32;
    /// No failure.
    pub const seL4_NoFailure: Type = 0;
    /// The root is no CNode.
    pub const seL4_InvalidRoot: Type = 1;
    /// The slot is empty.
    pub const seL4_MissingCapability: Type = 2;
    /// The address is too long or too short.
    pub const seL4_DepthMismatch: Type = 3;
    /// A guard differs.
    pub const seL4_GuardMismatch: Type = 4;
}

/// Object types of `Untyped_Retype`.
pub mod api_object {
    use crate::seL4_Word;
    use microkernel_abi::object::ObjectType;

    /// Untyped memory.
    pub const seL4_UntypedObject: seL4_Word = ObjectType::Untyped as seL4_Word;
    /// A thread.
    pub const seL4_TCBObject: seL4_Word = ObjectType::Tcb as seL4_Word;
    /// An endpoint.
    pub const seL4_EndpointObject: seL4_Word = ObjectType::Endpoint as seL4_Word;
    /// A notification.
    pub const seL4_NotificationObject: seL4_Word = ObjectType::Notification as seL4_Word;
    /// A CNode.
    pub const seL4_CapTableObject: seL4_Word = ObjectType::CapTable as seL4_Word;
    /// A 1 GiB frame.
    pub const seL4_ARM_HugePageObject: seL4_Word = ObjectType::HugePage as seL4_Word;
    /// An address space.
    pub const seL4_ARM_VSpaceObject: seL4_Word = ObjectType::VSpace as seL4_Word;
    /// A 4 KiB frame.
    pub const seL4_ARM_SmallPageObject: seL4_Word = ObjectType::SmallPage as seL4_Word;
    /// A 2 MiB frame.
    pub const seL4_ARM_LargePageObject: seL4_Word = ObjectType::LargePage as seL4_Word;
    /// A translation table.
    pub const seL4_ARM_PageTableObject: seL4_Word = ObjectType::PageTable as seL4_Word;
}

pub use abi::init_cap;
/// Initial capability slots, by the ABI's numbers.
pub mod seL4_RootCNodeCapSlots {
    pub use super::{
        seL4_CapASIDControl, seL4_CapBootInfoFrame, seL4_CapDomain, seL4_CapIRQControl,
        seL4_CapInitThreadASIDPool, seL4_CapInitThreadCNode, seL4_CapInitThreadIPCBuffer,
        seL4_CapInitThreadTCB, seL4_CapInitThreadVSpace, seL4_CapNull, seL4_NumInitialCaps,
    };
}

/// No capability.
pub const seL4_CapNull: seL4_Word = init_cap::NULL;
/// The root task's thread.
pub const seL4_CapInitThreadTCB: seL4_Word = init_cap::TCB;
/// The root CNode.
pub const seL4_CapInitThreadCNode: seL4_Word = init_cap::CNODE;
/// The root task's address space.
pub const seL4_CapInitThreadVSpace: seL4_Word = init_cap::VSPACE;
/// Interrupt control.
pub const seL4_CapIRQControl: seL4_Word = init_cap::IRQ_CONTROL;
/// ASID control.
pub const seL4_CapASIDControl: seL4_Word = init_cap::ASID_CONTROL;
/// The first ASID pool.
pub const seL4_CapInitThreadASIDPool: seL4_Word = init_cap::ASID_POOL;
/// The boot information frame.
pub const seL4_CapBootInfoFrame: seL4_Word = init_cap::BOOT_INFO_FRAME;
/// The root task's IPC buffer frame.
pub const seL4_CapInitThreadIPCBuffer: seL4_Word = init_cap::IPC_BUFFER;
/// Domain control.
pub const seL4_CapDomain: seL4_Word = init_cap::DOMAIN;
/// The first slot that boot fills as it needs.
pub const seL4_NumInitialCaps: seL4_Word = init_cap::NUM_INITIAL;

/// Bits of a word.
pub const seL4_WordBits: seL4_Word = 64;
/// log2 of a small page.
pub const seL4_PageBits: seL4_Word = abi::object::PAGE_BITS;
/// log2 of a large page.
pub const seL4_LargePageBits: seL4_Word = abi::object::LARGE_PAGE_BITS;
/// log2 of a huge page.
pub const seL4_HugePageBits: seL4_Word = abi::object::HUGE_PAGE_BITS;
/// log2 of a slot.
pub const seL4_SlotBits: seL4_Word = abi::object::SLOT_BITS;
/// log2 of a TCB.
pub const seL4_TCBBits: seL4_Word = abi::object::TCB_BITS;
/// log2 of an endpoint.
pub const seL4_EndpointBits: seL4_Word = abi::object::ENDPOINT_BITS;
/// log2 of a notification.
pub const seL4_NotificationBits: seL4_Word = abi::object::NOTIFICATION_BITS;
/// log2 of a translation table.
pub const seL4_PageTableBits: seL4_Word = abi::object::PAGE_TABLE_BITS;
/// log2 of the root of an address space.
pub const seL4_VSpaceBits: seL4_Word = abi::object::PAGE_TABLE_BITS;
/// log2 of an ASID pool.
pub const seL4_ASIDPoolBits: seL4_Word = abi::object::ASID_POOL_BITS;
/// log2 of the smallest untyped.
pub const seL4_MinUntypedBits: seL4_Word = abi::object::UNTYPED_BITS_MIN;
/// log2 of the largest untyped.
pub const seL4_MaxUntypedBits: seL4_Word = abi::object::UNTYPED_BITS_MAX;
/// log2 of the IPC buffer.
pub const seL4_IPCBufferSizeBits: seL4_Word = abi::object::IPC_BUFFER_BITS;
/// Message words in CPU registers.
pub const seL4_FastMessageRegisters: usize = abi::FAST_MESSAGE_REGISTERS;
/// Message words in all.
pub const seL4_MsgMaxLength: usize = abi::MESSAGE_WORDS_MAX;
/// Capabilities in a message.
pub const seL4_MsgMaxExtraCaps: usize = abi::EXTRA_CAPS_MAX;
/// The highest priority.
pub const seL4_MaxPrio: seL4_Word = abi::PRIORITY_MAX;
/// The lowest priority.
pub const seL4_MinPrio: seL4_Word = 0;
/// The last user address.
pub const seL4_UserTop: seL4_Word = abi::USER_TOP;
/// TCB flag: the thread has no floating-point unit.
pub const seL4_TCBFlag_fpuDisabled: seL4_Word = abi::TCB_FLAG_FPU_DISABLED;
