//! The host side of on-target cases: which images there are, one boot for each case, and its verdict.
//!
//! [`suite`] finds images and cases without a boot, [`boot`] watches one machine, [`verdict`] says what happened in
//! words that tell a wrong answer from a hang and a hang from a crashed emulator. `tests/on_target.rs` makes each case
//! an ordinary test of it; [`board`] runs them on hardware. [`push`] is what a host tool does with a running machine, [`chain`] with one
//! that waits for a system, [`entry`] how a machine is
//! started.

pub mod board;
pub mod boot;
pub mod chain;
pub mod entry;
pub mod push;
pub mod suite;
pub mod verdict;
