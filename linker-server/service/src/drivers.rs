//! Driver servers leave and come back while the rest runs, and are told of layers that come and go.
//!
//! ```text
//! in service ─ stop: interrupt off, asked to leave its device ─► stopped (a stand-in answers EAGAIN) ─ start ─► in service
//!      ▲                            │ deadline: it is in the middle of a request
//!      └──── interrupt on again ────┘
//! in service ─ RESTARTS_MAX faults, and one more ─► given up (a stand-in answers ENXIO) ─ start, restart ─► in service
//! ```
//! Endpoint and notifications stay, so whoever holds them is served again without asking anew. A server is asked by a
//! message that is sent only if it waits for one: it never leaves in the middle of a request, and nobody waits.

use crate::deadlines::Purpose;
use crate::explain;
use crate::linker::{Linker, Work};
use core::sync::atomic::Ordering;
use sel4_sys::seL4_MessageInfo;
use strata_protocol::domain::serving;
use strata_protocol::driver::SERVER_STOP;
use strata_protocol::linker::Reply;
use strata_protocol::{Errno, Refusal};

/// How long after a server could not be asked it is asked again, in milliseconds.
const ASK_AGAIN_MS: u32 = 2;
/// The interface through which servers reach their devices: the first letters of its symbols.
const BUS: &str = "bus_space";

impl Linker<'_> {
    /// Begins to stop a driver server.
    pub fn begin_stop(&mut self) {
        let Some(Work::Stop { name, drain_ms, again, .. }) = self.turn.as_ref().map(|turn| turn.work.clone())
        else {
            return;
        };
        let serving = self.serving(&name);
        if again && serving == Some(serving::GIVEN_UP) {
            let reply = self.start_server(&name);
            return self.end(&reply);
        }
        let refused = match serving {
            None => Some((Errno::ENODEV, "no such driver server")),
            Some(serving::STOPPED) => Some((Errno::EBUSY, "the driver server is stopped already")),
            Some(serving::GIVEN_UP) => Some((Errno::ENXIO, "the driver server has faulted too often")),
            Some(_) => None,
        };
        if let Some((errno, why)) = refused {
            return self.end(&Reply::Refused(Refusal::new(errno, &name, why)));
        }
        if let Err(error) = self.space.set_interrupt(self.objects, &name, false) {
            return self.end(&Reply::Refused(explain::object(&name, error)));
        }
        self.deadlines.set(Purpose::Drain, drain_ms, 0);
        self.ask_to_stop();
    }

    /// Asks the server of the turn, if it waits for a request now; again a little later if not.
    pub fn ask_to_stop(&mut self) {
        let Some(Work::Stop { name, again, .. }) = self.turn.as_ref().map(|turn| turn.work.clone()) else {
            return;
        };
        if self.serving(&name) == Some(serving::IN_SERVICE)
            && let Some((endpoint, _)) = self.server(&name)
        {
            // On one core the server, being more urgent, has left its device when this returns.
            self.objects.ipc.seL4_NBSend(endpoint, seL4_MessageInfo::new(SERVER_STOP, 0, 0, 0));
        }
        if self.serving(&name) != Some(serving::STOPPED) {
            return self.deadlines.set(Purpose::Look, ASK_AGAIN_MS, 0);
        }
        let reply = if again { self.start_server(&name) } else { Reply::Done };
        self.end(&reply);
    }

    /// A stop is given up: everything is as before.
    pub fn give_up_stop(&mut self, errno: Errno, why: &str) {
        let Some(Work::Stop { name, .. }) = self.turn.as_ref().map(|turn| turn.work.clone()) else { return };
        if self.space.set_interrupt(self.objects, &name, true).is_err() {
            defmt::error!("the interrupt of {=str} could not be given back", name.as_str());
        }
        self.end(&Reply::Refused(Refusal::new(errno, &name, why)));
    }

    /// Starts a driver server that was stopped or given up.
    pub fn start_server(&mut self, name: &str) -> Reply {
        let refuse = |errno, why| Reply::Refused(Refusal::new(errno, name, why));
        match self.serving(name) {
            None => return refuse(Errno::ENODEV, "no such driver server"),
            Some(serving::STOPPED) => {}
            Some(serving::GIVEN_UP) if !self.is_parked(name) => {}
            Some(_) => return refuse(Errno::EBUSY, "the driver server is in service"),
        }
        match self.space.start_again(self.objects, name) {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Refused(explain::object(name, error)),
        }
    }

    /// Whether a server waits for a module to be popped before it is started again.
    fn is_parked(&self, name: &str) -> bool {
        let server = self.space.servers.iter().find(|server| server.name.as_str() == name);
        server.is_some_and(|server| self.parked.iter().any(|parked| parked.thread == server.thread))
    }

    fn serving(&self, name: &str) -> Option<u32> {
        let server = self.space.servers.iter().find(|server| server.name.as_str() == name)?;
        let thread = self.space.threads.get(server.thread as usize)?;
        Some(thread.page.thread_block().serving.load(Ordering::Acquire))
    }

    /// Tells the servers of devices that layers of the plan's interface have come or gone.
    pub fn tell_servers(&mut self) {
        let of_bus = |change: &linker_core::plan::Change| {
            self.link.symbol(change.symbol).is_some_and(|symbol| symbol.name.text().starts_with(BUS))
        };
        if self.plan.changes().iter().any(of_bus) {
            for layers in self.space.servers.iter().filter_map(|server| server.layers) {
                sel4_sys::seL4_Signal(layers);
            }
        }
    }
}
