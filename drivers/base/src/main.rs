//! The base image: default bus_space accessors and the driver servers.
//!
//! What a link domain starts with. There is no `main`: the linker server reads the records, maps the segments, and
//! starts a thread at each server's entry and workers at the worker entry. [`records`] says who answers to each symbol.
#![no_std]
#![no_main]

mod log_exports;
mod packets;
mod records;
mod stubs;

use board::{device, has};
use kmod_api::kmod::records::{API_VERSION, BASE_MAGIC, BaseInfo, FORMAT_VERSION, ServerRecord, padded};
use selected_board::BOARD;
use strata_protocol::domain::ServerStart;

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

/// What a server is given.
enum Needs {
    /// No device.
    Nothing,
    /// The registers of the board's device of the server's name.
    Registers,
    /// Its registers and its interrupt.
    RegistersAndInterrupt,
}

const fn server(name: &'static str, entry: Entry, needs: Needs) -> ServerRecord<Entry> {
    let mut record = ServerRecord {
        name: padded(name),
        entry,
        device_paddr: 0,
        device_size: 0,
        irq: 0,
        flags: 0,
        reserved: [0; 16],
    };
    if !matches!(needs, Needs::Nothing) {
        let device = device(BOARD, name);
        record.device_paddr = device.registers.start;
        record.device_size = device.registers.size;
        if let (Needs::RegistersAndInterrupt, Some(irq)) = (needs, device.irq) {
            record.irq = irq;
        }
    }
    record
}

/// Servers of devices that not every board has: one, or none.
macro_rules! if_board_has {
    ($static:ident: $name:literal, $entry:path, $needs:expr) => {
        #[used]
        #[unsafe(link_section = ".modlink.server")]
        static $static: [ServerRecord<Entry>; has(BOARD, $name) as usize] = {
            const HAS: bool = has(BOARD, $name);
            const fn records<const N: usize>() -> [ServerRecord<Entry>; N] {
                [const { server($name, $entry, if HAS { $needs } else { Needs::Nothing }) }; N]
            }
            records()
        };
    };
}

if_board_has!(RTC: "rtc", driver_server::rtc::entry, Needs::Registers);
if_board_has!(SPI: "spi", driver_server::bare::entry, Needs::Registers);

#[used]
#[unsafe(link_section = ".modlink.server")]
static SERVERS: [ServerRecord<Entry>; 5] = [
    server("uart", driver_server::uart::entry, Needs::RegistersAndInterrupt),
    server("hole", driver_server::bare::entry, Needs::Registers),
    server("demo", driver_server::demo::entry, Needs::Nothing),
    server("demo2", driver_server::demo::entry, Needs::Nothing),
    server("bench", driver_server::bench::entry, Needs::Nothing),
];

/// The ELF entry point, which an executable must name. Nothing starts here.
#[unsafe(no_mangle)]
extern "C" fn strata_base_start() -> ! {
    unreachable!("the linker server starts threads at the entries in the records")
}
