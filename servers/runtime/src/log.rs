//! The defmt logger: each thread collects a frame beside its own ring and puts it in when it is whole.
//!
//! Nothing waits: a full ring counts a drop, and the log server is only signalled. Threads share nothing, so a
//! thread that is stopped in the middle of a frame (or restarted, after a fault) disturbs nobody.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use strata_protocol::logring::{LogRing, RECORD_MAX};
use strata_protocol::wire::{Frame, to_record};

use crate::{clock, thread};

/// A log page: the ring that the log server reads, and behind it the frame that the writer is making.
#[repr(C)]
struct LogPage {
    ring: LogRing,
    length: AtomicU32,
    frame: [AtomicU8; RECORD_MAX],
}

const _: () = assert!(size_of::<LogPage>() <= 4096);
const OVERFLOW: u32 = u32::MAX;

fn page() -> Option<&'static LogPage> {
    let page = thread::block().log_ring.load(Ordering::Relaxed) as *const LogPage;
    // SAFETY: the maker of the thread mapped a whole page at this address for the thread's life, or left 0; all
    // fields are atomic, zeros are valid, and the alignment of a page is enough.
    unsafe { page.as_ref() }
}

#[defmt::global_logger]
struct RingLogger;

// SAFETY: a frame is collected in the page of the thread that makes it. There are no interrupt handlers in a
// process, so a frame is never begun inside another one of the same thread; after a restart `acquire` starts anew.
unsafe impl defmt::Logger for RingLogger {
    fn acquire() {
        if let Some(page) = page() {
            page.length.store(0, Ordering::Relaxed);
        }
    }

    unsafe fn flush() {}

    unsafe fn release() {
        if let Some(page) = page() {
            page.finish();
        }
        signal();
    }

    unsafe fn write(bytes: &[u8]) {
        if let Some(page) = page() {
            page.append(bytes);
        }
    }
}

impl LogPage {
    fn append(&self, bytes: &[u8]) {
        let length = self.length.load(Ordering::Relaxed);
        let start = usize::try_from(length).unwrap_or(usize::MAX);
        let room = self.frame.get(start..).and_then(|rest| rest.get(..bytes.len()));
        let (Some(room), Ok(added)) = (room, u32::try_from(bytes.len())) else {
            self.length.store(OVERFLOW, Ordering::Relaxed);
            return;
        };
        room.iter().zip(bytes).for_each(|(slot, byte)| slot.store(*byte, Ordering::Relaxed));
        self.length.store(length + added, Ordering::Relaxed);
    }

    fn finish(&self) {
        let mut frame = [0; RECORD_MAX];
        let length = usize::try_from(self.length.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let Some(out) = frame.get_mut(..length) else {
            // Longer than a record can be: put what the ring is sure to refuse, so that it is counted.
            self.ring.put(&[0; RECORD_MAX + 1]);
            return;
        };
        out.iter_mut().zip(&self.frame).for_each(|(byte, slot)| *byte = slot.load(Ordering::Relaxed));
        self.ring.put(out);
    }
}

/// Puts a whole frame for the host tool into this thread's ring, behind what the thread has logged so far.
///
/// `false`: the ring was full and counted a drop, or the thread has none. The log server is told either way.
pub fn put_frame(frame: &Frame<'_>) -> bool {
    let put = leave_frame(frame);
    signal();
    put
}

/// Puts a whole frame into this thread's ring for which nobody waits: the log server finds it there, in its order, when
/// anybody's next record has it look.
///
/// `false`: as [`put_frame`].
pub fn leave_frame(frame: &Frame<'_>) -> bool {
    let mut buffer = [0; RECORD_MAX];
    page().zip(to_record(frame, &mut buffer).ok()).is_some_and(|(page, record)| page.ring.put(record))
}

fn signal() {
    let log = thread::block().log_signal.load(Ordering::Relaxed);
    if log != 0 {
        sel4_sys::seL4_Signal(log);
    }
}

defmt::timestamp!("{=u64:us}", clock::microseconds());
