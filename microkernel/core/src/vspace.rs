//! Address spaces: four levels of 512 entries, 4 KiB granule, 48-bit addresses; and ASIDs.
//!
//! An ASID is the index of an address space in the ASID pools and at once the number in the
//! translation registers. A mapping is known by its capability, as ASID and address; every use looks the
//! tables up again, so a stale capability finds nothing rather than somebody else's page.
use crate::cap::{Cap, FrameRights, FrameSize, Mapping, View};
use crate::kernel::Kernel;
use crate::machine::{DIRECT_MAP, Machine, to_kernel, to_physical};
use microkernel_abi::object::{ASID_POOL_INDEX_BITS, ASID_POOLS_BITS, PAGE_BITS, PAGE_TABLE_INDEX_BITS};
use microkernel_abi::rights::VmAttributes;

/// ASID pools.
pub(crate) const ASID_POOLS_MAX: usize = 1 << ASID_POOLS_BITS;
/// ASIDs of one pool.
pub(crate) const POOL_ASIDS: u64 = 1 << ASID_POOL_INDEX_BITS;
/// Bits below the root's index.
const ROOT_SHIFT: u64 = 39;

/// A translation-table descriptor (VMSAv8-64, stage 1, 4 KiB granule).
pub(crate) mod descriptor {
    pub(crate) const VALID: u64 = 1;
    /// At levels 0 to 2 a table; at level 3 a page.
    pub(crate) const TABLE_OR_PAGE: u64 = 3;
    pub(crate) const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
    /// AttrIndx 0: normal write-back memory (the boot sets MAIR_EL1 so).
    pub(crate) const NORMAL: u64 = 0;
    /// AttrIndx 1: Device-nGnRnE.
    pub(crate) const DEVICE: u64 = 1 << 2;
    /// AP[1]: EL0 has access.
    pub(crate) const USER: u64 = 1 << 6;
    /// AP[2]: no writes.
    pub(crate) const READ_ONLY: u64 = 1 << 7;
    pub(crate) const INNER_SHAREABLE: u64 = 3 << 8;
    pub(crate) const ACCESSED: u64 = 1 << 10;
    pub(crate) const NOT_GLOBAL: u64 = 1 << 11;
    pub(crate) const PRIVILEGED_EXECUTE_NEVER: u64 = 1 << 53;
    pub(crate) const USER_EXECUTE_NEVER: u64 = 1 << 54;
}
use descriptor as d;

/// Where a walk ended: the entry's kernel address, its value, and the address bits that it covers.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) at: u64,
    pub(crate) value: u64,
    pub(crate) bits: u64,
}

impl Entry {
    pub(crate) const fn is_valid(self) -> bool {
        self.value & d::VALID != 0
    }

    /// Maps something, as opposed to a table?
    pub(crate) const fn is_leaf(self) -> bool {
        self.is_valid() && (self.bits == PAGE_BITS || self.value & d::TABLE_OR_PAGE != d::TABLE_OR_PAGE)
    }
}

/// An address space that the translation registers can hold: physical root, and ASID from bit 48.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Space(u64);

impl Space {
    /// The empty one.
    pub(crate) const NONE: Self = Self(0);

    /// The space with tables at this kernel address.
    #[inline(always)]
    pub(crate) const fn new(root: u64, asid: u64) -> Self {
        Self(to_physical(root) | asid << 48)
    }

    /// Physical address of the tables; 0 for the empty space.
    #[inline(always)]
    pub(crate) const fn root(self) -> u64 {
        self.0 & !DIRECT_MAP
    }

    /// Its number; 0 for the empty space.
    #[inline(always)]
    pub(crate) const fn asid(self) -> u64 {
        self.0 >> 48
    }
}

/// The descriptor of a frame.
#[inline(always)]
pub(crate) const fn leaf(base: u64, size: FrameSize, rights: FrameRights, attributes: VmAttributes) -> u64 {
    let kind = match size {
        FrameSize::Small => d::TABLE_OR_PAGE,
        FrameSize::Large | FrameSize::Huge => d::VALID,
    };
    let access = match rights {
        FrameRights::KernelOnly => 0,
        FrameRights::ReadOnly => d::USER | d::READ_ONLY,
        FrameRights::ReadWrite => d::USER,
    };
    let memory = if attributes.cacheable() { d::NORMAL | d::INNER_SHAREABLE } else { d::DEVICE };
    let execute = if attributes.execute_never() { d::USER_EXECUTE_NEVER } else { 0 };
    to_physical(base) & d::ADDRESS
        | kind
        | access
        | memory
        | execute
        | d::ACCESSED
        | d::NOT_GLOBAL
        | d::PRIVILEGED_EXECUTE_NEVER
}

/// The descriptor of a lower table.
pub(crate) const fn table(base: u64) -> u64 {
    to_physical(base) & d::ADDRESS | d::TABLE_OR_PAGE
}

impl<M: Machine> Kernel<M> {
    /// The root of an address space, by ASID.
    #[inline(always)]
    pub(crate) fn vspace_of(&self, asid: u64) -> Option<u64> {
        match self.asid_pools[pool_index(asid)] {
            0 => None,
            // The entry of ASID 0 is never set.
            pool => Some(self.m.load(pool + asid % POOL_ASIDS * 8)).filter(|&root| root != 0),
        }
    }

    /// The address space that a capability names, if its ASID is still its own.
    #[inline(always)]
    pub(crate) fn space_of(&self, cap: Cap) -> Option<Space> {
        match cap.view() {
            View::VSpace { base, asid: Some(asid) } if self.vspace_of(asid) == Some(base) => {
                Some(Space::new(base, asid))
            }
            _ => None,
        }
    }

    /// Walks the tables as far as they go.
    pub(crate) fn walk(&self, root: u64, va: u64) -> Entry {
        let mut table = root;
        let mut bits = ROOT_SHIFT;
        loop {
            let at = table + (va >> bits) % (1 << PAGE_TABLE_INDEX_BITS) * 8;
            let value = self.m.load(at);
            if bits == PAGE_BITS || value & d::TABLE_OR_PAGE != d::TABLE_OR_PAGE {
                return Entry { at, value, bits };
            }
            table = to_kernel(value & d::ADDRESS);
            bits -= PAGE_TABLE_INDEX_BITS;
        }
    }

    /// Writes a leaf entry.
    pub(crate) fn write_leaf(&mut self, entry: Entry, asid: u64, va: u64, value: u64) {
        if entry.is_valid() && entry.value != value {
            // Break before make (Arm ARM D8.17.1): a valid entry is made invalid and forgotten before another
            // output address or other attributes take its place.
            self.m.store(entry.at, 0);
            self.m.forget_page(asid, va);
        }
        self.m.store(entry.at, value);
        self.m.tables_written();
    }

    /// Unmaps a frame, if the mapping is still this frame's.
    pub(crate) fn unmap_frame(&mut self, base: u64, size: FrameSize, mapping: Mapping) {
        let Some(root) = self.vspace_of(mapping.asid) else { return };
        let entry = self.walk(root, mapping.va);
        if entry.bits == size.bits() && entry.is_leaf() && entry.value & d::ADDRESS == to_physical(base) {
            self.m.store(entry.at, 0);
            self.m.forget_page(mapping.asid, mapping.va);
        }
    }

    /// Takes a table out of its address space, if it is still in it.
    pub(crate) fn unmap_table(&mut self, base: u64, mapping: Mapping) {
        let Some(root) = self.vspace_of(mapping.asid) else { return };
        let mut table_at = root;
        let mut bits = ROOT_SHIFT;
        while bits > PAGE_BITS {
            let at = table_at + (mapping.va >> bits) % (1 << PAGE_TABLE_INDEX_BITS) * 8;
            let value = self.m.load(at);
            if value & d::TABLE_OR_PAGE != d::TABLE_OR_PAGE {
                return;
            }
            if value & d::ADDRESS == to_physical(base) {
                self.m.store(at, 0);
                // Walk caches may hold the table for any address under it.
                self.m.forget_asid(mapping.asid);
                return;
            }
            table_at = to_kernel(value & d::ADDRESS);
            bits -= PAGE_TABLE_INDEX_BITS;
        }
    }

    /// An address space ends: nobody finds it by its ASID, no translation of it is remembered.
    pub(crate) fn delete_asid(&mut self, asid: u64, root: u64) {
        if self.vspace_of(asid) == Some(root) {
            self.m.store(self.asid_pools[pool_index(asid)] + asid % POOL_ASIDS * 8, 0);
            self.leave_vspace(asid);
            self.m.forget_asid(asid);
        }
    }

    /// An ASID pool ends, and with it the use of all its address spaces.
    pub(crate) fn delete_asid_pool(&mut self, pool: u64, first: u64) {
        if self.asid_pools[pool_index(first)] != pool {
            return;
        }
        self.asid_pools[pool_index(first)] = 0;
        for i in 0..POOL_ASIDS {
            if self.m.load(pool + i * 8) != 0 {
                self.leave_vspace(first + i);
                self.m.forget_asid(first + i);
            }
        }
    }
}

/// The pool of an ASID.
pub(crate) const fn pool_index(asid: u64) -> usize {
    // Cut to the table: ASIDs are made by `ASIDPool_Assign` only and fit.
    (asid >> ASID_POOL_INDEX_BITS & (ASID_POOLS_MAX as u64 - 1)) as usize
}
