//! bpf(4) without its callers: everything that a packet tap decides.
//!
//! Drivers of interfaces *attach*; whoever wants packets opens a *listener* with a filter. The base image keeps the
//! [`registry`] of attachments whether or not there is a tap, since drivers attach once, early. A tap that is loaded
//! later reads the registry, in order, and acts on it ([`tap`]).
//!
//! Reading order: [`registry`] (who has attached), [`instruction`] and [`filter`] (which packets a listener wants),
//! [`packet`] (what a filter looks at), [`capture`] (the file that captures go to), [`tap`] (listeners).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod capture;
pub mod filter;
pub mod instruction;
pub mod packet;
pub mod registry;
pub mod tap;

pub use filter::{Filter, Invalid};
pub use instruction::Instruction;
pub use packet::Packet;
pub use registry::{Attachment, Registry};
pub use tap::Tap;
