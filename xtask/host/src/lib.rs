//! What host tools share: QEMU, the serial line, log tables, case lists.
//!
//! `xtask` and the on-target runner both talk to a machine through this crate: [`qemu`] starts it, [`demux`] splits
//! what it says into console text and frames, [`tables`] turns log frames into lines, [`cases`] reads the list of
//! on-target cases out of a test image, [`lint`] has the cache lint watch, [`truth`] has the unwinder held against the
//! true call stacks of a run, with the images and unwind tables of [`built`]. [`model`] says which machines there are,
//! [`device_tree`] describes one to its kernel, [`fitting`] says what cases want connected to it. [`kmod_link`] is the linker's core on the host. [`serial`] is a line to a
//! board, [`link`] asks over it until it is answered, [`push`] sends a module to a system that runs, [`chain`] a system to a
//! chainloader, [`noise`] makes the line bad. [`patience`] stretches time limits.

pub mod built;
pub mod cases;
pub mod chain;
pub mod demux;
pub mod device_tree;
pub mod fitting;
pub mod kmod_link;
pub mod link;
pub mod lint;
pub mod model;
pub mod noise;
pub mod patience;
pub mod push;
pub mod qemu;
pub mod serial;
pub mod speed;
pub mod tables;
pub mod truth;
