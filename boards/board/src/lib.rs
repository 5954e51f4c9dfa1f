//! What a board is: memory, interrupts, console and devices as data.
//!
//! A board is a constant of type [`Board`] and a `board.ld` for the linker, and has no logic. Addresses are the
//! processor's. Where the loader passes a device tree the kernel takes memory and the interrupt controller from it and
//! holds them against the description; where it passes none the description serves.
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

impl Region {
    /// The range of `size` bytes from `start` on.
    #[must_use]
    pub const fn new(start: u64, size: u64) -> Self {
        Self { start, size }
    }
}

/// A device that drivers may be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device {
    /// Its name in this project.
    pub name: &'static str,
    /// What a device tree calls its kind; empty for what no device tree mentions.
    pub compatible: &'static str,
    /// Its registers.
    pub registers: Region,
    /// Its interrupt, as the kernel numbers it: see [`InterruptController`].
    pub irq: Option<u32>,
    /// The clock that it divides its own speeds from, in hertz, at its fastest; 0 where nobody needs to know.
    pub clock_hz: u32,
}

impl Device {
    /// The same device with this clock.
    #[must_use]
    pub const fn clocked(self, clock_hz: u32) -> Self {
        Self { clock_hz, ..self }
    }
}

/// An interrupt controller, with the registers that are the kernel's alone.
///
/// The kernel numbers interrupts as a GIC does: 0 to 15 are software interrupts, 16 to 31 private to a core (27 the
/// virtual timer, 30 the physical timer), from 32 on shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterruptController {
    /// GICv2 (GIC-400): distributor and processor interface.
    GicV2 {
        /// The distributor.
        distributor: Region,
        /// The processor interface.
        cpu: Region,
    },
    /// GICv3: distributor and redistributors; the processor interface is system registers.
    GicV3 {
        /// The distributor.
        distributor: Region,
        /// The redistributors of all cores.
        redistributors: Region,
    },
    /// BCM2836 local interrupt controller in front of the BCM2835's. Shared interrupt 32 + n is number n of the
    /// BCM2835's two 32-bit registers, 96 + n is number n of its basic register.
    Bcm2836 {
        /// The local controller: timers and mailboxes of each core.
        local: Region,
        /// The page of the BCM2835's controller.
        legacy: Region,
    },
}

impl InterruptController {
    /// Its registers.
    #[must_use]
    pub const fn regions(&self) -> [Region; 2] {
        match *self {
            Self::GicV2 { distributor, cpu } => [distributor, cpu],
            Self::GicV3 { distributor, redistributors } => [distributor, redistributors],
            Self::Bcm2836 { local, legacy } => [local, legacy],
        }
    }

    /// What device trees call it.
    #[must_use]
    pub const fn compatibles(&self) -> &'static [&'static str] {
        match self {
            Self::GicV2 { .. } => &["arm,gic-400", "arm,cortex-a15-gic"],
            Self::GicV3 { .. } => &["arm,gic-v3"],
            Self::Bcm2836 { .. } => &["brcm,bcm2836-l1-intc"],
        }
    }
}

/// What kind of UART the console is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UartKind {
    /// An Arm PL011.
    Pl011,
    /// The mini-UART of the BCM2835's auxiliary block.
    MiniUart,
}

/// The debug console, which the user may have as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Console {
    /// Its kind.
    pub kind: UartKind,
    /// Its registers.
    pub registers: Region,
    /// The clock that its speed is divided from, in hertz; 0 leaves the speed that the loader has set.
    pub clock_hz: u32,
    /// Bits per second.
    pub baud: u32,
}

/// A register that the kernel changes before it uses the console: pins that lead to the console and to buses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Where it is.
    pub register: u64,
    /// Bits to clear.
    pub clear: u32,
    /// Bits to set afterwards.
    pub set: u32,
}

/// How the board is started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// By its firmware, which follows PSCI; the device tree says how it is called.
    Firmware,
    /// By the watchdog of the BCM2835's power management, whose registers are the kernel's alone.
    Watchdog(Region),
}

/// A device for demonstrations and tests: it identifies itself, and one register keeps what is written and does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Specimen {
    /// The device's name.
    pub device: &'static str,
    /// Offset of a 32-bit register that always reads the same.
    pub id: u64,
    /// What it reads.
    pub id_value: u32,
    /// Offset of a 32-bit register without effect.
    pub scratch: u64,
}

/// What the card must have from which a board boots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Card {
    /// Files of the firmware. They are the user's: this project carries none of them.
    pub firmware: &'static [&'static str],
    /// What the firmware is told in `config.txt`.
    pub config: &'static str,
}

/// A board.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// Its name: also the name of its folder.
    pub name: &'static str,
    /// What device trees call it, the most precise first.
    pub compatible: &'static [&'static str],
    /// QEMU's name of its model.
    pub emulated_as: &'static str,
    /// Where the raw kernel image is loaded.
    pub load_address: u64,
    /// RAM, for when there is no device tree: no more than every model of the board has.
    pub ram: &'static [Region],
    /// What the firmware keeps: nobody is given it.
    pub reserved: &'static [Region],
    /// Everything below this address that is neither RAM nor the kernel's own may be a device.
    pub physical_end: u64,
    /// The interrupt controllers that the board may have: a device tree says which; without one it is the first.
    pub interrupts: &'static [InterruptController],
    /// The console.
    pub console: Console,
    /// What the kernel changes before it uses the console.
    pub pins: &'static [Change],
    /// Where cores that the firmware holds wait for an address to go to, from core 1 on; empty where it holds none so.
    pub spin_table: &'static [u64],
    /// How it is started again.
    pub restart: Restart,
    /// Does `HLT #0xF000` reach an emulator? On hardware it traps, so images for hardware never execute it.
    pub semihosting: bool,
    /// Devices.
    pub devices: &'static [Device],
    /// The device of demonstrations and tests.
    pub specimen: Specimen,
    /// The card that it boots from, if it does.
    pub card: Option<Card>,
}

impl Board {
    /// A device by name.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<&'static Device> {
        self.devices.iter().find(|device| device.name == name)
    }

    /// Whether the board is called this: by its own name, or by its emulator's.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.emulated_as == name
    }
}

/// A device by name, for constants; one that is not there stops the build, or panics.
#[must_use]
pub const fn device(board: &Board, name: &str) -> &'static Device {
    let mut i = 0;
    while !is_same(board.devices[i].name, name) {
        i += 1;
    }
    &board.devices[i]
}

/// The first device of one of these kinds, as device trees call them, for constants.
#[must_use]
pub const fn of_kind(board: &Board, kinds: &[&str]) -> Option<&'static Device> {
    let mut i = 0;
    while i < board.devices.len() * kinds.len() {
        let device = &board.devices[i / kinds.len()];
        if is_same(device.compatible, kinds[i % kinds.len()]) {
            return Some(device);
        }
        i += 1;
    }
    None
}

/// Whether two texts are equal, for constants.
#[must_use]
pub const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}
