//! Names that many cases use.

/// How the rows of `alias` name the base image.
pub(crate) const BASE: &str = "base";
/// The debug layer.
pub(crate) const DEBUG: &str = "bus_space_debug";
/// The exception layer.
pub(crate) const XH: &str = "bus_space_xh";
/// The reorder layer.
pub(crate) const REORDER: &str = "bus_space_reorder";
/// The symbol that most layers refine.
pub(crate) const READ_4: &str = "bus_space_read_4";
/// The symbol that test layers refine.
pub(crate) const PING: &str = "demo_ping";
/// The symbol that may block.
pub(crate) const WAIT: &str = "demo_wait";
/// The stub of an optional subsystem.
pub(crate) const NOTE: &str = "demo_note";
