//! The cases, one file for each subject. A case is named for what it shows, and for its requirement where it has one.

mod bench;
mod bench_linker;
mod bus;
mod capabilities;
mod commands;
mod drivers;
mod faults;
mod gpio;
mod i2c;
mod images;
mod layers;
mod logs;
mod packets;
mod reclaim;
mod relocations;
mod reorder;
mod scenarios;
mod serial;
mod several_cores;
mod soak;
mod spi;
mod stacks;
mod stress;
mod trust;
mod unload;
mod walls;
