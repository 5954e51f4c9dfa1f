//! `tap`: a listener of bpf(4), and the file of what it has captured.

use core::sync::atomic::{AtomicU64, Ordering};

use bpf::capture::{Kept, Packets};
use bpf::tap::{FILE_AT, REGION_MAGIC, REGION_PAGES, REGION_SIZE, control};
use bus_space::ring;
use console_shell::Failure;
use console_shell::tap::{Listen, header, microseconds, packet};
use strata_protocol::linker::{Reply, Request};
use strata_protocol::{Errno, ModuleName};

use crate::session::Session;
use crate::shared::SharedPages;

/// The module that listens.
const MODULE: &str = "bpf_tap";
/// Its pages are mapped behind the debug ring's.
const PAGES_AT: u64 = ring::REGION_SIZE as u64;

/// The console's listener.
pub(crate) struct Tap {
    listener: Option<u64>,
    pages: SharedPages<{ REGION_PAGES as usize }>,
}

impl Default for Tap {
    fn default() -> Self {
        Self { listener: None, pages: SharedPages::of(MODULE, PAGES_AT) }
    }
}

impl Tap {
    /// `tap on`: gives the tap the filter, and opens a listener.
    pub(crate) fn on(&mut self, session: &mut Session, listen: &Listen) -> Result<(), Failure> {
        let what = "tap on";
        if self.listener.is_some() {
            return Err(Failure::new(what, MODULE, Errno::EBUSY, "it listens already; `tap off` ends that"));
        }
        for (at, instruction) in (0..).zip(&listen.program) {
            control_tap(session, what, [control::PROGRAM, at, instruction.bits(), 0])?;
        }
        let (length, limits) = (listen.program.len() as u64, u64::from(listen.directions) << 32);
        let open = [control::OPEN, listen.interface.into(), length, limits | u64::from(listen.snap)];
        let [number, ..] = control_tap(session, what, open)?;
        self.listener = Some(number);
        session.line(format_args!("listening to interface {}", listen.interface));
        Ok(())
    }

    /// `tap off`: closes the listener, and says what it has seen.
    pub(crate) fn off(&mut self, session: &mut Session) -> Result<(), Failure> {
        let nobody = || Failure::new("tap off", MODULE, Errno::ENOENT, "nobody listens");
        let number = self.listener.take().ok_or_else(nobody)?;
        let [received, captured, dropped, ..] =
            control_tap(session, "tap off", [control::CLOSE, number, 0, 0])?;
        session.line(format_args!(
            "{received} packets received, {captured} captured, {dropped} dropped for want of room"
        ));
        Ok(())
    }

    /// `tap dump`: the last packets of the file, which stays until the next `tap on`.
    pub(crate) fn dump(&mut self, session: &mut Session, count: usize) -> Result<(), Failure> {
        let address = self.pages.map(session, "tap dump")?;
        let result = print(session, address, count);
        self.pages.release(session);
        result
    }
}

fn control_tap(session: &mut Session, what: &'static str, words: [u64; 4]) -> Result<[u64; 8], Failure> {
    match session.ask(what, &Request::Control { name: ModuleName::cut(MODULE), words })? {
        Reply::Words(words) => Ok(words),
        _ => Err(Failure::new(what, MODULE, Errno::EIO, "the tap's answer makes no sense")),
    }
}

/// Prints the last `count` packets of the file in the region that is mapped at `address`.
fn print(session: &mut Session, address: u64, count: usize) -> Result<(), Failure> {
    let fail = |errno, why| Failure::new("tap dump", MODULE, errno, why);
    // SAFETY: the whole region is mapped there until this function has returned; these words are only read, as atomics.
    let words = unsafe { &*(address as *const [AtomicU64; 2]) };
    let length = usize::try_from(words[1].load(Ordering::Acquire)).unwrap_or(usize::MAX);
    if words[0].load(Ordering::Relaxed) != REGION_MAGIC || length > REGION_SIZE - FILE_AT {
        return Err(fail(Errno::EPROGMISMATCH, "its pages are of another layout"));
    }
    if length == 0 {
        return Err(fail(Errno::ENOENT, "nothing has been captured; `tap on` listens"));
    }
    let at = (address + FILE_AT as u64) as *const u8;
    // SAFETY: as above; the tap does not write what it has published, until a listener is opened anew.
    let file = unsafe { core::slice::from_raw_parts(at, length) };
    let broken = |_| fail(Errno::EIO, "its file is none");
    let packets = Packets::new(file).map_err(broken)?;
    let (link_type, before) = (packets.link_type(), packets.clone().count().saturating_sub(count));
    // Writing into the line never fails.
    let _ = header(session);
    session.text(b"\r\n");
    let mut origin = None;
    for kept in packets.skip(before) {
        let kept: Kept<'_> = kept.map_err(broken)?;
        let origin = *origin.get_or_insert_with(|| microseconds(kept.time));
        let _ = packet(&kept, link_type, origin, session);
        session.text(b"\r\n");
    }
    if before != 0 {
        session.line(format_args!("{before} packets came before these"));
    }
    Ok(())
}
