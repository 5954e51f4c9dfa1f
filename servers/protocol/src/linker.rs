//! The linker server: load, unload, look.
//!
//! Lists are read by index, one row an answer, until [`Reply::End`]. A row may change between two requests; the
//! generation in [`Reply::Status`] tells.

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use crate::capability::{CapObject, CapQuota, CapRow, ReceiptRow};
use crate::errno::Refusal;
use crate::fault::FaultRow;
use crate::registration::RegistrationRow;
use crate::store::ImageRef;
use crate::text::{DetailText, ModuleName, SymbolName};

/// The deadline of an unload that names none, in milliseconds.
pub const DRAIN_MS_DEFAULT: u32 = 100;
/// The longest deadline of an unload, in milliseconds.
pub const DRAIN_MS_MAX: u32 = 60_000;
/// How long a module command may take, in milliseconds.
pub const COMMAND_MS_MAX: u32 = 200;
/// Blockers that a refusal carries.
pub const BLOCKERS_MAX: usize = 4;
/// Modules that a row names as required.
pub const REQUIRES_MAX: usize = 4;

/// What a thread of a link domain may ask: a Call of the endpoint that its faults go to, in registers only, so that it
/// can be done in the middle of serving somebody else. The answer's label is 0 or an errno number.
pub mod thread_request {
    /// Unload a module: message registers 0 to 3 are its name, eight bytes a word, padded with zeros. EDEADLK if the
    /// thread is inside of it, EBUSY while a transaction is under way (a module command is part of one).
    pub const UNLOAD: u64 = 16;
    /// Give back what was registered: register 0 is its handle. EBUSY while something builds on it, or it is a thread that
    /// has not left; ESTALE if it is not there.
    pub const DEREGISTER: u64 = 17;
    /// Set a timer: register 0 is its handle, register 1 in how many microseconds, 0 for never. EPERM while its module
    /// is not linked.
    pub const TIMER_SET: u64 = 18;
    /// Start a thread that has not begun or has left: register 0 is its handle. EPERM while its module is not linked.
    pub const THREAD_START: u64 = 19;
    /// An interrupt is dealt with and may come again: register 0 is its handle.
    pub const INTERRUPT_DONE: u64 = 20;
    /// Register something: the label is this plus one of [`crate::registration::kind`]. Registers 0 and 1 are its name,
    /// 2 and 3 as the kind says. The answer's registers are the handle and the kind's value. EPERM outside of INIT and
    /// START.
    pub const REGISTER: u64 = 32;
    /// A thread of a module has returned from its function. There is no answer.
    pub const LEFT: u64 = 48;
    const _: () = assert!(REGISTER + crate::registration::kind::LAST < LEFT);
}

/// A request to the linker server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request {
    /// Loads an image into a link domain, bound by the rights of the capability that asks and of those that come with
    /// the message. Answered when the module is live or everything is as before.
    Load {
        /// The name that the image must carry.
        name: ModuleName,
        /// The link domain, empty for the first.
        domain: ModuleName,
        /// Where the image lies.
        image: ImageRef,
    },
    /// Unloads a module. Answered when its memory is free, or when everything is as before.
    Unload {
        /// Its name.
        name: ModuleName,
        /// How long to wait for threads inside, in milliseconds; at most [`DRAIN_MS_MAX`].
        drain_ms: u32,
    },
    /// The module at this position.
    Module {
        /// The position in load order.
        index: u32,
    },
    /// The alias at this position of a symbol's stack, top first.
    Alias {
        /// The symbol.
        symbol: SymbolName,
        /// The position, 0 for the top.
        index: u32,
    },
    /// The symbol at this position of the first link domain's table.
    Symbol {
        /// The position.
        index: u32,
    },
    /// The link domain at this position.
    Domain {
        /// The position.
        index: u32,
    },
    /// The link-domain thread at this position.
    Thread {
        /// The position.
        index: u32,
    },
    /// What a module has registered, at this position.
    Registration {
        /// The position.
        index: u32,
    },
    /// The ledger's row at this position; the last row is the total.
    Ledger {
        /// The position.
        index: u32,
    },
    /// Counts the linker server's capability space slot by slot and compares with the ledger.
    Audit,
    /// What goes on. Always answered.
    Status,
    /// Cancels the transaction under way: it goes back if it still can. Always answered.
    Cancel,
    /// A module's CONTROL command.
    Control {
        /// The module.
        name: ModuleName,
        /// Argument words.
        words: [u64; 4],
    },
    /// A module's STAT command.
    Stat {
        /// The module.
        name: ModuleName,
    },
    /// The endpoint of a device's driver server. The answer carries the capability.
    OpenDevice {
        /// The device, such as `rtc`.
        name: ModuleName,
    },
    /// The notification that the device's driver server signals when something has arrived. The answer carries it.
    DeviceSignal {
        /// The device.
        name: ModuleName,
    },
    /// The device's driver server signals this client's own notification from now on, with
    /// [`crate::caps::client_signal::DEVICE`], until somebody asks for [`Request::DeviceSignal`] again. EPERM for a client
    /// that has none.
    SignalMe {
        /// The device.
        name: ModuleName,
    },
    /// A page of a module's shared region, read-only. The answer carries the frame.
    MapShared {
        /// The module.
        name: ModuleName,
        /// Which page.
        page: u32,
    },
    /// Gives back all pages of a module's shared region that this client holds; they are revoked.
    ReleaseShared {
        /// The module.
        name: ModuleName,
    },
    /// The log ring of the link-domain thread at this position. For the log server only; the answer carries the frame.
    LogRing {
        /// The position.
        index: u32,
    },
    /// Stops a driver server: its interrupt is taken away, it leaves its device, and a stand-in answers its clients with
    /// EAGAIN. Answered when it has left, or when everything is as before.
    StopDriver {
        /// Its name.
        name: ModuleName,
        /// How long to wait until it has answered whom it serves, in milliseconds; at most [`DRAIN_MS_MAX`].
        drain_ms: u32,
        /// Start it again at once.
        again: bool,
    },
    /// Starts a driver server that was stopped, from its entry. Its clients are served again.
    StartDriver {
        /// Its name.
        name: ModuleName,
    },
    /// Derives a capability from the one that asks. The answer carries it.
    Derive {
        /// What it is about.
        object: CapObject,
        /// What it allows: among the rights of the capability that asks ([`crate::capability::right`]).
        rights: u16,
        /// How much; never more than the capability that asks.
        quota: CapQuota,
    },
    /// Takes rights away from a capability that was derived, directly or not, from the one that asks, and from all that was
    /// derived from it. What they allowed is relinked; answered after the grace.
    Revoke {
        /// Its number.
        capability: u32,
        /// Which rights; one that is left without any is gone.
        rights: u16,
    },
    /// The capability at this position: the one that asks, and what was derived from it.
    Capability {
        /// The position.
        index: u32,
    },
    /// The binding at this position of a module's receipt.
    Receipt {
        /// The module.
        name: ModuleName,
        /// The position.
        index: u32,
    },
    /// Has one step fail that makes, copies or maps a kernel object: the one after `steps` more of them. Refused with EPERM
    /// but in a boot that runs a case.
    FailAfter {
        /// After how many; none to have none fail.
        steps: Option<u32>,
    },
}

/// The state of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum ModuleState {
    /// Being loaded, not yet visible.
    Loading,
    /// In service.
    Live,
    /// Being unloaded: catching, draining, finishing.
    Unloading,
    /// Faulted or overran; out of all stacks, its memory kept until the link domain goes.
    Wedged,
}

/// A row of `modstat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct ModuleRow {
    /// Its name.
    pub name: ModuleName,
    /// 1 misc, 2 bus, 3 driver.
    pub class: u8,
    /// Where it came from.
    pub source: crate::store::Area,
    /// Its state.
    pub state: ModuleState,
    /// Bytes mapped in the link domain.
    pub size: u64,
    /// Modules that depend on it.
    pub references: u32,
    /// What it depends on.
    pub requires: [Option<ModuleName>; REQUIRES_MAX],
    /// Where its text starts.
    pub address: u64,
    /// Its generation: grows with each load of any module.
    pub generation: u32,
    /// What its defmt indices were raised by.
    pub index_base: u32,
    /// The build that it comes from.
    pub build_id: u64,
}

/// What a stack entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum AliasKind {
    /// The default.
    Weak,
    /// The provider.
    Strong,
    /// A layer.
    Refine,
}

/// How calls reach an implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Binding {
    /// A plain `BL`.
    Direct,
    /// Through a gate that records entrance and exit.
    Counted,
    /// Through IPC.
    Isolated,
}

/// A row of `alias SYMBOL`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct AliasRow {
    /// Its kind.
    pub kind: AliasKind,
    /// The module, or the base image.
    pub module: ModuleName,
    /// The implementing function.
    pub implementation: SymbolName,
    /// Its address.
    pub address: u64,
    /// How calls reach it.
    pub binding: Binding,
    /// Call sites that are bound to it now, slots included.
    pub sites: u32,
    /// Where those sites branch to: the implementation, or its gate.
    pub entry: u64,
}

/// A row of `domains`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct DomainRow {
    /// Its name.
    pub name: ModuleName,
    /// Its base image.
    pub base: ModuleName,
    /// Modules in it.
    pub modules: u32,
    /// Threads in it.
    pub threads: u32,
    /// Aliasable symbols.
    pub symbols: u32,
    /// Call sites.
    pub sites: u32,
    /// First address of its window.
    pub window: u64,
}

/// What a link-domain thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum ThreadState {
    /// A worker that waits for a command.
    Idle,
    /// In service.
    Running,
    /// A driver server that was stopped: a stand-in answers.
    Stopped,
    /// A driver server that has faulted too often: a stand-in refuses until somebody starts it.
    Down,
    /// Stopped for good after a fault or an overrun.
    Dead,
}

/// A row of `threads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct ThreadRow {
    /// Its name.
    pub name: ModuleName,
    /// Its number.
    pub thread: u32,
    /// Its state.
    pub state: ThreadState,
    /// The core that it runs on.
    pub core: u32,
    /// Program counter.
    pub pc: u64,
    /// The module that it is inside of (the innermost), empty for none.
    pub inside: ModuleName,
    /// The symbol through which it entered.
    pub entry: SymbolName,
    /// Restarts after faults.
    pub restarts: u32,
    /// Bus errors that took a fix-up.
    pub bus_errors: u64,
    /// How often it was told that layers over its interface have come or gone.
    pub layers_told: u64,
    /// Its last fault that took none.
    pub fault: Option<FaultRow>,
}

/// Who keeps a module from draining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Blocker {
    /// The thread.
    pub thread: ModuleName,
    /// Its program counter.
    pub pc: u64,
    /// The symbol through which it entered the module.
    pub entry: SymbolName,
    /// When it was first seen inside, in microseconds before the answer.
    pub since_us: u64,
}

/// A row of `ledger`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct LedgerRow {
    /// Whose: a module, `base`, `linker`, or `total`.
    pub owner: ModuleName,
    /// Frames of 4 KiB.
    pub frames: u64,
    /// Capabilities held.
    pub capabilities: u64,
    /// CSpace slots taken.
    pub slots: u64,
    /// Bytes of untyped memory in use.
    pub untyped_bytes: u64,
}

/// An answer of the linker server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
#[expect(clippy::large_enum_variant, reason = "an answer is made once and encoded at once; there is no heap")]
pub enum Reply {
    /// Done.
    Done,
    /// The end of a list.
    End,
    /// No; everything is as before.
    Refused(Refusal),
    /// An unload that reached its deadline or was cancelled: everything is as before, and these are inside.
    Blocked {
        /// The reason: ETIMEDOUT, EDEADLK or ECANCELED.
        refusal: Refusal,
        /// Who; the first ones if there are more.
        blockers: [Option<Blocker>; BLOCKERS_MAX],
    },
    /// A load or unload that is done, with a remark (what CHECK revoked, what a command left).
    DoneWith {
        /// The remark.
        remark: DetailText,
    },
    /// A module.
    Module(ModuleRow),
    /// An alias.
    Alias(AliasRow),
    /// A symbol's name.
    Symbol(SymbolName),
    /// A link domain.
    Domain(DomainRow),
    /// A thread.
    Thread(ThreadRow),
    /// What a module has registered.
    Registration(RegistrationRow),
    /// A row of the ledger.
    Ledger(LedgerRow),
    /// The answer to an audit.
    Audit {
        /// Capabilities that the ledger counts.
        ledger: u64,
        /// Capabilities found slot by slot.
        found: u64,
    },
    /// What goes on.
    Status {
        /// Grows with each commit.
        generation: u64,
        /// The module of the transaction under way.
        module: Option<ModuleName>,
        /// Its step.
        step: DetailText,
        /// Loads and unloads since boot.
        loads: u32,
        /// Unloads since boot.
        unloads: u32,
        /// Timer ticks that checking signatures of images has taken since boot.
        trust_ticks: u64,
    },
    /// A capability comes with this answer: one of this service, with this number.
    Issued {
        /// Its number.
        capability: u32,
    },
    /// A capability.
    CapabilityRow(CapRow),
    /// A binding.
    Receipt(ReceiptRow),
    /// The words of a CONTROL or STAT command.
    Words([u64; 8]),
    /// A capability comes with this answer.
    Capability {
        /// Size of what it stands for in bytes, 0 if that makes no sense.
        size: u64,
        /// Log stream of a ring.
        stream: u32,
    },
}

const _: () = assert!(Request::POSTCARD_MAX_SIZE <= crate::message::BYTES_MAX);
const _: () = assert!(Reply::POSTCARD_MAX_SIZE <= crate::message::BYTES_MAX);
