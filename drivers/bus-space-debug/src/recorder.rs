//! From a call to a record: the shared region, the pass-through switch, and the per-thread guard.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use bus_space::ring::{Geometry, REGION_SIZE, RINGS_MAX, Record, Ticket, Writer, flag};
use bus_space::{BusHandle, BusTag, Op, Space, Width};
use kmod_api::Errno;
use kmod_api::module::Outcome;
use kmod_api::symbols::bus_space_address;
use kmod_api::thread;

/// The one recorder of this module.
pub(crate) static RECORDER: Recorder = Recorder {
    region: AtomicPtr::new(core::ptr::null_mut()),
    passing: AtomicBool::new(true),
    calls: AtomicU64::new(0),
    guards: [const { Guard(AtomicU64::new(0)) }; RINGS_MAX],
};

/// What one call says of itself.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    pub(crate) tag: BusTag,
    pub(crate) handle: BusHandle,
    pub(crate) offset: u64,
    pub(crate) op: Op,
    pub(crate) width: u8,
    pub(crate) count: u64,
    /// What is known before the access: the value written.
    pub(crate) value: u64,
    pub(crate) flags: u16,
}

impl Access {
    /// One element of `width` at `offset`.
    pub(crate) const fn single(tag: BusTag, handle: BusHandle, offset: u64, op: Op, width: Width) -> Self {
        Self { tag, handle, offset, op, width: width as u8, count: 1, value: 0, flags: 0 }
    }
}

/// An access that is being recorded; only this module's own entrance makes one.
pub(crate) struct Recording {
    ticket: Ticket,
    writer: Writer<'static>,
    guard: &'static Guard,
    start: u64,
    /// Bus errors of the thread before the access.
    errors: u64,
}

/// The run in which a thread is in this layer, plus one; 0 while it is not. A run that has ended in a fault leaves its
/// mark, and the thread's next run does not mistake it for its own.
///
/// A layer below may call the top of the stack again. Such a nested call is passed on without a record of its own:
/// otherwise a layer that called back at each record would fill the ring with itself. Each guard belongs to one thread.
struct Guard(AtomicU64);

impl Guard {
    fn is_taken(&self) -> bool {
        self.0.load(Ordering::Relaxed) == u64::from(thread::run()) + 1
    }

    fn take(&self) {
        self.0.store(u64::from(thread::run()) + 1, Ordering::Relaxed);
    }

    fn give_back(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

pub(crate) struct Recorder {
    region: AtomicPtr<AtomicU64>,
    passing: AtomicBool,
    calls: AtomicU64,
    guards: [Guard; RINGS_MAX],
}

impl Recorder {
    /// Takes the shared region and makes it an empty ring.
    pub(crate) fn attach(&self, address: u64, size: u64, seed: u64) -> Outcome {
        if address == 0 || !address.is_multiple_of(8) || size < REGION_SIZE as u64 {
            return Err(Errno::ENOMEM);
        }
        let address = usize::try_from(address).map_err(|_| Errno::ERANGE)?;
        self.region.store(core::ptr::with_exposed_provenance_mut(address), Ordering::Release);
        let writer = self.writer().ok_or(Errno::ENOMEM)?;
        writer.format(Geometry { frequency: thread::counter_frequency(), seed, boot_id: thread::counter() });
        Ok(())
    }

    /// Forgets the region.
    pub(crate) fn detach(&self) {
        self.region.store(core::ptr::null_mut(), Ordering::Release);
    }

    /// The ring's writing side while the module has a region.
    pub(crate) fn writer(&self) -> Option<Writer<'static>> {
        let region = self.region.load(Ordering::Acquire);
        if region.is_null() {
            return None;
        }
        // SAFETY: `attach` stored the address of a region of at least this size that the linker server mapped
        // read-write for this module; it stays mapped until the module is unmapped, and its words are atomic.
        let words = unsafe { core::slice::from_raw_parts(region, REGION_SIZE / 8) };
        Writer::new(words)
    }

    /// Passes every call through without a record, or records.
    pub(crate) fn set_passing(&self, passing: bool) {
        self.passing.store(passing, Ordering::Release);
    }

    /// Calls that this layer has served.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Records the start of an access; `None` when it leaves no record.
    #[inline]
    pub(crate) fn begin(&'static self, access: &Access) -> Option<Recording> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.passing.load(Ordering::Relaxed) {
            return None;
        }
        let writer = self.writer()?;
        let thread = thread::id();
        let guard = self.guards.get(thread as usize % RINGS_MAX)?;
        if thread as usize >= RINGS_MAX {
            // The writer counts threads that have no ring.
            let _ = writer.begin(record_of(access, thread, 0, 0));
            return None;
        }
        if guard.is_taken() {
            return None;
        }
        let caller = thread::caller();
        let start = thread::counter();
        let ticket = writer.begin(record_of(access, thread, caller, start))?;
        guard.take();
        Some(Recording { ticket, writer, guard, start, errors: thread::bus_error_count() })
    }

    /// Records something that is no access: a mark.
    pub(crate) fn mark(&self, op: Op, address: u64, value: u64) {
        let Some(writer) = self.writer() else { return };
        let record = Record {
            start: thread::counter(),
            address,
            value,
            caller: thread::caller(),
            op: op as u8,
            thread: thread::id(),
            ..Record::default()
        };
        if let Some(ticket) = writer.begin(record) {
            writer.complete(ticket, value, 0, 0, 0);
        }
    }

    /// Whether marks are wanted now.
    pub(crate) fn is_passing(&self) -> bool {
        self.passing.load(Ordering::Relaxed)
    }
}

impl Recording {
    /// Completes the record. The status is what the call returned, or else that of a bus error during the access.
    #[inline]
    pub(crate) fn end(self, value: u64, returned: Option<i32>, flags: u16) {
        let duration = thread::counter().wrapping_sub(self.start);
        let status = returned.unwrap_or_else(|| {
            if thread::bus_error_count() == self.errors { 0 } else { thread::bus_status() }
        });
        self.guard.give_back();
        self.writer.complete(self.ticket, value, duration, status, flags);
    }

    /// Whether elements of multi and region calls are wanted.
    pub(crate) fn wants_data(&self) -> bool {
        self.writer.data()
    }
}

fn record_of(access: &Access, thread: u32, caller: u64, start: u64) -> Record {
    let space = match access.tag.space() {
        Space::Memory => 0,
        Space::Io => flag::IO_SPACE,
    };
    Record {
        start,
        address: address_of(access.tag, access.handle, access.offset),
        value: access.value,
        caller,
        count: u32::try_from(access.count).unwrap_or(u32::MAX),
        op: access.op as u8,
        width: access.width,
        flags: access.flags | space,
        tag: access.tag.id(),
        pe: 0,
        thread,
        duration: 0,
        status: 0,
    }
}

/// The bus address of an access, or the virtual one outside every device.
pub(crate) fn address_of(tag: BusTag, handle: BusHandle, offset: u64) -> u64 {
    // SAFETY: the base image's export takes any handle.
    let base = unsafe { bus_space_address(tag, handle) };
    if base == u64::MAX { handle.at(tag, offset) } else { base.wrapping_add(offset << tag.stride_shift()) }
}
