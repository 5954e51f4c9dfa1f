//! What a module leaves with others, as the linker server records it.
//!
//! INIT and START register; FINI gives back. What a module forgets is revoked when it has left, and reported by name. A
//! [`Registration`] is a handle and a value, to be kept in statics: it has no destructor, because nothing of a module runs
//! behind its FINI.
//!
//! | kind | value |
//! |---|---|
//! | [`callback`] | the address to give away; until the module is linked and when it has gone, a call returns the answer |
//! | [`thread`] | the slot for [`wake`]; a thread is started from START or UNCATCH on, and must have left before FINI |
//! | [`timer`] | the badge with which its thread is woken |
//! | [`endpoint`] | what to [`receive`] from |
//! | [`device`] | the badge of its clients' requests |
//! | [`memory`], [`device_memory`] | the address |
//! | [`interrupt`] | the badge with which its thread is woken |
//!
//! A module that uses them imports what they call: [`import_registrations!`](crate::import_registrations).

use strata_protocol::Errno;
pub use strata_protocol::driver::{BUS_READ, BUS_WRITE};
use strata_protocol::registration::{kind, name_words};

use crate::symbols::{
    strata_deregister, strata_interrupt_done, strata_receive, strata_register, strata_reply,
    strata_thread_start, strata_timer_set, strata_wake,
};

/// Something that is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its name for the linker server; never 0.
    pub handle: u64,
    /// See [the table](self).
    pub value: u64,
}

/// A request or a signal that a thread has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Badges of signals are `SIGNAL` and above; those of requests are below.
    pub badge: u64,
    /// A request's label.
    pub label: u64,
    /// How many words it has.
    pub length: u64,
    /// The first four.
    pub words: [u64; 4],
}

/// The lowest badge of a signal.
pub const SIGNAL: u64 = strata_protocol::caps::signal::FIRST;

impl Message {
    /// Whether it is a signal: of [`wake`], of timers, of interrupts, or of several of them at once.
    #[must_use]
    pub const fn is_signal(&self) -> bool {
        self.badge >= SIGNAL
    }
}

fn outcome(number: i32) -> Result<(), Errno> {
    match number {
        0 => Ok(()),
        number => Err(Errno::from_number(number).unwrap_or(Errno::EIO)),
    }
}

fn register(kind: u64, name: &str, first: u64, second: u64) -> Result<Registration, Errno> {
    let [name0, name1] = name_words(name);
    let mut words = [0; 2];
    // SAFETY: the export writes two words.
    outcome(unsafe { strata_register(kind, name0, name1, first, second, words.as_mut_ptr()) })?;
    Ok(Registration { handle: words[0], value: words[1] })
}

/// The address of a function of this module.
fn address<T>(function: *const T) -> u64 {
    function.expose_provenance() as u64
}

/// Registers a function that others may call; `answer` is what they get while this module does not answer.
///
/// # Errors
/// EPERM outside of INIT and START, ENOSPC, EINVAL for what is no function of this module.
pub fn callback(name: &str, function: *const (), answer: u64) -> Result<Registration, Errno> {
    register(kind::CALLBACK, name, address(function), answer)
}

/// Registers a thread; [`start`] starts it.
///
/// # Errors
/// As [`callback`], and ENOMEM.
pub fn thread(name: &str, function: extern "C" fn(u64), argument: u64) -> Result<Registration, Errno> {
    register(kind::THREAD, name, address(function as *const ()), argument)
}

/// Registers a timer that wakes a thread of this module.
///
/// # Errors
/// As [`thread`]; ESTALE if there is no such thread.
pub fn timer(name: &str, thread: Registration) -> Result<Registration, Errno> {
    register(kind::TIMER, name, thread.handle, 0)
}

/// Registers an endpoint.
///
/// # Errors
/// As [`thread`].
pub fn endpoint(name: &str) -> Result<Registration, Errno> {
    register(kind::ENDPOINT, name, 0, 0)
}

/// Registers a device that clients open by `name` and that is served on an endpoint of this module.
///
/// # Errors
/// As [`thread`]; EEXIST if there is a device of that name.
pub fn device(name: &str, endpoint: Registration) -> Result<Registration, Errno> {
    register(kind::DEVICE, name, endpoint.handle, 0)
}

/// Registers `size` bytes of memory, all zeros.
///
/// # Errors
/// As [`thread`].
pub fn memory(name: &str, size: u64) -> Result<Registration, Errno> {
    register(kind::MAPPING, name, 0, size)
}

/// Registers the registers of the device at a physical address that nobody serves.
///
/// # Errors
/// As [`thread`]; EPERM if the capability that this module was loaded by may not open devices, ENODEV, EBUSY.
pub fn device_memory(name: &str, physical: u64, size: u64) -> Result<Registration, Errno> {
    register(kind::MAPPING, name, physical, size)
}

/// Registers an interrupt that nobody serves; it wakes a thread of this module.
///
/// # Errors
/// As [`device_memory`].
pub fn interrupt(name: &str, number: u32, thread: Registration) -> Result<Registration, Errno> {
    register(kind::INTERRUPT, name, number.into(), thread.handle)
}

/// Gives a registration back.
///
/// # Errors
/// EBUSY for a thread that has not left, and while something builds on it; ESTALE if it is not there.
pub fn deregister(registration: Registration) -> Result<(), Errno> {
    // SAFETY: the export takes any number.
    outcome(unsafe { strata_deregister(registration.handle) })
}

/// Starts a thread that has not begun or has left.
///
/// # Errors
/// EPERM while this module is not linked: before START and behind CATCH; EBUSY if it runs.
pub fn start(thread: Registration) -> Result<(), Errno> {
    // SAFETY: the export takes any number.
    outcome(unsafe { strata_thread_start(thread.handle) })
}

/// Sets a timer; 0 takes it away.
///
/// # Errors
/// EPERM while this module is not linked.
pub fn set_timer(timer: Registration, microseconds: u64) -> Result<(), Errno> {
    // SAFETY: the export takes any number.
    outcome(unsafe { strata_timer_set(timer.handle, microseconds) })
}

/// Lets an interrupt come again.
///
/// # Errors
/// ESTALE if it is not there.
pub fn interrupt_done(interrupt: Registration) -> Result<(), Errno> {
    // SAFETY: the export takes any number.
    outcome(unsafe { strata_interrupt_done(interrupt.handle) })
}

/// Wakes a thread of this module, by its registration.
pub fn wake(thread: Registration) {
    // SAFETY: the export takes any number; the slot of a thread that is registered holds its notification.
    unsafe { strata_wake(thread.value) }
}

/// Waits for a request at an endpoint, or for a signal; without an endpoint for a signal alone. For threads that this module
/// has registered.
#[must_use]
pub fn receive(endpoint: Option<Registration>) -> Message {
    let mut words = [0; 6];
    // SAFETY: the export writes six words.
    let badge = unsafe { strata_receive(endpoint.map_or(0, |endpoint| endpoint.value), words.as_mut_ptr()) };
    let [label, length, a, b, c, d] = words;
    Message { badge, label, length, words: [a, b, c, d] }
}

/// Answers the request that was received last, with at most four words.
pub fn reply(label: u64, words: &[u64]) {
    let mut four = [0; 4];
    let length = words.len().min(four.len());
    four[..length].copy_from_slice(&words[..length]);
    // SAFETY: the export reads four words.
    unsafe { strata_reply(label, length as u64, four.as_ptr()) }
}

/// Imports everything that registrations use.
#[macro_export]
macro_rules! import_registrations {
    () => {
        const _: () = {
            use $crate::symbols::{
                strata_deregister, strata_interrupt_done, strata_receive, strata_register, strata_reply,
                strata_thread_start, strata_timer_set, strata_wake,
            };
            $crate::import!(
                strata_register,
                strata_deregister,
                strata_timer_set,
                strata_thread_start,
                strata_interrupt_done,
                strata_wake,
                strata_receive,
                strata_reply
            );
        };
    };
}
