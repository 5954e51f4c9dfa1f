//! Invocations of frames, translation tables, address spaces and ASID pools.
use crate::cap::{FrameRights, Mapping, View};
use crate::error::{InvocationError, Stop};
use crate::handle::Slot;
use crate::invoke::{DONE, Invocation, Outcome, refuse};
use crate::kernel::Kernel;
use crate::lookup::bit_count;
use crate::machine::{CacheOp, Machine, to_physical};
use crate::vspace::{ASID_POOLS_MAX, POOL_ASIDS, Space, descriptor, leaf, pool_index, table};
use microkernel_abi::error::LookupFailure;
use microkernel_abi::object::{ASID_POOL_BITS, PAGE_BITS};
use microkernel_abi::rights::{CapRights, VmAttributes};
use microkernel_abi::{USER_TOP, label};

const fn no_vspace() -> InvocationError {
    InvocationError::FailedLookup { source: false, why: LookupFailure::InvalidRoot }
}

const fn no_table(bits_left: u64) -> InvocationError {
    InvocationError::FailedLookup {
        source: false,
        why: LookupFailure::MissingCapability { bits_left: bit_count(bits_left) },
    }
}

const fn cache_op(label: u64, first: u64) -> CacheOp {
    match label - first {
        0 => CacheOp::Clean,
        1 => CacheOp::Invalidate,
        2 => CacheOp::CleanInvalidate,
        _ => CacheOp::Unify,
    }
}

impl<M: Machine> Kernel<M> {
    #[inline(never)]
    pub(crate) fn invoke_frame(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        if inv.label == label::PAGE_MAP {
            return self.map_frame(inv);
        }
        let View::Frame { base, size, mapping, .. } = inv.cap.view() else {
            return refuse(InvocationError::InvalidCapability(0));
        };
        match inv.label {
            label::PAGE_UNMAP => {
                if let Some(mapping) = mapping {
                    self.unmap_frame(base, size, mapping);
                    self.set_cap(inv.slot, inv.cap.with_mapping(None));
                }
                DONE
            }
            label::PAGE_CLEAN_DATA..=label::PAGE_UNIFY_INSTRUCTION => {
                inv.need(2, 0)?;
                let Some(mapping) = mapping else { return refuse(InvocationError::IllegalOperation) };
                let (start, end) = (self.arg(inv, 0), self.arg(inv, 1));
                let root = self.vspace_of(mapping.asid).ok_or(no_vspace())?;
                if end <= start {
                    return refuse(InvocationError::InvalidArgument(1));
                }
                let bytes = 1 << size.bits();
                if start >= bytes || end > bytes {
                    return refuse(InvocationError::InvalidArgument(0));
                }
                let entry = self.walk(root, mapping.va);
                if !entry.is_leaf() || entry.bits != size.bits() {
                    return DONE;
                }
                let op = cache_op(inv.label, label::PAGE_CLEAN_DATA);
                self.maintain(root, mapping.asid, op, entry.value, mapping.va + start, mapping.va + end)
            }
            label::PAGE_GET_ADDRESS => self.answer(inv, to_physical(base)),
            _ => refuse(InvocationError::IllegalOperation),
        }
    }

    /// Cache maintenance on user addresses of any address space: it becomes current for the while, so that the
    /// operation works on the executing address.
    #[inline(never)]
    fn maintain(
        &mut self,
        root: u64,
        asid: u64,
        op: CacheOp,
        leaf: u64,
        start: u64,
        end: u64,
    ) -> Result<Outcome, Stop> {
        // Discarding what was written is a write (Arm ARM: DC IVAC needs write permission and would fault here).
        let writable = leaf & (descriptor::USER | descriptor::READ_ONLY) == descriptor::USER;
        if op == CacheOp::Invalidate && !writable {
            return refuse(InvocationError::IllegalOperation);
        }
        let before = self.core().active_root;
        let here = Space::new(root, asid);
        if before != here {
            self.m.set_user_root(here.root(), here.asid());
        }
        self.m.user_cache(op, start, end);
        if before != here {
            self.m.set_user_root(before.root(), before.asid());
        }
        DONE
    }

    #[inline(never)]
    fn map_frame(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        inv.need(3, 1)?;
        let (va, rights, attributes) = (self.arg(inv, 0), self.arg(inv, 1), VmAttributes(self.arg(inv, 2)));
        let View::VSpace { base: root, asid: Some(asid) } = self.view(inv.extra(0)?) else {
            return refuse(InvocationError::InvalidCapability(1));
        };
        let View::Frame { base, size, rights: most, mapping, .. } = inv.cap.view() else {
            return refuse(InvocationError::InvalidCapability(0));
        };
        match self.vspace_of(asid) {
            None => return refuse(no_vspace()),
            Some(found) if found != root => return refuse(InvocationError::InvalidCapability(1)),
            Some(_) => {}
        }
        if !va.is_multiple_of(1 << size.bits()) {
            return refuse(InvocationError::Alignment);
        }
        match mapping {
            Some(mapping) if mapping.asid != asid => return refuse(InvocationError::InvalidCapability(1)),
            Some(mapping) if mapping.va != va => return refuse(InvocationError::InvalidArgument(0)),
            // A frame that begins below the end of user addresses ends below it: both are aligned.
            None if va > USER_TOP => return refuse(InvocationError::InvalidArgument(0)),
            _ => {}
        }
        let entry = self.walk(root, va);
        if entry.bits != size.bits() {
            return refuse(no_table(entry.bits));
        }
        // Another frame's mapping here is replaced, as the reference kernel does (its manual says DeleteFirst); the
        // other capability finds that the entry is no longer its own.
        let rights: FrameRights = most.masked(CapRights(rights));
        self.set_cap(inv.slot, inv.cap.with_mapping(Some(Mapping { asid, va })));
        self.write_leaf(entry, asid, va, leaf(base, size, rights, attributes));
        DONE
    }

    #[inline(never)]
    pub(crate) fn invoke_page_table(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        let View::PageTable { base, mapping } = inv.cap.view() else {
            return refuse(InvocationError::InvalidCapability(0));
        };
        match inv.label {
            label::PAGE_TABLE_UNMAP => {
                if !self.is_final(inv.slot) {
                    return refuse(InvocationError::RevokeFirst);
                }
                if let Some(mapping) = mapping {
                    self.unmap_table(base, mapping);
                    // What it mapped is gone with it: it may be put in elsewhere.
                    self.m.zero(base, 1 << PAGE_BITS);
                    self.set_cap(inv.slot, inv.cap.with_mapping(None));
                }
                DONE
            }
            label::PAGE_TABLE_MAP => {
                inv.need(2, 1)?;
                if mapping.is_some() {
                    return refuse(InvocationError::InvalidCapability(0));
                }
                let va = self.arg(inv, 0);
                let View::VSpace { base: root, asid: Some(asid) } = self.view(inv.extra(0)?) else {
                    return refuse(InvocationError::InvalidCapability(1));
                };
                if va > USER_TOP {
                    return refuse(InvocationError::InvalidArgument(0));
                }
                match self.vspace_of(asid) {
                    None => return refuse(no_vspace()),
                    Some(found) if found != root => return refuse(InvocationError::InvalidCapability(1)),
                    Some(_) => {}
                }
                let entry = self.walk(root, va);
                if entry.bits == PAGE_BITS || entry.is_valid() {
                    return refuse(InvocationError::DeleteFirst);
                }
                let va = va >> entry.bits << entry.bits;
                self.set_cap(inv.slot, inv.cap.with_mapping(Some(Mapping { asid, va })));
                self.m.store(entry.at, table(base));
                self.m.tables_written();
                DONE
            }
            _ => refuse(InvocationError::IllegalOperation),
        }
    }

    #[inline(never)]
    pub(crate) fn invoke_vspace(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        let View::VSpace { base: root, asid } = inv.cap.view() else {
            return refuse(InvocationError::InvalidCapability(0));
        };
        if !(label::VSPACE_CLEAN_DATA..=label::VSPACE_UNIFY_INSTRUCTION).contains(&inv.label) {
            return refuse(InvocationError::IllegalOperation);
        }
        inv.need(2, 0)?;
        let (start, end) = (self.arg(inv, 0), self.arg(inv, 1));
        if end <= start {
            return refuse(InvocationError::InvalidArgument(1));
        }
        if end > USER_TOP {
            return refuse(InvocationError::IllegalOperation);
        }
        let Some(asid) = asid else { return refuse(InvocationError::InvalidCapability(0)) };
        match self.vspace_of(asid) {
            None => return refuse(no_vspace()),
            Some(found) if found != root => return refuse(InvocationError::InvalidCapability(0)),
            Some(_) => {}
        }
        let entry = self.walk(root, start);
        if !entry.is_leaf() {
            return DONE;
        }
        let page = start >> entry.bits << entry.bits;
        let last = page + (1 << entry.bits) - 1;
        if end - 1 > last {
            return refuse(InvocationError::Range { min: start, max: last });
        }
        let op = cache_op(inv.label, label::VSPACE_CLEAN_DATA);
        self.maintain(root, asid, op, entry.value, start, end)
    }

    #[inline(never)]
    pub(crate) fn invoke_asid_control(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        if inv.label != label::ASID_CONTROL_MAKE_POOL {
            return refuse(InvocationError::IllegalOperation);
        }
        inv.need(2, 2)?;
        let (index, depth) = (self.arg(inv, 0), self.arg(inv, 1));
        let (source, root): (Slot, _) = (inv.extra(0)?, self.cap(inv.extra(1)?));
        let Some(free) = (0..ASID_POOLS_MAX).find(|&i| self.asid_pools[i] == 0) else {
            return refuse(InvocationError::DeleteFirst);
        };
        let View::Untyped { base, bits: ASID_POOL_BITS, device: false, .. } = self.view(source) else {
            return refuse(InvocationError::InvalidCapability(1));
        };
        self.ensure_no_children(source)?;
        let dest = self.lookup_target(root, index, depth, false)?;
        self.ensure_empty(dest)?;
        self.m.zero(base, 1 << ASID_POOL_BITS);
        let full = View::Untyped { base, bits: ASID_POOL_BITS, device: false, free: 1 << ASID_POOL_BITS };
        self.set_cap(source, full.pack());
        self.asid_pools[free] = base;
        self.insert_original(source, dest, View::AsidPool { base, first: free as u64 * POOL_ASIDS }.pack());
        DONE
    }

    #[inline(never)]
    pub(crate) fn invoke_asid_pool(
        &mut self,
        inv: &Invocation,
        pool: u64,
        first: u64,
    ) -> Result<Outcome, Stop> {
        if inv.label != label::ASID_POOL_ASSIGN {
            return refuse(InvocationError::IllegalOperation);
        }
        inv.need(0, 1)?;
        let slot = inv.extra(0)?;
        let View::VSpace { base, asid: None } = self.view(slot) else {
            return refuse(InvocationError::InvalidCapability(1));
        };
        match self.asid_pools[pool_index(first)] {
            0 => return refuse(no_vspace()),
            found if found != pool => return refuse(InvocationError::InvalidCapability(0)),
            _ => {}
        }
        // ASID 0 means "not mapped" and is never given out.
        let free = (0..POOL_ASIDS).find(|&i| first + i != 0 && self.m.load(pool + i * 8) == 0);
        let Some(free) = free else { return refuse(InvocationError::DeleteFirst) };
        self.m.store(pool + free * 8, base);
        self.set_cap(slot, View::VSpace { base, asid: Some(first + free) }.pack());
        DONE
    }
}

const _: () = assert!((ASID_POOLS_MAX as u64) * POOL_ASIDS == 1 << 16);
