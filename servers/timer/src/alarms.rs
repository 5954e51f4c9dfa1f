//! The class of clocks, with the generic timer's counter: each client has alarms of its own, which come by its notification.

use driver_class::time::{Alarms, Full, TimeSource, request};
use sel4_sys::{seL4_CPtr, seL4_MessageInfo};
use strata_protocol::Errno;
use strata_protocol::caps::slot;
use strata_protocol::message::WORDS_MAX;
use strata_protocol::streams;
use strata_protocol::timer::{to_microseconds, to_ticks};
use strata_runtime::clock;
use strata_runtime::ipc::Received;

/// Clients that have a notification: their badges, and what signals them.
const CLIENTS: [(u64, seL4_CPtr); 2] =
    [(streams::CONSOLE as u64, slot::CONSOLE_SIGNAL), (streams::TEST_AGENT as u64, slot::TEST_AGENT_SIGNAL)];

/// The alarms of all clients.
#[derive(Default)]
pub(crate) struct ClientAlarms([Alarms; CLIENTS.len()]);

/// The counter, as one client has it.
struct Counter<'a>(&'a mut Alarms);

impl TimeSource for Counter<'_> {
    fn now(&self) -> u64 {
        microseconds(clock::ticks())
    }

    fn alarm(&mut self, at: u64) -> Result<(), Full> {
        self.0.add(at)
    }
}

impl ClientAlarms {
    /// Answers a request of the class. EPERM for a client that could not be told of an alarm.
    pub(crate) fn answer(&mut self, words: &mut [u64; WORDS_MAX], received: Received) -> seL4_MessageInfo {
        let length = usize::try_from(received.tag.get_length()).unwrap_or(WORDS_MAX).min(WORDS_MAX);
        let client = CLIENTS.iter().position(|(badge, _)| *badge == received.badge);
        let answer = match client {
            Some(client) => {
                request(&mut Counter(&mut self.0[client]), received.tag.get_label(), words, length)
            }
            None => Err(Errno::EPERM),
        };
        match answer {
            Ok(length) => seL4_MessageInfo::new(0, 0, 0, length as u64),
            Err(errno) => seL4_MessageInfo::new(u64::from(errno.number().unsigned_abs()), 0, 0, 0),
        }
    }

    /// Tells the clients whose times have come.
    pub(crate) fn tell(&mut self, ticks: u64) {
        for (alarms, (_, signal)) in self.0.iter_mut().zip(CLIENTS) {
            if alarms.take_due(microseconds(ticks)) {
                sel4_sys::seL4_Signal(signal);
            }
        }
    }

    /// The tick of the next alarm, 0 for none.
    pub(crate) fn earliest(&self) -> u64 {
        let next = self.0.iter().filter_map(Alarms::earliest).min();
        // A time that the counter never comes to is as good as its last.
        next.map_or(0, |at| to_ticks(at.min(AT_MAX_US), clock::frequency()))
    }
}

/// The last alarm, in microseconds: centuries ahead, and no counter's tick overflows.
const AT_MAX_US: u64 = 1 << 53;

fn microseconds(ticks: u64) -> u64 {
    to_microseconds(ticks, clock::frequency())
}
