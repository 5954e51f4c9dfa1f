//! The scheduler: 256 priorities, round robin within one, for each core.
//!
//! A thread is in the ready queues of the core that it belongs to; the running one is in none. What happens during a kernel entry is gathered in an
//! [`Action`] and decided once on the way out: a woken thread that is more urgent than the running one
//! is switched to without passing through a queue.
use crate::cap::View;
use crate::handle::{Notification, Tcb, word};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::tcb::{
    BOUND, FLAGS, PRIORITY, QUEUED, Reg, SCHED_NEXT, SCHED_PREV, SLOT_VSPACE, STATE, State, TIME_SLICE,
};
use crate::vspace::Space;
use crate::{IRQ_PHYSICAL_TIMER, TIME_SLICE_TICKS};
use microkernel_abi::TCB_FLAG_FPU_DISABLED;

/// Priorities.
const LEVELS: usize = 256;

/// What to do on the way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Go on with the running thread.
    Resume,
    /// Pick the most urgent ready thread.
    ChooseNew,
    /// Consider this thread, which is in no queue.
    Consider(Tcb),
}

/// Heads and tails of the ready queues, and a bit for each that is not empty.
#[derive(Clone)]
pub(crate) struct ReadyQueues {
    bits: [u64; LEVELS / 64],
    heads: [Option<Tcb>; LEVELS],
    tails: [Option<Tcb>; LEVELS],
}

impl ReadyQueues {
    pub(crate) const fn new() -> Self {
        Self { bits: [0; LEVELS / 64], heads: [None; LEVELS], tails: [None; LEVELS] }
    }

    #[cfg(any(test, feature = "check"))]
    pub(crate) fn heads(&self) -> &[Option<Tcb>; LEVELS] {
        &self.heads
    }

    #[cfg(any(test, feature = "check"))]
    pub(crate) fn tail(&self, priority: usize) -> Option<Tcb> {
        self.tails[priority]
    }

    #[cfg(any(test, feature = "check"))]
    pub(crate) fn has(&self, priority: usize) -> bool {
        self.bits[priority / 64] >> (priority % 64) & 1 != 0
    }

    /// The highest priority with a ready thread.
    #[inline(always)]
    pub(crate) fn highest(&self) -> Option<usize> {
        let [low, middle, high, top] = self.bits;
        let (word, base) = if top != 0 {
            (top, 192)
        } else if high != 0 {
            (high, 128)
        } else if middle != 0 {
            (middle, 64)
        } else if low != 0 {
            (low, 0)
        } else {
            return None;
        };
        Some(base + word.ilog2() as usize)
    }
}

const _: () = assert!(LEVELS == 256, "`ReadyQueues::highest` looks at four words");

impl<M: Machine> Kernel<M> {
    pub(crate) fn priority(&self, tcb: Tcb) -> usize {
        // The decoder lets nothing above 255 in; the mask tells the compiler.
        (self.get(tcb, PRIORITY) & 0xff) as usize
    }

    /// Puts a ready thread at the front of its queue, or at the back.
    pub(crate) fn enqueue(&mut self, tcb: Tcb, front: bool) {
        if self.get(tcb, QUEUED) != 0 {
            return;
        }
        let (core, p) = (self.affinity(tcb), self.priority(tcb));
        let ready = &self.core_of(core).ready;
        let (head, tail) = (ready.heads[p], ready.tails[p]);
        self.set(tcb, QUEUED, 1);
        match (head, tail) {
            (Some(head), Some(tail)) => {
                if front {
                    self.set_thread_link(tcb, SCHED_PREV, None);
                    self.set_thread_link(tcb, SCHED_NEXT, Some(head));
                    self.set_thread_link(head, SCHED_PREV, Some(tcb));
                    self.core_of_mut(core).ready.heads[p] = Some(tcb);
                } else {
                    self.set_thread_link(tcb, SCHED_PREV, Some(tail));
                    self.set_thread_link(tcb, SCHED_NEXT, None);
                    self.set_thread_link(tail, SCHED_NEXT, Some(tcb));
                    self.core_of_mut(core).ready.tails[p] = Some(tcb);
                }
            }
            _ => {
                self.set_thread_link(tcb, SCHED_PREV, None);
                self.set_thread_link(tcb, SCHED_NEXT, None);
                let ready = &mut self.core_of_mut(core).ready;
                ready.heads[p] = Some(tcb);
                ready.tails[p] = Some(tcb);
                ready.bits[p / 64] |= 1 << (p % 64);
            }
        }
        if self.is_remote(core) {
            self.notify_core(core, tcb);
        }
    }

    /// Takes a thread out of its ready queue, if it is in one.
    pub(crate) fn dequeue(&mut self, tcb: Tcb) {
        if self.get(tcb, QUEUED) == 0 {
            return;
        }
        self.set(tcb, QUEUED, 0);
        let (core, p) = (self.affinity(tcb), self.priority(tcb));
        let (prev, next) = (self.thread_link(tcb, SCHED_PREV), self.thread_link(tcb, SCHED_NEXT));
        match prev {
            Some(prev) => self.set_thread_link(prev, SCHED_NEXT, next),
            None => self.core_of_mut(core).ready.heads[p] = next,
        }
        match next {
            Some(next) => self.set_thread_link(next, SCHED_PREV, prev),
            None => self.core_of_mut(core).ready.tails[p] = prev,
        }
        let ready = &mut self.core_of_mut(core).ready;
        if ready.heads[p].is_none() {
            ready.bits[p / 64] &= !(1 << (p % 64));
        }
    }

    /// Decide anew on the way out.
    pub(crate) fn reschedule(&mut self) {
        if let Action::Consider(tcb) = self.core().action
            && self.state(tcb).is_runnable()
        {
            self.enqueue(tcb, true);
        }
        self.core_mut().action = Action::ChooseNew;
    }

    /// A thread became ready: it may run at once if it is urgent enough.
    pub(crate) fn woken(&mut self, tcb: Tcb) {
        if self.get(tcb, QUEUED) != 0 {
            return;
        }
        if self.is_remote(self.affinity(tcb)) {
            self.enqueue(tcb, true);
        } else if self.current() == Some(tcb) {
            // Still on the processor: deciding anew keeps it in the competition.
            self.reschedule();
        } else if self.core().action == Action::Resume {
            self.core_mut().action = Action::Consider(tcb);
        } else if self.core().action != Action::Consider(tcb) {
            self.reschedule();
            self.enqueue(tcb, true);
        }
    }

    /// Changes what a thread is doing.
    #[inline]
    pub(crate) fn set_state(&mut self, tcb: Tcb, state: State) {
        self.set(tcb, STATE, state as u64);
        if !state.is_runnable() && self.current() == Some(tcb) && self.core().action == Action::Resume {
            self.core_mut().action = Action::ChooseNew;
        }
    }

    /// Sets a thread's priority and lets the scheduler look again.
    pub(crate) fn set_priority(&mut self, tcb: Tcb, priority: u64) {
        let queued = self.get(tcb, QUEUED) != 0;
        self.dequeue(tcb);
        self.set(tcb, PRIORITY, priority);
        if self.current() == Some(tcb) {
            self.reschedule();
        } else if self.state(tcb).is_runnable() && (queued || self.core().action == Action::Consider(tcb)) {
            self.woken(tcb);
        }
    }

    /// The running thread goes to the back of its queue.
    pub(crate) fn yield_current(&mut self) {
        if let Some(current) = self.current() {
            self.reschedule();
            self.enqueue(current, false);
        }
    }

    /// A tick of the kernel's timer.
    pub(crate) fn tick(&mut self) {
        let Some(current) = self.current() else { return };
        if !self.state(current).is_runnable() {
            return;
        }
        let left = self.get(current, TIME_SLICE);
        if left > 1 {
            self.set(current, TIME_SLICE, left - 1);
        } else {
            self.set(current, TIME_SLICE, TIME_SLICE_TICKS);
            self.yield_current();
        }
    }

    fn choose(&mut self) {
        let next = self.core().ready.highest().and_then(|p| self.core().ready.heads[p]);
        if let Some(next) = next {
            self.dequeue(next);
        }
        self.core_mut().current = next;
    }

    fn schedule(&mut self) {
        let action = self.core().action;
        self.core_mut().action = Action::Resume;
        if action == Action::Resume {
            return;
        }
        let running = self.current().filter(|&tcb| self.state(tcb).is_runnable());
        if let Some(running) = running {
            self.enqueue(running, true);
        }
        match action {
            Action::Consider(tcb) => {
                let p = self.priority(tcb);
                // Ready threads of the same priority were there first only if the running one is among them.
                let ahead = running.is_some_and(|running| self.priority(running) >= p);
                if !self.state(tcb).is_runnable() {
                    self.choose();
                } else if ahead {
                    self.enqueue(tcb, self.current().is_some_and(|running| self.priority(running) > p));
                    self.choose();
                } else if self.core().ready.highest().is_some_and(|highest| highest > p) {
                    self.enqueue(tcb, true);
                    self.choose();
                } else {
                    self.core_mut().current = Some(tcb);
                }
            }
            Action::ChooseNew | Action::Resume => self.choose(),
        }
    }

    /// The end of every kernel entry: decides who runs, and makes the machine ready for it. `None`: nobody; wait
    /// for an interrupt.
    pub fn leave(&mut self) -> Option<Tcb> {
        let before = self.current();
        self.schedule();
        self.interrupt_cores();
        if self.current() != before {
            self.switch_machine();
        }
        let tcb = self.current()?;
        if self.state(tcb) == State::Restart {
            let pc = self.reg(tcb, Reg::FAULT_PC);
            self.set_reg(tcb, Reg::PC, pc);
            self.set(tcb, STATE, State::Running as u64);
        }
        if self.core().timer_open || self.get(tcb, BOUND) != 0 {
            self.update_timer_access(tcb);
        }
        Some(tcb)
    }

    /// Address space and floating-point access of the thread that runs next.
    pub(crate) fn switch_machine(&mut self) {
        let Some(tcb) = self.current() else { return };
        self.activate_vspace(tcb);
        self.switch_fpu(tcb);
    }

    /// Floating-point access of the thread that runs next.
    pub(crate) fn switch_fpu(&mut self, tcb: Tcb) {
        let open = self.core().fpu_owner == Some(tcb) && self.get(tcb, FLAGS) & TCB_FLAG_FPU_DISABLED == 0;
        if open != self.core().fpu_open {
            self.core_mut().fpu_open = open;
            self.m.fpu_access(open);
        }
    }

    /// Puts a thread's address space into the translation registers; the empty one if it has none.
    pub(crate) fn activate_vspace(&mut self, tcb: Tcb) {
        match self.space_of(self.cap_of(tcb, SLOT_VSPACE)) {
            Some(space) => self.enter_space(space),
            None if self.core().active_root == Space::NONE => {}
            None => {
                self.core_mut().active_root = Space::NONE;
                self.m.set_user_root(0, 0);
            }
        }
    }

    /// Makes an address space current for user mode.
    #[inline(always)]
    pub(crate) fn enter_space(&mut self, space: Space) {
        if space != self.core().active_root {
            self.core_mut().active_root = space;
            self.m.set_next_user_root(space.root(), space.asid());
        }
    }

    /// EL0 may touch the physical timer exactly while the thread runs that the timer's interrupt is bound to.
    pub(crate) fn update_timer_access(&mut self, tcb: Tcb) {
        let bound = Notification::link(self.get(tcb, BOUND));
        let open = bound.is_some() && {
            let target = match self.view(self.irq_slot(self.line(self.here(), IRQ_PHYSICAL_TIMER))) {
                View::Notification { ntfn, .. } => Some(ntfn),
                _ => None,
            };
            word!(target) == word!(bound)
        };
        if open != self.core().timer_open {
            self.core_mut().timer_open = open;
            self.m.timer_access(open);
        }
    }

    /// The running thread used floating point without access. True: it has it now; false: it is not allowed to.
    pub(crate) fn fpu_trap(&mut self, tcb: Tcb) -> bool {
        if self.get(tcb, FLAGS) & TCB_FLAG_FPU_DISABLED != 0 {
            return false;
        }
        self.m.fpu_access(true);
        self.core_mut().fpu_open = true;
        if self.core().fpu_owner != Some(tcb) {
            if let Some(owner) = self.core().fpu_owner {
                self.m.fpu_save(owner.addr() + crate::tcb::FPU_AREA);
            }
            self.m.fpu_load(tcb.addr() + crate::tcb::FPU_AREA);
            self.core_mut().fpu_owner = Some(tcb);
        }
        true
    }

    /// Nobody's values are in the floating-point registers any more, if they were this thread's. It runs on no other
    /// core at this moment, so access there is closed, or decided anew before anything runs.
    pub(crate) fn fpu_release(&mut self, tcb: Tcb) {
        let core = self.affinity(tcb);
        if self.core_of(core).fpu_owner == Some(tcb) {
            self.core_of_mut(core).fpu_owner = None;
            if !self.is_remote(core) && self.core().fpu_open {
                self.core_mut().fpu_open = false;
                self.m.fpu_access(false);
            }
        }
    }
}
