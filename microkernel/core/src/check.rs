//! What must hold between any two entries of the kernel, checked.
//!
//! The checker reads everything and changes nothing. It finds what there is from the root CNode and the list of threads:
//! every capability lies in a CNode or a thread that is reached from there, or in an interrupt's slot. Then it holds
//! against each other what the kernel keeps twice. The host's tests and, in a debug build, the stress on the target use
//! it. It runs on any core, while no other one is in the kernel.
//!
//! | part | what holds |
//! |---|---|
//! | `links` | the derivation list is doubly linked; a child's ancestors stand before it without a gap |
//! | `memory` | objects do not overlap; untyped memory above its free index is nobody's |
//! | `queues` | ready queues hold ready threads, once; waiting threads are in the queue of what they wait for, and nobody else is |
//! | `replies` | a reply capability is its caller's only one, and the caller waits |
//! | `spaces` | ASIDs name address spaces that exist; every table entry is some capability's mapping |
use crate::cap::{Mapping, View, ZombieKind};
use crate::cores::CoreId;
use crate::endpoint::Waiting;
use crate::handle::{Endpoint, Notification, Slot, Tcb};
use crate::interrupt::{EXTRA_LINES, index};
use crate::kernel::{IrqUse, Kernel};
use crate::machine::{Machine, to_kernel, to_physical};
use crate::tcb::{
    BLOCKED_ON, BOUND, DEBUG_NEXT, EP_NEXT, EP_PREV, FAULT, QUEUED, SCHED_NEXT, SCHED_PREV, SLOT_CALLER,
    SLOT_REPLY, SLOTS, State,
};
use crate::vspace::{POOL_ASIDS, descriptor, pool_index};
use microkernel_abi::object::{PAGE_BITS, PAGE_TABLE_INDEX_BITS};

mod notes;

pub use notes::{CONTAINERS_MAX, Notes, OBJECTS_MAX};

/// Length of a derivation list and of a queue, beyond which it is taken for a circle.
const STEPS_MAX: usize = 1 << 20;

/// An invariant that does not hold, and where: addresses of slots, threads or objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are addresses of what the variant names")]
pub enum Violation {
    /// There are more containers than [`CONTAINERS_MAX`] or more objects than [`OBJECTS_MAX`].
    TooMuch,
    /// An empty slot is in the derivation list.
    EmptyLinked { slot: u64 },
    /// A neighbour in the derivation list does not point back, or is empty.
    Neighbour { slot: u64, neighbour: u64 },
    /// The derivation list is a circle.
    Circle { slot: u64 },
    /// Between a capability and its ancestor stands one that is none of the ancestor's.
    Gap { ancestor: u64, child: u64, between: u64 },
    /// Two objects share memory.
    Overlap { one: u64, other: u64 },
    /// The free index lies beyond the untyped.
    FreeIndex { slot: u64 },
    /// An object lies in memory that its untyped counts as free.
    InFree { object: u64, untyped: u64 },
    /// A ready queue is not doubly linked, or its bit is wrong.
    ReadyLinks { priority: usize },
    /// A thread in a ready queue is not ready, not marked, of another priority, or running.
    NotReady { tcb: u64 },
    /// A thread is marked as queued, or ready, and in no queue.
    Lost { tcb: u64 },
    /// A core runs a thread, or holds its floating-point values, that belongs to another one.
    Elsewhere { tcb: u64 },
    /// The running thread is not runnable.
    Stopped { tcb: u64 },
    /// A thread of higher priority is ready.
    NotMostUrgent { tcb: u64 },
    /// A queue of waiting threads is not doubly linked, or its state says something else.
    WaitLinks { object: u64 },
    /// A thread in a queue of waiting threads does not wait there.
    NotWaiting { tcb: u64, object: u64 },
    /// A thread and a notification are not bound to each other.
    Binding { tcb: u64 },
    /// There are two reply capabilities of one call, or one for a thread that does not wait.
    Reply { tcb: u64 },
    /// A running thread has a fault, or somebody can still answer it.
    Unanswered { tcb: u64 },
    /// A thread serves a caller that does not wait for it, or serves while it waits itself.
    Serves { tcb: u64 },
    /// A handler capability of an interrupt that is not handed out, or the other way round.
    Interrupt { line: u64 },
    /// A capability of an ASID pool that is not in the table.
    Pool { pool: u64 },
    /// An ASID names something that is no address space with this ASID.
    Asid { asid: u64 },
    /// A table entry that no capability stands for.
    Entry { at: u64, value: u64 },
}

/// What there is, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// Slots with a capability.
    pub capabilities: u64,
    /// Threads.
    pub threads: u64,
    /// Valid entries of users' translation tables.
    pub entries: u64,
}

/// The part of a table entry that a capability determines: the address, and whether it is a leaf.
const fn identity(value: u64, leaf: bool) -> u64 {
    value & descriptor::ADDRESS | leaf as u64
}

impl<M: Machine> Kernel<M> {
    /// Checks every invariant; the first that does not hold.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn check(&self, notes: &mut Notes) -> Result<Census, Violation> {
        (notes.container_count, notes.object_count, notes.mapping_count) = (0, 0, 0);
        let mut census = Census::default();
        self.collect(notes)?;
        self.each_slot(notes, |slot| {
            census.capabilities += u64::from(!self.is_empty(slot));
            self.check_links(slot)
        })?;
        self.each_slot(notes, |slot| self.check_ancestors(slot))?;
        let objects = &mut notes.objects[..notes.object_count];
        objects.sort_unstable();
        self.check_memory(objects)?;
        census.threads = self.check_threads()?;
        self.check_ready()?;
        self.each_slot(notes, |slot| self.check_waiting(slot))?;
        self.each_slot(notes, |slot| self.check_reply(slot))?;
        self.each_slot(notes, |slot| self.check_pool(slot))?;
        self.check_interrupts()?;
        let mappings = &mut notes.mappings[..notes.mapping_count];
        mappings.sort_unstable();
        census.entries = self.check_spaces(mappings)?;
        Ok(census)
    }

    /// Visits every slot that there is.
    fn each_slot(
        &self,
        notes: &Notes,
        mut visit: impl FnMut(Slot) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        for &(base, slots) in &notes.containers[..notes.container_count] {
            for i in 0..slots {
                visit(Slot::at(base).offset(i))?;
            }
        }
        Ok(())
    }

    /// Notes every container and every object: what a noted container holds is noted in turn.
    fn collect(&self, notes: &mut Notes) -> Result<(), Violation> {
        notes.container(self.irq_slots, self.irq_count + EXTRA_LINES)?;
        let mut next = self.threads;
        while let Some(tcb) = next {
            notes.container(tcb.addr(), SLOTS)?;
            next = self.thread_link(tcb, DEBUG_NEXT);
        }
        let mut seen = 0;
        while seen < notes.container_count {
            let (base, slots) = notes.containers[seen];
            seen += 1;
            for i in 0..slots {
                let slot = Slot::at(base).offset(i);
                if !self.is_empty(slot) {
                    let first = self.collect_from(notes, slot)?;
                    seen = seen.min(first.unwrap_or(seen));
                }
            }
        }
        self.each_slot_noted(notes)
    }

    /// Notes what a slot leads to; the first container that is to be visited for it.
    fn collect_from(&self, notes: &mut Notes, slot: Slot) -> Result<Option<usize>, Violation> {
        let mut first = match self.view(slot) {
            View::CNode { base, radix, .. }
            | View::Zombie { base, kind: ZombieKind::CNode { radix }, .. } => {
                notes.container(base, 1 << radix)?
            }
            View::Zombie { base, kind: ZombieKind::Thread, .. } => notes.container(base, SLOTS)?,
            _ => None,
        };
        // A CNode whose last capability is in itself is reached by its neighbours in the derivation list only.
        for neighbour in [self.prev(slot), self.next(slot)].into_iter().flatten() {
            if !notes.is_noted(neighbour) {
                let place = notes.container(neighbour.addr(), 1)?;
                first = first.into_iter().chain(place).min();
            }
        }
        Ok(first)
    }

    /// Notes objects and mappings of all slots.
    fn each_slot_noted(&self, notes: &mut Notes) -> Result<(), Violation> {
        for place in 0..notes.container_count {
            let (base, slots) = notes.containers[place];
            for slot in (0..slots).map(|i| Slot::at(base).offset(i)) {
                let view = self.view(slot);
                match view {
                    View::Frame { base, mapping, .. } => {
                        notes.mapping(mapping, identity(to_physical(base), true))?;
                    }
                    View::PageTable { base, mapping } => {
                        notes.mapping(mapping, identity(to_physical(base), false))?;
                    }
                    View::VSpace { base, asid: Some(asid) } => {
                        notes.mapping(Some(Mapping { asid, va: ROOT_PLACE }), base)?;
                    }
                    _ => {}
                }
                if let Some((base, bits)) = self.cap(slot).memory() {
                    notes.object(base, bits, slot)?;
                }
            }
        }
        Ok(())
    }

    fn check_links(&self, slot: Slot) -> Result<(), Violation> {
        let (prev, next) = (self.prev(slot), self.next(slot));
        if self.is_empty(slot) {
            let linked = prev.is_some() || next.is_some();
            return if linked { Err(Violation::EmptyLinked { slot: slot.addr() }) } else { Ok(()) };
        }
        let wrong = |neighbour: Slot| Violation::Neighbour { slot: slot.addr(), neighbour: neighbour.addr() };
        if let Some(prev) = prev.filter(|&prev| self.next(prev) != Some(slot) || self.is_empty(prev)) {
            return Err(wrong(prev));
        }
        match next.filter(|&next| self.prev(next) != Some(slot) || self.is_empty(next)) {
            Some(next) => Err(wrong(next)),
            None => Ok(()),
        }
    }

    /// From a capability back to its nearest ancestor there are only descendants of that one.
    fn check_ancestors(&self, slot: Slot) -> Result<(), Violation> {
        // Software interrupts have no object: two that were made apart look like parent and child.
        if self.is_empty(slot) || matches!(self.view(slot), View::Sgi { .. }) {
            return Ok(());
        }
        // The first of its badge, once that is passed: two that were minted with one badge have separate families.
        let mut head = slot;
        let mut before = self.prev(slot);
        for _ in 0..STEPS_MAX {
            let Some(ancestor) = before else { return Ok(()) };
            if self.is_parent(ancestor, head) {
                let mut between = self.next(ancestor);
                while let Some(one) = between.filter(|&one| one != slot) {
                    if !self.is_parent(ancestor, one) {
                        return Err(Violation::Gap {
                            ancestor: ancestor.addr(),
                            child: slot.addr(),
                            between: one.addr(),
                        });
                    }
                    between = self.next(one);
                }
                return Ok(());
            }
            if self.stands_for_badge(ancestor, head) {
                head = ancestor;
            }
            before = self.prev(ancestor);
        }
        Err(Violation::Circle { slot: slot.addr() })
    }

    /// Sorted by address: an untyped comes with what was made of it behind it.
    fn check_memory(&self, objects: &[(u64, u64, u64)]) -> Result<(), Violation> {
        // The last object that is no untyped, and where the memory ends that it and those before it cover.
        let (mut last, mut covered) = (0, 0);
        for &(start, end, slot) in objects {
            let View::Untyped { .. } = self.view(Slot::at(slot)) else {
                // Several capabilities of one object have one place.
                if start < covered && start != last {
                    return Err(Violation::Overlap { one: last, other: start });
                }
                (last, covered) = (start, covered.max(end));
                continue;
            };
        }
        for (i, &(start, end, slot)) in objects.iter().enumerate() {
            let at = Slot::at(slot);
            let View::Untyped { free, .. } = self.view(at) else { continue };
            if free > end - start + 1 {
                return Err(Violation::FreeIndex { slot });
            }
            // What starts below is larger and covers this one; what starts here or behind may lie in it.
            let inside = objects[i..].iter().take_while(|&&(other, ..)| other <= end);
            for &(object, _, other) in inside.filter(|&&(.., other)| other != slot) {
                let cap = self.cap(Slot::at(other));
                if self.cap(at).covers(cap)
                    && !matches!(cap.view(), View::Untyped { .. })
                    && object >= start + free
                {
                    return Err(Violation::InFree { object, untyped: slot });
                }
            }
        }
        Ok(())
    }

    /// Each thread is where its state says. How many there are.
    fn check_threads(&self) -> Result<u64, Violation> {
        let mut count = 0;
        let mut next = self.threads;
        while let Some(tcb) = next {
            count += 1;
            self.check_service(tcb)?;
            let lost = Err(Violation::Lost { tcb: tcb.addr() });
            let runs = self.cores.iter().any(|core| core.current == Some(tcb));
            let queued = self.get(tcb, QUEUED) != 0;
            match self.state(tcb) {
                State::Running | State::Restart if runs == queued => return lost,
                State::Running | State::Restart => {}
                _ if queued => return Err(Violation::NotReady { tcb: tcb.addr() }),
                State::BlockedOnReceive | State::BlockedOnSend => {
                    let queue = self.ep_queue(Endpoint::at(self.get(tcb, BLOCKED_ON)));
                    if !self.is_queued(queue.head, tcb) {
                        return lost;
                    }
                }
                State::BlockedOnNotification => {
                    let queue = self.ntfn_queue(Notification::at(self.get(tcb, BLOCKED_ON)));
                    if !self.is_queued(queue.head, tcb) {
                        return lost;
                    }
                }
                State::BlockedOnReply => {
                    // The one child of its master; none if who could answer has turned to others.
                    let master = tcb.slot(SLOT_REPLY);
                    let second = self.first_child(master).and_then(|reply| self.next(reply));
                    let more = second.is_some_and(|second| self.is_parent(master, second));
                    if more {
                        return Err(Violation::Reply { tcb: tcb.addr() });
                    }
                }
                State::Inactive => {}
            }
            if let Some(ntfn) = Notification::link(self.get(tcb, BOUND))
                && self.ntfn_bound(ntfn) != Some(tcb)
            {
                return Err(Violation::Binding { tcb: tcb.addr() });
            }
            next = self.thread_link(tcb, DEBUG_NEXT);
        }
        Ok(count)
    }

    /// What the short way of system calls relies on.
    fn check_service(&self, tcb: Tcb) -> Result<(), Violation> {
        let (master, caller_slot) = (tcb.slot(SLOT_REPLY), tcb.slot(SLOT_CALLER));
        let links = |slot| (self.prev(slot), self.next(slot));
        if self.current() == Some(tcb) && self.state(tcb).is_runnable() {
            let own = View::Reply { caller: tcb, master: true, grant: true };
            if self.get(tcb, FAULT) != 0 || self.view(master) != own || links(master) != (None, None) {
                return Err(Violation::Unanswered { tcb: tcb.addr() });
            }
        }
        let right = match self.view(caller_slot) {
            View::Reply { caller, .. } => {
                links(caller_slot) == (Some(caller.slot(SLOT_REPLY)), None)
                    && self.state(caller) == State::BlockedOnReply
                    && self.state(tcb) != State::BlockedOnReceive
            }
            _ => true,
        };
        if right { Ok(()) } else { Err(Violation::Serves { tcb: tcb.addr() }) }
    }

    fn is_queued(&self, head: Option<Tcb>, wanted: Tcb) -> bool {
        let mut next = head;
        for _ in 0..STEPS_MAX {
            match next {
                Some(tcb) if tcb == wanted => return true,
                Some(tcb) => next = self.thread_link(tcb, EP_NEXT),
                None => return false,
            }
        }
        false
    }

    fn check_ready(&self) -> Result<(), Violation> {
        for id in (0..self.cores_online()).filter_map(CoreId::new) {
            let core = self.core_of(id);
            let own = core.current.into_iter().chain(core.fpu_owner).find(|&tcb| self.affinity(tcb) != id);
            if let Some(tcb) = own {
                return Err(Violation::Elsewhere { tcb: tcb.addr() });
            }
            for (priority, head) in core.ready.heads().iter().enumerate() {
                let links = Err(Violation::ReadyLinks { priority });
                if core.ready.has(priority) != head.is_some() {
                    return links;
                }
                let (mut before, mut next) = (None, *head);
                let mut steps = 0;
                while let Some(tcb) = next {
                    steps += 1;
                    if self.thread_link(tcb, SCHED_PREV) != before || steps > STEPS_MAX {
                        return links;
                    }
                    let ready = self.state(tcb).is_runnable() && self.get(tcb, QUEUED) == 1;
                    if !ready
                        || self.priority(tcb) != priority
                        || core.current == Some(tcb)
                        || self.affinity(tcb) != id
                    {
                        return Err(Violation::NotReady { tcb: tcb.addr() });
                    }
                    (before, next) = (next, self.thread_link(tcb, SCHED_NEXT));
                }
                if core.ready.tail(priority) != before && head.is_some() {
                    return links;
                }
            }
        }
        // Other cores decide anew when they are told; this one has just decided.
        let Some(current) = self.current() else { return Ok(()) };
        if !self.state(current).is_runnable() {
            return Err(Violation::Stopped { tcb: current.addr() });
        }
        if self.core().ready.highest().is_some_and(|highest| highest > self.priority(current)) {
            return Err(Violation::NotMostUrgent { tcb: current.addr() });
        }
        Ok(())
    }

    /// The queue of an endpoint or notification holds who waits there.
    fn check_waiting(&self, slot: Slot) -> Result<(), Violation> {
        let (object, queue, senders, empty) = match self.view(slot) {
            View::Endpoint { ep, .. } => {
                let waiting = self.ep_waiting(ep);
                (ep.addr(), self.ep_queue(ep), Some(waiting == Waiting::Senders), waiting == Waiting::Nobody)
            }
            View::Notification { ntfn, .. } => {
                if let Some(bound) = self.ntfn_bound(ntfn)
                    && self.get(bound, BOUND) != ntfn.addr()
                {
                    return Err(Violation::Binding { tcb: bound.addr() });
                }
                (ntfn.addr(), self.ntfn_queue(ntfn), None, !self.ntfn_has_waiters(ntfn))
            }
            _ => return Ok(()),
        };
        let wanted = match senders {
            Some(true) => State::BlockedOnSend,
            Some(false) => State::BlockedOnReceive,
            None => State::BlockedOnNotification,
        };
        let links = Err(Violation::WaitLinks { object });
        if empty != queue.head.is_none() {
            return links;
        }
        let (mut before, mut next) = (None, queue.head);
        let mut steps = 0;
        while let Some(tcb) = next {
            steps += 1;
            if self.thread_link(tcb, EP_PREV) != before || steps > STEPS_MAX {
                return links;
            }
            if self.state(tcb) != wanted || self.get(tcb, BLOCKED_ON) != object {
                return Err(Violation::NotWaiting { tcb: tcb.addr(), object });
            }
            (before, next) = (next, self.thread_link(tcb, EP_NEXT));
        }
        if !empty && queue.tail != before { links } else { Ok(()) }
    }

    /// A reply capability is the child of its caller's master, and the caller waits.
    fn check_reply(&self, slot: Slot) -> Result<(), Violation> {
        let View::Reply { caller, master, .. } = self.view(slot) else { return Ok(()) };
        let place = caller.slot(SLOT_REPLY);
        let right = if master {
            slot == place
        } else {
            self.state(caller) == State::BlockedOnReply && self.first_child(place) == Some(slot)
        };
        if right { Ok(()) } else { Err(Violation::Reply { tcb: caller.addr() }) }
    }

    fn check_interrupts(&self) -> Result<(), Violation> {
        for line in 0..self.irq_count + EXTRA_LINES {
            let target = self.view(self.irq_slot(line));
            let handled = self.irq_use[index(line)] == IrqUse::Handler;
            let right = match target {
                View::Null => true,
                View::Notification { .. } => handled,
                _ => false,
            };
            if !right {
                return Err(Violation::Interrupt { line });
            }
        }
        Ok(())
    }

    fn check_pool(&self, slot: Slot) -> Result<(), Violation> {
        match self.view(slot) {
            View::AsidPool { base, first } if self.asid_pools[pool_index(first)] != base => {
                Err(Violation::Pool { pool: base })
            }
            _ => Ok(()),
        }
    }

    /// Everything that an ASID leads to is some capability's. How many entries there are.
    fn check_spaces(&self, mappings: &[(u64, u64, u64)]) -> Result<u64, Violation> {
        let mut entries = 0;
        for (pool, first) in self.asid_pools.iter().zip((0..).step_by(512)) {
            if *pool == 0 {
                continue;
            }
            for i in 0..POOL_ASIDS {
                let root = self.m.load(pool + i * 8);
                if root != 0 {
                    let asid = first + i;
                    if mappings.binary_search(&(asid, ROOT_PLACE, root)).is_err() {
                        return Err(Violation::Asid { asid });
                    }
                    entries += self.check_table(mappings, asid, root, 0, ROOT_BITS)?;
                }
            }
        }
        Ok(entries)
    }

    /// A table that covers user addresses from `start` on, `bits` for each entry. The kernel's stack holds four of these
    /// calls at most.
    fn check_table(
        &self,
        mappings: &[(u64, u64, u64)],
        asid: u64,
        table: u64,
        start: u64,
        bits: u64,
    ) -> Result<u64, Violation> {
        let mut entries = 0;
        for i in 0..1_u64 << PAGE_TABLE_INDEX_BITS {
            let at = table + i * 8;
            let value = self.m.load(at);
            if value & descriptor::VALID == 0 {
                continue;
            }
            entries += 1;
            let va = start + (i << bits);
            let leaf = bits == PAGE_BITS || value & descriptor::TABLE_OR_PAGE != descriptor::TABLE_OR_PAGE;
            let key = (asid, va, identity(value, leaf));
            if mappings.binary_search(&key).is_err() {
                return Err(Violation::Entry { at, value });
            }
            if !leaf {
                let below = to_kernel(value & descriptor::ADDRESS);
                entries += self.check_table(mappings, asid, below, va, bits - PAGE_TABLE_INDEX_BITS)?;
            }
        }
        Ok(entries)
    }
}

/// Bits below the root table's index.
const ROOT_BITS: u64 = 39;
/// Stands for the place of a root table, which is at no user address.
const ROOT_PLACE: u64 = u64::MAX;

#[cfg(feature = "check")]
impl<M: Machine> Kernel<M> {
    /// Gives the checker something to write on.
    pub fn set_notes(&mut self, notes: &'static mut Notes) {
        self.notes = Some(notes);
    }

    /// The debug call: checks, and shows the caller in x0 to x2 what there is.
    ///
    /// # Panics
    /// When an invariant does not hold: that is a defect of the kernel, and nothing may go on.
    pub(crate) fn check_now(&mut self, caller: Tcb) {
        use crate::tcb::Reg;
        let Some(notes) = self.notes.take() else { return };
        let census = self.check(notes);
        self.notes = Some(notes);
        match census {
            Ok(Census { capabilities, threads, entries }) => {
                for (reg, value) in
                    [Reg::X0, Reg::X1, Reg::X2].into_iter().zip([capabilities, threads, entries])
                {
                    self.set_reg(caller, reg, value);
                }
            }
            Err(violation) => panic!("invariant broken: {violation:x?}"),
        }
    }
}
