//! The linker server's requests, transactions and faults.
//!
//! Reading order: [`start`] (from the start page to a link domain in service), [`linker`] (the state and
//! the loop), [`requests`] and [`rows`] (what clients ask), [`turns`], [`load`] and [`commands`] (one
//! at a time), [`caps`] (who may), [`faults`] and [`budget`] (threads that do not come
//! back), [`drivers`] (servers that leave and come back), [`registrations`] and [`registered`] (what modules leave with
//! others); [`exits`], [`replies`], [`deadlines`],
//! [`store`], [`trust`] and [`explain`] serve them.
#![no_std]
#![cfg(target_arch = "aarch64")]
#![allow(
    clippy::result_large_err,
    reason = "a refusal is the answer that a client gets: made once a turn, passed on as it is"
)]

pub mod answers;
pub mod budget;
pub mod caps;
pub mod commands;
pub mod deadlines;
pub mod drivers;
pub mod exits;
pub mod explain;
pub mod faults;
pub mod linker;
pub mod load;
pub mod registered;
pub mod registrations;
pub mod replies;
pub mod requests;
pub mod rows;
pub mod start;
pub mod store;
pub mod trust;
pub mod turns;
