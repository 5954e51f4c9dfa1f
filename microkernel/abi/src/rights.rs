//! Rights, CNode data and mapping attributes: words that user programs pack.

/// Rights on a capability. Bit 0 write, 1 read, 2 grant, 3 grant-reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct CapRights(pub u64);

impl CapRights {
    /// Every right.
    pub const ALL: Self = Self(0b1111);

    /// Packs four flags.
    pub const fn new(grant_reply: bool, grant: bool, read: bool, write: bool) -> Self {
        Self((grant_reply as u64) << 3 | (grant as u64) << 2 | (read as u64) << 1 | write as u64)
    }

    /// May write or send.
    pub const fn write(self) -> bool {
        self.0 & 1 != 0
    }

    /// May read or receive.
    pub const fn read(self) -> bool {
        self.0 & 2 != 0
    }

    /// May send capabilities.
    pub const fn grant(self) -> bool {
        self.0 & 4 != 0
    }

    /// May hand over a reply capability.
    pub const fn grant_reply(self) -> bool {
        self.0 & 8 != 0
    }
}

/// Guard of a CNode capability: size in bits 0–5, value from bit 6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct CNodeCapData(pub u64);

impl CNodeCapData {
    /// Packs a guard.
    pub const fn new(guard: u64, guard_size: u64) -> Self {
        Self(guard << 6 | (guard_size & 0x3f))
    }

    /// The guard's value, not yet cut to its size.
    pub const fn guard(self) -> u64 {
        self.0 >> 6
    }

    /// The guard's width in bits.
    pub const fn guard_size(self) -> u64 {
        self.0 & 0x3f
    }
}

/// How a page is mapped. Bit 0 cacheable, 1 parity (no effect here), 2 execute never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct VmAttributes(pub u64);

impl VmAttributes {
    /// Cacheable, executable.
    pub const DEFAULT: Self = Self(3);
    /// Normal cacheable memory; device memory otherwise.
    pub const CACHEABLE: u64 = 1;
    /// Accepted, without effect on this architecture.
    pub const PARITY: u64 = 2;
    /// No instruction is fetched from the page.
    pub const EXECUTE_NEVER: u64 = 4;

    /// Normal cacheable memory?
    pub const fn cacheable(self) -> bool {
        self.0 & Self::CACHEABLE != 0
    }

    /// Never executable?
    pub const fn execute_never(self) -> bool {
        self.0 & Self::EXECUTE_NEVER != 0
    }
}

const _: () = assert!(CapRights::new(true, false, false, false).0 == 8);
const _: () = assert!(CapRights::new(false, false, false, true).0 == 1);
const _: () = assert!(CNodeCapData::new(1, 0).0 == 64);
const _: () = assert!(CNodeCapData::new(0, 1).0 == 1);
