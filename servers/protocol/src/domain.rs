//! Pages that a link domain shares with the linker server, and what its threads find at their thread pointer.
//!
//! Everything is atomic because both sides look at it while the other runs; no field is trusted by the linker
//! server beyond its own link domain (one address space has no other wall).

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};

/// Where [`ThreadBlock::shadow_top`] stands: gates address it as an offset from TPIDR_EL0.
pub const SHADOW_TOP_OFFSET: usize = 8;
/// Where [`ThreadBlock::ipc_buffer`] stands.
pub const IPC_BUFFER_OFFSET: usize = 32;
/// Where [`ThreadBlock::bus_status`] stands: fix-up code and accessors may address it from TPIDR_EL0.
pub const BUS_STATUS_OFFSET: usize = 52;
/// Where [`ThreadBlock::caller`] stands: entrances address it from TPIDR_EL0.
pub const CALLER_OFFSET: usize = 200;
/// Size of a thread block in bytes; the shadow stack follows in the same page.
pub const THREAD_BLOCK_SIZE: usize = 256;
/// Bytes of a shadow-stack record: the caller's return address, then the gate's address.
pub const SHADOW_RECORD_SIZE: usize = 16;
/// Records of a shadow stack: the rest of the page.
pub const SHADOW_DEPTH_MAX: usize = (4096 - THREAD_BLOCK_SIZE) / SHADOW_RECORD_SIZE;

/// Why a server thread was restarted.
#[repr(C)]
#[derive(Debug, Default)]
pub struct FaultRecord {
    /// 0 none, 1 bus error or other memory fault, 2 exception (undefined instruction, trap).
    pub kind: AtomicU64,
    /// Program counter.
    pub pc: AtomicU64,
    /// Faulting address.
    pub address: AtomicU64,
    /// Fault status (ESR) as the kernel gave it.
    pub status: AtomicU64,
}

/// What TPIDR_EL0 points to, in every user-level thread of Strata.
#[repr(C, align(16))]
#[derive(Debug, Default)]
pub struct ThreadBlock {
    /// Unused; the AArch64 thread-local layout keeps this word.
    pub reserved0: AtomicU64,
    /// Next free record of the shadow stack. Counted gates push and pop here.
    pub shadow_top: AtomicU64,
    /// First record of the shadow stack.
    pub shadow_base: AtomicU64,
    /// One behind the last record; the guard page starts here.
    pub shadow_limit: AtomicU64,
    /// Virtual address of the thread's IPC buffer.
    pub ipc_buffer: AtomicU64,
    /// Virtual address of the thread's log ring, 0 for none.
    pub log_ring: AtomicU64,
    /// The thread's number within its process or link domain.
    pub thread_id: AtomicU32,
    /// Status of the last bus access that took its fix-up: 0, or an errno number. Read and cleared by layers.
    pub bus_status: AtomicI32,
    /// Address of the last bus access that took its fix-up.
    pub bus_fault_address: AtomicU64,
    /// Bus accesses of this thread that took a fix-up.
    pub bus_error_count: AtomicU64,
    /// Written by the linker server before it restarts a server thread; the thread clears `kind`.
    pub fault: FaultRecord,
    /// The thread's name, eight bytes a word, padded with zeros.
    pub name: [AtomicU64; 2],
    /// CPtr of the log server's notification, 0 for none.
    pub log_signal: AtomicU64,
    /// Log stream of this thread.
    pub stream: AtomicU32,
    /// Which run of the thread this is: one more each time that the linker server starts it again.
    pub run: AtomicU32,
    /// Words for modules that keep a per-thread guard: one for each module slot, all zero at birth.
    pub module_words: [AtomicU64; 8],
    /// Where the call returns to that a layer is serving, for layers that record it: written at their entrances.
    pub caller: AtomicU64,
    /// Requests and signals that a driver server has taken: while it stays the same, so does the request.
    pub served: AtomicU64,
    /// How often a driver server was told that layers over its interface have come or gone.
    pub layers_told: AtomicU64,
    /// Whether a driver server is in service: one of [`serving`].
    pub serving: AtomicU32,
    /// Not 0 while the thread looks whether a device is there: a bus error then takes its fix-up, whatever layers are loaded.
    pub bears_bus_errors: AtomicU32,
    /// Unused.
    pub reserved2: [AtomicU64; 3],
}

const _: () = assert!(core::mem::offset_of!(ThreadBlock, shadow_top) == SHADOW_TOP_OFFSET);
const _: () = assert!(core::mem::offset_of!(ThreadBlock, ipc_buffer) == IPC_BUFFER_OFFSET);
const _: () = assert!(core::mem::offset_of!(ThreadBlock, bus_status) == BUS_STATUS_OFFSET);
const _: () = assert!(core::mem::offset_of!(ThreadBlock, caller) == CALLER_OFFSET);
const _: () = assert!(core::mem::size_of::<ThreadBlock>() == THREAD_BLOCK_SIZE);

/// States of a driver server ([`ThreadBlock::serving`]).
pub mod serving {
    /// It serves.
    pub const IN_SERVICE: u32 = 0;
    /// It has left its device; a stand-in answers EAGAIN.
    pub const STOPPED: u32 = 1;
    /// It is started again: it has to answer whom the stand-in has left.
    pub const STARTING: u32 = 2;
    /// It has faulted too often; a stand-in answers ENXIO until it is started on request.
    pub const GIVEN_UP: u32 = 3;
}

/// Badge bits of a driver server's notification.
pub mod server_signal {
    /// Its interrupt.
    pub const INTERRUPT: u64 = crate::caps::signal::FIRST;
    /// Layers over its interface have come or gone.
    pub const LAYERS: u64 = crate::caps::signal::FIRST << 1;
}

/// Module commands (the first argument of a module's entry).
pub mod command {
    /// May it be unloaded now? Changes nothing.
    pub const QUERY: u32 = 1;
    /// Allocate; stay in pass-through. May refuse.
    pub const INIT: u32 = 2;
    /// Leave pass-through.
    pub const START: u32 = 3;
    /// Pass through, drain, wake sleepers.
    pub const CATCH: u32 = 4;
    /// Resume as before CATCH.
    pub const UNCATCH: u32 = 5;
    /// Release everything. May refuse.
    pub const FINI: u32 = 6;
    /// Give counters in the words.
    pub const STAT: u32 = 7;
    /// Module-specific; `words[0]` selects.
    pub const CONTROL: u32 = 8;
}

/// Argument words of a command.
pub const COMMAND_WORDS: usize = 8;

/// What a module command gets and may answer in; lies on the worker's stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandArgs {
    /// Arguments in, answers out.
    pub words: [u64; COMMAND_WORDS],
    /// Virtual address of the module's shared region in the link domain, 0 for none.
    pub shared_address: u64,
    /// Its size in bytes.
    pub shared_size: u64,
}

/// States of a [`CommandPage`].
pub mod command_state {
    /// Nothing to do.
    pub const IDLE: u32 = 0;
    /// The linker server has filled the page and signalled the worker.
    pub const REQUESTED: u32 = 1;
    /// The worker has taken it.
    pub const RUNNING: u32 = 2;
    /// The worker has stored the result and signals the linker server.
    pub const DONE: u32 = 3;
}

/// The page through which the linker server has a worker run a command.
#[repr(C)]
#[derive(Debug, Default)]
pub struct CommandPage {
    /// One of [`command_state`]. Stored with release, loaded with acquire: it publishes the rest.
    pub state: AtomicU32,
    /// One of [`command`].
    pub command: AtomicU32,
    /// The module's entry.
    pub entry: AtomicU64,
    /// [`CommandArgs::words`], both ways.
    pub words: [AtomicU64; COMMAND_WORDS],
    /// [`CommandArgs::shared_address`].
    pub shared_address: AtomicU64,
    /// [`CommandArgs::shared_size`].
    pub shared_size: AtomicU64,
    /// 0, or an errno number.
    pub result: AtomicI32,
    /// Unused.
    pub reserved: AtomicU32,
}

/// What a thread of the base image finds at x0: a worker or a driver server.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStart {
    /// Endpoint to serve (receive right), 0 for a worker.
    pub endpoint: u64,
    /// Notification bound to or waited on by the thread: interrupts of a server, requests of a worker.
    pub notification: u64,
    /// Interrupt handler, 0 for none.
    pub irq_handler: u64,
    /// Notification that tells a client that data has arrived, or the linker server that a command is done.
    pub signal: u64,
    /// A notification for blocking tests: the demo server signals it to release who waits on it.
    pub hold: u64,
    /// Virtual address of the device, or of the worker's [`CommandPage`].
    pub address: u64,
    /// Physical address of the device.
    pub physical: u64,
    /// Size of the device in bytes.
    pub size: u64,
    /// The thread's index among the servers or workers of its link domain.
    pub index: u64,
    /// Virtual address of the page of memory that the device reads and writes by itself, 0 for none.
    pub memory: u64,
    /// Its physical address.
    pub memory_physical: u64,
}

/// Well-known slots of a link domain's CNode, valid in every thread of it.
pub mod slot {
    /// Notification that the demo module waits on; the demo server signals it.
    pub const HOLD: u64 = 2;
    /// The log server's notification.
    pub const LOG_SIGNAL: u64 = 3;
    /// First of the event notifications that the base image offers to modules (all rights): event number 0 is
    /// [`HOLD`], event number n is slot `EVENT_FIRST + n - 1`.
    pub const EVENT_FIRST: u64 = 4;
    /// How many event notifications there are besides [`HOLD`].
    pub const EVENTS: u64 = 4;
    /// The linker server's notification, badged for the last exit from a module: gates of a leaving module signal it.
    pub const EXIT_SIGNAL: u64 = EVENT_FIRST + EVENTS;
    /// First of the slots that the linker server hands to servers and workers (see `ServerStart`).
    pub const FIRST_DYNAMIC: u64 = 16;
    /// Slots of one thread.
    pub const PER_THREAD: u64 = 8;
    /// The most threads of a link domain: its driver servers, its workers, and those that modules register.
    pub const THREADS: u64 = 20;

    /// The endpoint that a thread's faults go to, through which it may also ask for what is in
    /// [`crate::linker::thread_request`].
    #[must_use]
    pub const fn fault_endpoint(thread: u32) -> u64 {
        FIRST_DYNAMIC + thread as u64 * PER_THREAD
    }

    /// The notification that a thread waits on.
    #[must_use]
    pub const fn notification(thread: u32) -> u64 {
        fault_endpoint(thread) + 2
    }

    /// What wakes a thread that a module has registered.
    #[must_use]
    pub const fn wake(thread: u32) -> u64 {
        fault_endpoint(thread) + 4
    }

    /// First of the slots of endpoints that modules have registered: behind those of all threads.
    pub const FIRST_REGISTERED: u64 = FIRST_DYNAMIC + THREADS * PER_THREAD;
    /// How many there are.
    pub const REGISTERED: u64 = 16;

    /// Whether a slot may hold an endpoint: of each thread's slots the first two do, its fault endpoint and what it serves,
    /// and those that modules have registered. Sending to anything else does not block.
    #[must_use]
    pub const fn is_endpoint(slot: u64) -> bool {
        slot >= FIRST_REGISTERED || slot >= FIRST_DYNAMIC && (slot - FIRST_DYNAMIC) % PER_THREAD < 2
    }
}

#[cfg(test)]
mod tests {
    //! Goal: each thread's endpoints are known as such, and no notification is.
    use super::slot::{EXIT_SIGNAL, FIRST_DYNAMIC, HOLD, PER_THREAD, fault_endpoint, is_endpoint};

    #[test]
    fn two_slots_of_each_thread_are_endpoints() {
        assert!((HOLD..=EXIT_SIGNAL).all(|slot| !is_endpoint(slot)), "the slots that all share");
        for thread in 0..20 {
            let first = fault_endpoint(thread);
            assert!(is_endpoint(first) && is_endpoint(first + 1), "endpoints of thread {thread}");
            assert!(
                (first + 2..first + PER_THREAD).all(|slot| !is_endpoint(slot)),
                "the rest of thread {thread}"
            );
        }
        assert!(!is_endpoint(0) && !is_endpoint(FIRST_DYNAMIC - 1));
    }
}
