//! Merges the log rings of all servers and link-domain threads onto the serial line, as frames for a host tool.
//!
//! It is the only reader of every ring. Where nobody decodes frames (no host tool), it empties the rings so that
//! drop counts mean something, and writes nothing.
#![no_std]
#![no_main]

mod sink;

use heapless::Vec;
use strata_protocol::caps::slot;
use strata_protocol::linker::{Reply, Request};
use strata_protocol::logring::{LogRing, RECORD_MAX};
use strata_protocol::start::{StartInfo, region};
use strata_protocol::streams;
use strata_protocol::wire::{Frame, from_record};
use strata_runtime::ipc::call_for_capability;
use strata_runtime::mapping::{Access, map_own};
use strata_runtime::slots::Slots;
use strata_runtime::{Ipc, entry};

use crate::sink::Sink;

entry!(main);

/// The most rings that are read.
const RINGS_MAX: usize = 64;
/// Records taken from one ring before the next one has its turn.
const TURN_MAX: usize = 16;
/// From one mapped ring to the next.
const STRIDE: u64 = 0x2000;

/// A ring and who writes to it.
struct Source {
    stream: u16,
    ring: &'static LogRing,
    dropped: u32,
}

fn main(start: &'static StartInfo, ipc: &'static mut Ipc) -> ! {
    let mut sources: Vec<Source, RINGS_MAX> = Vec::new();
    for region in start.regions.iter().filter(|region| region.kind == region::LOG_RING) {
        // SAFETY: the root task maps the ring's page for the life of the process.
        unsafe { add(&mut sources, region.data, region.address) };
    }
    let mut slots = Slots::new(start);
    let sink = Sink::open(start, ipc, &mut slots);
    drain(&mut sources, sink, ipc);
    link_domain_rings(&mut sources, start, ipc, &mut slots);
    defmt::info!("{=usize} log rings", sources.len());
    loop {
        drain(&mut sources, sink, ipc);
        ipc.seL4_Wait(slot::NOTIFICATION);
    }
}

/// # Safety
/// A page that stays mapped lies at the address.
unsafe fn add(sources: &mut Vec<Source, RINGS_MAX>, stream: u32, address: u64) {
    let stream = u16::try_from(stream).unwrap_or(u16::MAX);
    // SAFETY: the caller vouches for a page; all fields of a ring are atomic, and every content is valid.
    let ring = unsafe { &*(address as *const LogRing) };
    if sources.push(Source { stream, ring, dropped: 0 }).is_err() {
        defmt::warn!("no room for the ring of stream {=u16}", stream);
    }
}

/// Asks the linker server for the rings of the threads it has made.
fn link_domain_rings(
    sources: &mut Vec<Source, RINGS_MAX>,
    start: &StartInfo,
    ipc: &mut Ipc,
    slots: &mut Slots,
) {
    let Some(free) = start.region(region::FREE) else { return };
    for index in 0_u32.. {
        let Some(frame) = slots.take() else { return };
        let answer = call_for_capability(ipc, slot::LINKER, &Request::LogRing { index }, frame);
        let Ok((Reply::Capability { stream, .. }, true)) = answer else {
            slots.give_back(frame);
            return;
        };
        let address = free.address + u64::from(index) * STRIDE;
        match map_own(ipc, slots, frame, address, Access::ReadWrite) {
            // SAFETY: the ring has just been mapped there, and this process never unmaps it.
            Ok(()) => unsafe { add(sources, stream, address) },
            Err(error) => defmt::warn!("ring {=u32}: {}", index, error),
        }
    }
}

/// Writes out everything that is in the rings, in turns.
///
/// The linker server says in its own ring which log indices a module has, before any code of the module runs. So
/// what the linker server has written goes out before each record of a link-domain thread: a host tool then knows the
/// strings of every line that it reads. The record is taken first; whatever it needs was written before it.
fn drain(sources: &mut [Source], sink: Sink, ipc: &mut Ipc) {
    let mut buffer = [0; RECORD_MAX];
    let linker = sources.iter().position(|source| source.stream == streams::LINKER);
    // Who writes a record signals behind it, so that what comes meanwhile is another turn of the server's loop.
    let mut more = true;
    while more {
        more = false;
        for index in 0..sources.len() {
            let mut turns = 0..TURN_MAX;
            while turns.next().is_some()
                && let Some(bytes) = sources[index].ring.take(&mut buffer)
            {
                more |= turns.is_empty();
                if sources[index].stream >= streams::LINK_DOMAIN
                    && let Some(linker) = linker
                {
                    write_all(&sources[linker], sink, ipc);
                }
                write_record(sources[index].stream, bytes, sink, ipc);
            }
            let Source { stream, ring, dropped: told } = &mut sources[index];
            let dropped = ring.dropped();
            if dropped != *told {
                let count = dropped.wrapping_sub(*told);
                *told = dropped;
                sink.write(ipc, &Frame::LogDropped { stream: *stream, count });
            }
        }
    }
}

/// Writes out one ring. It ends, since the ring's writer is not more urgent for ever.
fn write_all(source: &Source, sink: Sink, ipc: &mut Ipc) {
    let mut buffer = [0; RECORD_MAX];
    while let Some(bytes) = source.ring.take(&mut buffer) {
        write_record(source.stream, bytes, sink, ipc);
    }
}

/// Writes out one record.
fn write_record(stream: u16, bytes: &[u8], sink: Sink, ipc: &mut Ipc) {
    sink.write(ipc, &from_record(bytes).unwrap_or(Frame::Log { stream, bytes }));
}
