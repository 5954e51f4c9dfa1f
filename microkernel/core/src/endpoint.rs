//! Endpoints: threads meet, one sends, one receives, nothing is stored.
//!
//! Word 0: head of the queue, bits 0–1 who waits. Word 1: tail.
use crate::handle::{Endpoint, Tcb, word};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::tcb::{BLOCKED_ON, EP_NEXT, EP_PREV, FAULT, Reg, SEND_BADGE, SEND_FLAGS, State};

/// Who waits at an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waiting {
    Nobody,
    Senders,
    Receivers,
}

const WAITING: u64 = 3;

/// The sender's capability had grant.
pub(crate) const SEND_GRANT: u64 = 1;
/// The sender's capability had grant-reply.
pub(crate) const SEND_GRANT_REPLY: u64 = 2;
/// The sender waits for a reply.
pub(crate) const SEND_CALL: u64 = 4;

/// How something is sent.
#[derive(Clone, Copy)]
pub(crate) struct Sending {
    pub(crate) block: bool,
    pub(crate) badge: u64,
    /// `SEND_*` bits.
    pub(crate) flags: u64,
}

/// A queue of blocked threads, as it stands in an endpoint or notification.
#[derive(Clone, Copy)]
pub(crate) struct Queue {
    pub(crate) head: Option<Tcb>,
    pub(crate) tail: Option<Tcb>,
}

impl<M: Machine> Kernel<M> {
    #[inline(always)]
    pub(crate) fn ep_waiting(&self, ep: Endpoint) -> Waiting {
        match self.m.load(ep.addr()) & WAITING {
            1 => Waiting::Senders,
            2 => Waiting::Receivers,
            _ => Waiting::Nobody,
        }
    }

    #[inline(always)]
    pub(crate) fn ep_queue(&self, ep: Endpoint) -> Queue {
        Queue {
            head: Tcb::link(self.m.load(ep.addr()) & !WAITING),
            tail: Tcb::link(self.m.load(ep.addr() + 8)),
        }
    }

    /// Writes the queue back; an empty one means that nobody waits.
    #[inline(always)]
    pub(crate) fn set_ep(&mut self, ep: Endpoint, queue: Queue, waiting: Waiting) {
        let bits = match (queue.head, waiting) {
            (None, _) | (_, Waiting::Nobody) => 0,
            (_, Waiting::Senders) => 1,
            (_, Waiting::Receivers) => 2,
        };
        self.m.store(ep.addr(), word!(queue.head) | bits);
        self.m.store(ep.addr() + 8, word!(queue.tail));
    }

    /// Appends a thread to a queue of blocked threads.
    #[inline(always)]
    pub(crate) fn queue_append(&mut self, queue: Queue, tcb: Tcb) -> Queue {
        self.set_thread_link(tcb, EP_NEXT, None);
        self.set_thread_link(tcb, EP_PREV, queue.tail);
        match queue.tail {
            Some(tail) => {
                self.set_thread_link(tail, EP_NEXT, Some(tcb));
                Queue { head: queue.head, tail: Some(tcb) }
            }
            None => Queue { head: Some(tcb), tail: Some(tcb) },
        }
    }

    /// Takes a thread out of a queue of blocked threads.
    pub(crate) fn queue_remove(&mut self, mut queue: Queue, tcb: Tcb) -> Queue {
        let (prev, next) = (self.thread_link(tcb, EP_PREV), self.thread_link(tcb, EP_NEXT));
        match prev {
            Some(prev) => self.set_thread_link(prev, EP_NEXT, next),
            None => queue.head = next,
        }
        match next {
            Some(next) => self.set_thread_link(next, EP_PREV, prev),
            None => queue.tail = prev,
        }
        queue
    }

    fn ep_block(&mut self, ep: Endpoint, tcb: Tcb, waiting: Waiting) {
        let queue = self.ep_queue(ep);
        let queue = self.queue_append(queue, tcb);
        self.set_ep(ep, queue, waiting);
    }

    fn ep_take(&mut self, ep: Endpoint, tcb: Tcb, waiting: Waiting) {
        let queue = self.ep_queue(ep);
        let queue = self.queue_remove(queue, tcb);
        self.set_ep(ep, queue, waiting);
    }

    /// Takes the first of the waiting receivers out of its endpoint's queue, which the caller has looked at.
    #[inline(always)]
    pub(crate) fn ep_take_first(&mut self, ep: Endpoint, queue: Queue, first: Tcb) {
        match self.thread_link(first, EP_NEXT) {
            Some(next) => {
                self.set_thread_link(next, EP_PREV, None);
                self.set_ep(ep, Queue { head: Some(next), tail: queue.tail }, Waiting::Receivers);
            }
            None => self.set_ep(ep, Queue { head: None, tail: None }, Waiting::Nobody),
        }
    }

    /// Sends `sender`'s message, or its fault.
    pub(crate) fn send_ipc(&mut self, sender: Tcb, ep: Endpoint, how: Sending) {
        match (self.ep_waiting(ep), self.ep_queue(ep).head) {
            (Waiting::Receivers, Some(receiver)) => {
                self.ep_take(ep, receiver, Waiting::Receivers);
                let receiver_grant = self.get(receiver, SEND_FLAGS) & SEND_GRANT != 0;
                self.transfer(sender, Some(ep), how.badge, how.flags & SEND_GRANT != 0, receiver);
                self.set_state(receiver, State::Running);
                self.woken(receiver);
                if how.flags & SEND_CALL != 0 {
                    self.await_reply(sender, receiver, how.flags, receiver_grant);
                }
            }
            _ if how.block => {
                self.set_state(sender, State::BlockedOnSend);
                self.set(sender, BLOCKED_ON, ep.addr());
                self.set(sender, SEND_BADGE, how.badge);
                self.set(sender, SEND_FLAGS, how.flags);
                self.ep_block(ep, sender, Waiting::Senders);
            }
            _ => {}
        }
    }

    /// The sender of a call waits for its reply, or for ever when it may not hand over a reply capability.
    fn await_reply(&mut self, sender: Tcb, receiver: Tcb, flags: u64, receiver_grant: bool) {
        if flags & (SEND_GRANT | SEND_GRANT_REPLY) != 0 {
            self.set_caller(sender, receiver, receiver_grant);
        } else {
            self.set_state(sender, State::Inactive);
        }
    }

    /// Receives at an endpoint. `grant`: the receiver's capability lets it send capabilities in its reply.
    pub(crate) fn receive_ipc(&mut self, receiver: Tcb, ep: Endpoint, grant: bool, block: bool) {
        if self.take_bound_signal(receiver) {
            return;
        }
        match (self.ep_waiting(ep), self.ep_queue(ep).head) {
            (Waiting::Senders, Some(sender)) => {
                self.ep_take(ep, sender, Waiting::Senders);
                let badge = self.get(sender, SEND_BADGE);
                let flags = self.get(sender, SEND_FLAGS);
                self.transfer(sender, Some(ep), badge, flags & SEND_GRANT != 0, receiver);
                if flags & SEND_CALL != 0 {
                    self.await_reply(sender, receiver, flags, grant);
                } else {
                    self.set_state(sender, State::Running);
                    self.woken(sender);
                }
            }
            _ if block => {
                self.set_state(receiver, State::BlockedOnReceive);
                self.set(receiver, BLOCKED_ON, ep.addr());
                self.set(receiver, SEND_FLAGS, if grant { SEND_GRANT } else { 0 });
                self.ep_block(ep, receiver, Waiting::Receivers);
            }
            _ => self.set_reg(receiver, Reg::X0, 0),
        }
    }

    /// Takes a blocked sender or receiver out of its endpoint's queue.
    pub(crate) fn ep_cancel(&mut self, tcb: Tcb) {
        let ep = Endpoint::at(self.get(tcb, BLOCKED_ON));
        let waiting = self.ep_waiting(ep);
        self.ep_take(ep, tcb, waiting);
    }

    /// The endpoint dies: everybody who waits there tries again (and finds no capability).
    pub(crate) fn ep_cancel_all(&mut self, ep: Endpoint) {
        let mut next = self.ep_queue(ep).head;
        self.set_ep(ep, Queue { head: None, tail: None }, Waiting::Nobody);
        while let Some(tcb) = next {
            next = self.thread_link(tcb, EP_NEXT);
            self.cancelled(tcb);
        }
        self.reschedule();
    }

    /// Senders with this badge try again.
    pub(crate) fn ep_cancel_badged(&mut self, ep: Endpoint, badge: u64) {
        if self.ep_waiting(ep) != Waiting::Senders {
            return;
        }
        let mut next = self.ep_queue(ep).head;
        while let Some(tcb) = next {
            next = self.thread_link(tcb, EP_NEXT);
            if self.get(tcb, SEND_BADGE) == badge {
                self.ep_take(ep, tcb, Waiting::Senders);
                self.cancelled(tcb);
            }
        }
        self.reschedule();
    }

    /// A thread that was taken out of a queue by force runs its system call again, or the instruction that faulted.
    fn cancelled(&mut self, tcb: Tcb) {
        // The fault is not sent any more; if it still exists the instruction raises it anew.
        self.set(tcb, FAULT, 0);
        self.set_state(tcb, State::Restart);
        self.enqueue(tcb, false);
    }
}
