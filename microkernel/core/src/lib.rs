//! Kernel objects, derivation tree, IPC, scheduler and decoding, as safe code.
#![no_std]
#![forbid(unsafe_code)]
