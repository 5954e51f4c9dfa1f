//! The debug layer's ring, mapped read-only: nothing the console does can stall a driver.

use core::sync::atomic::AtomicU64;

use bus_space::ring::{Next, REGION_PAGES, REGION_SIZE, Reader, Record, control};
use console_shell::command::DUMP_MAX;
use console_shell::{Failure, trace};
use heapless::{HistoryBuf, Vec};
use selected_board::BOARD;
use strata_protocol::linker::Request;
use strata_protocol::start::region;
use strata_protocol::{Errno, ModuleName};
use strata_runtime::mapping::{Access, map_own};

use crate::session::Session;

/// The module that owns the ring.
const MODULE: &str = "bus_space_debug";
const PAGE_SIZE: u64 = 4096;

/// The ring while it is mapped.
#[derive(Default)]
pub(crate) struct Trace {
    frames: Vec<u64, { REGION_PAGES as usize }>,
    reader: Option<Reader<'static>>,
}

impl Trace {
    /// `trace on`: records from now on, and forgets what was recorded before.
    pub(crate) fn on(&mut self, session: &mut Session, device: &ModuleName) -> Result<(), Failure> {
        let (low, high) = if device.is_empty() {
            // The console's own line would fill the rings with the console's answers.
            let uart = BOARD.console.registers;
            (uart.start + uart.size, u64::MAX)
        } else {
            let unknown = || Failure::new("trace on", device, Errno::ENODEV, "no such device");
            let registers = BOARD.device(device).ok_or_else(unknown)?.registers;
            (registers.start, registers.start + registers.size - 1)
        };
        self.release(session);
        control_ring(session, "trace on", [control::FILTER, u64::MAX, low, high])?;
        control_ring(session, "trace on", [control::RUN, 0, 0, 0])?;
        self.map(session, "trace on")?;
        if let Some(reader) = &mut self.reader {
            reader.skip_all();
        }
        session.line(format_args!("recording accesses from {low:#x} to {high:#x}"));
        Ok(())
    }

    /// `trace off`: stops recording and gives the ring back.
    pub(crate) fn off(&mut self, session: &mut Session) -> Result<(), Failure> {
        let kept = self.reader.is_some();
        self.release(session);
        match control_ring(session, "trace off", [control::FREEZE, 0, 0, 0]) {
            // The module went first; its ring has just been given back.
            Err(_) if kept => Ok(()),
            result => result,
        }
    }

    /// `trace dump`: what was recorded since the last dump, or all that is there when recording is off.
    pub(crate) fn dump(&mut self, session: &mut Session, count: usize) -> Result<(), Failure> {
        let kept = self.reader.is_some();
        if !kept {
            self.map(session, "trace dump")?;
        }
        let mut last: HistoryBuf<Record, DUMP_MAX> = HistoryBuf::new();
        let (mut lost, mut frequency) = (0, 1);
        if let Some(reader) = &mut self.reader {
            frequency = reader.frequency();
            // Bounded, because drivers go on recording meanwhile.
            for _ in 0..REGION_SIZE / 64 {
                match reader.next_by_time() {
                    Next::Record(_, record) => last.write(record),
                    Next::Lost(records) => lost += records,
                    Next::Empty => break,
                }
            }
        }
        if !kept {
            self.release(session);
        }
        print(session, &last, count, frequency);
        if lost != 0 {
            session.line(format_args!("{lost} records were overwritten before they were read"));
        }
        Ok(())
    }

    fn map(&mut self, session: &mut Session, what: &'static str) -> Result<(), Failure> {
        let result = self.try_map(session, what);
        if result.is_err() {
            self.release(session);
        }
        result
    }

    fn try_map(&mut self, session: &mut Session, what: &'static str) -> Result<(), Failure> {
        let no_space = || Failure::new(what, MODULE, Errno::ENOMEM, "no address space is left");
        let base = session.start.region(region::FREE).ok_or_else(no_space)?.address;
        for page in 0..u32::from(REGION_PAGES) {
            let name = ModuleName::cut(MODULE);
            let frame = session.ask_for(what, &Request::MapShared { name, page })?;
            // There are as many places as pages.
            let _ = self.frames.push(frame);
            let address = base + u64::from(page) * PAGE_SIZE;
            map_own(session.ipc, &mut session.slots, frame, address, Access::Read).map_err(|error| {
                let why = format_args!("the ring cannot be mapped: {error:?}");
                Failure::format(what, MODULE, Errno::EIO, why)
            })?;
        }
        // SAFETY: the whole region has just been mapped there; it stays until `release`, which first forgets the
        // reader. Its words are only read, as atomics.
        let words = unsafe { core::slice::from_raw_parts(base as *const AtomicU64, REGION_SIZE / 8) };
        let reader = Reader::new(words).map_err(|error| {
            let why = format_args!("the ring is of another layout: {error:?}");
            Failure::format(what, MODULE, Errno::EPROGMISMATCH, why)
        })?;
        self.reader = Some(reader);
        Ok(())
    }

    fn release(&mut self, session: &mut Session) {
        self.reader = None;
        if self.frames.is_empty() {
            return;
        }
        while let Some(frame) = self.frames.pop() {
            // Deleting a frame's capability also unmaps it.
            if let Err(error) = session.slots.delete(session.ipc, frame) {
                defmt::warn!("slot {=u64}: {}", frame, error);
            }
        }
        let name = ModuleName::cut(MODULE);
        if session.ask("trace", &Request::ReleaseShared { name }).is_err() {
            defmt::warn!("the ring was not released");
        }
    }
}

fn control_ring(session: &mut Session, what: &'static str, words: [u64; 4]) -> Result<(), Failure> {
    session.ask(what, &Request::Control { name: ModuleName::cut(MODULE), words }).map(|_| ())
}

fn print(session: &mut Session, records: &HistoryBuf<Record, DUMP_MAX>, count: usize, frequency: u64) {
    let mut shown = records.oldest_ordered().skip(records.len().saturating_sub(count)).peekable();
    let origin = shown.peek().map_or(0, |record| record.start);
    // Writing into the line never fails.
    let _ = trace::header(session);
    session.text(b"\r\n");
    for record in shown {
        let _ = trace::record(record, origin, frequency, session);
        session.text(b"\r\n");
    }
}
