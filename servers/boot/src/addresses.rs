//! Where things lie in a server's address space. The executable is below all of it; see [`crate::executable`].
//!
//! A page that nothing is mapped at stands on both sides of each of these, so that running off an end faults.

/// The start page, read-only.
pub const START: u64 = 0x2000_0000;
/// The thread block of the first thread.
pub const THREAD: u64 = 0x2000_2000;
/// The IPC buffer of the first thread.
pub const IPC_BUFFER: u64 = 0x2000_4000;
/// The log ring of the first thread.
pub const LOG_RING: u64 = 0x2000_6000;
/// One behind the stack of the first thread.
pub const STACK_TOP: u64 = 0x2010_0000;
/// Pages of the largest stack.
pub const STACK_PAGES_MAX: u64 = 120;
/// The module store's boot archive, read-only.
pub const STORE: u64 = 0x4000_0000;
/// The module store's upload area.
pub const UPLOAD: u64 = 0x4800_0000;
/// The deadline page.
pub const DEADLINES: u64 = 0x4900_0000;
/// The first log ring of another process (log server); the next ones follow at [`LOG_RING_STRIDE`].
pub const LOG_RINGS: u64 = 0x4a00_0000;
/// From one log ring to the next.
pub const LOG_RING_STRIDE: u64 = 0x2000;
/// Address space for a process's own mappings.
pub const FREE: u64 = 0x10_0000_0000;
/// Its size.
pub const FREE_SIZE: u64 = 0x1_0000_0000;

const _: () =
    assert!(STACK_TOP - STACK_PAGES_MAX * crate::executable::PAGE_SIZE > LOG_RING + LOG_RING_STRIDE);
const _: () = assert!(crate::executable::ADDRESS_MAX < START);
