//! Module commands on worker threads.
//!
//! The linker server fills the worker's command page, signals it and goes on. It never waits for a
//! worker: the answer is a signal, and a deadline passes whether or not there is one. A worker that
//! faults or overruns is stopped for good; the next one of the reserve takes its place.

use crate::error::ObjectError;
use crate::objects::Objects;
use crate::thread::{Role, Thread};
use core::sync::atomic::Ordering;
use strata_protocol::domain::{COMMAND_WORDS, command_state};

/// A command to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub command: u32,
    /// The module's entry.
    pub entry: u64,
    /// Argument words.
    pub words: [u64; COMMAND_WORDS],
    /// The module's shared region in the link domain, 0 for none.
    pub shared_address: u64,
    /// Its size.
    pub shared_size: u64,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// 0, or an errno number.
    pub result: i32,
    /// The words that it left.
    pub words: [u64; COMMAND_WORDS],
}

/// All workers of the link domain have faulted or overrun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoWorker;

/// Hands a command to an idle worker; returns the worker's thread number.
///
/// # Errors
/// [`NoWorker`] when the reserve is used up.
pub fn begin(threads: &[Thread], job: &Job) -> Result<u32, NoWorker> {
    let worker = threads.iter().find(|thread| is_idle(thread)).ok_or(NoWorker)?;
    let page = worker.command.command_page();
    page.command.store(job.command, Ordering::Relaxed);
    page.entry.store(job.entry, Ordering::Relaxed);
    for (to, from) in page.words.iter().zip(job.words) {
        to.store(from, Ordering::Relaxed);
    }
    page.shared_address.store(job.shared_address, Ordering::Relaxed);
    page.shared_size.store(job.shared_size, Ordering::Relaxed);
    // Publishes the fields above to the worker, which loads the state with acquire.
    page.state.store(command_state::REQUESTED, Ordering::Release);
    sel4_sys::seL4_Signal(worker.request);
    Ok(worker.number)
}

/// The answer of a worker, once; none while it has none.
#[must_use]
pub fn poll(worker: &Thread) -> Option<Done> {
    let page = worker.command.command_page();
    // Pairs with the worker's release: the result is complete.
    if page.state.load(Ordering::Acquire) != command_state::DONE {
        return None;
    }
    let mut words = [0; COMMAND_WORDS];
    for (to, from) in words.iter_mut().zip(&page.words) {
        *to = from.load(Ordering::Relaxed);
    }
    let result = page.result.load(Ordering::Relaxed);
    page.state.store(command_state::IDLE, Ordering::Release);
    Some(Done { result, words })
}

/// Whether this is a worker that can be given a command. It waits for one: it said that the last one is done after the
/// module's entry had returned.
#[must_use]
pub fn is_idle(thread: &Thread) -> bool {
    matches!(thread.role, Role::Worker(_)) && !thread.dead && !is_busy(thread)
}

/// Whether a worker has a command.
#[must_use]
pub fn is_busy(worker: &Thread) -> bool {
    worker.command.command_page().state.load(Ordering::Acquire) != command_state::IDLE
}

/// Stops a worker for good. It stays where it is, and its stack and records with it: it may still be
/// inside of a module, which is why that module is wedged.
///
/// # Errors
/// [`ObjectError::Kernel`].
pub fn abandon(worker: &mut Thread, objects: &mut Objects) -> Result<(), ObjectError> {
    worker.stop(objects)
}
