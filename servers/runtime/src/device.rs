//! The endpoints that clients of driver servers work with: that of a device's server, and that of the timer server.

use core::cell::{Cell, RefCell};

use sel4_sys::{seL4_CPtr, seL4_MessageInfo};
use strata_protocol::Errno;
use strata_protocol::driver::{Arrivals, Call};
use strata_protocol::message::WORDS_MAX;
use strata_protocol::timer;

use crate::{Ipc, clock, ipc};

/// A driver server, as one thread reaches it.
///
/// Several clients of one thread share its IPC buffer: each holds it for one request.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    ipc: &'a RefCell<&'a mut Ipc>,
    endpoint: seL4_CPtr,
}

impl<'a> Endpoint<'a> {
    /// The server behind this capability.
    #[must_use]
    pub const fn new(ipc: &'a RefCell<&'a mut Ipc>, endpoint: seL4_CPtr) -> Self {
        Self { ipc, endpoint }
    }
}

impl Call for Endpoint<'_> {
    fn call(&mut self, label: u64, words: &mut [u64; WORDS_MAX], length: usize) -> Result<usize, Errno> {
        let ipc = &mut **self.ipc.borrow_mut();
        let length = length.min(WORDS_MAX);
        ipc.msg[..length].copy_from_slice(&words[..length]);
        let answer = ipc.seL4_Call(self.endpoint, seL4_MessageInfo::new(label, 0, 0, length as u64));
        let length = usize::try_from(answer.get_length()).unwrap_or(WORDS_MAX).min(WORDS_MAX);
        words[..length].copy_from_slice(&ipc.msg[..length]);
        match i32::try_from(answer.get_label()) {
            Ok(0) => Ok(length),
            // Not a number that a driver server answers: it is none.
            other => Err(other.ok().and_then(Errno::from_number).unwrap_or(Errno::EPROGMISMATCH)),
        }
    }
}

/// The signal of servers to their client, as one thread waits for it.
#[derive(Debug)]
pub struct Signal {
    notification: seL4_CPtr,
    /// How often it has come.
    count: Cell<u64>,
}

impl Signal {
    /// The signal of this notification.
    #[must_use]
    pub const fn new(notification: seL4_CPtr) -> Self {
        Self { notification, count: Cell::new(0) }
    }

    /// A listener, who has heard whatever has come before.
    #[must_use]
    pub const fn listener(&self) -> Listener<'_> {
        Listener { signal: self, heard: self.count.get() }
    }
}

/// Somebody who waits for a signal. Several listen to one, in one thread: each hears each time that it comes.
#[derive(Clone, Debug)]
pub struct Listener<'a> {
    signal: &'a Signal,
    heard: u64,
}

impl Arrivals for Listener<'_> {
    fn take_arrival(&mut self) -> bool {
        let count = self.signal.count.get();
        core::mem::replace(&mut self.heard, count) != count
    }

    fn wait(&mut self) {
        if !self.take_arrival() {
            let _ = sel4_sys::seL4_RecvWithMRsWithoutIPCBuffer(self.signal.notification);
            self.signal.count.update(|count| count + 1);
            self.take_arrival();
        }
    }

    fn stir(&mut self) {
        self.signal.count.update(|count| count + 1);
    }
}

/// The timer server, as one thread reaches it.
#[derive(Clone, Copy, Debug)]
pub struct Timer<'a> {
    ipc: &'a RefCell<&'a mut Ipc>,
    endpoint: seL4_CPtr,
}

impl<'a> Timer<'a> {
    /// The timer server behind this capability.
    #[must_use]
    pub const fn new(ipc: &'a RefCell<&'a mut Ipc>, endpoint: seL4_CPtr) -> Self {
        Self { ipc, endpoint }
    }

    /// Returns after at least this many microseconds: it sleeps, and where the timer server has no room for one sleeper
    /// more, or not for so long, it looks at the counter.
    pub fn sleep_us(&self, microseconds: u64) {
        let (start, ticks) = (clock::ticks(), clock::to_ticks(microseconds, clock::frequency()));
        while clock::ticks() - start < ticks {
            let request = timer::Request::Sleep { microseconds: microseconds.min(timer::SLEEP_US_MAX) };
            // Refused or not, the counter decides.
            let _ = ipc::call::<_, timer::Reply>(&mut self.ipc.borrow_mut(), self.endpoint, &request);
        }
    }
}
