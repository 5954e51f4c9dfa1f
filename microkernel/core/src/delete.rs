//! The end of capabilities and objects.
//!
//! Deleting the last capability of an object ends the object. Containers (CNodes, and threads with
//! their slots) may hold any amount of further objects, so they end slot by slot: the capability turns
//! into a *zombie* that counts the slots still to be emptied, and an interrupt may come between any two.
//!
//! ```text
//!  delete S ─ last capability of a container ─► S: zombie(n) ─1► last slot emptied, n−1 ─► … ─► zombie(0) ─► S empty
//!                                                     └─2► the last slot holds a container in turn: its zombie
//!                                                          changes places with that container's own first slot
//! ```
//! Edge 2 keeps the kernel's stack flat. A zombie in its own container's first slot is out of everybody's
//! reach except a revoke of the untyped memory below it, which finds it in the derivation list.
use crate::cap::{View, ZombieKind};
use crate::error::Stop;
use crate::handle::{Slot, Tcb};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::tcb::{Reg, SLOTS, State};

/// What emptying a slot has come to. As wide as a word, so that results with it are copied by words.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Ending {
    /// The slot may be cleared.
    Clear,
    /// What is in it stays for now.
    Keep,
}

impl<M: Machine> Kernel<M> {
    /// Empties a slot, and ends the object if this was its last capability. An interrupted delete goes on when
    /// it is called again.
    pub(crate) fn delete(&mut self, slot: Slot) -> Result<(), Stop> {
        let cap = self.cap(slot);
        // One of several capabilities of an object goes without effect on the object, unless it is mapped; zombies are
        // never one of several.
        if !matches!(cap.view(), View::Frame { mapping: Some(_), .. } | View::Zombie { .. })
            && !self.is_final(slot)
        {
            self.unlink(slot);
            return Ok(());
        }
        if self.finish(slot, true)? == Ending::Clear {
            self.unlink(slot);
        }
        Ok(())
    }

    /// Deletes every descendant of the capability in a slot, and what they have left in untyped memory.
    pub(crate) fn revoke(&mut self, slot: Slot) -> Result<(), Stop> {
        // The slot itself may be emptied on the way, when it lies in what is deleted: then there is no child.
        while let Some(child) = self.first_child(slot) {
            self.delete(child)?;
            self.preemption_point()?;
        }
        // Here and not when it is used next: what that takes does not depend on who had the memory before.
        self.reset(slot)
    }

    /// Ends what the capability in a slot stands for. `outer`: containers are
    /// emptied here; otherwise this call comes from emptying another one and must not go deeper.
    fn finish(&mut self, slot: Slot, outer: bool) -> Result<Ending, Stop> {
        loop {
            let View::Zombie { base, kind, count } = self.end(slot) else { return Ok(Ending::Clear) };
            let first = Slot::at(base);
            if count == 0 || count == 1 && slot == first {
                return Ok(Ending::Clear);
            }
            let zombie = View::Zombie { base, kind, count }.pack();
            self.set_cap(slot, zombie);
            if outer {
                let last = first.offset(count - 1);
                if self.finish(last, false)? == Ending::Clear {
                    self.unlink(last);
                }
                // Emptying the last slot may have put something else here (edge 2 on a container that this slot
                // is the first of); then the next turn deals with that.
                if self.cap(slot) == zombie && self.is_empty(last) {
                    self.set_cap(slot, View::Zombie { base, kind, count: count - 1 }.pack());
                }
            } else if slot == first {
                return Ok(Ending::Keep);
            } else {
                let inner = self.cap(first);
                self.swap(slot, zombie, first, inner);
            }
            self.preemption_point()?;
        }
    }

    /// Takes a capability's effect away. What stays in the slot: nothing, or a zombie.
    fn end(&mut self, slot: Slot) -> View {
        let view = self.view(slot);
        let last = self.is_final(slot);
        match view {
            View::Zombie { .. } => return view,
            View::CNode { base, radix, .. } if last => {
                return View::Zombie { base, kind: ZombieKind::CNode { radix }, count: 1 << radix };
            }
            View::Thread { tcb } if last => {
                self.unbind(tcb);
                self.suspend(tcb);
                self.fpu_release(tcb);
                self.debug_remove(tcb);
                return View::Zombie { base: tcb.addr(), kind: ZombieKind::Thread, count: SLOTS };
            }
            View::Endpoint { ep, .. } if last => self.ep_cancel_all(ep),
            View::Notification { ntfn, .. } if last => {
                if let Some(bound) = self.ntfn_bound(ntfn) {
                    self.unbind(bound);
                }
                self.ntfn_cancel_all(ntfn);
            }
            View::IrqHandler { line } if last => self.end_handler(line),
            View::Frame { size, mapping: Some(mapping), base, .. } => self.unmap_frame(base, size, mapping),
            View::PageTable { base, mapping: Some(mapping) } if last => self.unmap_table(base, mapping),
            View::VSpace { base, asid: Some(asid) } if last => self.delete_asid(asid, base),
            View::AsidPool { base, first } if last => self.delete_asid_pool(base, first),
            _ => {}
        }
        View::Null
    }

    /// Makes a thread inactive. When it is resumed it runs the interrupted system call again.
    pub(crate) fn suspend(&mut self, tcb: Tcb) {
        self.stall(tcb);
        self.cancel_ipc(tcb);
        if self.state(tcb) == State::Running {
            let pc = self.reg(tcb, Reg::PC);
            self.set_reg(tcb, Reg::FAULT_PC, pc);
        }
        self.set_state(tcb, State::Inactive);
        self.dequeue(tcb);
    }

    /// Makes a stopped thread ready.
    pub(crate) fn resume(&mut self, tcb: Tcb) {
        if self.state(tcb).is_runnable() {
            return;
        }
        self.cancel_ipc(tcb);
        self.ensure_reply_master(tcb);
        self.set_state(tcb, State::Restart);
        self.woken(tcb);
    }

    /// Would emptying this slot of a thread take long? Then the invocation that wants it is refused.
    pub(crate) fn is_long_delete(&self, slot: Slot) -> bool {
        matches!(self.view(slot), View::Thread { .. } | View::CNode { .. } | View::Zombie { .. })
            && self.is_final(slot)
    }
}
