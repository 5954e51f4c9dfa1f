//! The console's words: commands in, tables and one-line errors out.
//!
//! Names, columns and the form of errors are a contract: people and scripts use them. Everything here is pure; the
//! console's image asks the servers and lets these functions write the answer.
//!
//! Reading order: [`command`] (what can be typed), [`failure`] (the one line of an error), [`table`] (rows of the
//! linker server's lists), [`trace`] (records of the debug ring), [`tap`] (packets).
#![no_std]
#![forbid(unsafe_code)]
#![expect(
    clippy::result_large_err,
    reason = "without a heap an error carries its text; commands are typed by people"
)]

#[cfg(test)]
extern crate std;

pub mod command;
pub mod failure;
pub mod table;
pub mod tap;
pub mod trace;

pub use command::{Command, Word};
pub use failure::Failure;
