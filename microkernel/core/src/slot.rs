//! Slots and the derivation tree.
//!
//! The tree is a doubly linked list in prefix order through the slots. A parent's descendants follow
//! it without a gap, and whether one entry is another's ancestor is read from the capabilities
//! themselves: an *original* covers what was derived from it ([`View::covers`]), and of badged
//! capabilities the first with its badge covers the later ones.
//!
//! Word 2 of a slot: previous slot, bit 0 original, bit 1 first with its badge. Word 3: next slot.
use crate::cap::{Cap, View};
use crate::handle::{Slot, Tcb, word};
use crate::kernel::Kernel;
use crate::machine::Machine;

/// Bytes of a slot.
pub(crate) const SLOT_SIZE: u64 = 32;
const PREV: u64 = 16;
const NEXT: u64 = 24;
const ORIGINAL: u64 = 1;
const FIRST_BADGED: u64 = 2;
const FLAGS: u64 = 3;

impl Slot {
    /// The slot `index` places on.
    pub(crate) const fn offset(self, index: u64) -> Self {
        Self::at(self.addr() + index * SLOT_SIZE)
    }
}

impl<M: Machine> Kernel<M> {
    /// The capability in a slot.
    #[inline(always)]
    pub fn cap(&self, slot: Slot) -> Cap {
        Cap { w0: self.m.load(slot.addr()), w1: self.m.load(slot.addr() + 8) }
    }

    /// What the capability in a slot means.
    #[inline(always)]
    pub fn view(&self, slot: Slot) -> View {
        self.cap(slot).view()
    }

    /// Replaces the capability in a slot by one for the same object; its place in the tree stays.
    #[inline]
    pub(crate) fn set_cap(&mut self, slot: Slot, cap: Cap) {
        self.m.store(slot.addr(), cap.w0);
        self.m.store(slot.addr() + 8, cap.w1);
    }

    /// Is a slot without capability?
    #[inline(always)]
    pub(crate) fn is_empty(&self, slot: Slot) -> bool {
        Cap { w0: self.m.load(slot.addr()), w1: 0 }.is_null()
    }

    #[inline(always)]
    pub(crate) fn prev(&self, slot: Slot) -> Option<Slot> {
        Slot::link(self.m.load(slot.addr() + PREV) & !FLAGS)
    }

    #[inline(always)]
    pub(crate) fn next(&self, slot: Slot) -> Option<Slot> {
        Slot::link(self.m.load(slot.addr() + NEXT))
    }

    #[inline(always)]
    fn flags(&self, slot: Slot) -> u64 {
        self.m.load(slot.addr() + PREV) & FLAGS
    }

    #[inline(always)]
    fn set_prev(&mut self, slot: Slot, prev: Option<Slot>) {
        let flags = self.flags(slot);
        self.m.store(slot.addr() + PREV, word!(prev) | flags);
    }

    #[inline(always)]
    fn set_next(&mut self, slot: Slot, next: Option<Slot>) {
        self.m.store(slot.addr() + NEXT, word!(next));
    }

    #[inline(always)]
    fn set_links(&mut self, slot: Slot, prev: Option<Slot>, next: Option<Slot>, flags: u64) {
        self.m.store(slot.addr() + PREV, word!(prev) | flags);
        self.m.store(slot.addr() + NEXT, word!(next));
    }

    /// Puts a capability without ancestors into an empty slot: boot only, and the reply master of a thread.
    pub(crate) fn plant(&mut self, slot: Slot, cap: Cap) {
        self.set_cap(slot, cap);
        self.set_links(slot, None, None, ORIGINAL | FIRST_BADGED);
    }

    /// Puts a capability into an empty slot directly after `parent`.
    fn insert_after(&mut self, parent: Slot, slot: Slot, cap: Cap, flags: u64) {
        let next = self.next(parent);
        self.set_cap(slot, cap);
        self.set_links(slot, Some(parent), next, flags);
        self.set_next(parent, Some(slot));
        if let Some(next) = next {
            self.set_prev(next, Some(slot));
        }
    }

    /// Puts the first capability of a new object into an empty slot, as child of `parent`.
    pub(crate) fn insert_original(&mut self, parent: Slot, slot: Slot, cap: Cap) {
        self.insert_after(parent, slot, cap, ORIGINAL | FIRST_BADGED);
    }

    /// Puts a capability into an empty slot of a thread, as the only child of an original in another one's that is
    /// alone.
    #[inline(always)]
    pub(crate) fn insert_only_child(&mut self, parent: (Tcb, u64), child: (Tcb, u64), cap: Cap) {
        let (parent, child) = (parent.0.slot_address(parent.1), child.0.slot_address(child.1));
        self.m.store(child, cap.w0);
        self.m.store(child + 8, cap.w1);
        self.m.store(child + PREV, parent);
        self.m.store(child + NEXT, 0);
        self.m.store(parent + NEXT, child);
    }

    /// Undoes [`Self::insert_only_child`].
    #[inline(always)]
    pub(crate) fn unlink_only_child(&mut self, parent: (Tcb, u64), child: (Tcb, u64)) {
        let (parent, child) = (parent.0.slot_address(parent.1), child.0.slot_address(child.1));
        self.m.store(parent + NEXT, 0);
        // A loop in the source would be one in a kernel that is compiled to be small.
        self.m.store(child, 0);
        self.m.store(child + 8, 0);
        self.m.store(child + PREV, 0);
        self.m.store(child + NEXT, 0);
    }

    /// Puts a capability derived from the one in `source` into the empty slot `dest`.
    pub(crate) fn insert_derived(&mut self, source: Slot, dest: Slot, cap: Cap) {
        let from = self.cap(source);
        let original = if cap.has_badge() {
            // Word 1 is the badge.
            from.w1 != cap.w1
        } else if cap.is_untyped() {
            // An untyped that was copied whole has nothing left: the copy owns the memory now.
            if let View::Untyped { base, bits, device, .. } = from.view()
                && cap.memory() == Some((base, bits))
            {
                self.set_cap(source, View::Untyped { base, bits, device, free: 1 << bits }.pack());
            }
            true
        } else {
            // What interrupt control makes is of another kind; copies are not.
            from.kind() != cap.kind()
        };
        let flags = if original { ORIGINAL | FIRST_BADGED } else { 0 };
        self.insert_after(source, dest, cap, flags);
    }

    /// Moves a capability to an empty slot; `cap` is what it becomes. Its place in the tree moves along.
    pub(crate) fn move_cap(&mut self, source: Slot, dest: Slot, cap: Cap) {
        let (prev, next, flags) = (self.prev(source), self.next(source), self.flags(source));
        self.set_cap(dest, cap);
        self.set_links(dest, prev, next, flags);
        self.set_cap(source, Cap::NULL);
        self.set_links(source, None, None, 0);
        self.relink(prev, dest, next);
    }

    fn relink(&mut self, prev: Option<Slot>, slot: Slot, next: Option<Slot>) {
        if let Some(prev) = prev {
            self.set_next(prev, Some(slot));
        }
        if let Some(next) = next {
            self.set_prev(next, Some(slot));
        }
    }

    /// Exchanges two slots: `a`'s capability arrives in `b` as `cap_a`, `b`'s in `a` as `cap_b`.
    pub(crate) fn swap(&mut self, a: Slot, cap_a: Cap, b: Slot, cap_b: Cap) {
        let (ap, an, af) = (self.prev(a), self.next(a), self.flags(a));
        let (bp, bn, bf) = (self.prev(b), self.next(b), self.flags(b));
        self.set_cap(a, cap_b);
        self.set_cap(b, cap_a);
        // A link that names one of the two names the other afterwards.
        let turned = |link: Option<Slot>| match link {
            Some(slot) if slot == a => Some(b),
            Some(slot) if slot == b => Some(a),
            other => other,
        };
        self.set_links(a, turned(bp), turned(bn), bf);
        self.set_links(b, turned(ap), turned(an), af);
        let (prev, next) = (self.prev(a), self.next(a));
        self.relink(prev, a, next);
        let (prev, next) = (self.prev(b), self.next(b));
        self.relink(prev, b, next);
    }

    /// Takes a capability out of its slot and out of the tree. What it named is the caller's business.
    pub(crate) fn unlink(&mut self, slot: Slot) {
        if self.is_empty(slot) {
            return;
        }
        let (prev, next, flags) = (self.prev(slot), self.next(slot), self.flags(slot));
        if let Some(prev) = prev {
            self.set_next(prev, next);
        }
        if let Some(next) = next {
            // With the first of its badge gone, the next one stands for the badge.
            let flags = self.flags(next) | flags & FIRST_BADGED;
            self.m.store(next.addr() + PREV, word!(prev) | flags);
        }
        self.set_cap(slot, Cap::NULL);
        self.set_links(slot, None, None, 0);
    }

    /// Was the capability in `child` derived from the one in `parent`?
    #[inline(never)]
    pub(crate) fn is_parent(&self, parent: Slot, child: Slot) -> bool {
        if self.flags(parent) & ORIGINAL == 0 {
            return false;
        }
        let (p, c) = (self.cap(parent), self.cap(child));
        if !p.covers(c) {
            return false;
        }
        // Word 1 is the badge.
        !p.has_badge() || p.w1 == 0 || p.w1 == c.w1 && self.flags(child) & FIRST_BADGED == 0
    }

    /// Does a capability stand for the badge of the other one: is the other one the same, or derived from a copy of it?
    #[cfg(any(test, feature = "check"))]
    pub(crate) fn stands_for_badge(&self, first: Slot, other: Slot) -> bool {
        let (f, o) = (self.cap(first), self.cap(other));
        self.flags(first) & FIRST_BADGED != 0
            && f.has_badge()
            && f.same_object(o)
            && f.w1 != 0
            && f.w1 == o.w1
    }

    /// The first descendant, if there is one.
    pub(crate) fn first_child(&self, slot: Slot) -> Option<Slot> {
        self.next(slot).filter(|&next| self.is_parent(slot, next))
    }

    /// Is this the last capability of its object?
    pub(crate) fn is_final(&self, slot: Slot) -> bool {
        let cap = self.cap(slot);
        let is_same = |neighbour: Option<Slot>| neighbour.is_some_and(|slot| self.cap(slot).same_object(cap));
        !is_same(self.prev(slot)) && !is_same(self.next(slot))
    }
}
