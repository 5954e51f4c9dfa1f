//! A server of bare registers: for a device without a class, and for a hole in the memory map, where every access is a
//! bus error.

use kmod_api::bus::Device;
use strata_protocol::domain::ServerStart;
use strata_protocol::message::WORDS_MAX;

use crate::device;
use crate::server::{Answer, Class, Server};

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
    fn request(&mut self, label: u64, words: &mut [u64; WORDS_MAX], _length: usize) -> Answer {
        device::request(&self.0, label, words)
    }
}
