//! What a module is written with: alias records, commands, fingerprints.
//!
//! A module is a `[[bin]]` without `main`. It opens with `module!`, refines or provides symbols with `refine_alias!`
//! and `strong_alias!`, and says with `import!` what else it calls. The macros only *emit records*: nothing is exported
//! by the ELF symbol table, and the aliasable symbol itself is never defined in Rust, so that no optimiser can see
//! through it. The base image uses the same macros for its defaults (`weak_alias!`) and bound exports (`export!`).
//!
//! Reading order: [`fingerprint`] (what two sides of a call must agree on), [`record`] and [`macros`] (how that gets into
//! the file), [`module`] (commands), [`symbols`] (the symbols that exist), [`bus`] (typed access to a mapped device),
//! [`thread`] and [`lock`] (what a layer may use while it runs), [`registration`] (what a module leaves with others).
#![no_std]

#[cfg(test)]
extern crate std;

pub mod below;
pub mod bus;
pub mod fingerprint;
pub mod lock;
pub mod log;
pub mod macros;
pub mod module;
pub mod record;
pub mod registration;
pub mod symbols;
pub mod thread;

pub use defmt;
pub use kmod;
pub use strata_protocol::Errno;

pub use module::{Command, CommandSet, Module, ModuleClass};
