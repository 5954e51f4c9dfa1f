//! The page that tells a new process where things are.
//!
//! The root task fills it, maps it read-only, and gives its address in x0.

/// The first word of the page.
pub const MAGIC: u64 = u64::from_le_bytes(*b"STRATAST");
/// The version of this layout.
pub const VERSION: u32 = 3;
/// The most regions in a start page.
pub const REGIONS_MAX: usize = 32;
/// The most grants in a start page.
pub const GRANTS_MAX: usize = 48;
/// The most places in a start page.
pub const PLACES_MAX: usize = 16;
/// Bytes of a thread's name in a place.
pub const PLACE_NAME_SIZE: usize = 12;
/// The core where the kernel starts the root task. The linker server, and every thread that has no place, runs there.
pub const CONTROL_CORE: u32 = 0;

/// What a mapped region is.
pub mod region {
    /// The module store's files (boot archive), read-only. `data` is unused.
    pub const STORE: u32 = 1;
    /// The module store's upload area: read-write in the store and the test agent, read-only in the linker server.
    pub const UPLOAD: u32 = 2;
    /// A log ring to read (log server only); `data` is the stream.
    pub const LOG_RING: u32 = 3;
    /// The deadline page shared by the linker server and the timer server.
    pub const DEADLINES: u32 = 4;
    /// Address space free for the process's own mappings; nothing is mapped, but page tables may be missing.
    pub const FREE: u32 = 5;
}

/// One mapped region.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// One of [`region`]; 0 is unused.
    pub kind: u32,
    /// What the kind says.
    pub data: u32,
    /// Virtual address.
    pub address: u64,
    /// Size in bytes.
    pub size: u64,
}

/// What a [`Grant`] is.
pub mod grant {
    /// Untyped memory.
    pub const UNTYPED: u32 = 1;
    /// A device frame.
    pub const DEVICE: u32 = 2;
    /// An interrupt handler.
    pub const IRQ: u32 = 3;
}

/// A capability that the root task put at a slot of this process and that has a number of its own: untyped memory,
/// a device frame, an interrupt handler.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// One of [`grant`]; 0 is unused.
    pub kind: u32,
    /// Size of the object in bits (untyped, frame), or the interrupt number.
    pub bits: u32,
    /// Where it is in the process's CSpace.
    pub slot: u64,
    /// Physical address where the kind has one.
    pub address: u64,
}

/// The core of a driver server.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The name of its thread, padded with zeros; empty is unused.
    pub name: [u8; PLACE_NAME_SIZE],
    /// The core's number.
    pub core: u32,
}

impl Place {
    /// The place of a thread; a name that is too long is cut, and then belongs to nobody.
    #[must_use]
    pub fn new(name: &str, core: u32) -> Self {
        Self { name: padding(name), core }
    }
}

/// The core of the thread of that name.
#[must_use]
pub fn core_of(places: &[Place], name: &str) -> u32 {
    let named = |place: &&Place| !name.is_empty() && padded(&place.name) == name;
    places.iter().find(named).map_or(CONTROL_CORE, |place| place.core)
}

/// The start page.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StartInfo {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// The log stream of this process.
    pub stream: u32,
    /// The process's name, padded with zeros.
    pub name: [u8; 32],
    /// The first CSpace slot that the process may use for its own.
    pub slots_start: u64,
    /// One behind the last slot.
    pub slots_end: u64,
    /// Non-zero when a host tool listens and frames are wanted.
    pub host: u32,
    /// The seed for everything that is random, so that a run can be repeated.
    pub seed: u32,
    /// The sink of the log server: 0 the UART driver, 1 the kernel's debug output.
    pub log_sink: u32,
    /// How many cores the kernel uses.
    pub cores: u32,
    /// How often a case that can go on for ever does what it does; 0: as often as it likes.
    pub cycles: u32,
    /// The most driver servers that a link domain starts with; 0: all of its base image.
    pub servers: u32,
    /// The driver server that a link domain does without, so that its device is free for modules; padded with zeros, empty for none.
    pub unserved: [u8; PLACE_NAME_SIZE],
    /// The case that the test agent runs, padded with zeros.
    pub case: [u8; 96],
    /// Regions; unused ones at the end.
    pub regions: [Region; REGIONS_MAX],
    /// Capabilities with numbers; unused ones at the end.
    pub grants: [Grant; GRANTS_MAX],
    /// The cores of driver servers; unused ones at the end.
    pub places: [Place; PLACES_MAX],
}

const _: () = assert!(core::mem::size_of::<StartInfo>() <= 4096);

impl StartInfo {
    /// The first region of a kind.
    #[must_use]
    pub fn region(&self, kind: u32) -> Option<Region> {
        self.regions.iter().copied().find(|region| region.kind == kind)
    }

    /// All grants of a kind.
    pub fn grants(&self, kind: u32) -> impl Iterator<Item = Grant> {
        self.grants.into_iter().filter(move |grant| grant.kind == kind)
    }

    /// The process's name.
    #[must_use]
    pub fn name(&self) -> &str {
        padded(&self.name)
    }

    /// The driver server that is not started, empty when there is none.
    #[must_use]
    pub fn unserved(&self) -> &str {
        padded(&self.unserved)
    }

    /// The case to run, empty when there is none.
    #[must_use]
    pub fn case(&self) -> &str {
        padded(&self.case)
    }
}

/// A text with zeros behind it; cut where there is no room.
#[must_use]
pub fn padding<const SIZE: usize>(text: &str) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes.iter_mut().zip(text.bytes()).for_each(|(slot, byte)| *slot = byte);
    bytes
}

/// The text in front of the first zero; empty when it is no UTF-8.
#[must_use]
pub fn padded(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..end]).unwrap_or("")
}
