//! The command line over the PL011 driver.
#![no_std]
#![no_main]
