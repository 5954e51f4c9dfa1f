//! Messages and shared-memory layouts: everything that stands on both sides of a wall between servers,
//! clients, modules and the host.
//!
//! Reading order: [`message`] (how a value becomes message words), then one file for each service
//! ([`linker`] and [`fault`], [`store`], [`timer`], [`driver`], [`root`]), then the pages that two address spaces share
//! ([`start`], [`domain`], [`logring`]), then what leaves the machine ([`wire`], [`archive`]).
//!
//! **Invariant:** nothing here interprets a byte that a peer wrote without checking it; every decoder is total.
#![no_std]
#![forbid(unsafe_code)]

pub mod archive;
pub mod capability;
pub mod caps;
pub mod case;
pub mod domain;
pub mod driver;
pub mod errno;
pub mod fault;
pub mod linker;
pub mod logring;
pub mod message;
pub mod registration;
pub mod root;
pub mod start;
pub mod store;
pub mod streams;
pub mod text;
pub mod timer;
pub mod uplink;
pub mod wire;

pub use errno::{Errno, Refusal};
pub use text::{DetailText, ModuleName, SymbolName, Text};
