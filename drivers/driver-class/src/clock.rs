//! Clocks: devices that know the time of day.

use strata_protocol::Errno;
use strata_protocol::driver::RTC_NOW;

use crate::{Answer, Words};

/// A clock.
pub trait Clock {
    /// Seconds since 1970.
    fn now(&self) -> u32;
}

/// Answers a request of the class.
pub fn request(clock: &impl Clock, label: u64, words: &mut Words) -> Answer {
    match label {
        RTC_NOW => {
            words[0] = clock.now().into();
            Ok(1)
        }
        _ => Err(Errno::ENOSYS),
    }
}
