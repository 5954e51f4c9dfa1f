//! Fittings: what cases want to find connected to a board.
//!
//! A case names one in its flags. A machine is started with it, where the board has the device that it belongs to;
//! elsewhere the case is left out, in the open.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use board::Board;
use strata_protocol::case::{PATTERN, fitting};

use crate::cases::{Case, flag};

/// What is connected.
#[derive(Clone, Copy, Debug)]
pub struct Fitting {
    /// Its number in a case's flags.
    flags: u32,
    /// The kind of device that it belongs to, as device trees call it.
    kind: &'static str,
    /// QEMU's arguments; `IMAGE` in one stands for the path of the image.
    arguments: &'static [&'static str],
    /// Bytes of an image with the pattern; 0 for none.
    image: usize,
    /// Boot arguments of the system on it.
    words: &'static str,
}

/// A clock and a thermometer on the bus that leads to the header.
const I2C_CHIPS: &[&str] =
    &["-device", "ds1338,bus=i2c-bus.1,address=0x68", "-device", "tmp105,bus=i2c-bus.1,address=0x48"];
/// A flash memory at the controller of the header.
const SPI_FLASH: &[&str] = &[
    "-drive",
    "if=none,id=memory,format=raw,snapshot=on,file=IMAGE",
    "-device",
    "w25q32,bus=spi,drive=memory",
];
/// Bytes of the flash memory.
const SPI_FLASH_SIZE: usize = 4 << 20;

/// Nothing is connected, but a device of this kind is there.
const fn device(flags: u32, kind: &'static str) -> Fitting {
    Fitting { flags, kind, arguments: &[], image: 0, words: "" }
}

/// All fittings.
const FITTINGS: &[Fitting] = &[
    Fitting { arguments: I2C_CHIPS, ..device(fitting::I2C_CHIPS, "brcm,bcm2835-i2c") },
    Fitting { arguments: SPI_FLASH, image: SPI_FLASH_SIZE, ..device(fitting::SPI_FLASH, "brcm,bcm2835-spi") },
    // The host at the other end of the second port.
    Fitting {
        arguments: &["-chardev", "file,id=host,path=/dev/null,input-path=IMAGE", "-serial", "chardev:host"],
        image: 64,
        ..device(fitting::MINI_UART, "brcm,bcm2835-aux-uart")
    },
    // The other model of pins knows no edges, and not every board's generator has a model.
    device(fitting::RNG, "brcm,bcm2835-rng"),
    device(fitting::EDGES, "arm,pl061"),
    // The same pins, for a module that drives them: nobody else does.
    Fitting { words: " unserved=gpio", ..device(fitting::FREE_PINS, "arm,pl061") },
    device(fitting::SYSTEM_TIMER, "brcm,bcm2835-system-timer"),
    device(fitting::MAILBOX, "brcm,bcm2711-mbox"),
    device(fitting::NO_RNG200, "brcm,bcm2711-rng200"),
    // The Pi 3's pins: QEMU's model of the Pi 4 leads the interrupts of system timer and buses nowhere.
    device(fitting::VIDEOCORE_INTERRUPTS, "brcm,bcm2835-gpio"),
    Fitting { arguments: I2C_CHIPS, ..device(fitting::I2C_CHIPS_AND_INTERRUPTS, "brcm,bcm2835-gpio") },
    Fitting {
        arguments: SPI_FLASH,
        image: SPI_FLASH_SIZE,
        ..device(fitting::SPI_FLASH_AND_INTERRUPTS, "brcm,bcm2835-gpio")
    },
];

/// Stands for an image's path.
const IMAGE: &str = "IMAGE";
impl Fitting {
    /// What a case wants, if it wants anything.
    pub fn of(case: &Case) -> Result<Option<Self>> {
        match case.flags & flag::FITTING {
            0 => Ok(None),
            flags => match FITTINGS.iter().find(|fitting| fitting.flags == flags) {
                Some(fitting) => Ok(Some(*fitting)),
                None => bail!("{} wants a fitting that does not exist: {flags:#x}", case.name),
            },
        }
    }

    /// Whether the board has the device that it belongs to.
    #[must_use]
    pub fn fits(&self, board: &Board) -> bool {
        board.devices.iter().any(|device| device.compatible == self.kind)
    }

    /// QEMU's arguments for a case. An image that it needs is made in the folder for passing files, one for each case.
    pub fn arguments(&self, case: &Case) -> Result<Vec<String>> {
        let path = image_of(case);
        if self.image > 0 {
            std::fs::write(&path, pattern(self.image))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let path = path.display().to_string();
        Ok(self.arguments.iter().map(|word| word.replace(IMAGE, &path)).collect())
    }

    /// Boot arguments of the system on it, each behind a blank.
    #[must_use]
    pub const fn words(&self) -> &'static str {
        self.words
    }

    /// Takes the image of a case that has ended away.
    pub fn clean_up(&self, case: &Case) {
        if self.image > 0 {
            // A file that is left does no harm: the next run writes it anew.
            let _ = std::fs::remove_file(image_of(case));
        }
    }
}

fn image_of(case: &Case) -> PathBuf {
    std::env::temp_dir().join(format!("strata-{}-{}.img", std::process::id(), case.name))
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size / 4)
        .flat_map(|at| u32::try_from(at).unwrap_or(u32::MAX).wrapping_mul(PATTERN).to_le_bytes())
        .collect()
}
