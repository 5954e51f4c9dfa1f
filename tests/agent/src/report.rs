//! What goes to the host.
//!
//! Frames go through this thread's log ring: the log server then is the one writer of the serial line, and frames stay
//! in order with log lines. It is more urgent than the agent, so a signal empties the ring at once.

use core::fmt;
use core::sync::atomic::Ordering;

use strata_protocol::Text;
use strata_protocol::logring::LogRing;
use strata_protocol::wire::{Frame, LOG_BYTES_MAX, to_record};
use strata_runtime::thread;

/// Sends a frame. Only the agent's first thread has a ring.
pub(crate) fn frame(frame: &Frame<'_>) {
    let block = thread::block();
    let ring = block.log_ring.load(Ordering::Relaxed) as *const LogRing;
    // SAFETY: the root task maps a log ring at this address for the life of the process, or leaves 0; all its fields
    // are atomic.
    let Some(ring) = (unsafe { ring.as_ref() }) else { return };
    let mut buffer = [0; LOG_BYTES_MAX];
    let Ok(record) = to_record(frame, &mut buffer) else { return };
    // A full ring means that the log server has not had its turn: a verdict waits for it.
    while !ring.put(record) {
        signal();
        sel4_sys::seL4_Yield();
    }
    signal();
}

fn signal() {
    sel4_sys::seL4_Signal(thread::block().log_signal.load(Ordering::Relaxed));
}

/// Sends a line of text.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    frame(&Frame::Note { text: &Text::<400>::format(text) });
}

/// Sends a figure of a bench, in thousandths.
pub(crate) fn figure(name: &str, milli: u64, unit: &str) {
    frame(&Frame::Figure { name, milli, unit });
}

/// Sends a formatted line.
macro_rules! note {
    ($($argument:tt)*) => { $crate::report::line(format_args!($($argument)*)) };
}
pub(crate) use note;
