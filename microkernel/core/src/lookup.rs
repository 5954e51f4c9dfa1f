//! From a capability address to a slot.
use crate::cap::{Cap, View};
use crate::error::InvocationError;
use crate::handle::{Slot, Tcb};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::slot::SLOT_SIZE;
use microkernel_abi::error::LookupFailure;

/// Bits of an address.
pub(crate) const WORD_BITS: u64 = 64;

impl<M: Machine> Kernel<M> {
    /// The slot that the low `bits` bits of `address` name under `root`, and the bits that were left when it was
    /// reached. Each level resolves at least one bit, so the walk ends.
    pub(crate) fn resolve(&self, root: Cap, address: u64, bits: u64) -> Result<(Slot, u64), LookupFailure> {
        let mut view = root.view();
        let mut left = bits;
        let mut found = None;
        loop {
            let View::CNode { base, radix, guard, guard_bits } = view else {
                // What is no CNode ends the walk: at the root it is an error, below it the slot was found.
                return found.map(|slot| (slot, left)).ok_or(LookupFailure::InvalidRoot);
            };
            if guard_bits > left
                || Cap::guard_masked(shifted(address, left - guard_bits), guard_bits) != guard
            {
                return Err(LookupFailure::GuardMismatch {
                    bits_left: bit_count(left),
                    guard_found: guard,
                    bits_found: bit_count(guard_bits),
                });
            }
            let level = radix + guard_bits;
            if level > left {
                return Err(LookupFailure::DepthMismatch {
                    bits_left: bit_count(left),
                    bits_found: bit_count(level),
                });
            }
            left -= level;
            let index = Cap::guard_masked(shifted(address, left), radix);
            let slot = Slot::at(base).offset(index);
            if left == 0 {
                return Ok((slot, 0));
            }
            found = Some(slot);
            view = self.view(slot);
        }
    }

    /// The slot that an address names in a thread's own capability space.
    #[inline(always)]
    pub(crate) fn lookup_slot(&self, tcb: Tcb, cptr: u64) -> Result<Slot, LookupFailure> {
        let root = self.cspace(tcb);
        match Self::resolve_at_once(root, cptr, WORD_BITS) {
            Some(slot) => Ok(slot),
            None => self.lookup_slot_by_levels(root, cptr),
        }
    }

    fn lookup_slot_by_levels(&self, root: Cap, cptr: u64) -> Result<Slot, LookupFailure> {
        self.resolve(root, cptr, WORD_BITS).map(|(slot, _)| slot)
    }

    /// What [`Self::resolve`] finds where one CNode resolves all bits, which is how capability spaces are mostly made.
    #[inline(always)]
    pub(crate) fn resolve_at_once(root: Cap, address: u64, bits: u64) -> Option<Slot> {
        let View::CNode { base, radix, guard, guard_bits } = root.view() else { return None };
        // A guard has at most 63 bits, so a whole address leaves at least one for the index.
        if radix + guard_bits != bits || radix == 0 {
            return None;
        }
        let address = if bits == WORD_BITS { address } else { Cap::guard_masked(address, bits) };
        // What differs from the guard is the index, if nothing differs above it.
        let index = address ^ guard << radix;
        if index >> radix == 0 { Some(Slot::at(base + index * SLOT_SIZE)) } else { None }
    }

    /// The slot that index and depth name exactly under a CNode capability.
    #[inline(never)]
    pub(crate) fn lookup_target(
        &self,
        root: Cap,
        index: u64,
        depth: u64,
        source: bool,
    ) -> Result<Slot, InvocationError> {
        if let Some(slot) = Self::resolve_at_once(root, index, depth) {
            return Ok(slot);
        }
        self.lookup_target_by_levels(root, index, depth, source)
    }

    fn lookup_target_by_levels(
        &self,
        root: Cap,
        index: u64,
        depth: u64,
        source: bool,
    ) -> Result<Slot, InvocationError> {
        let failed = |why| InvocationError::FailedLookup { source, why };
        if !matches!(root.view(), View::CNode { .. }) {
            return Err(failed(LookupFailure::InvalidRoot));
        }
        if !(1..=WORD_BITS).contains(&depth) {
            return Err(InvocationError::Range { min: 1, max: WORD_BITS });
        }
        match self.resolve(root, index, depth).map_err(failed)? {
            (slot, 0) => Ok(slot),
            (_, left) => {
                Err(failed(LookupFailure::DepthMismatch { bits_left: bit_count(left), bits_found: 0 }))
            }
        }
    }

    /// The slot is free for a new capability?
    pub(crate) fn ensure_empty(&self, slot: Slot) -> Result<(), InvocationError> {
        if self.is_empty(slot) { Ok(()) } else { Err(InvocationError::DeleteFirst) }
    }

    /// Nothing was derived from the capability?
    pub(crate) fn ensure_no_children(&self, slot: Slot) -> Result<(), InvocationError> {
        if self.first_child(slot).is_some() { Err(InvocationError::RevokeFirst) } else { Ok(()) }
    }
}

/// A number of address bits, below 128 by what a capability can say.
pub(crate) const fn bit_count(bits: u64) -> u16 {
    (bits & 0x7f) as u16
}

/// `address >> by`, also for `by` = 64.
fn shifted(address: u64, by: u64) -> u64 {
    if by >= WORD_BITS { 0 } else { address >> by }
}
