//! Calls that take too long: a driver server that does not come back from a layer is taken out of it.
//!
//! ```text
//! watchdog ─ beat ─► has a driver server been running all the time, in one request, for CALL_MS_MAX?
//!                      │ yes: stay above it, and look SAMPLES times, a millisecond or two apart
//!                      ▼
//!                    which entrances were in every sample? the innermost is the call that does not return
//!                      │ a sample finds it in that module's own text
//!                      ▼
//!                    suspended, and as if it had faulted there: the module is popped, the call returns its fault value
//! ```
//! A layer that loops by calling those below is told from them, because they are left between two samples and it is not.
//! A thread that is blocked takes no time: it is found at a system call that may block, and is left alone. On another core
//! the call is not enough: a thread that has been stalled on its way into the kernel stands there, too.

use crate::deadlines::Purpose;
use crate::faults::Fault;
use crate::linker::{Linker, sight};
use core::sync::atomic::Ordering;
use heapless::Vec;
use linker_core::ModuleId;
use linker_space::asm::{ticks, ticks_a_second};
use linker_space::look::{ENTRANCES_MAX, Entrance, entrances};
use linker_space::thread::{Role, THREADS_MAX};
use linker_space::watchdog::{self, BEAT_MS};
use linker_unwind::Code;
use sel4_sys::abi::syscall;
use sel4_sys::seL4_UserContext;
use strata_protocol::caps::priority;
use strata_protocol::domain::slot;

/// How long a driver server may work on one request, in milliseconds.
pub const CALL_MS_MAX: u32 = 200;
/// Beats in that time.
const BEATS_MAX: u32 = CALL_MS_MAX / BEAT_MS;
/// Looks that decide which call it is.
const SAMPLES: u32 = 32;
/// Two of them are this many a second apart, at the least.
const SAMPLES_A_SECOND: u64 = 1000;
/// Looks after which the thread is taken out wherever it stands.
const SAMPLES_MAX: u32 = 4 * SAMPLES;
/// The instruction `svc #0`.
const SVC: u32 = 0xd400_0001;

/// What is known of a thread from beat to beat.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Requests that it had taken.
    served: u64,
    /// Beats at which it was running in the same request.
    beats: u32,
}

/// A thread that has used up its budget.
#[derive(Clone, Debug)]
struct Suspect {
    thread: usize,
    served: u64,
    samples: u32,
    /// The entrances that every sample has found, the outermost first; none before the first sample.
    common: Option<Vec<Entrance, ENTRANCES_MAX>>,
}

/// Who has been running.
#[derive(Clone, Debug)]
pub struct Watch {
    runs: [Run; THREADS_MAX],
    suspect: Option<Suspect>,
}

impl Watch {
    /// Nobody.
    pub const NOBODY: Self = Self { runs: [Run { served: 0, beats: 0 }; THREADS_MAX], suspect: None };
}

/// What to do with a suspect after a sample.
enum Verdict {
    /// Look again.
    Again,
    /// It has come back, or it is not in a module.
    Innocent,
    /// It does not come back from this module.
    Loops(ModuleId),
}

/// When to look next: not after the same time each time, or a loop would be found at the same place in each of its turns.
fn next_sample() -> u64 {
    let (now, between) = (ticks(), ticks_a_second() / SAMPLES_A_SECOND);
    // The high bits of the product with 2^64 divided by the golden ratio are spread evenly.
    let scattered = now.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    now + between + scattered % between.max(1)
}

/// Whether the system call that a thread of the link domain stands at may block it.
fn may_block(registers: &seL4_UserContext) -> bool {
    let number = registers.x7.cast_signed();
    let sends = matches!(number, syscall::CALL | syscall::SEND);
    syscall::may_block(number) && (!sends || slot::is_endpoint(registers.x0))
}

impl Linker<'_> {
    /// The watchdog has woken us, perhaps.
    pub fn beat(&mut self) {
        if !watchdog::beaten() || self.watch.suspect.is_some() {
            return;
        }
        let mut watching = false;
        let mut over = None;
        for at in 0..self.space.threads.len() {
            let thread = &self.space.threads[at];
            if !matches!(thread.role, Role::Server(_)) || thread.dead {
                continue;
            }
            let served = thread.page.thread_block().served.load(Ordering::Relaxed);
            let running = self.is_running(at);
            let run = &mut self.watch.runs[at];
            let beats = if running && run.served == served { run.beats + 1 } else { u32::from(running) };
            *run = Run { served, beats };
            watching |= beats > 0;
            if beats > BEATS_MAX {
                over = Some((at, served));
            }
        }
        watchdog::watch(watching);
        match over {
            Some((thread, served)) => {
                self.watch.suspect = Some(Suspect { thread, served, samples: 0, common: None });
                self.rest_at(priority::RAISED);
                self.sample();
            }
            // The watchdog may have raised us.
            None => self.rest_at(priority::LINKER),
        }
    }

    /// Whether a thread executes, or would if nobody more urgent did: whoever is blocked stands at a system call that
    /// may block.
    fn is_running(&mut self, at: usize) -> bool {
        let thread = &self.space.threads[at];
        let parked = self.parked.iter().any(|parked| parked.thread == thread.number);
        let Ok(registers) = thread.registers(self.objects) else { return false };
        let blocked = sight!(self).instruction(registers.pc) == Some(SVC) && may_block(&registers);
        !parked && !blocked
    }

    /// Looks at the suspect.
    pub fn sample(&mut self) {
        let Some(suspect) = self.watch.suspect.take() else { return };
        let at = suspect.thread;
        match self.judge(suspect) {
            Verdict::Again => return self.deadlines.set_at(Purpose::Sample, next_sample(), 0),
            Verdict::Innocent => {}
            Verdict::Loops(module) => self.take_out(at, module),
        }
        self.watch.runs[at].beats = 0;
        self.rest_at(priority::LINKER);
    }

    fn judge(&mut self, mut suspect: Suspect) -> Verdict {
        let at = suspect.thread;
        let thread = &self.space.threads[at];
        if thread.page.thread_block().served.load(Ordering::Relaxed) != suspect.served || !self.is_running(at)
        {
            return Verdict::Innocent;
        }
        let thread = &self.space.threads[at];
        let seen = entrances(self.objects, thread, &sight!(self), self.scratch).ok().flatten();
        suspect.samples += 1;
        let samples = suspect.samples;
        if let Some(seen) = &seen {
            let common = suspect.common.get_or_insert_with(|| seen.clone());
            let same = common.iter().zip(seen).take_while(|(a, b)| a == b).count();
            common.truncate(same);
        }
        let innermost =
            suspect.common.as_ref().and_then(|common| common.last()).map(|entrance| entrance.module);
        let in_it = seen.and_then(|seen| seen.last().map(|entrance| entrance.module)) == innermost;
        match innermost {
            // The driver itself takes its time, or another layer each time that it is looked at.
            None if suspect.common.is_some() || samples >= SAMPLES_MAX => {
                defmt::warn!("thread {=usize} has used up its budget, and no layer is to blame", at);
                Verdict::Innocent
            }
            Some(module)
                if samples >= SAMPLES_MAX && self.suspend(at)
                    || samples >= SAMPLES && in_it && self.stops_in(at, module) =>
            {
                Verdict::Loops(module)
            }
            _ => {
                self.watch.suspect = Some(suspect);
                Verdict::Again
            }
        }
    }

    /// Whether a thread stands in a module's own text, from where it can be made to return.
    fn executes_in(&mut self, at: usize, module: ModuleId) -> bool {
        let pc = self.space.threads[at].pc(self.objects);
        let text =
            |pc| self.link.module(module).is_ok_and(|known| known.facts.text_contains(linker_core::Va(pc)));
        pc.is_ok_and(text) && self.leads_out(at, module)
    }

    fn suspend(&mut self, at: usize) -> bool {
        self.space.threads[at].suspend(self.objects).is_ok()
    }

    /// Suspends a thread if it stands in a module's own text. One of another core runs on between two looks, so that it
    /// is suspended before the last of them.
    fn stops_in(&mut self, at: usize, module: ModuleId) -> bool {
        // It is not blocked, so that nothing is cancelled by this; its client goes on waiting for it.
        if !self.executes_in(at, module) || !self.suspend(at) {
            return false;
        }
        let stands = self.executes_in(at, module);
        if !stands && self.space.threads[at].resume(self.objects).is_err() {
            defmt::error!("thread {=usize} does not go on", at);
        }
        stands
    }

    /// Has a thread that is suspended leave a module.
    fn take_out(&mut self, at: usize, module: ModuleId) {
        let thread = &self.space.threads[at];
        let pc = thread.pc(self.objects).unwrap_or(0);
        defmt::warn!("thread {=usize} does not come back: it is taken out at {=u64:#x}", at, pc);
        let fault = Fault::overrun(pc);
        self.server_faulted(at, &fault, Some(module));
    }

    /// Sets the priority at which the linker server waits and works.
    fn rest_at(&mut self, priority: u64) {
        if self.objects.rest_at(priority).is_err() {
            defmt::error!("the linker server cannot change its priority");
        }
    }
}
