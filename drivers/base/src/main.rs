//! The base image: default bus_space accessors and the driver servers.
#![no_std]
#![no_main]
