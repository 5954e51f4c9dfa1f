//! The initial task: boot archive, untyped memory, servers.
#![no_std]
#![no_main]
