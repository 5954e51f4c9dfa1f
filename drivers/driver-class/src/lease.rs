//! Whose a transfer is that was begun: its client's, for a bounded time.
//!
//! ```text
//!  free ── begin ──► leased ── result, abort, by whoever began it ──► free
//!                      └────── begin, transfer, by anybody, once its time is over: aborted, then as if free
//! ```
//! Nobody tells a driver server that a client has gone: the kernel does not say when the last copy of a badged endpoint is
//! deleted, and a client that is suspended for ever holds its copy. So a client may be away for as long as a transfer may
//! take.

use bus_space::Registers;
use strata_protocol::Errno;
use strata_protocol::driver::Later;
use strata_protocol::message::WORDS_MAX;

use crate::{Answer, Driver, Words};

/// Who asks, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The client: the badge of the endpoint that it was given, which is the kernel's word.
    pub client: u64,
    /// Microseconds since some moment that is the same for the life of the system.
    pub now_us: u64,
}

/// A transfer that was begun and neither fetched nor given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Begun {
    client: u64,
    number: u64,
    since_us: u64,
}

/// Whose the device of a driver is.
///
/// One is made with its driver, and every request goes through it.
#[derive(Debug, Default)]
pub struct Lease {
    begun: Option<Begun>,
    /// The highest number so far.
    last: u64,
}

impl Lease {
    /// Has the driver answer a request, if the device is the client's to ask.
    ///
    /// # Errors
    /// Those of the driver. EBUSY: the device is leased. ENOENT: the transfer is not one of this client, or its lease has
    /// ended.
    pub fn request<R: Registers, D: Driver<R>>(
        &mut self,
        driver: &mut D,
        asker: Asker,
        label: u64,
        words: &mut Words,
        length: usize,
    ) -> Answer {
        match D::LATER {
            Some(later) if label == later.transfer || label == later.begin => {
                self.end_if_over(driver, later, asker.now_us)?;
                let answer = driver.request(label, words, length)?;
                if label == later.transfer {
                    return Ok(answer);
                }
                words[0] = self.begin(asker);
                Ok(1)
            }
            Some(later) if label == later.result || label == later.abort => {
                let asked = (asker.client, words[0]);
                if length == 0 || self.begun.is_none_or(|begun| (begun.client, begun.number) != asked) {
                    return Err(Errno::ENOENT);
                }
                let answer = driver.request(label, words, 0);
                if answer != Err(Errno::EBUSY) {
                    self.begun = None;
                }
                answer
            }
            _ => driver.request(label, words, length),
        }
    }

    /// Makes the device free if a lease is over.
    fn end_if_over<R: Registers, D: Driver<R>>(
        &mut self,
        driver: &mut D,
        later: Later,
        now_us: u64,
    ) -> Result<(), Errno> {
        let Some(begun) = self.begun else { return Ok(()) };
        if now_us.saturating_sub(begun.since_us) < later.lease_us {
            return Err(Errno::EBUSY);
        }
        driver.request(later.abort, &mut [0; WORDS_MAX], 0)?;
        self.begun = None;
        Ok(())
    }

    /// Notes a transfer that has begun; its number. Numbers follow the time, so that those of a server that was started again
    /// are none of before.
    fn begin(&mut self, asker: Asker) -> u64 {
        self.last = asker.now_us.max(self.last + 1);
        self.begun = Some(Begun { client: asker.client, number: self.last, since_us: asker.now_us });
        self.last
    }
}
