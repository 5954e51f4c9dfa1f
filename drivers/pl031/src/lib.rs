//! Device logic of the PL031 real-time clock.
#![no_std]
#![forbid(unsafe_code)]
