//! GPIO class: pins, one by one. Register 0 of each request is the pin; ERANGE for one that the device does not have, EBUSY
//! for one that leads to another device.

/// → [`LOW`] or [`HIGH`]: what is on the pin; then whether it is an output (0 or 1).
pub const READ: u64 = 112;
/// Sets what an output drives: register 1 is [`LOW`] or [`HIGH`]. EPERM for an input.
pub const WRITE: u64 = 113;
/// Makes the pin an input.
pub const INPUT: u64 = 114;
/// Makes the pin an output that drives register 1, from its first moment on where the device can do so.
pub const OUTPUT: u64 = 115;
/// Watches an input for edges: register 1 is 0, [`RISING`], [`FALLING`] or both. Edges of before are forgotten.
pub const WATCH: u64 = 116;
/// → the edges that have come since the last time, [`RISING`] and [`FALLING`]. The server signals its client's
/// notification when there is a new one.
pub const EDGES: u64 = 117;

/// The pin is low.
pub const LOW: u64 = 0;
/// The pin is high.
pub const HIGH: u64 = 1;
/// From low to high.
pub const RISING: u64 = 1;
/// From high to low.
pub const FALLING: u64 = 2;
