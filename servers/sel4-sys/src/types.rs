//! Words, capability addresses and the fields packed into words.
use microkernel_abi::{message::MessageInfo, registers::UserContext, rights};

/// A machine word.
pub type seL4_Word = u64;
/// A byte.
pub type seL4_Uint8 = u8;
/// A flag in a message.
pub type seL4_Bool = u8;
/// The address of a capability.
pub type seL4_CPtr = seL4_Word;
/// Address of an untyped capability.
pub type seL4_Untyped = seL4_CPtr;
/// Address of a thread capability.
pub type seL4_TCB = seL4_CPtr;
/// Address of a CNode capability.
pub type seL4_CNode = seL4_CPtr;
/// Address of the interrupt control capability.
pub type seL4_IRQControl = seL4_CPtr;
/// Address of an interrupt handler capability.
pub type seL4_IRQHandler = seL4_CPtr;
/// Address of the domain capability.
pub type seL4_DomainSet = seL4_CPtr;
/// Address of an address-space capability.
pub type seL4_ARM_VSpace = seL4_CPtr;
/// Address of a translation-table capability.
pub type seL4_ARM_PageTable = seL4_CPtr;
/// Address of a frame capability.
pub type seL4_ARM_Page = seL4_CPtr;
/// Address of the ASID control capability.
pub type seL4_ARM_ASIDControl = seL4_CPtr;
/// Address of an ASID pool capability.
pub type seL4_ARM_ASIDPool = seL4_CPtr;

/// The register block of Read- and WriteRegisters.
pub type seL4_UserContext = UserContext;

/// The tag of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct seL4_MessageInfo(pub MessageInfo);

impl seL4_MessageInfo {
    /// Packs the four fields.
    pub const fn new(
        label: seL4_Word,
        capsUnwrapped: seL4_Word,
        extraCaps: seL4_Word,
        length: seL4_Word,
    ) -> Self {
        Self(MessageInfo::new(label, capsUnwrapped, extraCaps, length))
    }

    /// The tag that a word holds.
    pub const fn from_word(word: seL4_Word) -> Self {
        Self(MessageInfo(word))
    }

    /// The word that goes into x1.
    pub const fn into_word(self) -> seL4_Word {
        self.0.0
    }

    /// What is asked, or the error of a reply.
    pub const fn get_label(self) -> seL4_Word {
        self.0.label()
    }

    /// Which capabilities arrived as badges.
    pub const fn get_capsUnwrapped(self) -> seL4_Word {
        self.0.caps_unwrapped()
    }

    /// Capabilities sent or received.
    pub const fn get_extraCaps(self) -> seL4_Word {
        self.0.extra_caps()
    }

    /// Message registers in use.
    pub const fn get_length(self) -> seL4_Word {
        self.0.length()
    }
}

/// Rights that a copy keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct seL4_CapRights(pub rights::CapRights);

impl seL4_CapRights {
    /// Packs four flags, each 0 or 1.
    pub const fn new(
        capAllowGrantReply: seL4_Word,
        capAllowGrant: seL4_Word,
        capAllowRead: seL4_Word,
        capAllowWrite: seL4_Word,
    ) -> Self {
        Self(rights::CapRights::new(
            capAllowGrantReply & 1 != 0,
            capAllowGrant & 1 != 0,
            capAllowRead & 1 != 0,
            capAllowWrite & 1 != 0,
        ))
    }

    /// Every right.
    pub const fn all() -> Self {
        Self(rights::CapRights::ALL)
    }

    /// No right.
    pub const fn none() -> Self {
        Self::new(0, 0, 0, 0)
    }

    /// Read only.
    pub const fn read_only() -> Self {
        Self::new(0, 0, 1, 0)
    }

    /// Read and write, without grant.
    pub const fn read_write() -> Self {
        Self::new(0, 0, 1, 1)
    }

    /// Write only.
    pub const fn write_only() -> Self {
        Self::new(0, 0, 0, 1)
    }

    /// The word that goes into a message.
    pub const fn into_word(self) -> seL4_Word {
        self.0.0
    }
}

/// Guard of a CNode capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct seL4_CNode_CapData(pub rights::CNodeCapData);

impl seL4_CNode_CapData {
    /// Packs a guard.
    pub const fn new(guard: seL4_Word, guardSize: seL4_Word) -> Self {
        Self(rights::CNodeCapData::new(guard, guardSize))
    }

    /// The word that goes into a message.
    pub const fn into_word(self) -> seL4_Word {
        self.0.0
    }
}

/// How a page is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct seL4_ARM_VMAttributes(pub seL4_Word);

impl seL4_ARM_VMAttributes {
    /// Cacheable, executable.
    pub const seL4_ARM_Default_VMAttributes: Self = Self(rights::VmAttributes::DEFAULT.0);
    /// Normal cacheable memory.
    pub const seL4_ARM_PageCacheable: Self = Self(rights::VmAttributes::CACHEABLE);
    /// Without effect.
    pub const seL4_ARM_ParityEnabled: Self = Self(rights::VmAttributes::PARITY);
    /// Never executed.
    pub const seL4_ARM_ExecuteNever: Self = Self(rights::VmAttributes::EXECUTE_NEVER);

    /// Cacheable, never executed: data.
    pub const fn data() -> Self {
        Self(rights::VmAttributes::DEFAULT.0 | rights::VmAttributes::EXECUTE_NEVER)
    }

    /// Not cacheable, never executed: device registers.
    pub const fn device() -> Self {
        Self(rights::VmAttributes::EXECUTE_NEVER)
    }
}
