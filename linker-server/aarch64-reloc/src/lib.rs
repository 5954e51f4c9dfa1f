//! AArch64 instruction encodings and relocations: which bits of which word an address goes into.
//!
//! Nothing here knows sections, symbols or modules. [`insn`] encodes and decodes the few instructions that the
//! linker writes or rewrites; [`reloc`] puts an address into the field of a relocation and changes no other bit.
//! All functions are total: an address that does not fit is an error, never a truncated field.
#![no_std]
#![forbid(unsafe_code)]

pub mod insn;
pub mod reloc;

pub use insn::{Branch, BranchKind, BranchPair, NOP};
pub use reloc::{Field, RelocError, RelocKind, Traits, apply};
