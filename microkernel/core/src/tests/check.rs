//! The invariants between any two entries of the kernel, for the host's tests.
use super::world::World;
use crate::check::{Census, Notes};
use crate::cores::CoreId;
use crate::sched::Action;
use crate::tcb::{DEBUG_NEXT, QUEUED, SCHED_NEXT};
use std::boxed::Box;
use std::collections::BTreeSet;

impl World {
    /// Panics when an invariant does not hold.
    pub(super) fn check(&self) {
        self.census();
        self.check_queues();
    }

    /// What there is, and all of it in order.
    pub(super) fn census(&self) -> Census {
        let mut notes = Box::new(Notes::new());
        self.k.check(&mut notes).unwrap_or_else(|violation| panic!("{violation:x?}"))
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
