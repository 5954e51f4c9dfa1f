//! The debug layer's ring as a client sees it: mapped read-only.

use core::sync::atomic::AtomicU64;

use bus_space::ring::{Next, REGION_PAGES, REGION_SIZE, Reader, Record, State};
use heapless::Vec;

use crate::agent::Agent;
use crate::case::{Failure, Outcome, ensure, fail};
use crate::names::DEBUG;
use crate::region::{PAGE, Region};

/// Records that a case takes at once.
pub(crate) const RECORDS_MAX: usize = 64;

/// The ring, mapped.
///
/// Holding one proves that the frames are mapped read-only in this process; they stay when the module goes.
pub(crate) struct Trace {
    reader: Reader<'static>,
    region: Region,
}

/// A layer's name in a mark: its first eight characters, the first in the low byte.
pub(crate) fn mark_text(value: u64) -> Vec<u8, 8> {
    value.to_le_bytes().into_iter().take_while(|byte| *byte != 0).collect()
}

impl Agent {
    /// Maps the ring of the debug layer.
    pub(crate) fn map_trace(&mut self) -> Outcome<Trace> {
        let region = self.map_region(DEBUG, REGION_PAGES)?;
        let address = usize::try_from(region.address).unwrap_or(0);
        let words = core::ptr::with_exposed_provenance::<AtomicU64>(address);
        // SAFETY: the pages have just been mapped there, one behind the other, and `unmap_trace` takes the reader away
        // before it unmaps them; the words are atomic and only loaded.
        let words = unsafe { core::slice::from_raw_parts(words, REGION_SIZE / 8) };
        let reader = Reader::new(words)
            .map_err(|error| Failure::new(format_args!("the region is no ring: {error:?}")))?;
        Ok(Trace { reader, region })
    }

    /// Unmaps the ring and gives its pages back.
    pub(crate) fn unmap_trace(&mut self, trace: Trace) -> Outcome {
        self.unmap_region(trace.region)
    }
}

impl Trace {
    /// What the writer says of itself.
    pub(crate) fn state(&self) -> Option<State> {
        self.reader.state()
    }

    /// Forgets what is recorded so far.
    pub(crate) fn skip(&mut self) {
        self.reader.skip_all();
    }

    /// The accesses of one device since the last call, by time, and the marks that layers have made of them; losses fail
    /// the case. The device's registers begin at `base` and fill no more than a page.
    pub(crate) fn take_of(&mut self, base: u64) -> Outcome<Vec<Record, RECORDS_MAX>> {
        self.take(|address| (base..base + PAGE).contains(&address))
    }

    /// The same, for registers at these addresses.
    pub(crate) fn take_at(&mut self, registers: &[u64]) -> Outcome<Vec<Record, RECORDS_MAX>> {
        self.take(|address| registers.contains(&address))
    }

    /// Whoever else is at work is in the ring, too: drivers on other cores among them. So a case says what it looks for.
    fn take(&mut self, wanted: impl Fn(u64) -> bool) -> Outcome<Vec<Record, RECORDS_MAX>> {
        let mut records = Vec::new();
        loop {
            match self.reader.next_by_time() {
                Next::Record(_, record) if wanted(record.address) => {
                    ensure!(records.push(record).is_ok(), "more records than expected");
                }
                Next::Record(..) => {}
                Next::Lost(count) => fail!("{count} records were lost"),
                Next::Empty => return Ok(records),
            }
        }
    }
}
