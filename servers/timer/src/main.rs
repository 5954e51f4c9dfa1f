//! Owns the physical timer and serves deadlines: sleeps of clients by message, deadlines of the linker server
//! through a shared page, because the linker server never waits for anybody, and alarms of clients by the class of clocks.
//!
//! Reading order: here, then [`alarms`] (the class) and [`hardware`] (the timer's registers). Who sleeps until when is `timer-deadlines`'.
#![no_std]
#![no_main]

mod alarms;
mod hardware;

use sel4_sys::seL4_MessageInfo;
use strata_protocol::caps::{signal, slot, timer_signal};
use strata_protocol::start::{StartInfo, grant, region};
use strata_protocol::timer::{DeadlinePage, Reply, Request, SLEEP_US_MAX, to_ticks};
use strata_protocol::{Errno, Refusal};
use strata_runtime::ipc::{DEPTH, Received, get, put, receive, reply_receive};
use strata_runtime::kernel::check;
use strata_runtime::slots::Slots;
use strata_runtime::{Ipc, clock, entry, sel4};
use timer_deadlines::{Sleepers, earlier};

use crate::alarms::ClientAlarms;
use crate::hardware::PhysicalTimer;

entry!(main);

/// The server's state.
struct Timer {
    irq: u64,
    page: &'static DeadlinePage,
    sleepers: Sleepers,
    alarms: ClientAlarms,
    hardware: PhysicalTimer,
}

fn main(start: &'static StartInfo, ipc: &'static mut Ipc) -> ! {
    let irq = start.grants(grant::IRQ).next().expect("the description names the interrupt").slot;
    let page = start.region(region::DEADLINES).expect("the description names the deadline page");
    // SAFETY: the root task maps the page for the life of the process; all its fields are atomic.
    let page = unsafe { &*(page.address as *const DeadlinePage) };
    let mut slots = Slots::new(start);
    let sleepers = Sleepers::new(core::iter::from_fn(|| slots.take()));
    let mut timer =
        Timer { irq, page, sleepers, alarms: ClientAlarms::default(), hardware: PhysicalTimer::take() };
    timer.connect(ipc);
    defmt::info!("timer at {=u64} Hz", clock::frequency());

    let mut answer = None;
    loop {
        let received = match answer.take() {
            Some(tag) => reply_receive(ipc, slot::SERVICE, tag),
            None => receive(ipc, slot::SERVICE),
        };
        if signal::is_signal(received.badge) {
            timer.look(ipc, received.badge);
        } else {
            answer = timer.request(ipc, received);
        }
    }
}

impl Timer {
    fn connect(&mut self, ipc: &mut Ipc) {
        let bits = timer_signal::INTERRUPT;
        let rights = sel4::seL4_CapRights::write_only();
        let (cnode, at) = (slot::CNODE, slot::FIRST_FREE - 1);
        check(ipc.seL4_CNode_Mint(cnode, at, DEPTH, cnode, slot::NOTIFICATION, DEPTH, rights, bits))
            .expect("the slot below the free ones is empty");
        check(ipc.seL4_IRQHandler_SetNotification(self.irq, at)).expect("the interrupt is ours");
        // Not before: the kernel opens the timer's registers to the thread that its interrupt is bound to.
        self.hardware.stop();
        check(ipc.seL4_IRQHandler_Ack(self.irq)).expect("the interrupt is ours");
    }

    /// Something has happened: answers who is due, tells the linker server, sets the next interrupt.
    fn look(&mut self, ipc: &mut Ipc, badge: u64) {
        loop {
            // Whoever sets a deadline from here on signals, until it can see when we look next.
            self.page.wakes_at(0);
            let now = clock::ticks();
            if self.page.expire(now) {
                sel4::seL4_Signal(slot::DEADLINE_SIGNAL);
            }
            while let Some(reply_slot) = self.sleepers.due(now) {
                let tag = put(ipc, &time(now), 0).expect("an answer fits a message");
                // The saved reply capability is used up by this; its slot is empty again.
                ipc.seL4_Send(reply_slot, tag);
            }
            self.alarms.tell(now);
            let next = earlier(self.page.earliest(), self.sleepers.earliest());
            let next = earlier(next, self.alarms.earliest());
            self.hardware.set(next);
            self.page.wakes_at(next);
            // A deadline that passed while the timer was being set is noticed now, not never.
            if next == 0 || next > clock::ticks() {
                break;
            }
        }
        if badge & timer_signal::INTERRUPT != 0 {
            // The timer is set to the future, so the level is low before the interrupt is let in again.
            check(ipc.seL4_IRQHandler_Ack(self.irq)).expect("the interrupt is ours");
        }
    }

    /// Serves a request; nothing to answer when the client sleeps.
    fn request(&mut self, ipc: &mut Ipc, received: Received) -> Option<seL4_MessageInfo> {
        if received.tag.get_label() != 0 {
            let answer = self.alarms.answer(&mut ipc.msg, received);
            self.look(ipc, 0);
            return Some(answer);
        }
        let reply = match get(ipc, received.tag) {
            Ok(Request::Now) => time(clock::ticks()),
            Ok(Request::Sleep { microseconds }) if microseconds <= SLEEP_US_MAX => {
                let until = clock::ticks() + to_ticks(microseconds, clock::frequency());
                match self.sleepers.place() {
                    Some(reply_slot) => {
                        check(ipc.seL4_CNode_SaveCaller(slot::CNODE, reply_slot, DEPTH))
                            .expect("the place's slot is empty");
                        self.sleepers.add(reply_slot, until);
                        self.look(ipc, 0);
                        return None;
                    }
                    None => refuse(Errno::EBUSY, "sleep", "too many sleepers"),
                }
            }
            Ok(Request::Sleep { .. }) => refuse(Errno::ERANGE, "sleep", "longer than an hour"),
            Err(_) => refuse(Errno::EINVAL, "timer", "not a request of this version"),
        };
        Some(put(ipc, &reply, 0).expect("an answer fits a message"))
    }
}

fn time(ticks: u64) -> Reply {
    Reply::Time { ticks, frequency: clock::frequency() }
}

fn refuse(errno: Errno, name: &str, why: &str) -> Reply {
    Reply::Refused(Refusal::new(errno, name, why))
}
