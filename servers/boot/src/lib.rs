//! What the root task decides before it does anything: all of it pure, so that it is tested on the host.
//!
//! Reading order: [`device_tree`] and [`bootargs`] (what this run is for), [`untyped`] (where memory comes from),
//! [`executable`] (what a server's file becomes), [`description`] (what each server may do), [`placement`] (on which core
//! driver servers run), [`addresses`] (where a server finds what it shares).
#![no_std]
#![forbid(unsafe_code)]

pub mod addresses;
pub mod bootargs;
pub mod description;
pub mod device_tree;
pub mod executable;
pub mod placement;
pub mod untyped;
