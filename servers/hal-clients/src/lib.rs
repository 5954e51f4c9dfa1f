//! Clients of driver servers that implement the traits of `embedded-hal` and `embedded-io`.
//!
//! A driver that others wrote for those traits runs unchanged on top: each call becomes a request of the device's class,
//! and comes back when the driver server has answered. One file for each class: [`firmware`], [`gpio`], [`i2c`],
//! [`random`], [`serial`], [`spi`], [`time`]; [`delay`] is for whoever lets time pass. Clients of `embedded-hal-async` are run by
//! [`executor`].
//!
//! Pure: requests go through [`Call`], which `strata-runtime` implements for an endpoint, and a test for a driver on the
//! host.
#![no_std]
#![forbid(unsafe_code)]

pub mod delay;
pub mod error;
pub mod executor;
pub mod firmware;
pub mod gpio;
pub mod i2c;
mod pending;
pub mod random;
pub mod serial;
pub mod spi;
pub mod time;

pub use error::Error;
pub use strata_protocol::driver::Call;
