//! The short way for Call and ReplyRecv: two threads that are ready for each other, and a message in registers.
//!
//! What happens is exactly what the general way does in the same state, only decided at once instead of step by step:
//! a host test runs both on the same random states and compares everything. The conditions are those of the reference
//! kernel's fast path. First everything is looked at; when anything asks for more care, nothing has changed, and the
//! general way is taken. What makes the short way short:
//!
//! * The message has at most four words and no capabilities, so that neither thread's buffer is needed.
//! * The other thread runs next: it is at least as urgent as this one, or as everybody who is ready. The thread that
//!   runs is in no ready queue, and neither is the one that waits, so that no queue is touched.
//! * A thread that runs has a reply master without children, and no fault; a thread that waits to receive serves
//!   nobody. The host tests hold these between any two entries.
use crate::cap::View;
use crate::endpoint::{Queue, SEND_GRANT, Waiting};
use crate::handle::{Endpoint, Slot, Tcb};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::sched::Action;
use crate::tcb::{
    BLOCKED_ON, BOUND, FAULT, Reg, SEND_FLAGS, SLOT_CALLER, SLOT_REPLY, SLOT_VSPACE, STATE, State,
};
use crate::vspace::Space;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::rights::CapRights;
use microkernel_abi::syscall::{CALL, REPLY_RECV};
use microkernel_abi::{FAST_MESSAGE_REGISTERS, SMP};

/// The registers in which a system call brings its message. They are in the thread's TCB as well.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// x0: the capability that is invoked or received from.
    pub capability: u64,
    /// x1: the tag.
    pub info: u64,
    /// x2 to x5: the words.
    pub words: [u64; FAST_MESSAGE_REGISTERS],
}

/// Another thread that can run at once, and its address space.
#[derive(Clone, Copy)]
struct Next {
    tcb: Tcb,
    space: Space,
}

/// How far the short way has come.
#[derive(Clone, Copy, Debug)]
pub enum Short {
    /// All is done but what [`Kernel::access_differs`] says, and this thread runs.
    Done(Tcb),
    /// Nothing has changed. It is a Call of this thread to what is in this slot: [`Kernel::invocation`] and
    /// [`Kernel::leave`] are to do it, without looking for the slot again.
    Invocation(Tcb, Slot),
    /// Nothing has changed: [`Kernel::syscall`] and [`Kernel::leave`] are to do it.
    Not,
}

impl<M: Machine> Kernel<M> {
    /// Does a system call the short way, as far as that goes.
    #[inline(always)]
    pub fn fast_syscall(&mut self, number: u64, message: Message) -> Short {
        match number.cast_signed() {
            CALL => self.fast_call(message),
            REPLY_RECV => self.fast_reply_recv(message).map_or(Short::Not, Short::Done),
            _ => Short::Not,
        }
    }

    #[inline(always)]
    fn fast_call(&mut self, message: Message) -> Short {
        let Some(sender) = self.current() else { return Short::Not };
        let slot = Self::resolve_at_once(self.cspace(sender), message.capability, crate::lookup::WORD_BITS);
        let Some(slot) = slot else { return Short::Not };
        let receiver = match self.view(slot) {
            View::Endpoint { ep, badge, rights } => self.fast_send(sender, (ep, badge, rights), message),
            _ => None,
        };
        receiver.map_or(Short::Invocation(sender, slot), Short::Done)
    }

    #[inline(always)]
    fn fast_send(
        &mut self,
        sender: Tcb,
        (ep, badge, rights): (Endpoint, u64, CapRights),
        message: Message,
    ) -> Option<Tcb> {
        if !self.is_short(message.info) || !rights.write() || !(rights.grant() || rights.grant_reply()) {
            return None;
        }
        if self.ep_waiting(ep) != Waiting::Receivers {
            return None;
        }
        let queue = self.ep_queue(ep);
        let receiver = queue.head?;
        let next = self.fast_next(sender, receiver)?;

        self.ep_take_first(ep, queue, receiver);
        let grant = self.get(receiver, SEND_FLAGS) & SEND_GRANT != 0;
        self.set(sender, STATE, State::BlockedOnReply as u64);
        let reply = View::Reply { caller: sender, master: false, grant };
        self.insert_only_child((sender, SLOT_REPLY), (receiver, SLOT_CALLER), reply.pack());
        Some(self.fast_switch(next, badge, message))
    }

    #[inline(always)]
    fn fast_reply_recv(&mut self, message: Message) -> Option<Tcb> {
        let server = self.current().filter(|_| self.is_short(message.info))?;
        let slot = Self::resolve_at_once(self.cspace(server), message.capability, crate::lookup::WORD_BITS)?;
        let View::Endpoint { ep, rights, .. } = self.view(slot) else { return None };
        if !rights.read() || self.ep_waiting(ep) == Waiting::Senders || self.has_bound_signal(server) {
            return None;
        }
        let View::Reply { caller, master: false, .. } = self.cap_of(server, SLOT_CALLER).view() else {
            return None;
        };
        if self.get(caller, FAULT) != 0 {
            return None;
        }
        let next = self.fast_next(server, caller)?;

        self.unlink_only_child((caller, SLOT_REPLY), (server, SLOT_CALLER));
        self.set(server, STATE, State::BlockedOnReceive as u64);
        self.set(server, BLOCKED_ON, ep.addr());
        self.set(server, SEND_FLAGS, if rights.grant() { SEND_GRANT } else { 0 });
        self.ep_wait(ep, server);
        Some(self.fast_switch(next, 0, message))
    }

    /// Does the message fit into registers?
    #[inline(always)]
    fn is_short(&self, info: u64) -> bool {
        // Length and number of capabilities at once: a single capability makes it more than any length.
        let size = info & MessageInfo::new(0, 0, 3, 0x7f).0;
        // On several cores another one may have put somebody into this one's queues since.
        size <= FAST_MESSAGE_REGISTERS as u64 && !(SMP && self.core().action != Action::Resume)
    }

    /// May `other` run at once when `running` stops?
    #[inline(always)]
    fn fast_next(&self, running: Tcb, other: Tcb) -> Option<Next> {
        if self.is_remote(self.affinity(other)) {
            return None;
        }
        let priority = self.priority(other);
        // Nobody who is ready is more urgent than the running thread.
        if priority < self.priority(running) && self.core().ready.highest().is_some_and(|p| p > priority) {
            return None;
        }
        let space = self.space_of(self.cap_of(other, SLOT_VSPACE))?;
        Some(Next { tcb: other, space })
    }

    /// Gives a waiting thread its message and the processor.
    #[inline(always)]
    fn fast_switch(&mut self, next: Next, badge: u64, message: Message) -> Tcb {
        let Next { tcb, space } = next;
        let info = MessageInfo(message.info);
        let length = info.length();
        self.set_reg(tcb, Reg::X0, badge);
        self.set_reg(tcb, Reg::X1, MessageInfo::new(info.label(), 0, 0, length).0);
        if length != 0 {
            // A loop in the source would be one in a kernel that is compiled to be small.
            let [w0, w1, w2, w3] = message.words;
            self.set_reg(tcb, Reg::x(2), w0);
            if length > 1 {
                self.set_reg(tcb, Reg::x(3), w1);
            }
            if length > 2 {
                self.set_reg(tcb, Reg::x(4), w2);
            }
            if length > 3 {
                self.set_reg(tcb, Reg::x(5), w3);
            }
        }
        self.set(tcb, STATE, State::Running as u64);
        self.core_mut().current = Some(tcb);
        self.enter_space(space);
        tcb
    }

    /// After the short way: may the thread that runs now use something that the one before might not, or the other way
    /// round? Then [`Kernel::switch_access`] is still to be called.
    #[inline(always)]
    pub fn access_differs(&self, tcb: Tcb) -> bool {
        let core = self.core();
        core.fpu_open || core.timer_open || core.fpu_owner == Some(tcb) || self.get(tcb, BOUND) != 0
    }

    /// Opens and closes what is lent to single threads: floating point and the physical timer.
    pub fn switch_access(&mut self, tcb: Tcb) {
        self.switch_fpu(tcb);
        self.update_timer_access(tcb);
    }

    /// Appends a receiver to an endpoint where nobody or others like it wait.
    #[inline(always)]
    fn ep_wait(&mut self, ep: Endpoint, tcb: Tcb) {
        let queue: Queue = self.ep_queue(ep);
        let queue = self.queue_append(queue, tcb);
        self.set_ep(ep, queue, Waiting::Receivers);
    }
}
