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

use bcm_gpio::BcmGpio;
use bcm_mailbox::Mailbox;
use bcm_rng::BcmRng;
use bcm_rng200::Rng200;
use bcm_spi::Spi0;
use bcm_systimer::SystemTimer;
use board::{Device as BoardDevice, device, of_kind};
use bsc_i2c::Controller as BscI2c;
use bus_space::windows;
use driver_server::device::entry;
use kmod_api::bus::Device;
use kmod_api::kmod::SERVERS_MAX;
use kmod_api::kmod::records::{
    API_VERSION, BASE_MAGIC, BaseInfo, FORMAT_VERSION, SERVER_MEMORY, ServerRecord, padded,
};
use mini_uart::MiniUart;
use pl011::Pl011;
use pl031::Pl031;
use pl061::Pl061;
use selected_board::BOARD;
use strata_protocol::domain::ServerStart;

/// Every server has its windows.
const _: () = assert!(SERVERS_MAX <= windows::SERVERS_MAX);

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

/// What a server is given of its device.
#[derive(Clone, Copy)]
enum Given {
    /// Its registers.
    Registers,
    /// Its registers and its interrupt.
    RegistersAndInterrupt,
    /// Its registers, and memory that it reads and writes by itself.
    RegistersAndMemory,
}

const fn server(
    name: &'static str,
    entry: Entry,
    device: Option<(&BoardDevice, Given)>,
) -> ServerRecord<Entry> {
    let mut record = ServerRecord {
        name: padded(name),
        entry,
        device_paddr: 0,
        device_size: 0,
        irq: 0,
        flags: 0,
        reserved: [0; 16],
    };
    if let Some((device, given)) = device {
        record.device_paddr = device.registers.start;
        record.device_size = device.registers.size;
        if let (Given::RegistersAndInterrupt, Some(irq)) = (given, device.irq) {
            record.irq = irq;
        }
        if let Given::RegistersAndMemory = given {
            record.flags |= SERVER_MEMORY;
        }
    }
    record
}

/// A driver and the kinds of devices that it is for, as device trees call them: where the board has one, its server has
/// the device's name.
macro_rules! driver {
    ($static:ident: $driver:ident for $($kind:literal)|+, $given:expr) => {
        #[used]
        #[unsafe(link_section = ".modlink.server")]
        static $static: [ServerRecord<Entry>; of_kind(BOARD, &[$($kind),+]).is_some() as usize] = {
            const DEVICE: Option<&BoardDevice> = of_kind(BOARD, &[$($kind),+]);
            const NAME: &str = if let Some(device) = DEVICE { device.name } else { "not there" };
            const CLOCK_HZ: u32 = if let Some(device) = DEVICE { device.clock_hz } else { 0 };
            const fn records<const N: usize>() -> [ServerRecord<Entry>; N] {
                let given = if let Some(device) = DEVICE { Some((device, $given)) } else { None };
                [server(NAME, entry::<$driver<Device>, CLOCK_HZ>, given); N]
            }
            records()
        };
    };
}

driver!(BCM_GPIO: BcmGpio for "brcm,bcm2711-gpio" | "brcm,bcm2835-gpio", Given::RegistersAndInterrupt);
driver!(BCM_MAILBOX: Mailbox for "brcm,bcm2711-mbox", Given::RegistersAndMemory);
driver!(BCM_RNG: BcmRng for "brcm,bcm2835-rng", Given::Registers);
driver!(BCM_RNG200: Rng200 for "brcm,bcm2711-rng200", Given::Registers);
driver!(BCM_SPI: Spi0 for "brcm,bcm2835-spi", Given::RegistersAndInterrupt);
driver!(BCM_SYSTIMER: SystemTimer for "brcm,bcm2835-system-timer", Given::RegistersAndInterrupt);
driver!(BSC_I2C: BscI2c for "brcm,bcm2835-i2c", Given::RegistersAndInterrupt);
driver!(MINI_UART: MiniUart for "brcm,bcm2835-aux-uart", Given::RegistersAndInterrupt);
driver!(PL011: Pl011 for "arm,pl011", Given::RegistersAndInterrupt);
driver!(PL031: Pl031 for "arm,pl031", Given::Registers);
driver!(PL061: Pl061 for "arm,pl061", Given::RegistersAndInterrupt);

#[used]
#[unsafe(link_section = ".modlink.server")]
static SERVERS: [ServerRecord<Entry>; 4] = [
    server("hole", driver_server::bare::entry, Some((device(BOARD, "hole"), Given::Registers))),
    server("demo", driver_server::demo::entry, None),
    server("demo2", driver_server::demo::entry, None),
    server("bench", driver_server::bench::entry, None),
];

/// The ELF entry point, which an executable must name. Nothing starts here.
#[unsafe(no_mangle)]
extern "C" fn strata_base_start() -> ! {
    unreachable!("the linker server starts threads at the entries in the records")
}
