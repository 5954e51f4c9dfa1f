//! Who is inside of what, from a thread's registers and stack. Pure: it knows neither seL4 nor modules.
//!
//! A thread is inside of a piece of text while it executes there or will return there. Two methods say so:
//!
//! * **The scan** ([`scan`]) looks at the program counter, every register and every word of the stack above the stack
//!   pointer. A return address that is still to be used is always in one of these places, so the scan never misses a
//!   thread that is inside. Stale words make it say "inside" too often.
//! * **The walk** ([`walk`]) follows the calls outwards with the unwind tables (`.eh_frame`, DWARF call frame
//!   information). It sees no stale word, but it is only as right as the tables are, and compilers' tables are *not*
//!   right at every instruction.
//!
//! [`verdict`] puts both together so that the answer is never "outside" when the thread is inside: outside needs
//! either a clean scan, or a walk that reached the root of the stack with tables that were checked where compilers
//! are known to err: in the innermost frame ([`exact`] reads the instructions of that function). Wherever the walk is
//! lost, the rest of the stack is scanned.
//!
//! # Reading order
//!
//! [`frame`] (registers, frames), [`tables`] (from an address to a row of the table), [`scan`], [`walk`], [`exact`],
//! [`verdict`]; [`recover`] for threads that have faulted.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod exact;
pub mod frame;
pub mod recover;
pub mod scan;
pub mod tables;
pub mod verdict;
pub mod walk;

mod instruction;

pub use exact::Scratch;
pub use frame::{Code, Frame, Hull, Memory, Place, Record, Registers, Snapshot};
pub use recover::{Exit, exit};
pub use tables::{Function, Row, Rule, Tables};
pub use verdict::{Inside, Method, Watched, verdict};
pub use walk::{End, Walk};

/// Frames of one walk. A deeper stack is scanned from there on.
pub const FRAMES_MAX: usize = 64;
/// Frames of the walk out of a call that has faulted: endless recursion fills a stack of 16 KiB with frames of 16 bytes.
pub const EXIT_FRAMES_MAX: usize = 1024;
/// Instructions of a function whose table is checked against them. The table of a longer function is not trusted in
/// the innermost frame.
pub const FUNCTION_WORDS_MAX: usize = 1024;
