//! The "rtc" server: the PL031.

use kmod_api::bus::Device;
use pl031::Clock;
use strata_protocol::Errno;
use strata_protocol::domain::ServerStart;
use strata_protocol::driver::RTC_NOW;
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
    let device = match server.map_device() {
        Ok(device) => device,
        Err(errno) => server.refuse(errno),
    };
    match Clock::probe(device) {
        Ok(clock) => server.serve(&mut ClockClass(clock)),
        Err(_) => server.refuse(Errno::ENODEV),
    }
}

struct ClockClass(Clock<Device>);

impl Class for ClockClass {
    fn stop(&mut self) {
        self.0.stop();
    }

    fn request(&mut self, label: u64, words: &mut [u64; WORDS_MAX], _length: usize) -> Answer {
        match label {
            RTC_NOW => {
                words[0] = self.0.now().into();
                Ok(1)
            }
            _ => device::request(self.0.registers(), label, words),
        }
    }
}
