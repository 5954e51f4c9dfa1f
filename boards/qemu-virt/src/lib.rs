//! The QEMU virt machine.
#![no_std]
#![forbid(unsafe_code)]

use board::{Board, Console, Device, InterruptController, Region, Restart, Specimen, UartKind};

const UART: Region = Region::new(0x0900_0000, 0x1000);
const DISTRIBUTOR: Region = Region::new(0x0800_0000, 0x1_0000);

const fn device(name: &'static str, compatible: &'static str, start: u64, irq: Option<u32>) -> Device {
    Device { name, compatible, registers: Region::new(start, 0x1000), irq, clock_hz: 0 }
}

/// QEMU `-M virt` with a GICv2 or a GICv3: the device tree says which.
pub const BOARD: Board = Board {
    name: "qemu-virt",
    compatible: &["linux,dummy-virt"],
    emulated_as: "virt",
    load_address: 0x4008_0000,
    ram: &[Region::new(0x4000_0000, 512 << 20)],
    reserved: &[],
    physical_end: 1 << 40,
    interrupts: &[
        InterruptController::GicV2 { distributor: DISTRIBUTOR, cpu: Region::new(0x0801_0000, 0x1_0000) },
        InterruptController::GicV3 {
            distributor: DISTRIBUTOR,
            redistributors: Region::new(0x080a_0000, 0xf6_0000),
        },
    ],
    // QEMU's PL011 has no speed.
    console: Console { kind: UartKind::Pl011, registers: UART, clock_hz: 0, baud: 115_200 },
    pins: &[],
    spin_table: &[],
    restart: Restart::Firmware,
    semihosting: true,
    devices: &[
        device("uart", "arm,pl011", UART.start, Some(33)),
        device("rtc", "arm,pl031", 0x0901_0000, Some(34)),
        device("fw-cfg", "qemu,fw-cfg-mmio", 0x0902_0000, None),
        device("gpio", "arm,pl061", 0x0903_0000, Some(39)),
        // Nothing answers here: an access is an external abort.
        device("hole", "", 0x0b00_0000, None),
    ],
    // The PL031's first identification register; its match register does nothing while its interrupt is masked.
    specimen: Specimen { device: "rtc", id: 0xfe0, id_value: 0x31, scratch: 0x4 },
    card: None,
};
