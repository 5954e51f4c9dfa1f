//! Device logic of the Broadcom Serial Controller, the BCM2835's I²C controller.
//!
//! A transfer is told its length beforehand and ends with a stop when that many bytes have gone. A repeated start is a
//! second transfer that is started while the last bytes of the first still wait in the FIFO: the controller then leaves
//! the stop out. QEMU's model sends bytes at once, and so with a stop and a start; devices that keep their place between
//! two transfers answer the same.
//!
//! The controller is asked again and again while a transfer runs. At 100 kHz a byte takes 90 µs.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod register;

use bus_space::Registers;
use driver_class::i2c::{I2cBus, request};
use driver_class::{Answer, Driver, NotThis, Words};
use strata_protocol::driver::i2c::Outcome;

/// Bits a second on the bus: standard mode, which every device knows.
pub const BUS_HZ: u32 = 100_000;
/// Looks at the status without progress before a transfer is given up: many times what a byte takes.
pub const POLLS_MAX: u32 = 1_000_000;

/// A controller that is set up and between two transfers.
#[derive(Debug)]
pub struct Controller<R> {
    registers: R,
}

impl<R: Registers> Driver<R> for Controller<R> {
    /// Sets the speed. The device has no identification: it is there if it keeps the divider.
    fn probe(registers: R, clock_hz: u32) -> Result<Self, NotThis> {
        let divider = (clock_hz.div_ceil(BUS_HZ).next_multiple_of(2)).clamp(2, register::DIVIDER_MAX);
        let mut controller = Self { registers };
        controller.stop();
        controller.registers.write_4(register::DIVIDER, divider);
        match controller.registers.read_4(register::DIVIDER) {
            kept if kept == divider => Ok(controller),
            other => Err(NotThis(other)),
        }
    }

    fn registers(&self) -> &R {
        &self.registers
    }

    fn stop(&mut self) {
        // Off, without a start: a control word that says "on" starts a transfer in QEMU's model.
        self.registers.write_4(register::CONTROL, register::CONTROL_CLEAR);
        self.registers.write_4(register::STATUS, register::STATUS_CLEAR);
        self.registers.read_4(register::STATUS);
    }

    fn request(&mut self, label: u64, words: &mut Words, length: usize) -> Answer {
        request(self, label, words, length)
    }
}

impl<R: Registers> I2cBus for Controller<R> {
    fn transfer(&mut self, address: u8, write: &[u8], read: &mut [u8]) -> Outcome {
        let result = self.run(address, write, read);
        self.stop();
        result.err().unwrap_or(Outcome::Done)
    }
}

impl<R: Registers> Controller<R> {
    fn run(&self, address: u8, write: &[u8], read: &mut [u8]) -> Result<(), Outcome> {
        self.registers.write_4(register::ADDRESS, address.into());
        if !write.is_empty() || read.is_empty() {
            self.start(write.len(), register::CONTROL_CLEAR);
            self.wait(write.len(), register::STATUS_ACTIVE | register::STATUS_DONE)?;
            for byte in write {
                self.wait(write.len(), register::STATUS_HAS_ROOM)?;
                self.registers.write_4(register::FIFO, (*byte).into());
            }
        }
        if read.is_empty() {
            return self.wait(write.len(), register::STATUS_DONE);
        }
        // A first transfer must still have its error seen: starting the second clears it.
        self.wait(write.len(), 0)?;
        self.start(read.len(), register::CONTROL_READ);
        let length = read.len();
        for byte in &mut *read {
            self.wait(length, register::STATUS_HAS_BYTE)?;
            *byte = self.registers.read_4(register::FIFO).to_le_bytes()[0];
        }
        self.wait(length, register::STATUS_DONE)
    }

    fn start(&self, length: usize, how: u32) {
        self.registers.write_4(register::STATUS, register::STATUS_CLEAR);
        // The class allows no more bytes than a message has, and the register takes 65535.
        self.registers.write_4(register::LENGTH, u32::try_from(length).unwrap_or(u32::MAX));
        self.registers.write_4(register::CONTROL, register::CONTROL_ON | register::CONTROL_START | how);
    }

    /// Waits until the status has one of these bits, for 0 not at all; `length` is that of the transfer.
    fn wait(&self, length: usize, bits: u32) -> Result<(), Outcome> {
        for _ in 0..POLLS_MAX {
            let status = self.registers.read_4(register::STATUS);
            if status & register::STATUS_ERROR != 0 {
                // Nothing has been transferred: nobody has answered to the address.
                let left = usize::try_from(self.registers.read_4(register::LENGTH)).unwrap_or(0);
                return Err(if left == length { Outcome::NoDevice } else { Outcome::Refused });
            }
            if status & register::STATUS_CLOCK_HELD != 0 {
                return Err(Outcome::ClockHeld);
            }
            if bits == 0 || status & bits != 0 {
                return Ok(());
            }
        }
        Err(Outcome::Stuck)
    }
}

#[cfg(test)]
mod tests;
