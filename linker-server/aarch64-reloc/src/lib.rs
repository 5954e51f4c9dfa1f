//! AArch64 instruction encodings and relocations.
#![no_std]
#![forbid(unsafe_code)]
