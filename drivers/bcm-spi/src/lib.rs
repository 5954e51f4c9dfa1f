//! Device logic of the BCM2835's SPI0.
//!
//! For each byte that is sent one comes back. The controller selects the chip for as long as a transfer is active, so one
//! request is one selection. It is asked again and again while bytes go.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod register;

use bus_space::Registers;
use driver_class::serial::Stuck;
use driver_class::spi::{SpiController, request};
use driver_class::{Answer, Driver, NotThis, Words};
use strata_protocol::driver::spi::{Select, Settings};

/// Looks at the status without progress before a transfer is given up: many times what a byte takes at the slowest clock.
pub const POLLS_MAX: u32 = 1_000_000;
/// Bytes on their way at once: what the receive FIFO has room for.
const AHEAD_MAX: usize = 16;

/// A controller between two transfers: no chip is selected.
#[derive(Debug)]
pub struct Spi0<R> {
    registers: R,
    clock_hz: u32,
}

impl<R: Registers> Driver<R> for Spi0<R> {
    /// The device has no identification: it is there if it keeps a divider.
    fn probe(registers: R, clock_hz: u32) -> Result<Self, NotThis> {
        let mut spi = Self { registers, clock_hz };
        spi.stop();
        spi.registers.write_4(register::DIVIDER, register::DIVIDER_MAX);
        match spi.registers.read_4(register::DIVIDER) {
            register::DIVIDER_MAX => Ok(spi),
            other => Err(NotThis(other)),
        }
    }

    fn registers(&self) -> &R {
        &self.registers
    }

    fn stop(&mut self) {
        self.registers.write_4(register::CONTROL, register::CONTROL_CLEAR);
        self.registers.read_4(register::CONTROL);
    }

    fn request(&mut self, label: u64, words: &mut Words, length: usize) -> Answer {
        request(self, label, words, length)
    }
}

impl<R: Registers> SpiController for Spi0<R> {
    fn transfer(&mut self, settings: Settings, bytes: &mut [u8]) -> Result<(), Stuck> {
        let how = control(settings);
        self.registers.write_4(register::DIVIDER, divider(self.clock_hz, settings.hz));
        self.registers.write_4(register::CONTROL, how | register::CONTROL_CLEAR);
        self.registers.write_4(register::CONTROL, how | register::CONTROL_ACTIVE);
        let result = self.exchange(bytes);
        self.stop();
        result
    }
}

impl<R: Registers> Spi0<R> {
    fn exchange(&self, bytes: &mut [u8]) -> Result<(), Stuck> {
        let (mut sent, mut come) = (0, 0);
        let mut polls = 0;
        while come < bytes.len() {
            let status = self.registers.read_4(register::CONTROL);
            let room = status & register::STATUS_HAS_ROOM != 0;
            let may_send = sent < bytes.len() && sent - come < AHEAD_MAX;
            polls += 1;
            if status & register::STATUS_HAS_BYTE != 0 {
                bytes[come] = self.registers.read_4(register::FIFO).to_le_bytes()[0];
                come += 1;
                polls = 0;
            } else if room && may_send {
                self.registers.write_4(register::FIFO, bytes[sent].into());
                sent += 1;
                polls = 0;
            } else if polls == POLLS_MAX {
                return Err(Stuck);
            }
        }
        // The chip must see the last clock before it is let go.
        let done = |_| self.registers.read_4(register::CONTROL) & register::STATUS_DONE != 0;
        if (0..POLLS_MAX).any(done) { Ok(()) } else { Err(Stuck) }
    }
}

fn control(settings: Settings) -> u32 {
    let select = match settings.select {
        Select::Chip0 => 0,
        Select::Chip1 => 1,
        Select::Nobody => register::CONTROL_SELECT_NOBODY,
    };
    let second_edge = if settings.second_edge { register::CONTROL_SECOND_EDGE } else { 0 };
    let idles_high = if settings.idles_high { register::CONTROL_IDLES_HIGH } else { 0 };
    select | second_edge | idles_high
}

/// The smallest divider whose clock is no faster than `hz`; the slowest there is, where that is still faster.
fn divider(clock_hz: u32, hz: u32) -> u32 {
    clock_hz.div_ceil(hz.max(1)).next_multiple_of(2).clamp(2, register::DIVIDER_MAX)
}

#[cfg(test)]
mod tests;
