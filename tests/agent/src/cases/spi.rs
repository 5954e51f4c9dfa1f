//! The SPI class: a driver that others wrote for `embedded-hal`, unchanged, against QEMU's model of its chip.
//!
//! QEMU's controller does not lead its chip selects anywhere, so that a chip is always selected: a command without an end
//! of its own, such as a read, can be the last of a run only.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};
use embedded_hal::spi::{MODE_0, SpiDevice as _};
use hal_clients::spi::SpiDevice;
use strata_protocol::Errno;
use strata_protocol::driver::spi::{Select, TRANSFER};
use strata_runtime::device::Endpoint;
use w25q32jv::W25q32jv;

use crate::agent::Agent;
use crate::case::{Failure, Outcome, PATTERN, SPI_FLASH, case, ensure, ensure_eq};

/// The name of the controller's driver server.
const CONTROLLER: &str = "spi";

/// A pin that leads nowhere: the memory's own "hold" and "write protect" are not connected.
struct NotConnected;

impl ErrorType for NotConnected {
    type Error = Infallible;
}

impl OutputPin for NotConnected {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Runs a part of a case with the chip.
fn with_chip<T>(agent: &mut Agent, part: impl FnOnce(SpiDevice<Endpoint<'_>>) -> Outcome<T>) -> Outcome<T> {
    let device = agent.open(CONTROLLER)?;
    let outcome = agent.lend_ipc(|ipc| {
        let server = Endpoint::new(ipc, device.endpoint());
        let chip = SpiDevice::new(server, Select::Chip0, MODE_0, 10_000_000);
        part(chip.map_err(|error| Failure::new(format_args!("the chip: {error}")))?)
    });
    agent.close(device)?;
    outcome
}

case!(
    /// A flash memory's driver from elsewhere reads what the host has put into it.
    30, SPI_FLASH, fn spi_flash_of_another_crate_is_read(agent) {
        with_chip(agent, |mut chip| {
            // The model has six bytes of it, and takes no command before they have gone.
            let mut identification = [0x9f, 0, 0, 0, 0, 0, 0];
            chip.transfer_in_place(&mut identification)
                .map_err(|error| Failure::new(format_args!("identification: {error}")))?;
            ensure_eq!(identification[1..4], [0xef, 0x40, 0x16], "maker, type and size of a W25Q32");
            let mut flash = W25q32jv::new(chip, NotConnected, NotConnected)
                .map_err(|error| Failure::new(format_args!("the driver: {error:?}")))?;
            let mut bytes = [0; 512];
            flash
                .read(0x1_2344, &mut bytes)
                .map_err(|error| Failure::new(format_args!("reading: {error:?}")))?;
            for (at, bytes) in (0x1_2344_u32 / 4..).zip(bytes.chunks(4)) {
                ensure_eq!(bytes, at.wrapping_mul(PATTERN).to_le_bytes(), "word {at:#x}");
            }
            Ok(())
        })?;
        agent.expect_devices_well()
    }
);

case!(
    /// Requests that make no sense are refused, and what cannot be one selection is an error before a byte has gone.
    30, SPI_FLASH, fn spi_requests_that_make_no_sense_are_refused(agent) {
        let device = agent.open(CONTROLLER)?;
        for (words, errno) in [
            ([2, 1, 0], Errno::EINVAL),
            ([0, 0, 0], Errno::EINVAL),
            ([0, 1, 1], Errno::EINVAL),
            ([0, 1, 1 << 32], Errno::E2BIG),
        ] {
            let answer = device.call(agent.ipc, TRANSFER, &words);
            ensure_eq!(answer.label, u64::from(errno.number().unsigned_abs()), "the answer to {words:?}");
        }
        agent.close(device)?;
        with_chip(agent, |mut chip| {
            ensure!(chip.write(&[0; 1000]).is_err(), "a thousand bytes under one selection");
            let mut identification = [0x9f, 0, 0, 0];
            ensure!(chip.transfer_in_place(&mut identification).is_ok(), "the next transfer");
            ensure_eq!(identification[1], 0xef, "the maker");
            Ok(())
        })
    }
);
