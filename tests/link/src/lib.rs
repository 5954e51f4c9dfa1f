//! Linker behaviour on the host: images made to measure, an independent judge, and mutations.
//!
//! * [`image`]: an ELF64 writer in which every field is open, so that each rule of the format can be broken alone.
//! * [`module`], [`base`]: module and base images from a few words about their functions.
//! * [`judge`]: accepted images read again by the `object` crate, an independent parser that must agree.
//! * [`place`]: a small loader whose every changed byte and every resolved address is accounted for.
//! * [`mutate`]: every field truncated, flipped and enlarged.
//! * [`world`], [`machine`]: a link domain made of real bytes, and a thread that runs in it.
//! * [`behaviour`]: stories in text files, one for each behaviour of the linker.
//!
//! The oracles are O1 to O5 and O7 of the project's reliability rules.
#![allow(clippy::unwrap_used)]

pub mod base;
pub mod behaviour;
pub mod image;
pub mod judge;
pub mod machine;
pub mod module;
pub mod mutate;
pub mod place;
pub mod world;
