//! What goes to the host.
//!
//! Frames go through this thread's log ring: the log server then is the one writer of the serial line, and frames stay
//! in order with log lines. It is more urgent than the agent, so a signal empties the ring at once.

use core::fmt;

use strata_protocol::Text;
use strata_protocol::wire::Frame;
use strata_runtime::log::put_frame;

/// Sends a frame. Only the agent's first thread has a ring.
pub(crate) fn frame(frame: &Frame<'_>) {
    // A full ring means that the log server has not had its turn: a verdict waits for it.
    while !put_frame(frame) {
        sel4_sys::seL4_Yield();
    }
}

/// Sends a line of text.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    frame(&Frame::Note { text: &Text::<400>::format(text) });
}

/// Says which line a stream is going to log. The host, which decodes, holds the case to it.
pub(crate) fn expect_log(stream: u16, text: &str) {
    frame(&Frame::ExpectLog { stream, text });
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
