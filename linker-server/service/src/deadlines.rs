//! Deadlines: set on the page that the linker server shares with the timer server.
//!
//! Setting one is a store, and a signal where the timer server would not look in time anyway; the linker server never waits
//! for the timer. A signal says only
//! that some deadline may have passed: the clock decides, so that a lost or doubled signal does no harm.

use linker_books::deadlines::Deadlines as Due;
use linker_space::asm::{ticks, ticks_a_second};
use strata_protocol::caps;
use strata_protocol::timer::{DEADLINES_MAX, DeadlinePage};

/// What a deadline is for; also its slot on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A module command.
    Command,
    /// A drain.
    Drain,
    /// The next look at who is inside.
    Look,
    /// The next look at a thread that has used up its budget.
    Sample,
    /// The next timer that a module has set.
    Timers,
}

const PURPOSES: [Purpose; 5] =
    [Purpose::Command, Purpose::Drain, Purpose::Look, Purpose::Sample, Purpose::Timers];
const _: () = assert!(PURPOSES.len() <= DEADLINES_MAX);

/// The linker server's deadlines.
pub struct Deadlines {
    page: &'static DeadlinePage,
    due: Due<{ PURPOSES.len() }>,
}

impl Deadlines {
    /// None set.
    #[must_use]
    pub const fn new(page: &'static DeadlinePage) -> Self {
        Self { page, due: Due::new() }
    }

    /// Sets a deadline `ms` from now; `ticket` comes back when it passes.
    pub fn set(&mut self, purpose: Purpose, ms: u32, ticket: u32) {
        self.set_at(purpose, ticks() + ticks_a_second() * u64::from(ms) / 1000, ticket);
    }

    /// Sets a deadline at a time in ticks.
    pub fn set_at(&mut self, purpose: Purpose, at: u64, ticket: u32) {
        self.due.set(purpose as usize, at, ticket);
        if self.page.set(purpose as usize, at) {
            sel4_sys::seL4_Signal(caps::slot::TIMER_SIGNAL);
        }
    }

    /// Takes a deadline away. The timer server may still signal for it once.
    pub fn clear(&mut self, purpose: Purpose) {
        self.due.clear(purpose as usize);
        self.page.clear(purpose as usize);
    }

    /// A deadline that has passed, once.
    pub fn passed(&mut self) -> Option<(Purpose, u32)> {
        let (purpose, ticket) = self.due.passed(ticks())?;
        Some((PURPOSES[purpose], ticket))
    }
}

/// Microseconds since a time in ticks.
#[must_use]
pub fn microseconds_since(then: u64) -> u64 {
    strata_runtime::clock::to_microseconds(ticks().saturating_sub(then), ticks_a_second())
}
