//! The base image: default bus_space accessors and the driver servers.
//!
//! What a link domain starts with. There is no `main`: the linker server reads the records, maps the segments, and
//! starts a thread at each server's entry and workers at the worker entry. [`records`] says who answers to each symbol.
#![no_std]
#![no_main]

mod log_exports;
mod records;
mod stubs;

use kmod_api::kmod::records::{API_VERSION, BASE_MAGIC, BaseInfo, FORMAT_VERSION, ServerRecord, padded};
use strata_protocol::domain::ServerStart;

/// The devices of the board that this base image drives: physical address, size, interrupt.
mod devices {
    /// The PL011 that is also the console.
    pub(super) const UART: (u64, u64, u32) = (0x0900_0000, 0x1000, 33);
    /// The PL031.
    pub(super) const RTC: (u64, u64, u32) = (0x0901_0000, 0x1000, 0);
    /// A hole in the memory map, to show what a bus error does.
    pub(super) const HOLE: (u64, u64, u32) = (0x0b00_0000, 0x1000, 0);
    /// No device.
    pub(super) const NONE: (u64, u64, u32) = (0, 0, 0);
}

/// An address that the static linker fills in.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Address(*const ());

// SAFETY: the address is only ever read, by the linker server from the file.
unsafe impl Sync for Address {}

unsafe extern "C" {
    static strata_fixup_begin: u8;
    static strata_fixup_end: u8;
}

#[used]
#[unsafe(link_section = ".modlink.base")]
static BASE: BaseInfo<Address> = BaseInfo {
    magic: BASE_MAGIC,
    format: FORMAT_VERSION,
    api: API_VERSION,
    flags: 0,
    version: 1,
    reserved: 0,
    build_id: 0,
    worker_entry: Address(driver_server::worker::entry as *const ()),
    fixup_begin: Address((&raw const strata_fixup_begin).cast()),
    fixup_end: Address((&raw const strata_fixup_end).cast()),
    name: padded("base"),
    reserved_tail: [0; 8],
};

type Entry = unsafe extern "C" fn(*const ServerStart) -> !;

const fn server(name: &str, entry: Entry, device: (u64, u64, u32)) -> ServerRecord<Entry> {
    ServerRecord {
        name: padded(name),
        entry,
        device_paddr: device.0,
        device_size: device.1,
        irq: device.2,
        flags: 0,
        reserved: [0; 16],
    }
}

#[used]
#[unsafe(link_section = ".modlink.server")]
static SERVERS: [ServerRecord<Entry>; 6] = [
    server("uart", driver_server::uart::entry, devices::UART),
    server("rtc", driver_server::rtc::entry, devices::RTC),
    server("hole", driver_server::hole::entry, devices::HOLE),
    server("demo", driver_server::demo::entry, devices::NONE),
    server("demo2", driver_server::demo::entry, devices::NONE),
    server("bench", driver_server::bench::entry, devices::NONE),
];

/// The ELF entry point, which an executable must name. Nothing starts here.
#[unsafe(no_mangle)]
extern "C" fn strata_base_start() -> ! {
    unreachable!("the linker server starts threads at the entries in the records")
}
