//! Untyped memory becomes objects.
use crate::RESET_CHUNK_BITS;
use crate::cap::{FrameRights, FrameSize, View};
use crate::error::{InvocationError, Stop};
use crate::handle::{Endpoint, Notification, Slot, Tcb};
use crate::invoke::{DONE, Invocation, Outcome, refuse};
use crate::kernel::Kernel;
use crate::lookup::{WORD_BITS, bit_count};
use crate::machine::Machine;
use microkernel_abi::error::LookupFailure;
use microkernel_abi::object::{ObjectType, UNTYPED_BITS_MAX, UNTYPED_BITS_MIN};
use microkernel_abi::rights::CapRights;
use microkernel_abi::{RETYPE_FAN_OUT_MAX, label};

/// What is made, and where its capabilities go.
struct Plan {
    kind: ObjectType,
    user_bits: u64,
    /// log2 of the bytes of an object.
    object_bits: u64,
    first: Slot,
    count: u64,
}

impl<M: Machine> Kernel<M> {
    #[inline(never)]
    pub(crate) fn invoke_untyped(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        let View::Untyped { base, bits, device, free } = inv.cap.view() else {
            return refuse(InvocationError::InvalidCapability(0));
        };
        if inv.label != label::UNTYPED_RETYPE {
            return refuse(InvocationError::IllegalOperation);
        }
        let plan = self.plan_retype(inv)?;
        let has_children = self.first_child(inv.slot).is_some();
        let free = if has_children { free } else { 0 };
        let object_bits = plan.object_bits;
        let left = (1 << bits) - free;
        if left >> object_bits < plan.count {
            return refuse(InvocationError::NotEnoughMemory(left));
        }
        if device && !plan.kind.is_frame() && plan.kind != ObjectType::Untyped {
            return refuse(InvocationError::InvalidArgument(1));
        }
        if !has_children {
            self.reset(inv.slot)?;
        }
        // The end of the untyped is aligned to more than the object, so rounding up keeps what was counted.
        let at = (base + free).next_multiple_of(1 << object_bits);
        let used = at - base + (plan.count << object_bits);
        self.set_cap(inv.slot, View::Untyped { base, bits, device, free: used }.pack());
        for i in 0..plan.count {
            let cap = self.create(plan.kind, plan.user_bits, at + (i << object_bits), device);
            self.insert_original(inv.slot, plan.first.offset(i), cap.pack());
        }
        DONE
    }

    fn plan_retype(&self, inv: &Invocation) -> Result<Plan, InvocationError> {
        inv.need(6, 1)?;
        let user_bits = self.arg(inv, 1);
        let (node_index, node_depth) = (self.arg(inv, 2), self.arg(inv, 3));
        let (offset, count) = (self.arg(inv, 4), self.arg(inv, 5));
        let kind = ObjectType::from_word(self.arg(inv, 0)).ok_or(InvocationError::InvalidArgument(0))?;
        let object_bits = kind.size_bits(user_bits % WORD_BITS);
        if user_bits >= WORD_BITS || object_bits > UNTYPED_BITS_MAX {
            return Err(InvocationError::Range { min: 0, max: UNTYPED_BITS_MAX });
        }
        match kind {
            ObjectType::CapTable if user_bits == 0 => return Err(InvocationError::InvalidArgument(1)),
            ObjectType::Untyped if user_bits < UNTYPED_BITS_MIN => {
                return Err(InvocationError::InvalidArgument(1));
            }
            _ => {}
        }
        let root = self.cap(inv.extra(0)?);
        let node = if node_depth == 0 {
            root
        } else {
            self.cap(self.lookup_target(root, node_index, node_depth, false)?)
        };
        let View::CNode { base, radix, .. } = node.view() else {
            let why = LookupFailure::MissingCapability { bits_left: bit_count(node_depth) };
            return Err(InvocationError::FailedLookup { source: false, why });
        };
        let slots = 1 << radix;
        if offset >= slots {
            return Err(InvocationError::Range { min: 0, max: slots - 1 });
        }
        if !(1..=RETYPE_FAN_OUT_MAX).contains(&count) {
            return Err(InvocationError::Range { min: 1, max: RETYPE_FAN_OUT_MAX });
        }
        if count > slots - offset {
            return Err(InvocationError::Range { min: 1, max: slots - offset });
        }
        let first = Slot::at(base).offset(offset);
        for i in 0..count {
            self.ensure_empty(first.offset(i))?;
        }
        Ok(Plan { kind, user_bits, object_bits, first, count })
    }

    /// Zeroes what was used of untyped memory in which nothing is left, from the top down, so that an interruption leaves
    /// a true free index. Other capabilities have nothing to reset.
    #[inline(never)]
    pub(crate) fn reset(&mut self, slot: Slot) -> Result<(), Stop> {
        let View::Untyped { base, bits, device, mut free } = self.view(slot) else { return Ok(()) };
        while free != 0 {
            if device {
                free = 0;
            } else {
                let from = (free - 1) >> RESET_CHUNK_BITS << RESET_CHUNK_BITS;
                self.m.zero(base + from, free - from);
                self.m.clean(base + from, free - from);
                free = from;
            }
            self.set_cap(slot, View::Untyped { base, bits, device, free }.pack());
            self.preemption_point()?;
        }
        Ok(())
    }

    /// Makes an object out of zeroed memory.
    fn create(&mut self, kind: ObjectType, user_bits: u64, base: u64, device: bool) -> View {
        let frame = |size| View::Frame { base, size, rights: FrameRights::ReadWrite, device, mapping: None };
        match kind {
            ObjectType::Untyped => {
                // Memory that this kernel has not zeroed since it was last used is not free of old contents; the
                // parent's reset has just done that, so the child starts clean. Device memory is never touched.
                View::Untyped { base, bits: user_bits, device, free: 0 }
            }
            ObjectType::Tcb => {
                let tcb = Tcb::at(base);
                self.init_thread(tcb);
                View::Thread { tcb }
            }
            ObjectType::Endpoint => {
                View::Endpoint { ep: Endpoint::at(base), badge: 0, rights: CapRights::ALL }
            }
            ObjectType::Notification => View::Notification {
                ntfn: Notification::at(base),
                badge: 0,
                rights: CapRights::new(false, false, true, true),
            },
            ObjectType::CapTable => View::CNode { base, radix: user_bits, guard: 0, guard_bits: 0 },
            ObjectType::SmallPage => frame(FrameSize::Small),
            ObjectType::LargePage => frame(FrameSize::Large),
            ObjectType::HugePage => frame(FrameSize::Huge),
            ObjectType::VSpace => View::VSpace { base, asid: None },
            ObjectType::PageTable => View::PageTable { base, mapping: None },
        }
    }
}
