//! On-target cases that run as a client of the servers.
#![no_std]
#![no_main]
