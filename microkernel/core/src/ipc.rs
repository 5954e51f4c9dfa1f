//! Messages: words and capabilities from one thread to another, calls and replies.
use crate::cap::{Cap, FrameRights, View};
use crate::error::{InvocationError, lookup_words};
use crate::handle::{Endpoint, Slot, Tcb};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::tcb::{FAULT, IPC_BUFFER, Reg, SLOT_BUFFER, SLOT_CALLER, SLOT_CSPACE, SLOT_REPLY, State};
use microkernel_abi::error::LookupFailure;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::{EXTRA_CAPS_MAX, FAST_MESSAGE_REGISTERS, MESSAGE_WORDS_MAX};

/// Offsets of the IPC buffer's parts.
const BUFFER_MSG: u64 = 8;
const BUFFER_CAPS: u64 = 976;
const BUFFER_RECEIVE: u64 = 1000;

const _: () = {
    use microkernel_abi::ipc_buffer::IpcBuffer;
    assert!(core::mem::offset_of!(IpcBuffer, msg) as u64 == BUFFER_MSG);
    assert!(core::mem::offset_of!(IpcBuffer, caps_or_badges) as u64 == BUFFER_CAPS);
    assert!(core::mem::offset_of!(IpcBuffer, receive_cnode) as u64 == BUFFER_RECEIVE);
};

/// Capabilities that travel with a message: the slots they are in.
pub(crate) type ExtraCaps = [Option<Slot>; EXTRA_CAPS_MAX];

impl<M: Machine> Kernel<M> {
    /// Kernel address of a thread's IPC buffer, if the frame's rights allow the use.
    pub(crate) fn buffer(&self, tcb: Tcb, write: bool) -> Option<u64> {
        let View::Frame { base, size, rights, device: false, .. } = self.cap_of(tcb, SLOT_BUFFER).view()
        else {
            return None;
        };
        let needed = if write { FrameRights::ReadWrite } else { FrameRights::ReadOnly };
        // Each of them includes those before it.
        let allowed = rights as u64 >= needed as u64;
        let offset = self.get(tcb, IPC_BUFFER) & ((1 << size.bits()) - 1);
        allowed.then_some(base + offset)
    }

    #[inline(always)]
    pub(crate) fn buffer_word(&self, buffer: u64, index: u64) -> u64 {
        self.m.load(buffer + BUFFER_MSG + index * 8)
    }

    /// Sets a word of a buffer's message: `index` is below [`MESSAGE_WORDS_MAX`].
    #[inline(always)]
    pub(crate) fn set_buffer_word(&mut self, buffer: u64, index: u64, value: u64) {
        self.m.store(buffer + BUFFER_MSG + index * 8, value);
    }

    /// Sets message word `index` of a thread; false if it has no place for it.
    #[inline(always)]
    pub(crate) fn set_message_word(&mut self, tcb: Tcb, buffer: Option<u64>, index: u64, value: u64) -> bool {
        if index < FAST_MESSAGE_REGISTERS as u64 {
            self.set_reg(tcb, Reg::x(2 + index), value);
        } else if let Some(buffer) = buffer
            && index < MESSAGE_WORDS_MAX as u64
        {
            self.set_buffer_word(buffer, index, value);
        } else {
            return false;
        }
        true
    }

    /// Sets the message words of a thread; the number that found a place.
    pub(crate) fn set_message(&mut self, tcb: Tcb, words: impl Iterator<Item = u64>) -> u64 {
        let buffer = self.buffer(tcb, true);
        let mut count = 0;
        for value in words {
            if !self.set_message_word(tcb, buffer, count, value) {
                break;
            }
            count += 1;
        }
        count
    }

    /// Message word `index` of a sender.
    #[inline(always)]
    pub(crate) fn message_word(&self, tcb: Tcb, buffer: Option<u64>, index: u64) -> u64 {
        match buffer {
            _ if index < FAST_MESSAGE_REGISTERS as u64 => self.reg(tcb, Reg::x(2 + index)),
            Some(buffer) => self.buffer_word(buffer, index),
            None => 0,
        }
    }

    /// Copies message words; the number that found a place.
    #[inline(always)]
    fn copy_words(
        &mut self,
        from: Tcb,
        from_buffer: Option<u64>,
        to: Tcb,
        to_buffer: Option<u64>,
        length: u64,
    ) -> u64 {
        let fast = FAST_MESSAGE_REGISTERS as u64;
        let mut copy = |i| {
            let value = self.reg(from, Reg::x(2 + i));
            self.set_reg(to, Reg::x(2 + i), value);
        };
        if length < fast {
            (0..length).for_each(copy);
        } else {
            // Row by row: a loop in the source would be one in a kernel that is compiled to be small.
            copy(0);
            copy(1);
            copy(2);
            copy(3);
        }
        let (Some(source), Some(dest)) = (from_buffer, to_buffer) else { return length.min(fast) };
        let length = length.min(MESSAGE_WORDS_MAX as u64);
        for i in fast..length {
            let value = self.m.load(source + BUFFER_MSG + i * 8);
            self.m.store(dest + BUFFER_MSG + i * 8, value);
        }
        length
    }

    /// Fills in the capabilities that a message names; the address that does not resolve otherwise.
    pub(crate) fn extra_caps(
        &self,
        tcb: Tcb,
        buffer: Option<u64>,
        info: MessageInfo,
        caps: &mut ExtraCaps,
    ) -> Result<(), (u64, LookupFailure)> {
        let Some(buffer) = buffer else { return Ok(()) };
        for (place, i) in caps.iter_mut().zip(0..info.extra_caps()) {
            let cptr = self.m.load(buffer + BUFFER_CAPS + i * 8);
            *place = Some(self.lookup_slot(tcb, cptr).map_err(|why| (cptr, why))?);
        }
        Ok(())
    }

    /// Moves a message, or the description of the sender's fault, into the receiver.
    pub(crate) fn transfer(
        &mut self,
        sender: Tcb,
        ep: Option<Endpoint>,
        badge: u64,
        grant: bool,
        receiver: Tcb,
    ) {
        let info = if self.get(sender, FAULT) == 0 {
            self.transfer_message(sender, ep, grant, receiver)
        } else {
            self.transfer_fault(sender, receiver)
        };
        self.set_reg(receiver, Reg::X1, info.0);
        self.set_reg(receiver, Reg::X0, badge);
    }

    fn transfer_message(
        &mut self,
        sender: Tcb,
        ep: Option<Endpoint>,
        grant: bool,
        receiver: Tcb,
    ) -> MessageInfo {
        let info = MessageInfo(self.reg(sender, Reg::X1));
        let length = info.length().min(MESSAGE_WORDS_MAX as u64);
        if length <= FAST_MESSAGE_REGISTERS as u64 && (!grant || info.extra_caps() == 0) {
            let sent = self.copy_words(sender, None, receiver, None, length);
            return MessageInfo::new(info.label(), 0, 0, sent);
        }
        let from = self.buffer(sender, false);
        let to = self.buffer(receiver, true);
        let mut caps = [None; EXTRA_CAPS_MAX];
        if grant && info.extra_caps() != 0 && self.extra_caps(sender, from, info, &mut caps).is_err() {
            // One that does not resolve keeps the others from going, too.
            caps = [None; EXTRA_CAPS_MAX];
        }
        let sent = self.copy_words(sender, from, receiver, to, length);
        let (unwrapped, extra) =
            if caps[0].is_some() { self.transfer_caps(&caps, ep, receiver, to) } else { (0, 0) };
        MessageInfo::new(info.label(), unwrapped, extra, sent)
    }

    /// Hands capabilities over: those to `ep` itself arrive as their badges, one other goes to the receive slot.
    fn transfer_caps(
        &mut self,
        caps: &ExtraCaps,
        ep: Option<Endpoint>,
        receiver: Tcb,
        to: Option<u64>,
    ) -> (u64, u64) {
        let Some(buffer) = to else { return (0, 0) };
        let mut place = self.receive_slot(receiver, buffer);
        let (mut unwrapped, mut extra) = (0, 0);
        for &slot in caps.iter().flatten() {
            let cap = self.cap(slot);
            match cap.view() {
                View::Endpoint { ep: named, badge, .. } if Some(named) == ep => {
                    self.m.store(buffer + BUFFER_CAPS + extra * 8, badge);
                    unwrapped |= 1 << extra;
                }
                _ => {
                    let Some(dest) = place.take() else { break };
                    match self.derive(slot, cap) {
                        Ok(derived) if !derived.is_null() => self.insert_derived(slot, dest, derived),
                        _ => break,
                    }
                }
            }
            extra += 1;
        }
        (unwrapped, extra)
    }

    /// The empty slot into which a receiver wants a capability.
    fn receive_slot(&self, receiver: Tcb, buffer: u64) -> Option<Slot> {
        let root = self.m.load(buffer + BUFFER_RECEIVE);
        let index = self.m.load(buffer + BUFFER_RECEIVE + 8);
        let depth = self.m.load(buffer + BUFFER_RECEIVE + 16);
        let root = self.lookup_slot(receiver, root).ok()?;
        let slot = self.lookup_target(self.cap(root), index, depth, false).ok()?;
        self.is_empty(slot).then_some(slot)
    }

    /// What a copy of a capability may be; null if there is no copy of it.
    pub(crate) fn derive(&self, slot: Slot, cap: Cap) -> Result<Cap, InvocationError> {
        match cap.view() {
            View::Untyped { .. } if self.first_child(slot).is_some() => Err(InvocationError::RevokeFirst),
            View::Zombie { .. } | View::IrqControl | View::Reply { .. } => Ok(Cap::NULL),
            // A table without a place could later be mapped twice.
            View::PageTable { mapping: None, .. } | View::VSpace { asid: None, .. } => {
                Err(InvocationError::IllegalOperation)
            }
            // The copy is not mapped: one mapping for each capability.
            View::Frame { .. } => Ok(cap.with_mapping(None)),
            _ => Ok(cap),
        }
    }

    /// The sender waits for the receiver's reply.
    pub(crate) fn set_caller(&mut self, sender: Tcb, receiver: Tcb, grant: bool) {
        self.set_state(sender, State::BlockedOnReply);
        self.ensure_reply_master(sender);
        // Whoever does not wait for a reply has a master without children.
        let reply = View::Reply { caller: sender, master: false, grant };
        self.insert_only_child((sender, SLOT_REPLY), (receiver, SLOT_CALLER), reply.pack());
    }

    /// Every thread that can be called back has a reply master: the ancestor of its reply capabilities.
    pub(crate) fn ensure_reply_master(&mut self, tcb: Tcb) {
        let slot = tcb.slot(SLOT_REPLY);
        if self.is_empty(slot) {
            self.plant(slot, View::Reply { caller: tcb, master: true, grant: true }.pack());
        }
    }

    /// Answers a caller through the reply capability in `slot`, which is used up.
    pub(crate) fn reply(&mut self, sender: Tcb, caller: Tcb, slot: Slot, grant: bool) {
        if self.get(caller, FAULT) == 0 {
            self.transfer(sender, None, 0, grant, caller);
            self.unlink(slot);
            self.set_state(caller, State::Running);
            self.woken(caller);
        } else {
            self.unlink(slot);
            let restart = self.fault_replied(sender, caller);
            self.set(caller, FAULT, 0);
            if restart {
                self.set_state(caller, State::Restart);
                self.woken(caller);
            } else {
                self.set_state(caller, State::Inactive);
            }
        }
    }

    /// The answer of the kernel itself to an invocation by Call.
    #[inline(always)]
    pub(crate) fn reply_done(&mut self, tcb: Tcb, words: u64) {
        self.set_reg(tcb, Reg::X0, 0);
        self.set_reg(tcb, Reg::X1, MessageInfo::new(0, 0, 0, words).0);
    }

    /// The error of an invocation by Call.
    #[cold]
    pub(crate) fn reply_error(&mut self, tcb: Tcb, error: InvocationError) {
        let (words, count) = match error {
            InvocationError::InvalidArgument(n)
            | InvocationError::InvalidCapability(n)
            | InvocationError::NotEnoughMemory(n) => ([n, 0, 0, 0, 0], 1),
            InvocationError::Range { min, max } => ([min, max, 0, 0, 0], 2),
            InvocationError::FailedLookup { source, why } => {
                let (w, n) = lookup_words(why);
                ([u64::from(source), w[0], w[1], w[2], w[3]], n + 1)
            }
            InvocationError::IllegalOperation
            | InvocationError::Alignment
            | InvocationError::Truncated
            | InvocationError::DeleteFirst
            | InvocationError::RevokeFirst => ([0; 5], 0),
        };
        let sent = self.set_message(tcb, words.into_iter().take(count));
        self.set_reg(tcb, Reg::X0, 0);
        self.set_reg(tcb, Reg::X1, MessageInfo::new(error.label(), 0, 0, sent).0);
    }

    /// A thread stops what it was waiting for. It does not run again by itself.
    pub(crate) fn cancel_ipc(&mut self, tcb: Tcb) {
        // A fault that waited to be handled waits no longer.
        self.set(tcb, FAULT, 0);
        match self.state(tcb) {
            State::BlockedOnSend | State::BlockedOnReceive => {
                self.ep_cancel(tcb);
                self.set_state(tcb, State::Inactive);
            }
            State::BlockedOnNotification => {
                self.ntfn_cancel(tcb);
                self.set_state(tcb, State::Inactive);
            }
            State::BlockedOnReply => {
                // The reply capability that somebody holds for it is void.
                if let Some(reply) = self.first_child(tcb.slot(SLOT_REPLY)) {
                    self.unlink(reply);
                }
            }
            State::Inactive | State::Running | State::Restart => {}
        }
    }

    /// Forgets whom a thread was serving.
    pub(crate) fn forget_caller(&mut self, tcb: Tcb) {
        self.unlink(tcb.slot(SLOT_CALLER));
    }

    /// The capability space root of a thread.
    #[inline(always)]
    pub(crate) fn cspace(&self, tcb: Tcb) -> Cap {
        self.cap_of(tcb, SLOT_CSPACE)
    }
}
