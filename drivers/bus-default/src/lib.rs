//! The default answer to every bus_space symbol: plain loads and stores with fix-ups.
//!
//! The functions here have the symbols' names with an underscore in front, and the base image's linker script binds
//! each symbol to its default: `PROVIDE(bus_space_read_4 = _bus_space_read_4)`. A call to a name with an underscore goes
//! past every layer, so nothing but the alias records refers to one.
//!
//! `accessors.s` has the accesses themselves, [`space`] maps, [`windows`] knows where devices are.
#![no_std]
#![cfg(target_arch = "aarch64")]

pub mod accessors;
pub mod space;
pub mod windows;
