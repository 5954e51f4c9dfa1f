//! Capabilities of the linker server, as clients see them: an endpoint whose badge names the capability.
//!
//! A client asks through the endpoint that it holds; whatever it holds besides it presents with the request, as further
//! capabilities of the message. The kernel tells the linker server their badges, so a client never names one by number,
//! except to take away what it has handed out itself.

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use crate::text::{ModuleName, SymbolName};

/// Capabilities that one request may present besides the one that it is made through.
pub const PRESENTED_MAX: usize = 3;
/// No bound but the system's own.
pub const NO_QUOTA: u32 = u32::MAX;

/// Rights, as bits.
pub mod right {
    /// Call a symbol.
    pub const CALL: u16 = 1;
    /// Replace a stub (`strong`).
    pub const PROVIDE: u16 = 1 << 1;
    /// Build on what it overrides (`refine`).
    pub const REFINE: u16 = 1 << 2;
    /// Introduce a symbol.
    pub const EXPORT: u16 = 1 << 3;
    /// Take a symbol's address.
    pub const TAKE_ADDRESS: u16 = 1 << 4;
    /// Load modules.
    pub const LOAD: u16 = 1 << 5;
    /// Read lists, rows and counters.
    pub const STATUS: u16 = 1 << 6;
    /// Unload modules.
    pub const UNLOAD: u16 = 1 << 7;
    /// Give commands to modules.
    pub const CONTROL: u16 = 1 << 8;
    /// Open devices.
    pub const OPEN: u16 = 1 << 9;
    /// Every right.
    pub const ALL: u16 = (1 << 10) - 1;

    /// Each right and its word.
    pub const WORDS: [(&str, u16); 10] = [
        ("call", CALL),
        ("provide", PROVIDE),
        ("refine", REFINE),
        ("export", EXPORT),
        ("take_address", TAKE_ADDRESS),
        ("load", LOAD),
        ("status", STATUS),
        ("unload", UNLOAD),
        ("control", CONTROL),
        ("open", OPEN),
    ];
}

/// What a capability is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum CapObject {
    /// The link domain.
    Domain,
    /// The symbols whose names begin so.
    Interface(SymbolName),
    /// A module that is loaded now; another one of that name is another module.
    Module(ModuleName),
}

/// How much a client may have at one time; [`NO_QUOTA`] for what is not bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct CapQuota {
    /// Modules.
    pub modules: u32,
    /// Frames of 4 KiB of its modules.
    pub frames: u32,
    /// Symbols that its modules introduce.
    pub symbols: u32,
    /// The longest a command of its modules may take, in milliseconds.
    pub command_ms: u32,
}

impl CapQuota {
    /// No bound but the system's own.
    pub const NONE: Self =
        Self { modules: NO_QUOTA, frames: NO_QUOTA, symbols: NO_QUOTA, command_ms: NO_QUOTA };
}

/// A row of `caps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct CapRow {
    /// Its number: place and generation.
    pub capability: u32,
    /// What it was derived from; none for the root.
    pub parent: Option<u32>,
    /// What it is about.
    pub object: CapObject,
    /// What it allows ([`right`]).
    pub rights: u16,
    /// How much.
    pub quota: CapQuota,
    /// Modules in use, by it and by what was derived from it.
    pub modules: u32,
    /// Frames in use.
    pub frames: u32,
    /// Symbols in use.
    pub symbols: u32,
}

/// A row of `receipt NAME`: one binding, and the capability that allowed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct ReceiptRow {
    /// The symbol.
    pub symbol: SymbolName,
    /// One bit of [`right`].
    pub right: u16,
    /// The capability.
    pub capability: u32,
    /// The module that a call reaches now: the one that answers, for a layer the one below. Empty if it was revoked.
    pub bound: ModuleName,
    /// Whether the right has been revoked since.
    pub revoked: bool,
}
