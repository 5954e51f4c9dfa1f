//! Entry, panic, IPC and logging for user-level images.
#![no_std]
