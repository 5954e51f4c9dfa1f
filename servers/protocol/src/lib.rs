//! Messages and shared-memory layouts between servers, clients, modules and the host.
#![no_std]
#![forbid(unsafe_code)]
