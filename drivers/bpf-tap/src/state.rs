//! What all calls share, behind one lock: listeners, the list of attachments, the file.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use bpf::capture::{LINK_TYPES, Time};
use bpf::filter::STORED_MAX;
use bpf::registry::{ATTACHMENT_WORDS, ATTACHMENTS_MAX};
use bpf::tap::{Counters, OpenError, Wanted, Words};
use bpf::{Attachment, Instruction, Packet, Tap};
use kmod_api::lock::Lock;
use kmod_api::symbols::bpf_attachments;
use kmod_api::{Errno, thread};

use crate::outlet::Outlet;

/// The event by which the lock is handed over: the registry's own in the base image is another.
const LOCK_EVENT: u32 = 3;

/// Attachments that a copy of the list has room for.
const ROOM: u32 = 16;
const _: () = assert!(ROOM as usize == ATTACHMENTS_MAX);

static STATE: Lock<State> = Lock::new(
    LOCK_EVENT,
    State {
        tap: Tap::new(),
        outlet: Outlet::NOWHERE,
        program: [Instruction::new(0, 0); STORED_MAX],
        passing: true,
        first: 0,
        started: 0,
        seen: Counters { received: 0, captured: 0, dropped: 0 },
    },
);

/// See the file's head.
pub(crate) struct State {
    pub(crate) tap: Tap,
    outlet: Outlet,
    /// The program that the next listener gets.
    program: [Instruction; STORED_MAX],
    /// Packets are not looked at: before START, and from CATCH on.
    passing: bool,
    /// The registry's generation at INIT, and at START.
    first: u64,
    started: u64,
    /// What listeners have seen that are closed.
    seen: Counters,
}

/// Runs with the state; EDEADLK from inside of itself.
pub(crate) fn with<T>(body: impl FnOnce(&mut State) -> Result<T, Errno>) -> Result<T, Errno> {
    STATE.with(body).unwrap_or(Err(Errno::EDEADLK))
}

impl State {
    /// INIT: takes the region and the recorded attachments over. Refuses a link type that no capture file can carry.
    pub(crate) fn begin(&mut self, address: u64, size: u64) -> Result<(), Errno> {
        self.outlet.attach(address, size)?;
        self.first = self.sync();
        if self.tap.attachments().iter().any(|attachment| attachment.link_type >= LINK_TYPES) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    /// START: what was attached since INIT is on the list, too.
    pub(crate) fn start(&mut self) {
        self.started = self.sync();
        self.passing = false;
    }

    /// CATCH: nobody is heard from now on, and no driver has to ask.
    pub(crate) fn pass_through(&mut self) {
        self.sync();
        self.passing = true;
        set(&self.tap.quiet());
    }

    /// UNCATCH.
    pub(crate) fn resume(&mut self) {
        self.sync();
        self.passing = false;
        set(&self.tap.words());
    }

    /// Whether packets are looked at.
    pub(crate) const fn is_passing(&self) -> bool {
        self.passing
    }

    /// EBUSY while somebody listens.
    pub(crate) fn closable(&mut self) -> Result<(), Errno> {
        if self.tap.open_count() == 0 { Ok(()) } else { Err(Errno::EBUSY) }
    }

    /// Copies the registry's list if it has changed; its generation.
    pub(crate) fn sync(&mut self) -> u64 {
        // SAFETY: without room nothing is written.
        let generation = unsafe { bpf_attachments(ptr::null_mut(), 0, ptr::null_mut()) };
        if self.tap.is_current(generation) {
            return generation;
        }
        let mut words = [0; ATTACHMENTS_MAX * ATTACHMENT_WORDS];
        let mut count = 0;
        // SAFETY: there is room for so many attachments.
        let generation = unsafe { bpf_attachments(words.as_mut_ptr(), ROOM, &raw mut count) };
        let (list, _) = words.as_chunks();
        let list = list.iter().take(usize::try_from(count).unwrap_or(0)).copied();
        let mut attachments = [Attachment::NONE; ATTACHMENTS_MAX];
        let taken = attachments.iter_mut().zip(list).map(|(to, words)| *to = Attachment::from_words(words));
        let count = taken.count();
        self.tap.take_over(generation, &attachments[..count]);
        generation
    }

    /// CONTROL PROGRAM.
    pub(crate) fn set_instruction(&mut self, at: u64, instruction: Instruction) -> Result<(), Errno> {
        let place = usize::try_from(at).ok().and_then(|at| self.program.get_mut(at));
        *place.ok_or(Errno::ERANGE)? = instruction;
        Ok(())
    }

    /// CONTROL OPEN: opens a listener with the first `length` instructions of the program; its number.
    pub(crate) fn open(&mut self, interface: u64, length: u64, limits: u64) -> Result<u64, Errno> {
        if self.passing {
            return Err(Errno::EBUSY);
        }
        self.sync();
        let program = usize::try_from(length).ok().and_then(|length| self.program.get(..length));
        let (snap, directions) = (limits & 0xffff_ffff, limits >> 32);
        let small = |value: u64| u32::try_from(value).map_err(|_| Errno::ERANGE);
        let wanted = Wanted {
            interface: small(interface)?,
            program: program.ok_or(Errno::E2BIG)?,
            snap: small(snap)?,
            directions: small(directions)?,
        };
        let first = self.tap.open_count() == 0;
        let (number, words) = self.tap.open(wanted).map_err(|error| match error {
            OpenError::TooMany => Errno::ENOMEM,
            OpenError::NoInterface => Errno::ENODEV,
            OpenError::TooLong => Errno::E2BIG,
            OpenError::LinkType | OpenError::Program(_) | OpenError::Senseless => Errno::EINVAL,
        })?;
        if first && let Some(link_type) = self.tap.link_type() {
            self.outlet.begin(link_type)?;
        }
        set(&words);
        Ok(number as u64)
    }

    /// CONTROL CLOSE: closes a listener; what it has received, captured, dropped.
    pub(crate) fn close(&mut self, number: u64) -> Result<[u64; 3], Errno> {
        self.sync();
        let number = usize::try_from(number).map_err(|_| Errno::ERANGE)?;
        let (counters, words) = self.tap.close(number).ok_or(Errno::ENOENT)?;
        if !self.passing {
            set(&words);
        }
        self.seen.received += counters.received;
        self.seen.captured += counters.captured;
        self.seen.dropped += counters.dropped;
        Ok([counters.received, counters.captured, counters.dropped])
    }

    /// A packet of an attachment.
    pub(crate) fn packet(&mut self, attachment: u64, packet: &Packet<'_>, direction: u32) {
        if self.passing {
            return;
        }
        self.sync();
        let time = Time::of_ticks(thread::counter(), thread::counter_frequency());
        let tap = &mut self.tap;
        self.outlet.append(|file| tap.deliver(attachment, packet, direction, time, file));
    }

    /// STAT: attachments, open listeners; what closed listeners have received, captured, dropped; bytes of the file; the
    /// registry's generations at INIT and at START.
    pub(crate) fn stat(&mut self) -> [u64; 8] {
        self.sync();
        let Counters { received, captured, dropped } = self.seen;
        let (attachments, open) = (self.tap.attachments().len() as u64, self.tap.open_count() as u64);
        let length = self.outlet.length() as u64;
        [attachments, open, received, captured, dropped, length, self.first, self.started]
    }
}

/// Sets drivers' words.
pub(crate) fn set(words: &Words) {
    for word in words {
        let Ok(at) = usize::try_from(word.at) else { continue };
        let at = core::ptr::with_exposed_provenance_mut::<u64>(at);
        // SAFETY: a driver that attaches promises that its word stays, aligned and changed as a whole only, for as long
        // as its link domain does.
        let at = unsafe { AtomicU64::from_ptr(at) };
        at.store(word.value, Ordering::Release);
    }
}
