//! Types of bus_space(9), the layout of the debug ring.
//!
//! Everything here is pure: no register is touched and no symbol is called. The symbols themselves are declared in
//! `kmod-api`, their defaults live in the base image, and the layers that refine them are modules. This crate holds
//! what all of these and the device drivers must agree on.
//!
//! Reading order: [`tag`] and [`flags`] (what a call carries), [`registers`] (how device logic reaches its device),
//! [`ring`] (what the debug layer writes and a client reads), [`exceptions`] (what the exception-handling layer
//! remembers), [`reorder`] (which moves a store buffer may make),
//! [`windows`] (where devices are, and what of them is mapped), [`beside`] (what layers keep beside a handle).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod access;
pub mod beside;
pub mod exceptions;
pub mod flags;
pub mod registers;
pub mod reorder;
pub mod ring;
pub mod rng;
pub mod tag;
pub mod windows;

pub use access::{Op, Width};
pub use flags::{BarrierFlags, MapFlags};
pub use registers::Registers;
pub use tag::{BusHandle, BusTag, Space};
