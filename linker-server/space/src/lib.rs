//! The linker server's memory, threads and text, on seL4 objects.
//!
//! Reading order: [`objects`] (untyped memory, slots, charges), [`vspace`] (the link domain's address
//! space and its mirror), [`mirror`] (reading and writing through it), [`thread`] (threads and how to
//! look at them), [`domain`] (all of that as one link domain), [`text`] (patching), [`module`] and
//! [`shared`] (the memory of a module), [`worker`] (its commands), [`look`] (who is inside of it),
//! [`watchdog`] (that nobody starves the linker server).
#![no_std]
#![cfg(target_arch = "aarch64")]

pub mod asm;
pub mod domain;
pub mod error;
pub mod guest;
pub mod look;
pub mod mirror;
pub mod module;
pub mod objects;
pub mod registered;
pub mod room;
pub mod shared;
pub mod text;
pub mod thread;
pub mod vspace;
pub mod watchdog;
pub mod worker;
