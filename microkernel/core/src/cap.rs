//! Capabilities: two words, and the view of them as an enum.
//!
//! Word 0: bits 0–47 address of the object, 48–59 small fields of the kind, 60–63 kind. The upper bits of every kernel
//! address are ones, so setting them is all it takes to follow it. Word 1 belongs to the kind: badge, guard, mapping,
//! free index. An all-zero capability is null, so zeroed memory is an empty CNode.
use crate::handle::{Endpoint, Notification, Tcb};
use crate::machine::DIRECT_MAP;
use microkernel_abi::object::{
    ASID_POOL_BITS, ENDPOINT_BITS, HUGE_PAGE_BITS, LARGE_PAGE_BITS, NOTIFICATION_BITS, PAGE_BITS,
    PAGE_TABLE_BITS, SLOT_BITS, TCB_BITS,
};
use microkernel_abi::rights::CapRights;

/// A capability as it lies in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Cap {
    pub(crate) w0: u64,
    pub(crate) w1: u64,
}

/// How large a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameSize {
    /// 4 KiB.
    Small,
    /// 2 MiB.
    Large,
    /// 1 GiB.
    Huge,
}

impl FrameSize {
    /// log2 of the bytes.
    pub const fn bits(self) -> u64 {
        match self {
            Self::Small => PAGE_BITS,
            Self::Large => LARGE_PAGE_BITS,
            Self::Huge => HUGE_PAGE_BITS,
        }
    }
}

/// What a frame capability lets a mapping do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameRights {
    /// Neither read nor write by the user.
    KernelOnly,
    /// Read.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

impl FrameRights {
    /// What is left under a mask. There is no write-only mapping: write without read is nothing.
    #[inline(always)]
    pub const fn masked(self, rights: CapRights) -> Self {
        match self {
            Self::ReadWrite if rights.read() && rights.write() => Self::ReadWrite,
            Self::ReadWrite | Self::ReadOnly if rights.read() => Self::ReadOnly,
            _ => Self::KernelOnly,
        }
    }
}

/// Where a frame or table is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The address space; never 0.
    pub asid: u64,
    /// The user address, aligned to what is mapped.
    pub va: u64,
}

/// What dies slot by slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZombieKind {
    /// A CNode of 2^radix slots.
    CNode {
        /// log2 of the slots.
        radix: u64,
    },
    /// A thread.
    Thread,
}

/// A capability's meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "fields are the ABI's terms")]
pub enum View {
    /// No capability.
    Null,
    /// Memory without a type; `free` bytes from `base` are used up.
    Untyped { base: u64, bits: u64, device: bool, free: u64 },
    /// The right to meet others at an endpoint.
    Endpoint { ep: Endpoint, badge: u64, rights: CapRights },
    /// The right to signal or wait.
    Notification { ntfn: Notification, badge: u64, rights: CapRights },
    /// The right to answer a caller once. The master sits in the caller's own TCB and is the parent of the others.
    Reply { caller: Tcb, master: bool, grant: bool },
    /// An array of slots.
    CNode { base: u64, radix: u64, guard: u64, guard_bits: u64 },
    /// A thread.
    Thread { tcb: Tcb },
    /// The right to make interrupt handlers.
    IrqControl,
    /// The right to make ASID pools.
    AsidControl,
    /// The right to set scheduling domains.
    Domain,
    /// An interrupt, by its line.
    IrqHandler { line: u64 },
    /// A software interrupt on one core.
    Sgi { irq: u64, core: u64 },
    /// The last capability of an object that is being deleted; `count` slots are left.
    Zombie { base: u64, kind: ZombieKind, count: u64 },
    /// A frame of memory.
    Frame { base: u64, size: FrameSize, rights: FrameRights, device: bool, mapping: Option<Mapping> },
    /// A translation table below the root.
    PageTable { base: u64, mapping: Option<Mapping> },
    /// The root of an address space.
    VSpace { base: u64, asid: Option<u64> },
    /// 512 ASIDs.
    AsidPool { base: u64, first: u64 },
}

const KIND_NULL: u64 = 0;
const KIND_UNTYPED: u64 = 1;
const KIND_ENDPOINT: u64 = 2;
const KIND_NOTIFICATION: u64 = 3;
const KIND_REPLY: u64 = 4;
const KIND_CNODE: u64 = 5;
const KIND_THREAD: u64 = 6;
const KIND_CONTROL: u64 = 7;
const KIND_IRQ_HANDLER: u64 = 8;
const KIND_SGI: u64 = 9;
const KIND_ZOMBIE: u64 = 10;
const KIND_FRAME: u64 = 11;
const KIND_PAGE_TABLE: u64 = 12;
const KIND_VSPACE: u64 = 13;
const KIND_ASID_POOL: u64 = 14;

const CONTROL_IRQ: u64 = 0;
const CONTROL_ASID: u64 = 1;
const CONTROL_DOMAIN: u64 = 2;

const ADDRESS: u64 = !DIRECT_MAP;
const FIELDS: u64 = 48;
const FIELDS_MASK: u64 = 0xfff;
const KIND: u64 = 60;
/// Of the fields of a CNode or its zombie: log2 of the slots.
const RADIX: u64 = 0x3f;
/// Of the fields of a frame: its size.
const SIZE: u64 = 3;
/// Of word 1 of untyped memory: log2 of its size.
const UNTYPED_SIZE: u64 = 0x3f;
const ZOMBIE_THREAD: u64 = 63;
/// log2 of the granule that an untyped's free index counts.
const FREE_UNIT_BITS: u64 = 4;

/// The bits of both words that make an object, by kind: where they agree, two capabilities name the same one. Nothing for
/// kinds that never do.
const IDENTITY: [[u64; 2]; 16] = {
    const KIND_BITS: u64 = 0xf << KIND;
    let mut bits = [[KIND_BITS | ADDRESS, 0]; 16];
    let mut kind = 0;
    while kind < 16 {
        match kind as u64 {
            KIND_NULL | KIND_UNTYPED | KIND_ZOMBIE => bits[kind] = [0, 0],
            KIND_CONTROL | KIND_IRQ_HANDLER | KIND_SGI => bits[kind] = [KIND_BITS, u64::MAX],
            KIND_CNODE => bits[kind][0] |= RADIX << FIELDS,
            KIND_FRAME => bits[kind][0] |= SIZE << FIELDS,
            _ => {}
        }
        kind += 1;
    }
    bits
};

#[inline(always)]
const fn frame_size(fields: u64) -> FrameSize {
    match fields & SIZE {
        0 => FrameSize::Small,
        1 => FrameSize::Large,
        _ => FrameSize::Huge,
    }
}

impl Cap {
    /// No capability.
    pub const NULL: Self = Self { w0: 0, w1: 0 };

    /// No capability?
    #[inline(always)]
    pub const fn is_null(self) -> bool {
        self.kind() == KIND_NULL
    }

    /// Which kind of capability it is.
    #[inline(always)]
    pub(crate) const fn kind(self) -> u64 {
        self.w0 >> KIND
    }

    /// The object's kernel address.
    #[inline(always)]
    const fn address(self) -> u64 {
        self.w0 | DIRECT_MAP
    }

    #[inline(always)]
    const fn fields(self) -> u64 {
        self.w0 >> FIELDS & FIELDS_MASK
    }

    /// log2 of the bytes that the object covers; `None` without memory.
    const fn size_bits(self) -> Option<u64> {
        let f = self.fields();
        Some(match self.kind() {
            KIND_UNTYPED => self.w1 & UNTYPED_SIZE,
            KIND_ENDPOINT => ENDPOINT_BITS,
            KIND_NOTIFICATION => NOTIFICATION_BITS,
            KIND_THREAD => TCB_BITS,
            KIND_ZOMBIE if f & RADIX == ZOMBIE_THREAD => TCB_BITS,
            KIND_CNODE | KIND_ZOMBIE => (f & RADIX) + SLOT_BITS,
            KIND_FRAME => frame_size(f).bits(),
            KIND_PAGE_TABLE | KIND_VSPACE => PAGE_TABLE_BITS,
            KIND_ASID_POOL => ASID_POOL_BITS,
            _ => return None,
        })
    }

    /// The memory that the object covers, first address and log2 of the size; `None` without memory.
    pub const fn memory(self) -> Option<(u64, u64)> {
        match self.size_bits() {
            Some(bits) => Some((self.address(), bits)),
            None => None,
        }
    }

    /// Do both name one object, so that neither is its last capability? Untyped memory is never shared so.
    #[inline(always)]
    pub const fn same_object(self, other: Self) -> bool {
        let [first, second] = IDENTITY[(self.kind() & 0xf) as usize];
        (self.w0 ^ other.w0) & first | (self.w1 ^ other.w1) & second == 0 && first != 0
    }

    /// The same capability of a frame or table, mapped there or nowhere.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn with_mapping(self, mapping: Option<Mapping>) -> Self {
        Self { w0: self.w0, w1: mapping_word(mapping) }
    }

    /// Does authority over `self` extend to `other`: the same object, or an object made from it?
    pub const fn covers(self, other: Self) -> bool {
        match self.kind() {
            // Objects are aligned to their sizes, so two of them overlap only if one holds the other.
            KIND_UNTYPED => match other.size_bits() {
                Some(bits) => {
                    let own = self.w1 & UNTYPED_SIZE;
                    bits <= own && (self.address() ^ other.address()) >> own == 0
                }
                None => false,
            },
            KIND_CONTROL if self.w1 == CONTROL_IRQ => match other.kind() {
                KIND_IRQ_HANDLER | KIND_SGI => true,
                _ => self.same_object(other),
            },
            _ => self.same_object(other),
        }
    }

    /// Is it one that others are told apart from by its badge: an endpoint or a notification?
    #[inline(always)]
    pub(crate) const fn has_badge(self) -> bool {
        matches!(self.kind(), KIND_ENDPOINT | KIND_NOTIFICATION)
    }

    /// Is it untyped memory?
    #[inline(always)]
    pub(crate) const fn is_untyped(self) -> bool {
        self.kind() == KIND_UNTYPED
    }

    #[inline(always)]
    const fn pack(kind: u64, address: u64, fields: u64, w1: u64) -> Self {
        Self { w0: kind << KIND | fields << FIELDS | address & ADDRESS, w1 }
    }

    /// The meaning of the two words. Inlined: who asks for one kind pays for one comparison.
    #[inline(always)]
    pub const fn view(self) -> View {
        let f = self.fields();
        match self.kind() {
            KIND_UNTYPED => View::Untyped {
                base: self.address(),
                bits: self.w1 & UNTYPED_SIZE,
                device: self.w1 & 0x40 != 0,
                free: self.w1 >> 16 << FREE_UNIT_BITS,
            },
            KIND_ENDPOINT => View::Endpoint {
                ep: Endpoint::at(self.address()),
                badge: self.w1,
                rights: CapRights(f & 0xf),
            },
            KIND_NOTIFICATION => View::Notification {
                ntfn: Notification::at(self.address()),
                badge: self.w1,
                rights: CapRights(f & 0xf),
            },
            KIND_REPLY => {
                View::Reply { caller: Tcb::at(self.address()), master: f & 1 != 0, grant: f & 2 != 0 }
            }
            KIND_CNODE => View::CNode {
                base: self.address(),
                radix: f & RADIX,
                guard: self.w1,
                guard_bits: f >> 6 & 0x3f,
            },
            KIND_THREAD => View::Thread { tcb: Tcb::at(self.address()) },
            KIND_CONTROL => match self.w1 {
                CONTROL_IRQ => View::IrqControl,
                CONTROL_ASID => View::AsidControl,
                _ => View::Domain,
            },
            KIND_IRQ_HANDLER => View::IrqHandler { line: self.w1 },
            KIND_SGI => View::Sgi { irq: self.w1 & 0xff, core: self.w1 >> 8 },
            KIND_ZOMBIE => View::Zombie {
                base: self.address(),
                kind: if f & RADIX == ZOMBIE_THREAD {
                    ZombieKind::Thread
                } else {
                    ZombieKind::CNode { radix: f & RADIX }
                },
                count: self.w1,
            },
            KIND_FRAME => View::Frame {
                base: self.address(),
                size: frame_size(f),
                rights: match f >> 2 & 3 {
                    0 => FrameRights::KernelOnly,
                    1 => FrameRights::ReadOnly,
                    _ => FrameRights::ReadWrite,
                },
                device: f >> 4 & 1 != 0,
                mapping: self.mapping(),
            },
            KIND_PAGE_TABLE => View::PageTable { base: self.address(), mapping: self.mapping() },
            KIND_VSPACE => {
                View::VSpace { base: self.address(), asid: if self.w1 == 0 { None } else { Some(self.w1) } }
            }
            KIND_ASID_POOL => View::AsidPool { base: self.address(), first: self.w1 },
            _ => View::Null,
        }
    }

    #[inline(always)]
    const fn mapping(self) -> Option<Mapping> {
        match self.w1 >> 48 {
            0 => None,
            asid => Some(Mapping { asid, va: self.w1 & 0x0000_ffff_ffff_ffff }),
        }
    }

    /// How wide a guard of a CNode capability can be.
    pub const fn guard_masked(guard: u64, bits: u64) -> u64 {
        if bits == 0 { 0 } else { guard & (u64::MAX >> (64 - bits)) }
    }

    /// The rights of an endpoint or notification capability; nothing for others.
    #[must_use]
    pub const fn masked(self, mask: CapRights) -> Self {
        match self.view() {
            View::Endpoint { ep, badge, rights } => {
                View::Endpoint { ep, badge, rights: CapRights(rights.0 & mask.0) }.pack()
            }
            View::Notification { ntfn, badge, rights } => {
                View::Notification { ntfn, badge, rights: CapRights(rights.0 & mask.0) }.pack()
            }
            View::Reply { caller, master, grant } => {
                View::Reply { caller, master, grant: grant && mask.grant() }.pack()
            }
            View::Frame { base, size, rights, device, mapping } => {
                View::Frame { base, size, rights: rights.masked(mask), device, mapping }.pack()
            }
            _ => self,
        }
    }
}

const fn mapping_word(mapping: Option<Mapping>) -> u64 {
    match mapping {
        None => 0,
        Some(Mapping { asid, va }) => asid << 48 | va & 0x0000_ffff_ffff_ffff,
    }
}

impl View {
    /// The two words. Inlined: what is packed is mostly of a known kind.
    #[inline(always)]
    pub const fn pack(self) -> Cap {
        match self {
            Self::Null => Cap::NULL,
            Self::Untyped { base, bits, device, free } => {
                Cap::pack(KIND_UNTYPED, base, 0, bits | (device as u64) << 6 | free >> FREE_UNIT_BITS << 16)
            }
            Self::Endpoint { ep, badge, rights } => {
                Cap::pack(KIND_ENDPOINT, ep.addr(), rights.0 & 0xf, badge)
            }
            Self::Notification { ntfn, badge, rights } => {
                Cap::pack(KIND_NOTIFICATION, ntfn.addr(), rights.0 & 0xf, badge)
            }
            Self::Reply { caller, master, grant } => {
                Cap::pack(KIND_REPLY, caller.addr(), master as u64 | (grant as u64) << 1, 0)
            }
            Self::CNode { base, radix, guard, guard_bits } => {
                Cap::pack(KIND_CNODE, base, radix | guard_bits << 6, guard)
            }
            Self::Thread { tcb } => Cap::pack(KIND_THREAD, tcb.addr(), 0, 0),
            Self::IrqControl => Cap::pack(KIND_CONTROL, 0, 0, CONTROL_IRQ),
            Self::AsidControl => Cap::pack(KIND_CONTROL, 0, 0, CONTROL_ASID),
            Self::Domain => Cap::pack(KIND_CONTROL, 0, 0, CONTROL_DOMAIN),
            Self::IrqHandler { line } => Cap::pack(KIND_IRQ_HANDLER, 0, 0, line),
            Self::Sgi { irq, core } => Cap::pack(KIND_SGI, 0, 0, irq | core << 8),
            Self::Zombie { base, kind, count } => Cap::pack(
                KIND_ZOMBIE,
                base,
                match kind {
                    ZombieKind::CNode { radix } => radix,
                    ZombieKind::Thread => ZOMBIE_THREAD,
                },
                count,
            ),
            Self::Frame { base, size, rights, device, mapping } => Cap::pack(
                KIND_FRAME,
                base,
                size as u64 | (rights as u64) << 2 | (device as u64) << 4,
                mapping_word(mapping),
            ),
            Self::PageTable { base, mapping } => Cap::pack(KIND_PAGE_TABLE, base, 0, mapping_word(mapping)),
            Self::VSpace { base, asid } => Cap::pack(
                KIND_VSPACE,
                base,
                0,
                match asid {
                    Some(asid) => asid,
                    None => 0,
                },
            ),
            Self::AsidPool { base, first } => Cap::pack(KIND_ASID_POOL, base, 0, first),
        }
    }

    /// The number that `seL4_DebugCapIdentify` shows.
    pub const fn identify(self) -> u64 {
        match self {
            Self::Null => 0,
            Self::Untyped { .. } => 2,
            Self::Endpoint { .. } => 4,
            Self::Notification { .. } => 6,
            Self::Reply { .. } => 8,
            Self::CNode { .. } => 10,
            Self::Thread { .. } => 12,
            Self::IrqControl => 14,
            Self::IrqHandler { .. } => 16,
            Self::Zombie { .. } => 18,
            Self::Domain => 20,
            Self::Frame { .. } => 1,
            Self::PageTable { .. } => 3,
            Self::VSpace { .. } => 9,
            Self::AsidControl => 11,
            Self::AsidPool { .. } => 13,
            Self::Sgi { .. } => 27,
        }
    }
}
