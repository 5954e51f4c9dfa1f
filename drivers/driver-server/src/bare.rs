//! A server of bare registers: for a device without a class, and for a hole in the memory map, where every access is a
//! bus error.

use driver_class::{Answer, Words};
use kmod_api::bus::Device;
use strata_protocol::domain::ServerStart;

use crate::device;
use crate::server::{Class, Server};

/// Entry of the thread.
///
/// # Safety
/// The linker server starts the thread here, with the address of its start record.
pub unsafe extern "C" fn entry(start: *const ServerStart) -> ! {
    // SAFETY: this is the entry of the thread.
    let server = unsafe { Server::begin(start) };
    match server.map_device() {
        Ok(device) => server.serve(&mut Bare(device)),
        Err(errno) => server.refuse(errno),
    }
}

struct Bare(Device);

impl Class for Bare {
    fn request(&mut self, _client: u64, label: u64, words: &mut Words, _length: usize) -> Answer {
        device::request(&self.0, label, words)
    }
}
