//! The linker server's memory, threads and text, on seL4 objects.
//!
//! Reading order: [`objects`] (untyped memory, slots, charges), [`vspace`] (the link domain's address
//! space and its mirror), [`mirror`] (reading and writing through it), [`thread`] (threads and how to
//! look at them), [`domain`] (all of that as one link domain).
#![no_std]
#![cfg(target_arch = "aarch64")]

pub mod asm;
pub mod domain;
pub mod mirror;
pub mod objects;
pub mod thread;
pub mod vspace;
