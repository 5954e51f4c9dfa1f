//! What must hold between any two entries of the kernel.
use super::world::World;
use crate::cap::View;
use crate::cores::CoreId;
use crate::handle::Slot;
use crate::machine::Machine;
use crate::sched::Action;
use crate::tcb::{DEBUG_NEXT, FAULT, QUEUED, SCHED_NEXT, SLOT_CALLER, SLOT_REPLY, State};
use std::collections::BTreeSet;
use std::vec::Vec;

impl World {
    /// Panics when an invariant does not hold.
    pub(super) fn check(&self) {
        self.check_links();
        self.check_memory();
        self.check_queues();
        self.check_threads();
    }

    /// What the short way of system calls relies on.
    fn check_threads(&self) {
        for slot in self.all_slots() {
            let View::Thread { tcb } = self.k.view(slot) else { continue };
            match self.k.state(tcb) {
                State::BlockedOnReceive => {
                    assert!(self.k.is_empty(tcb.slot(SLOT_CALLER)), "serves while it waits")
                }
                state if state.is_runnable() && self.k.current() == Some(tcb) => {
                    assert_eq!(self.k.get(tcb, FAULT), 0, "runs with a fault");
                    let master = tcb.slot(SLOT_REPLY);
                    assert_eq!(self.k.view(master), View::Reply { caller: tcb, master: true, grant: true });
                    assert_eq!(self.links(master), (0, 0), "runs while somebody can answer it");
                }
                _ => {}
            }
            if let View::Reply { caller, .. } = self.k.view(tcb.slot(SLOT_CALLER)) {
                let reply = (caller.slot(SLOT_REPLY).addr(), 0);
                assert_eq!(
                    self.links(tcb.slot(SLOT_CALLER)),
                    reply,
                    "a reply has another parent than its caller's"
                );
                assert_eq!(self.k.state(caller), State::BlockedOnReply, "somebody serves who has not called");
            }
        }
    }

    fn links(&self, slot: Slot) -> (u64, u64) {
        (self.k.m.load(slot.addr() + 16) & !3, self.k.m.load(slot.addr() + 24))
    }

    /// The derivation list is doubly linked, and links name slots with capabilities.
    fn check_links(&self) {
        for slot in self.all_slots() {
            let (prev, next) = self.links(slot);
            if self.k.is_empty(slot) {
                assert_eq!((prev, next), (0, 0), "an empty slot is in the list");
                continue;
            }
            if prev != 0 {
                assert_eq!(self.links(Slot::at(prev)).1, slot.addr(), "prev does not point back");
                assert!(!self.k.is_empty(Slot::at(prev)));
            }
            if next != 0 {
                assert_eq!(self.links(Slot::at(next)).0, slot.addr(), "next does not point back");
                assert!(!self.k.is_empty(Slot::at(next)));
            }
        }
    }

    /// Objects do not overlap, except that untyped memory contains what was made of it; what lies in an untyped
    /// lies below its free index and is among its descendants.
    fn check_memory(&self) {
        let mut objects: Vec<(u64, u64, View)> = Vec::new();
        let mut untyped: Vec<(u64, u64, u64)> = Vec::new();
        for slot in self.all_slots() {
            let view = self.k.view(slot);
            let Some((base, bits)) = self.k.cap(slot).memory() else { continue };
            match view {
                View::Untyped { free, .. } => {
                    assert!(free <= 1 << bits);
                    untyped.push((base, base + free, base + (1 << bits)));
                }
                _ => objects.push((base, base + (1 << bits), view)),
            }
        }
        objects.sort_by_key(|&(start, end, _)| (start, end));
        objects.dedup_by_key(|&mut (start, end, _)| (start, end));
        for pair in objects.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "objects overlap: {:x?} {:x?}", pair[0], pair[1]);
        }
        for &(start, used, end) in &untyped {
            for &(at, _, view) in &objects {
                assert!(!(used..end).contains(&at), "{view:x?} lies in free memory of {start:x}");
            }
        }
    }

    /// Every ready thread is in the queue of its priority on its core, or runs there; the bits say which queues have any.
    pub(super) fn check_queues(&self) {
        let mut seen = BTreeSet::new();
        for core in (0..self.k.cores_online()).filter_map(CoreId::new) {
            self.check_core(core, &mut seen);
        }
        let mut next = self.k.threads;
        while let Some(tcb) = next {
            next = self.k.thread_link(tcb, DEBUG_NEXT);
            assert_eq!(seen.contains(&tcb.addr()), self.k.state(tcb).is_runnable(), "a ready thread is lost");
        }
    }

    fn check_core(&self, core: CoreId, seen: &mut BTreeSet<u64>) {
        let own = self.k.core_of(core);
        for (p, head) in own.ready.heads().iter().enumerate() {
            assert_eq!(own.ready.has(p), head.is_some());
            let mut next = *head;
            while let Some(tcb) = next {
                assert!(seen.insert(tcb.addr()), "a thread is queued twice");
                assert!(self.k.state(tcb).is_runnable());
                assert_eq!((self.k.get(tcb, QUEUED), self.k.priority(tcb)), (1, p));
                assert_ne!(own.current, Some(tcb), "the running thread is queued");
                assert_eq!(self.k.affinity(tcb), core, "in another core's queue");
                next = self.k.thread_link(tcb, SCHED_NEXT);
            }
        }
        if let Some(current) = own.current {
            assert!(seen.insert(current.addr()), "a thread runs twice");
            assert!(self.k.state(current).is_runnable());
            assert_eq!(self.k.affinity(current), core, "it runs on another core than its own");
        }
        // Another core may have put a more urgent thread here; then an interrupt is on its way.
        let running = own.current.map(|tcb| self.k.priority(tcb));
        let called = own.action == Action::ChooseNew && (own.void || self.k.m.interrupted.contains(&core));
        assert!(own.ready.highest() <= running || called, "not the most urgent runs");
        if let Some(owner) = own.fpu_owner {
            assert_eq!(self.k.affinity(owner), core, "floating-point values on another core");
        }
    }
}
