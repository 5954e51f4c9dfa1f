//! The threads of a base image: driver servers and workers.
//!
//! The linker server starts each thread at an entry of the base image with the address of a `ServerStart` in x0. Driver
//! servers wait at one place for requests and interrupts and reach registers only through `bus_space` symbols, so every
//! layer sees every access. A server that faults is started again from its entry: it first answers the client that it
//! was serving, and then serves on.
//!
//! [`server`] has the loop, [`device`] runs any driver in it, [`bare`], [`demo`] and [`bench`] are servers without one;
//! [`worker`] runs module commands, [`events`] is what modules may wait on, [`asking`] and [`registering`] what they may ask
//! the linker server.
#![no_std]
#![cfg(target_arch = "aarch64")]

pub mod asking;
pub mod bare;
pub mod bench;
pub mod demo;
pub mod device;
pub mod events;
mod loopback;
pub mod registering;
pub mod server;
pub mod worker;
