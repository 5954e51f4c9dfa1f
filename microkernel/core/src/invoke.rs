//! Invocations: which object, which method, and what is common to all of them.
use crate::cap::{Cap, View};
use crate::endpoint::{SEND_CALL, SEND_GRANT, SEND_GRANT_REPLY, Sending};
use crate::error::{InvocationError, Stop};
use crate::handle::{Endpoint, Slot, Tcb};
use crate::ipc::ExtraCaps;
use crate::kernel::Kernel;
use crate::machine::Machine;
use microkernel_abi::rights::CapRights;

/// A message to an object of the kernel.
pub(crate) struct Invocation {
    /// Who sends.
    pub(crate) tcb: Tcb,
    pub(crate) label: u64,
    /// Words that are really there.
    pub(crate) length: u64,
    /// The slot of the invoked capability.
    pub(crate) slot: Slot,
    /// What was in it when the invocation began.
    pub(crate) cap: Cap,
    pub(crate) extra: ExtraCaps,
    /// The sender's buffer, to read from.
    pub(crate) buffer: Option<u64>,
    pub(crate) block: bool,
    pub(crate) call: bool,
}

/// How an invocation ends well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// The kernel answers a Call, with so many words that are in place already.
    Done { words: u64 },
    /// It was a message to somebody else, who answers or does not.
    Sent,
}

/// Done, nothing to say.
pub(crate) const DONE: Result<Outcome, Stop> = Ok(Outcome::Done { words: 0 });

/// Refused.
pub(crate) fn refuse<T>(error: InvocationError) -> Result<T, Stop> {
    Err(Stop::Error(error))
}

impl Invocation {
    /// Checks that there are enough words and capabilities.
    #[inline(always)]
    pub(crate) fn need(&self, words: u64, caps: usize) -> Result<(), InvocationError> {
        // Extra capabilities fill their places in order.
        if self.length < words || caps > 0 && self.extra[caps - 1].is_none() {
            return Err(InvocationError::Truncated);
        }
        Ok(())
    }

    /// Extra capability n, which `need` has found present.
    #[inline(always)]
    pub(crate) fn extra(&self, n: usize) -> Result<Slot, InvocationError> {
        self.extra[n].ok_or(InvocationError::Truncated)
    }
}

impl<M: Machine> Kernel<M> {
    /// Argument n of an invocation.
    #[inline(always)]
    pub(crate) fn arg(&self, inv: &Invocation, n: u64) -> u64 {
        self.message_word(inv.tcb, inv.buffer, n)
    }

    /// Sends through an endpoint capability with write right.
    #[inline]
    pub(crate) fn send_through(
        &mut self,
        tcb: Tcb,
        ep: Endpoint,
        badge: u64,
        rights: CapRights,
        block: bool,
        call: bool,
    ) {
        let flags = if call { SEND_CALL } else { 0 }
            | if rights.grant() { SEND_GRANT } else { 0 }
            | if rights.grant_reply() { SEND_GRANT_REPLY } else { 0 };
        self.send_ipc(tcb, ep, Sending { block, badge, flags });
    }

    /// Does what a message to a capability asks.
    pub(crate) fn dispatch(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        match inv.cap.view() {
            View::Endpoint { ep, badge, rights } if rights.write() => {
                self.send_through(inv.tcb, ep, badge, rights, inv.block, inv.call);
                Ok(Outcome::Sent)
            }
            View::Notification { ntfn, badge, rights } if rights.write() => {
                self.signal(ntfn, badge);
                DONE
            }
            View::Reply { caller, master: false, grant } => {
                self.reply(inv.tcb, caller, inv.slot, grant);
                DONE
            }
            View::Null
            | View::Zombie { .. }
            | View::Endpoint { .. }
            | View::Notification { .. }
            | View::Reply { .. } => refuse(InvocationError::InvalidCapability(0)),
            View::Thread { tcb } => self.invoke_thread(inv, tcb),
            View::CNode { .. } => self.invoke_cnode(inv),
            View::Untyped { .. } => self.invoke_untyped(inv),
            View::IrqControl => self.invoke_irq_control(inv),
            View::IrqHandler { line } => self.invoke_irq_handler(inv, line),
            View::Sgi { irq, core } => {
                // Any message raises it, whatever its label.
                self.m.irq_raise(irq, core);
                DONE
            }
            View::Domain => self.invoke_domain(inv),
            View::Frame { .. } => self.invoke_frame(inv),
            View::PageTable { .. } => self.invoke_page_table(inv),
            View::VSpace { .. } => self.invoke_vspace(inv),
            View::AsidControl => self.invoke_asid_control(inv),
            View::AsidPool { base, first } => self.invoke_asid_pool(inv, base, first),
        }
    }

    /// One word for a Call; who only sends hears nothing.
    pub(crate) fn answer(&mut self, inv: &Invocation, word: u64) -> Result<Outcome, Stop> {
        let words = if inv.call { self.set_message(inv.tcb, [word].into_iter()) } else { 0 };
        Ok(Outcome::Done { words })
    }
}
