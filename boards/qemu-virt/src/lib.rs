//! The QEMU virt machine.
#![no_std]
#![forbid(unsafe_code)]

use board::{Board, Device, Region};

/// QEMU `-M virt` with a GICv2.
pub const BOARD: Board = Board {
    name: "qemu-virt",
    load_address: 0x4008_0000,
    ram: &[Region { start: 0x4000_0000, size: 512 << 20 }],
    physical_end: 1 << 40,
    gic_distributor: Region { start: 0x0800_0000, size: 0x1_0000 },
    gic_cpu: Region { start: 0x0801_0000, size: 0x1_0000 },
    uart: Region { start: 0x0900_0000, size: 0x1000 },
    semihosting: true,
    devices: &[
        Device { name: "uart", registers: Region { start: 0x0900_0000, size: 0x1000 }, irq: Some(33) },
        Device { name: "rtc", registers: Region { start: 0x0901_0000, size: 0x1000 }, irq: Some(34) },
        Device { name: "fw-cfg", registers: Region { start: 0x0902_0000, size: 0x1000 }, irq: None },
        Device { name: "gpio", registers: Region { start: 0x0903_0000, size: 0x1000 }, irq: Some(39) },
        // Nothing answers here: an access is an external abort.
        Device { name: "hole", registers: Region { start: 0x0b00_0000, size: 0x1000 }, irq: None },
    ],
};
