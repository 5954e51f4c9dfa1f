//! How a process begins.
//!
//! The root task maps everything, sets pc, sp and TPIDR_EL0, and puts the start page's address into x0; so the
//! first instruction of an image may already be compiled code.

use strata_protocol::start::{MAGIC, StartInfo, VERSION};

use crate::{Ipc, thread};

/// Makes `main` the entry of an image: `fn(&'static StartInfo, &'static mut Ipc) -> !`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        /// The first instruction of the process.
        #[unsafe(no_mangle)]
        extern "C" fn _start(start: *const $crate::protocol::start::StartInfo) -> ! {
            let main: fn(&'static $crate::protocol::start::StartInfo, &'static mut $crate::Ipc) -> ! = $main;
            // SAFETY: this is the first code of the process, with the start page in x0.
            let (start, ipc) = unsafe { $crate::entry::begin(start) };
            main(start, ipc)
        }
    };
}

/// Takes what the maker of the process has prepared.
///
/// # Safety
/// Called once, first of all, with the address that the process got in x0.
#[must_use]
pub unsafe fn begin(start: *const StartInfo) -> (&'static StartInfo, &'static mut Ipc) {
    // SAFETY: the root task maps the start page read-only for the life of the process.
    let start = unsafe { &*start };
    assert!(start.magic == MAGIC && start.version == VERSION, "the start page is of another version");
    // SAFETY: the caller says that this is the start of the thread.
    let ipc = unsafe { thread::take_ipc() };
    (start, ipc)
}
