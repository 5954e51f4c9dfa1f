//! Notifications: a word of signals, waited for by threads or delivered to a bound one.
//!
//! Word 0: head of the queue, bits 0–1 state. Word 1: tail. Word 2: bound thread. Word 3: the signals.
use crate::endpoint::Queue;
use crate::handle::{Notification, Tcb, word};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::tcb::{BLOCKED_ON, BOUND, EP_NEXT, Reg, State};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NtfnState {
    Idle,
    Waiting,
    Active,
}

const STATE: u64 = 3;

impl<M: Machine> Kernel<M> {
    fn ntfn_state(&self, ntfn: Notification) -> NtfnState {
        match self.m.load(ntfn.addr()) & STATE {
            1 => NtfnState::Waiting,
            2 => NtfnState::Active,
            _ => NtfnState::Idle,
        }
    }

    pub(crate) fn ntfn_queue(&self, ntfn: Notification) -> Queue {
        Queue {
            head: Tcb::link(self.m.load(ntfn.addr()) & !STATE),
            tail: Tcb::link(self.m.load(ntfn.addr() + 8)),
        }
    }

    fn set_ntfn_queue(&mut self, ntfn: Notification, queue: Queue) {
        let state = u64::from(queue.head.is_some());
        self.m.store(ntfn.addr(), word!(queue.head) | state);
        self.m.store(ntfn.addr() + 8, word!(queue.tail));
    }

    fn set_ntfn_active(&mut self, ntfn: Notification, signals: u64) {
        self.m.store(ntfn.addr(), 2);
        self.m.store(ntfn.addr() + 24, signals);
    }

    /// The thread that receives the signals at any of its receives.
    pub(crate) fn ntfn_bound(&self, ntfn: Notification) -> Option<Tcb> {
        Tcb::link(self.m.load(ntfn.addr() + 16))
    }

    /// Does a thread wait at the notification?
    pub(crate) fn ntfn_has_waiters(&self, ntfn: Notification) -> bool {
        self.ntfn_queue(ntfn).head.is_some()
    }

    pub(crate) fn bind(&mut self, tcb: Tcb, ntfn: Notification) {
        self.m.store(ntfn.addr() + 16, tcb.addr());
        self.set(tcb, BOUND, ntfn.addr());
    }

    /// Takes a thread and its notification apart.
    pub(crate) fn unbind(&mut self, tcb: Tcb) {
        if let Some(ntfn) = Notification::link(self.get(tcb, BOUND)) {
            self.m.store(ntfn.addr() + 16, 0);
            self.set(tcb, BOUND, 0);
        }
    }

    /// Adds `badge` to the signals.
    pub(crate) fn signal(&mut self, ntfn: Notification, badge: u64) {
        match self.ntfn_state(ntfn) {
            NtfnState::Active => {
                let signals = self.m.load(ntfn.addr() + 24) | badge;
                self.set_ntfn_active(ntfn, signals);
            }
            NtfnState::Waiting => {
                let queue = self.ntfn_queue(ntfn);
                if let Some(tcb) = queue.head {
                    let queue = self.queue_remove(queue, tcb);
                    self.set_ntfn_queue(ntfn, queue);
                    self.signalled(tcb, badge);
                }
            }
            NtfnState::Idle => match self.ntfn_bound(ntfn) {
                Some(tcb) if self.state(tcb) == State::BlockedOnReceive => {
                    self.ep_cancel(tcb);
                    self.signalled(tcb, badge);
                }
                _ => self.set_ntfn_active(ntfn, badge),
            },
        }
    }

    fn signalled(&mut self, tcb: Tcb, badge: u64) {
        self.set_reg(tcb, Reg::X0, badge);
        self.set_state(tcb, State::Running);
        self.woken(tcb);
    }

    /// Waits for signals.
    pub(crate) fn receive_signal(&mut self, tcb: Tcb, ntfn: Notification, block: bool) {
        match self.ntfn_state(ntfn) {
            NtfnState::Active => self.take_signals(tcb, ntfn),
            _ if block => {
                self.set_state(tcb, State::BlockedOnNotification);
                self.set(tcb, BLOCKED_ON, ntfn.addr());
                let queue = self.ntfn_queue(ntfn);
                let queue = self.queue_append(queue, tcb);
                self.set_ntfn_queue(ntfn, queue);
            }
            _ => self.set_reg(tcb, Reg::X0, 0),
        }
    }

    fn take_signals(&mut self, tcb: Tcb, ntfn: Notification) {
        let signals = self.m.load(ntfn.addr() + 24);
        self.set_reg(tcb, Reg::X0, signals);
        self.m.store(ntfn.addr(), 0);
        self.m.store(ntfn.addr() + 24, 0);
    }

    /// Are there signals of the bound notification?
    #[inline(always)]
    pub(crate) fn has_bound_signal(&self, tcb: Tcb) -> bool {
        match Notification::link(self.get(tcb, BOUND)) {
            Some(ntfn) => self.ntfn_state(ntfn) == NtfnState::Active,
            None => false,
        }
    }

    /// Takes the signals of the bound notification, if there are any.
    pub(crate) fn take_bound_signal(&mut self, tcb: Tcb) -> bool {
        match Notification::link(self.get(tcb, BOUND)) {
            Some(ntfn) if self.ntfn_state(ntfn) == NtfnState::Active => {
                self.take_signals(tcb, ntfn);
                true
            }
            _ => false,
        }
    }

    /// Takes a waiting thread out of the queue.
    pub(crate) fn ntfn_cancel(&mut self, tcb: Tcb) {
        let ntfn = Notification::at(self.get(tcb, BLOCKED_ON));
        let queue = self.ntfn_queue(ntfn);
        let queue = self.queue_remove(queue, tcb);
        self.set_ntfn_queue(ntfn, queue);
    }

    /// The notification dies: everybody who waits there tries again.
    pub(crate) fn ntfn_cancel_all(&mut self, ntfn: Notification) {
        if self.ntfn_state(ntfn) != NtfnState::Waiting {
            return;
        }
        let mut next = self.ntfn_queue(ntfn).head;
        self.set_ntfn_queue(ntfn, Queue { head: None, tail: None });
        while let Some(tcb) = next {
            next = self.thread_link(tcb, EP_NEXT);
            self.set_state(tcb, State::Restart);
            self.enqueue(tcb, false);
        }
        self.reschedule();
    }
}
