//! What a board is: memory, interrupts, console and devices as data.
#![no_std]
#![forbid(unsafe_code)]

/// A range of physical addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

/// A device that drivers may be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device {
    /// Its name in this project.
    pub name: &'static str,
    /// Its registers.
    pub registers: Region,
    /// Its interrupt, as the interrupt controller numbers it.
    pub irq: Option<u32>,
}

/// A board.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// Its name: also the name of its folder.
    pub name: &'static str,
    /// Where the raw kernel image is loaded.
    pub load_address: u64,
    /// RAM, for when there is no device tree.
    pub ram: &'static [Region],
    /// Everything below this address that is not RAM may be a device.
    pub physical_end: u64,
    /// Distributor and processor interface of a GICv2: the kernel's own.
    pub gic_distributor: Region,
    /// See `gic_distributor`.
    pub gic_cpu: Region,
    /// The PL011 of the debug console, which the user may have as well.
    pub uart: Region,
    /// Does `HLT #0xF000` reach an emulator?
    pub semihosting: bool,
    /// Devices.
    pub devices: &'static [Device],
}

impl Board {
    /// A device by name.
    pub fn device(&self, name: &str) -> Option<&'static Device> {
        self.devices.iter().find(|device| device.name == name)
    }
}
