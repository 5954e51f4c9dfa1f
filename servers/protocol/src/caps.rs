//! Where each server finds its capabilities, and how urgent it is.
//!
//! The root task fills these slots; a slot that a server's description does not name is empty.

/// Slots that mean the same in every server.
pub mod slot {
    /// The server's own endpoint, with the right to receive.
    pub const SERVICE: u64 = 1;
    /// The notification bound to the server's thread (all rights).
    pub const NOTIFICATION: u64 = 2;
    /// The server's own CNode: its slots are addressed through it at depth 64.
    pub const CNODE: u64 = 3;
    /// The server's own TCB (linker server only).
    pub const TCB: u64 = 4;
    /// The server's own VSpace (linker server, log server and clients that map pages).
    pub const VSPACE: u64 = 5;
    /// An ASID pool (linker server only).
    pub const ASID_POOL: u64 = 6;
    /// Where the kernel sends the thread's faults: the root task's endpoint, badged for the server.
    pub const FAULT: u64 = 7;
    /// The root task's service.
    pub const ROOT: u64 = 8;
    /// The timer server.
    pub const TIMER: u64 = 9;
    /// The module store.
    pub const STORE: u64 = 10;
    /// The linker server.
    pub const LINKER: u64 = 11;
    /// The log server's notification (signal only).
    pub const LOG_SIGNAL: u64 = 12;
    /// Signals the timer server: "look at the deadline page again" (linker server only).
    pub const TIMER_SIGNAL: u64 = 13;
    /// Signals the linker server: "a deadline has passed" (timer server only).
    pub const DEADLINE_SIGNAL: u64 = 14;
    /// Untyped memory of a client for page tables of its own mappings (console, log server, test agent).
    pub const UNTYPED: u64 = 15;
    /// The linker server once more, as another client (test agent only).
    pub const LINKER_2: u64 = 16;
    /// Signals the console: "a server has something for you" (timer server and linker server only).
    pub const CONSOLE_SIGNAL: u64 = 17;
    /// Signals the test agent in the same way.
    pub const TEST_AGENT_SIGNAL: u64 = 18;
    /// First slot free for the server's own use, unless its start page says more.
    pub const FIRST_FREE: u64 = 64;
}

/// Slots of the linker server's CNode as a power of two.
pub const LINKER_CNODE_BITS: u8 = 14;

/// Badge bits of signals.
///
/// A thread with a bound notification receives signals and requests at one place and tells them apart by the badge
/// alone: the kernel leaves the message tag as it was. So signals set bits from [`signal::FIRST`] up, and the
/// badges of endpoints stay below.
pub mod signal {
    /// The lowest bit that a signal sets.
    pub const FIRST: u64 = 1 << 40;
    /// Whether this badge is that of a signal.
    #[must_use]
    pub const fn is_signal(badge: u64) -> bool {
        badge >= FIRST
    }
}

/// Badge bits of the linker server's notification.
pub mod linker_signal {
    /// A deadline has passed.
    pub const DEADLINE: u64 = super::signal::FIRST;
    /// A worker has finished a command.
    pub const WORKER_DONE: u64 = super::signal::FIRST << 1;
    /// A thread has left a module that is leaving.
    pub const EXIT: u64 = super::signal::FIRST << 2;
    /// The watchdog: time for a look at who has been running.
    pub const BEAT: u64 = super::signal::FIRST << 3;
}

/// Badge bits of the log server's notification.
pub mod log_signal {
    /// Some ring has something new.
    pub const RING: u64 = super::signal::FIRST;
}

/// Badge bits of the notification of a client: console or test agent.
pub mod client_signal {
    /// An alarm of the timer server has come.
    pub const ALARM: u64 = super::signal::FIRST;
    /// A driver server has something new.
    pub const DEVICE: u64 = super::signal::FIRST << 1;
}

/// Badge bits of the timer server's notification.
pub mod timer_signal {
    /// The timer's interrupt.
    pub const INTERRUPT: u64 = super::signal::FIRST;
    /// The linker server has changed the deadline page.
    pub const LOOK: u64 = super::signal::FIRST << 1;
}

/// Badges of the linker server's endpoint: who asks. Faults of link-domain threads come on the same endpoint, with
/// [`linker_badge::FAULT`] set and the thread's number below.
pub mod linker_badge {
    /// The console.
    pub const CONSOLE: u64 = 1;
    /// The log server.
    pub const LOG: u64 = 2;
    /// The test agent.
    pub const TEST_AGENT: u64 = 3;
    /// A second client of the test agent.
    pub const TEST_AGENT_2: u64 = 4;
    /// Set in the badge of a capability that the linker server has handed out; its number is below.
    pub const ISSUED: u64 = 1 << 33;
    /// Set in the badge of a fault.
    pub const FAULT: u64 = 1 << 32;
}

/// Priorities. Maximum controlled priorities equal them, except for the linker server's, which is [`priority::RAISED`].
pub mod priority {
    /// The linker server while it looks at threads.
    pub const RAISED: u64 = 254;
    /// The timer server.
    pub const TIMER: u64 = 240;
    /// The linker server's watchdog: above driver servers, so that one that loops does not keep it from its work.
    pub const WATCHDOG: u64 = 230;
    /// Driver servers.
    pub const DRIVER: u64 = 200;
    /// The linker server.
    pub const LINKER: u64 = 150;
    /// Workers: below the linker server, so that a command that never ends cannot starve it.
    pub const WORKER: u64 = 140;
    /// The log server.
    pub const LOG: u64 = 120;
    /// The module store.
    pub const STORE: u64 = 110;
    /// The console.
    pub const CONSOLE: u64 = 100;
    /// The test agent.
    pub const TEST_AGENT: u64 = 90;
    /// Threads that modules have registered: below clients, so that one that loops takes time from nobody who is awake.
    pub const GUEST: u64 = 80;
    /// The root task after it has started everything.
    pub const ROOT: u64 = 60;
}

const _: () = assert!(priority::WORKER < priority::LINKER && priority::LINKER < priority::DRIVER);
const _: () = assert!(priority::DRIVER < priority::WATCHDOG && priority::WATCHDOG < priority::TIMER);
const _: () = assert!(priority::TIMER < priority::RAISED);
