//! The "demo" servers: threads that call the symbols which exist to be overridden.
//!
//! Two threads run the same code: while one is blocked inside a module, the other answers.

use core::sync::atomic::{AtomicU64, Ordering};
use driver_class::{Answer, Words};

use kmod_api::symbols::{demo_note, demo_ping, demo_wait};
use strata_protocol::Errno;
use strata_protocol::domain::ServerStart;
use strata_protocol::driver::{
    DEMO_KEPT, DEMO_NOTE, DEMO_PING, DEMO_PING_POINTER, DEMO_RELEASE, DEMO_STATUS, DEMO_WAIT,
};

use crate::loopback;
use crate::registering::call_kept;
use crate::server::{Class, Server};

/// Calls of `demo_wait` begun, by all demo servers.
static BEGUN: AtomicU64 = AtomicU64::new(0);
/// Calls of `demo_wait` that have returned.
static ENDED: AtomicU64 = AtomicU64::new(0);
/// What the last of them returned.
static LAST: AtomicU64 = AtomicU64::new(0);
/// `demo_ping` as a pointer that was taken long before any module was loaded. Its address is the symbol's permanent
/// slot, so a call through it reaches whoever answers now.
static KEPT: demo_ping = demo_ping;

/// Entry of the thread.
///
/// # Safety
/// The linker server starts the thread here, with the address of its start record.
pub unsafe extern "C" fn entry(start: *const ServerStart) -> ! {
    // SAFETY: this is the entry of the thread.
    let server = unsafe { Server::begin(start) };
    let mut demo = Demo::new(&server);
    server.serve(&mut demo)
}

/// What a demo server is asked for.
pub(crate) struct Demo {
    hold: u64,
    /// The argument of a wait that has been answered and not begun.
    wait: Option<u64>,
}

impl Demo {
    /// Nothing is under way.
    pub(crate) const fn new(server: &Server) -> Self {
        Self { hold: server.hold(), wait: None }
    }
}

impl Class for Demo {
    fn request(&mut self, _client: u64, label: u64, words: &mut Words, _length: usize) -> Answer {
        let argument = words[0];
        match label {
            // SAFETY: the symbol takes any number.
            DEMO_PING => words[0] = unsafe { demo_ping(argument) },
            // SAFETY: the symbol takes any number.
            DEMO_NOTE => words[0] = unsafe { demo_note(argument) },
            DEMO_PING_POINTER => {
                // Read as volatile, so that the call stays one through a pointer.
                // SAFETY: the static is alive and initialised.
                let kept = unsafe { (&raw const KEPT).read_volatile() };
                // SAFETY: the symbol takes any number.
                words[0] = unsafe { kept(argument) };
            }
            DEMO_KEPT => words[0] = call_kept(argument).ok_or(Errno::ENOENT)?,
            DEMO_WAIT => self.wait = Some(argument),
            DEMO_RELEASE => sel4_sys::seL4_Signal(self.hold),
            DEMO_STATUS => {
                words[0] = BEGUN.load(Ordering::Relaxed);
                words[1] = ENDED.load(Ordering::Relaxed);
                words[2] = LAST.load(Ordering::Relaxed);
                return Ok(3);
            }
            _ => return loopback::request(label, words),
        }
        Ok(1)
    }

    fn after(&mut self) {
        let Some(argument) = self.wait.take() else { return };
        BEGUN.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the symbol takes any number.
        let value = unsafe { demo_wait(argument) };
        LAST.store(value, Ordering::Relaxed);
        ENDED.fetch_add(1, Ordering::Relaxed);
    }
}
