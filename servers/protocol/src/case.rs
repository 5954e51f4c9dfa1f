//! On-target cases: what a test image says of each, in the section `.strata.cases`, and the host reads out of the file.

/// Bytes of a case's name in its record.
pub const NAME_SIZE: usize = 96;
/// Bytes of a record.
pub const RECORD_SIZE: usize = 112;

/// The record of a case: what stands in the section, one behind the other. `F` is the function that the image runs for it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Record<F> {
    /// The name, padded with zeros.
    pub name: [u8; NAME_SIZE],
    /// How long it may take, in seconds.
    pub seconds: u32,
    /// See [`flag`].
    pub flags: u32,
    /// The case itself.
    pub run: F,
}

const _: () = assert!(size_of::<Record<u64>>() == RECORD_SIZE);

/// A name as it stands in a record.
///
/// # Panics
/// Where the name is too long: at compile time, since records are statics.
#[must_use]
pub const fn name(text: &str) -> [u8; NAME_SIZE] {
    let bytes = text.as_bytes();
    assert!(bytes.len() < NAME_SIZE, "the name of a case is too long");
    let mut out = [0; NAME_SIZE];
    let mut at = 0;
    while at < bytes.len() {
        out[at] = bytes[at];
        at += 1;
    }
    out
}

impl<F> Record<F> {
    /// The case's name.
    #[must_use]
    pub fn name(&self) -> &str {
        crate::start::padded(&self.name)
    }
}

/// Flags of a case.
pub mod flag {
    /// It is a benchmark: run by `./x bench`, not by `./x test`, and under instruction counting.
    pub const BENCH: u32 = 1;
    /// It leaves cache maintenance out on purpose: it passes only if the cache lint flags it.
    pub const UNMAINTAINED: u32 = 2;
    /// It needs a kernel with the feature `check`, which checks the kernel's invariants.
    pub const CHECKED: u32 = 4;
    /// Something in it loops until a deadline of a second of machine time, which plugins would make minutes: it runs
    /// unwatched by them.
    pub const SPINS: u32 = 8;
    /// It means nothing on one core.
    pub const CORES: u32 = 16;
    /// It goes on for as long as it is told: run by `./x soak`.
    pub const SOAK: u32 = 32;
    /// The part that names what the machine must have: one of [`fitting`](super::fitting).
    pub const FITTING: u32 = 0xff00;
}

/// What must be connected to the board for a case, as its flags.
pub mod fitting {
    /// Chips on the I²C bus: a clock at 0x68, a thermometer at 0x48.
    pub const I2C_CHIPS: u32 = 1 << 8;
    /// A flash memory on the SPI, with the [pattern](super::PATTERN) in it.
    pub const SPI_FLASH: u32 = 2 << 8;
    /// A controller of pins whose model knows edges.
    pub const EDGES: u32 = 3 << 8;
    /// The Pi's mini-UART, to which the host sends the [pattern](super::PATTERN).
    pub const MINI_UART: u32 = 4 << 8;
    /// A generator of random numbers.
    pub const RNG: u32 = 5 << 8;
    /// A controller of pins whose model knows edges, without a driver server.
    pub const FREE_PINS: u32 = 6 << 8;
    /// The Pis' system timer.
    pub const SYSTEM_TIMER: u32 = 7 << 8;
    /// A mailbox to the firmware that a driver may have.
    pub const MAILBOX: u32 = 8 << 8;
    /// A Pi whose generator of random numbers the emulator does not have.
    pub const NO_RNG200: u32 = 9 << 8;
    /// What [`I2C_CHIPS`] says, and the bus's interrupt.
    pub const I2C_CHIPS_AND_INTERRUPTS: u32 = 10 << 8;
    /// What [`SPI_FLASH`] says, and the bus's interrupt.
    pub const SPI_FLASH_AND_INTERRUPTS: u32 = 11 << 8;
    /// A Pi whose model leads the interrupts of the graphics processor's side to the cores.
    pub const VIDEOCORE_INTERRUPTS: u32 = 12 << 8;
}

/// What the host puts at each 32-bit word of a fitting's memory: the word's place times this, little endian.
pub const PATTERN: u32 = 0x9e37_79b1;
