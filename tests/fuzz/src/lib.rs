//! Fuzzing with seeds: inputs that keep their structure, and oracles that know what a right answer is.
//!
//! A crash is the least of it: a memory-safe relocator that writes into the next section returns `Ok`. So each target
//! makes an input from a seed, runs it and has it judged:
//!
//! | target | input | oracles |
//! |---|---|---|
//! | [`parser`] | an image with damaged fields | O1, O2, O3, O4, O6 |
//! | [`relocator`] | a random module at random addresses, linked by the linker's core | O1, O2, O3, O4 |
//! | [`planner`] | a list of loads, unloads, refused writes and ways back | O5, O7, the invariants of the link domain |
//! | [`protocol`] | the words of a message | a value comes back as it was sent; nothing is left over |
//!
//! O1: relocation changes fields of relocations only. O2: instructions keep their other bits. O3: every address lies in
//! own sections or granted symbols. O4: an independent parser agrees. O5: load and unload leave everything as it was.
//! O6: time is bounded. O7: what is refused changes nothing.

pub mod campaign;
pub mod parser;
pub mod planner;
pub mod protocol;
pub mod relocator;

pub use campaign::{Failure, Report, campaign, replay};
pub use link_tests::mutate::Random;

/// What is fuzzed.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Makes an input.
    pub generate: fn(&mut Random) -> Vec<u8>,
    /// Runs an input: the outcome, for the count of outcomes; or the oracle that does not hold.
    pub judge: fn(&[u8]) -> Result<String, String>,
}

/// Every target.
pub const ALL: &[Target] = &[
    Target { name: "parser", generate: parser::generate, judge: parser::judge },
    Target { name: "relocator", generate: relocator::generate, judge: relocator::judge },
    Target { name: "planner", generate: planner::generate, judge: planner::judge },
    Target { name: "protocol", generate: protocol::generate, judge: protocol::judge },
];
