//! `trace`: the debug layer's ring.

use core::sync::atomic::AtomicU64;

use bus_space::ring::{Next, REGION_PAGES, REGION_SIZE, Reader, Record, control};
use console_shell::command::DUMP_MAX;
use console_shell::{Failure, trace};
use heapless::HistoryBuf;
use selected_board::BOARD;
use strata_protocol::linker::Request;
use strata_protocol::{Errno, ModuleName};

use crate::session::Session;
use crate::shared::SharedPages;

/// The module that owns the ring.
const MODULE: &str = "bus_space_debug";

/// The ring while it is mapped.
pub(crate) struct Trace {
    pages: SharedPages<{ REGION_PAGES as usize }>,
    reader: Option<Reader<'static>>,
}

impl Default for Trace {
    fn default() -> Self {
        Self { pages: SharedPages::of(MODULE, 0), reader: None }
    }
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
        let base = self.pages.map(session, what)?;
        // SAFETY: the whole region has just been mapped there; it stays until `release`, which first forgets the
        // reader. Its words are only read, as atomics.
        let words = unsafe { core::slice::from_raw_parts(base as *const AtomicU64, REGION_SIZE / 8) };
        match Reader::new(words) {
            Ok(reader) => {
                self.reader = Some(reader);
                Ok(())
            }
            Err(error) => {
                self.pages.release(session);
                let why = format_args!("the ring is of another layout: {error:?}");
                Err(Failure::format(what, MODULE, Errno::EPROGMISMATCH, why))
            }
        }
    }

    fn release(&mut self, session: &mut Session) {
        self.reader = None;
        self.pages.release(session);
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
