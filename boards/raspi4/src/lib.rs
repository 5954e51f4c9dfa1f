//! The Raspberry Pi 4 (BCM2711), and QEMU's `raspi4b`.
//!
//! Source: BCM2711 ARM Peripherals. QEMU differs from the board: the card is on the older controller at `0xfe30_0000`,
//! and its timer runs at 62.5 MHz instead of 54.
#![no_std]
#![forbid(unsafe_code)]

use board::{Board, Card, Change, Console, Device, InterruptController, Region, Restart, Specimen, UartKind};

/// The peripherals, as the processor sees them ("low peripheral mode").
const PERIPHERALS: u64 = 0xfe00_0000;
const UART: Region = Region::new(PERIPHERALS + 0x20_1000, 0x1000);

/// The core clock at its fastest: Raspberry Pi documentation, config.txt. Where it is slower, so are the buses.
const CORE_HZ: u32 = 500_000_000;

/// The PL011 on the header's pins at a known clock, the GIC, and our own device tree.
const CONFIG: &str = "\
arm_64bit=1
kernel=kernel8.img
device_tree=strata.dtb
enable_uart=1
init_uart_clock=48000000
enable_gic=1
";

const fn device(name: &'static str, compatible: &'static str, start: u64, irq: Option<u32>) -> Device {
    Device { name, compatible, registers: Region::new(start, 0x1000), irq, clock_hz: 0 }
}

/// Interrupt n of the VideoCore: they are shared interrupts 96 + n of the GIC.
const fn videocore(n: u32) -> Option<u32> {
    Some(32 + 64 + n)
}

/// Raspberry Pi 4 Model B.
pub const BOARD: Board = Board {
    name: "raspi4",
    compatible: &["raspberrypi,4-model-b", "brcm,bcm2711"],
    emulated_as: "raspi4b",
    load_address: 0x8_0000,
    // What the smallest model has: 64 MiB of the first GiB are the graphics processor's, and 12 MiB more at most.
    ram: &[Region::new(0, 0x3b40_0000)],
    // The firmware's stub, the spin table and the tags.
    reserved: &[Region::new(0, 0x1000)],
    physical_end: 1 << 32,
    interrupts: &[InterruptController::GicV2 {
        distributor: Region::new(0xff84_1000, 0x1000),
        cpu: Region::new(0xff84_2000, 0x2000),
    }],
    // `config.txt` asks for this clock.
    console: Console { kind: UartKind::Pl011, registers: UART, clock_hz: 48_000_000, baud: 115_200 },
    pins: &[
        // GPFSEL0: pins 2 and 3 are BSC1's SDA and SCL, 7 to 9 SPI0's CE1, CE0 and MISO (alternate function 0).
        Change { register: PERIPHERALS + 0x20_0000, clear: 0o7_770_007_700, set: 0o4_440_004_400 },
        // GPFSEL1: pins 10 and 11 are SPI0's MOSI and SCLK, 14 and 15 the PL011's TXD and RXD (alternate function 0).
        Change { register: PERIPHERALS + 0x20_0004, clear: 0o77 << 12 | 0o77, set: 0o44 << 12 | 0o44 },
    ],
    spin_table: &[0xe0, 0xe8, 0xf0],
    restart: Restart::Watchdog(Region::new(PERIPHERALS + 0x10_0000, 0x1000)),
    semihosting: false,
    devices: &[
        device("uart", "arm,pl011", UART.start, videocore(57)),
        device("systimer", "brcm,bcm2835-system-timer", PERIPHERALS + 0x3000, videocore(1)),
        // Nothing else in the page is in use: the older interrupt controller there is behind the GIC, which takes nothing
        // from it.
        device("mailbox", "brcm,bcm2711-mbox", PERIPHERALS + 0xb000, Some(32 + 33)),
        device("rng", "brcm,bcm2711-rng200", PERIPHERALS + 0x10_4000, videocore(61)),
        device("gpio", "brcm,bcm2711-gpio", PERIPHERALS + 0x20_0000, videocore(49)),
        device("spi", "brcm,bcm2835-spi", PERIPHERALS + 0x20_4000, videocore(54)).clocked(CORE_HZ),
        device("mini-uart", "brcm,bcm2835-aux-uart", PERIPHERALS + 0x21_5000, videocore(29)).clocked(CORE_HZ),
        device("sdhci", "brcm,bcm2835-sdhci", PERIPHERALS + 0x30_0000, videocore(62)),
        // BSC1, on GPIO 2 and 3.
        device("i2c", "brcm,bcm2835-i2c", PERIPHERALS + 0x80_4000, videocore(53)).clocked(CORE_HZ),
        // Below the first peripheral: an access is an external abort.
        device("hole", "", PERIPHERALS, None),
    ],
    // SPI0's DC register after reset, and the length of a DMA transfer that nobody starts.
    specimen: Specimen { device: "spi", id: 0x14, id_value: 0x3020_1020, scratch: 0xc },
    card: Some(Card { firmware: &["start4.elf", "fixup4.dat"], config: CONFIG }),
};
