//! The servers as data: for each one what it is started with, and nothing else.
//!
//! A server's power can be read off its line in [`SERVERS`]. The root task only follows the table.

use strata_protocol::caps::{
    LINKER_CNODE_BITS, client_signal, linker_badge, linker_signal, log_signal, priority, slot, timer_signal,
};
use strata_protocol::start::region;
use strata_protocol::store::UPLOAD_SIZE;
use strata_protocol::streams;

use crate::addresses;
use crate::executable::PAGE_SIZE;
use crate::placement::PLACES;

/// Who owns an endpoint and a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The root task.
    Root,
    /// The timer server.
    Timer,
    /// The module store.
    Store,
    /// The log server.
    Log,
    /// The linker server.
    Linker,
    /// The console.
    Console,
    /// The agent that runs on-target cases.
    TestAgent,
}

/// How many owners there are.
pub const OWNERS: usize = 7;

impl Owner {
    /// Its position in tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The owner whose log stream this is.
    #[must_use]
    pub const fn of_stream(stream: u16) -> Option<Self> {
        Some(match stream {
            streams::ROOT_TASK => Owner::Root,
            streams::TIMER => Owner::Timer,
            streams::MODULE_STORE => Owner::Store,
            streams::LOG => Owner::Log,
            streams::LINKER => Owner::Linker,
            streams::CONSOLE => Owner::Console,
            streams::TEST_AGENT => Owner::TestAgent,
            _ => return None,
        })
    }
}

/// A capability that a server starts with, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Its own endpoint, to receive from, to answer with capabilities, and to derive badged ones.
    Service,
    /// Its own notification, with all rights.
    Notification,
    /// Its own CNode.
    CNode,
    /// Its own TCB.
    Tcb,
    /// Its own address space.
    VSpace,
    /// The ASID pool.
    AsidPool,
    /// To call another's endpoint.
    Call {
        /// Whose.
        owner: Owner,
        /// The badge that the owner sees.
        badge: u64,
        /// Where.
        slot: u64,
    },
    /// To signal another's notification.
    Signal {
        /// Whose.
        owner: Owner,
        /// The bits that the owner sees.
        badge: u64,
        /// Where.
        slot: u64,
    },
    /// Untyped memory.
    Untyped {
        /// Its size as a power of two.
        bits: u8,
        /// Where.
        slot: u64,
    },
    /// The pages and interrupts of the devices that driver servers are for, by the names in [`PLACES`]; the board says
    /// where these are, and which of them it has.
    Devices {
        /// Where the first page goes; then come its interrupt's place, the next page, and so on.
        slot: u64,
    },
    /// An interrupt.
    Irq {
        /// Its number.
        number: u32,
        /// Where.
        slot: u64,
    },
}

impl Capability {
    /// Where the server finds it.
    #[must_use]
    pub const fn slot(self) -> u64 {
        match self {
            Capability::Service => slot::SERVICE,
            Capability::Notification => slot::NOTIFICATION,
            Capability::CNode => slot::CNODE,
            Capability::Tcb => slot::TCB,
            Capability::VSpace => slot::VSPACE,
            Capability::AsidPool => slot::ASID_POOL,
            Capability::Call { slot, .. }
            | Capability::Signal { slot, .. }
            | Capability::Untyped { slot, .. }
            | Capability::Devices { slot, .. }
            | Capability::Irq { slot, .. } => slot,
        }
    }

    /// How many slots it takes, from the first one on.
    #[must_use]
    pub const fn slots(self) -> u64 {
        match self {
            Capability::Devices { .. } => 2 * PLACES.len() as u64,
            _ => 1,
        }
    }
}

/// Memory that a server shares with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// The boot archive, read-only.
    Store,
    /// The upload area.
    Upload {
        /// Whether it may write there.
        write: bool,
    },
    /// The deadline page.
    Deadlines,
    /// The log rings of all servers.
    LogRings,
    /// Address space for its own mappings.
    Free,
}

impl Shared {
    /// The kind in the start page.
    #[must_use]
    pub const fn kind(self) -> u32 {
        match self {
            Shared::Store => region::STORE,
            Shared::Upload { .. } => region::UPLOAD,
            Shared::Deadlines => region::DEADLINES,
            Shared::LogRings => region::LOG_RING,
            Shared::Free => region::FREE,
        }
    }
}

/// A server.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Its name in the boot archive.
    pub file: &'static str,
    /// Who it is.
    pub owner: Owner,
    /// Its log stream.
    pub stream: u16,
    /// Its priority.
    pub priority: u64,
    /// Its maximum controlled priority.
    pub mcp: u64,
    /// Slots of its CNode as a power of two.
    pub cnode_bits: u8,
    /// Pages of its stack.
    pub stack_pages: u64,
    /// Whether its thread receives its notification at its endpoint.
    pub bound: bool,
    /// What it may do.
    pub capabilities: &'static [Capability],
    /// What it shares.
    pub shared: &'static [Shared],
}

/// The client side of the log, which every server has.
const LOG: Capability =
    Capability::Signal { owner: Owner::Log, badge: log_signal::RING, slot: slot::LOG_SIGNAL };

const fn call(owner: Owner, badge: u64, slot: u64) -> Capability {
    Capability::Call { owner, badge, slot }
}

/// The right to signal a client.
const fn signal_client(owner: Owner, badge: u64) -> Capability {
    let slot = if matches!(owner, Owner::Console) { slot::CONSOLE_SIGNAL } else { slot::TEST_AGENT_SIGNAL };
    Capability::Signal { owner, badge, slot }
}

/// The physical timer's interrupt, the same on every board with a generic timer.
const PHYSICAL_TIMER_IRQ: u32 = 30;

const TIMER: Server = Server {
    file: "timer-server",
    owner: Owner::Timer,
    stream: streams::TIMER,
    priority: priority::TIMER,
    mcp: priority::TIMER,
    cnode_bits: 8,
    stack_pages: 8,
    bound: true,
    capabilities: &[
        Capability::Service,
        Capability::Notification,
        Capability::CNode,
        LOG,
        Capability::Irq { number: PHYSICAL_TIMER_IRQ, slot: 32 },
        Capability::Signal {
            owner: Owner::Linker,
            badge: linker_signal::DEADLINE,
            slot: slot::DEADLINE_SIGNAL,
        },
        signal_client(Owner::Console, client_signal::ALARM),
        signal_client(Owner::TestAgent, client_signal::ALARM),
    ],
    shared: &[Shared::Deadlines],
};

const STORE: Server = Server {
    file: "module-store",
    owner: Owner::Store,
    stream: streams::MODULE_STORE,
    priority: priority::STORE,
    mcp: priority::STORE,
    cnode_bits: 8,
    stack_pages: 8,
    bound: false,
    capabilities: &[Capability::Service, LOG],
    shared: &[Shared::Store, Shared::Upload { write: false }],
};

const LOG_SERVER: Server = Server {
    file: "log-server",
    owner: Owner::Log,
    stream: streams::LOG,
    priority: priority::LOG,
    mcp: priority::LOG,
    cnode_bits: 8,
    stack_pages: 8,
    bound: false,
    capabilities: &[
        Capability::Notification,
        Capability::CNode,
        Capability::VSpace,
        LOG,
        call(Owner::Linker, linker_badge::LOG, slot::LINKER),
        Capability::Untyped { bits: 16, slot: slot::UNTYPED },
    ],
    shared: &[Shared::LogRings, Shared::Free],
};

const LINKER: Server = Server {
    file: "linker-server",
    owner: Owner::Linker,
    stream: streams::LINKER,
    priority: priority::LINKER,
    mcp: priority::RAISED,
    cnode_bits: LINKER_CNODE_BITS,
    stack_pages: 64,
    bound: true,
    capabilities: &[
        Capability::Service,
        Capability::Notification,
        Capability::CNode,
        Capability::Tcb,
        Capability::VSpace,
        Capability::AsidPool,
        LOG,
        Capability::Signal { owner: Owner::Timer, badge: timer_signal::LOOK, slot: slot::TIMER_SIGNAL },
        // Handed on to driver servers whose client wants their signals together with others.
        signal_client(Owner::Console, client_signal::DEVICE),
        signal_client(Owner::TestAgent, client_signal::DEVICE),
        // For its watchdog: the linker server itself waits for nobody.
        call(Owner::Timer, streams::LINKER as u64, slot::TIMER),
        Capability::Untyped { bits: 26, slot: 32 },
        // The hole is where nothing answers: its driver is there to be read from in vain.
        Capability::Devices { slot: 33 },
    ],
    shared: &[Shared::Store, Shared::Upload { write: false }, Shared::Deadlines, Shared::Free],
};

const CONSOLE: Server = Server {
    file: "console",
    owner: Owner::Console,
    stream: streams::CONSOLE,
    priority: priority::CONSOLE,
    mcp: priority::CONSOLE,
    cnode_bits: 8,
    stack_pages: 16,
    bound: false,
    capabilities: &[
        Capability::Notification,
        Capability::CNode,
        Capability::VSpace,
        LOG,
        call(Owner::Root, streams::CONSOLE as u64, slot::ROOT),
        call(Owner::Timer, streams::CONSOLE as u64, slot::TIMER),
        call(Owner::Store, streams::CONSOLE as u64, slot::STORE),
        call(Owner::Linker, linker_badge::CONSOLE, slot::LINKER),
        Capability::Untyped { bits: 16, slot: slot::UNTYPED },
    ],
    // A host tool sends images over the console's line.
    shared: &[Shared::Upload { write: true }, Shared::Free],
};

const TEST_AGENT: Server = Server {
    file: "test-agent",
    owner: Owner::TestAgent,
    stream: streams::TEST_AGENT,
    priority: priority::TEST_AGENT,
    mcp: priority::TEST_AGENT,
    cnode_bits: 8,
    stack_pages: 32,
    bound: false,
    capabilities: &[
        Capability::Notification,
        Capability::CNode,
        Capability::VSpace,
        LOG,
        call(Owner::Root, streams::TEST_AGENT as u64, slot::ROOT),
        call(Owner::Timer, streams::TEST_AGENT as u64, slot::TIMER),
        call(Owner::Store, streams::TEST_AGENT as u64, slot::STORE),
        call(Owner::Linker, linker_badge::TEST_AGENT, slot::LINKER),
        call(Owner::Linker, linker_badge::TEST_AGENT_2, slot::LINKER_2),
        Capability::Untyped { bits: 18, slot: slot::UNTYPED },
    ],
    // It uploads damaged and renamed copies of the images in the boot archive.
    shared: &[Shared::Store, Shared::Upload { write: true }, Shared::Free],
};

/// The servers that always run, in the order in which they start.
pub const SERVERS: &[Server] = &[TIMER, STORE, LOG_SERVER, LINKER];

/// The last server: who commands the others.
#[must_use]
pub const fn commander(case: bool) -> &'static Server {
    if case { &TEST_AGENT } else { &CONSOLE }
}

/// Bytes of an area that is shared page by page, for the start page.
#[must_use]
pub const fn extent(shared: Shared, archive_size: u64) -> (u64, u64) {
    match shared {
        Shared::Store => (addresses::STORE, archive_size),
        Shared::Upload { .. } => (addresses::UPLOAD, UPLOAD_SIZE),
        Shared::Deadlines => (addresses::DEADLINES, PAGE_SIZE),
        Shared::LogRings => (addresses::LOG_RINGS, PAGE_SIZE),
        Shared::Free => (addresses::FREE, addresses::FREE_SIZE),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use strata_protocol::start::{GRANTS_MAX, REGIONS_MAX};

    fn all() -> impl Iterator<Item = &'static Server> {
        SERVERS.iter().chain([commander(false), commander(true)])
    }

    #[test]
    fn no_two_capabilities_share_a_slot() {
        for server in all() {
            let mut taken = std::collections::BTreeSet::from([0, slot::FAULT]);
            for capability in server.capabilities {
                for at in capability.slot()..capability.slot() + capability.slots() {
                    assert!(taken.insert(at) && at < slot::FIRST_FREE, "{}: slot {at}", server.file);
                }
            }
        }
    }

    #[test]
    fn tables_of_the_start_page_are_large_enough() {
        for server in all() {
            let slots: u64 = server.capabilities.iter().map(|capability| capability.slots()).sum();
            assert!(slots <= GRANTS_MAX as u64 && server.shared.len() + OWNERS <= REGIONS_MAX);
            assert!(server.stack_pages <= addresses::STACK_PAGES_MAX);
            assert_eq!(Owner::of_stream(server.stream), Some(server.owner));
        }
    }

    #[test]
    fn only_the_linker_holds_power_over_address_spaces_and_devices() {
        for server in all().filter(|server| server.owner != Owner::Linker) {
            for capability in server.capabilities {
                assert!(!matches!(
                    capability,
                    Capability::Tcb | Capability::AsidPool | Capability::Devices { .. }
                ));
            }
            assert_eq!(server.mcp, server.priority, "{}", server.file);
        }
    }
}
