//! CNode invocations.
use crate::cap::{Cap, View};
use crate::error::{InvocationError, Stop};
use crate::handle::Slot;
use crate::invoke::{DONE, Invocation, Outcome, refuse};
use crate::kernel::Kernel;
use crate::lookup::{WORD_BITS, bit_count};
use crate::machine::Machine;
use crate::tcb::SLOT_CALLER;
use microkernel_abi::error::LookupFailure;
use microkernel_abi::label;
use microkernel_abi::rights::{CNodeCapData, CapRights};

impl Cap {
    /// The capability with a badge or guard from `data`; null if it cannot have that. `keep_badge`: a moved
    /// capability is the original and gets no badge.
    #[must_use]
    pub(crate) fn with_data(self, data: u64, keep_badge: bool) -> Self {
        match self.view() {
            View::Endpoint { ep, badge: 0, rights } if !keep_badge => {
                View::Endpoint { ep, badge: data, rights }.pack()
            }
            View::Notification { ntfn, badge: 0, rights } if !keep_badge => {
                View::Notification { ntfn, badge: data, rights }.pack()
            }
            View::Endpoint { .. } | View::Notification { .. } => Self::NULL,
            View::CNode { base, radix, .. } => {
                let data = CNodeCapData(data);
                if data.guard_size() + radix > WORD_BITS {
                    return Self::NULL;
                }
                let guard = Self::guard_masked(data.guard(), data.guard_size());
                View::CNode { base, radix, guard, guard_bits: data.guard_size() }.pack()
            }
            _ => self,
        }
    }
}

fn missing(source: bool, bits_left: u64) -> InvocationError {
    InvocationError::FailedLookup {
        source,
        why: LookupFailure::MissingCapability { bits_left: bit_count(bits_left) },
    }
}

impl<M: Machine> Kernel<M> {
    #[inline(never)]
    pub(crate) fn invoke_cnode(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        if !(label::CNODE_REVOKE..=label::CNODE_SAVE_CALLER).contains(&inv.label) {
            return refuse(InvocationError::IllegalOperation);
        }
        inv.need(2, 0)?;
        let (index, depth) = (self.arg(inv, 0), self.arg(inv, 1));
        let dest = self.lookup_target(inv.cap, index, depth, false)?;
        match inv.label {
            label::CNODE_REVOKE => {
                self.revoke(dest)?;
                DONE
            }
            label::CNODE_DELETE => {
                self.delete(dest)?;
                DONE
            }
            label::CNODE_SAVE_CALLER => {
                self.ensure_empty(dest)?;
                let caller = inv.tcb.slot(SLOT_CALLER);
                let cap = self.cap(caller);
                if !cap.is_null() {
                    self.move_cap(caller, dest, cap);
                }
                DONE
            }
            label::CNODE_CANCEL_BADGED_SENDS => match self.view(dest) {
                View::Endpoint { ep, badge, rights } if rights == CapRights::ALL => {
                    if badge != 0 {
                        self.ep_cancel_badged(ep, badge);
                    }
                    DONE
                }
                _ => refuse(InvocationError::IllegalOperation),
            },
            label::CNODE_ROTATE => self.rotate(inv, dest),
            _ => self.copy_or_move(inv, dest),
        }
    }

    fn copy_or_move(&mut self, inv: &Invocation, dest: Slot) -> Result<Outcome, Stop> {
        inv.need(4, 1)?;
        let (index, depth) = (self.arg(inv, 2), self.arg(inv, 3));
        let root = self.cap(inv.extra(0)?);
        self.ensure_empty(dest)?;
        let source = self.lookup_target(root, index, depth, true)?;
        let cap = self.cap(source);
        if cap.is_null() {
            return refuse(missing(true, depth));
        }
        match inv.label {
            label::CNODE_COPY | label::CNODE_MINT => {
                let mint = inv.label == label::CNODE_MINT;
                inv.need(if mint { 6 } else { 5 }, 1)?;
                let masked = cap.masked(CapRights(self.arg(inv, 4)));
                let wanted = if mint { masked.with_data(self.arg(inv, 5), false) } else { masked };
                let derived = self.derive(source, wanted)?;
                if derived.is_null() {
                    return refuse(InvocationError::IllegalOperation);
                }
                self.insert_derived(source, dest, derived);
            }
            label::CNODE_MOVE => self.move_cap(source, dest, cap),
            _ => {
                inv.need(5, 1)?;
                let changed = cap.with_data(self.arg(inv, 4), true);
                if changed.is_null() {
                    return refuse(InvocationError::IllegalOperation);
                }
                self.move_cap(source, dest, changed);
            }
        }
        DONE
    }

    /// Source to pivot, pivot to destination; source and destination may be one slot.
    fn rotate(&mut self, inv: &Invocation, dest: Slot) -> Result<Outcome, Stop> {
        inv.need(8, 2)?;
        let (pivot_root, source_root) = (self.cap(inv.extra(0)?), self.cap(inv.extra(1)?));
        let dest_data = self.arg(inv, 2);
        let (pivot_index, pivot_depth) = (self.arg(inv, 3), self.arg(inv, 4));
        let pivot_data = self.arg(inv, 5);
        let (source_index, source_depth) = (self.arg(inv, 6), self.arg(inv, 7));
        let source = self.lookup_target(source_root, source_index, source_depth, true)?;
        // A pivot that is not found counts as a source, as the reference kernel has it.
        let pivot = self.lookup_target(pivot_root, pivot_index, pivot_depth, true)?;
        if pivot == source || pivot == dest {
            return refuse(InvocationError::IllegalOperation);
        }
        if source != dest {
            self.ensure_empty(dest)?;
        }
        let (source_cap, pivot_cap) = (self.cap(source), self.cap(pivot));
        if source_cap.is_null() {
            return refuse(missing(true, source_depth));
        }
        if pivot_cap.is_null() {
            return refuse(missing(false, pivot_depth));
        }
        let (new_pivot, new_dest) =
            (source_cap.with_data(pivot_data, true), pivot_cap.with_data(dest_data, true));
        if new_pivot.is_null() || new_dest.is_null() {
            return refuse(InvocationError::IllegalOperation);
        }
        if source == dest {
            self.swap(source, new_pivot, pivot, new_dest);
        } else {
            self.move_cap(pivot, dest, new_dest);
            self.move_cap(source, pivot, new_pivot);
        }
        DONE
    }
}
