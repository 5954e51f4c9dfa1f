//! Host tests: a story, a small world exhausted, naive models, and random system calls.
//!
//! `arena` is the machine, `world` a booted kernel with a way to make system calls, `check` what must
//! hold between any two of them.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod arena;
mod cap;
mod check;
mod debug;
mod derivation;
mod fastpath;
mod fuzz;
mod lookup;
mod preemption;
mod sched;
#[cfg(feature = "smp")]
mod smp;
mod story;
mod world;
