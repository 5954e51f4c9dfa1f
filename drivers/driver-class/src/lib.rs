//! What a device driver is to the server that runs it, and the classes of devices.
//!
//! A driver is a type over [`Registers`] that implements [`Driver`]: how the device is found and left, what its interrupt
//! means, and which requests it answers. Drivers of one kind of device answer the same requests, so each class has a
//! trait for what its devices can do and one function that turns requests into calls of it: [`clock`], [`firmware`], [`gpio`], [`i2c`], [`random`],
//! [`serial`], [`spi`], [`time`]. How to write a driver: `docs/drivers.md`.
//!
//! Pure: registers are a trait, requests are words. So a driver and its class are tested on the host, against a model of
//! the registers, with the client that the target uses.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod clock;
pub mod firmware;
pub mod gpio;
pub mod i2c;
pub mod lease;
pub mod random;
pub mod serial;
pub mod spi;
pub mod time;

use bus_space::Registers;
use strata_protocol::Errno;
use strata_protocol::driver::Later;
use strata_protocol::message::WORDS_MAX;

/// The words of a request, and then of its answer.
pub type Words = [u64; WORDS_MAX];

/// An answer: how many message words it has, or why not.
pub type Answer = Result<usize, Errno>;

/// The device is not the one that the driver is for: what it reads instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotThis(pub u32);

/// Memory that a device reads and writes by itself, as its driver has it: past every cache, and zeros at first.
#[derive(Debug)]
pub struct Memory<R> {
    /// Its words.
    pub words: R,
    /// Where it is for the device, before whatever the device's bus makes of that. It is a page, and begins at one.
    pub physical: u64,
}

/// The driver of one device.
///
/// Holding one proves that the device has been found and set up. Between two calls no posted write is under way: whoever
/// writes last reads back.
pub trait Driver<R: Registers>: Sized {
    /// The requests of a class whose transfers can be begun and fetched. Whoever serves such a driver hands requests on through
    /// a [`lease::Lease`], which knows whose a transfer is.
    const LATER: Option<Later> = None;

    /// Finds the device and sets it up. `clock_hz` is the clock that the board feeds it, 0 where that does not matter.
    fn probe(registers: R, clock_hz: u32) -> Result<Self, NotThis>;

    /// The same for a driver whose server has memory for the device.
    fn probe_with(registers: R, memory: Memory<R>, clock_hz: u32) -> Result<Self, NotThis> {
        drop(memory);
        Self::probe(registers, clock_hz)
    }

    /// The registers, for a client that looks at the device itself.
    fn registers(&self) -> &R;

    /// Leaves the device: it raises no interrupt any more.
    fn stop(&mut self);

    /// Layers of `bus_space` have come or gone; one that has gone may have kept a write.
    fn layers_changed(&mut self) {}

    /// The interrupt has come. Returns whether there is something new for the client.
    fn interrupt(&mut self) -> bool {
        false
    }

    /// Answers a request: `words` holds its `length` words and takes the answer's. ENOSYS for what is of no class of the
    /// device; `words` are as they were then.
    fn request(&mut self, label: u64, words: &mut Words, length: usize) -> Answer;
}
