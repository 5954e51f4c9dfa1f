//! Device logic of the BCM2835's SPI0.
//!
//! For each byte that is sent one comes back. The controller selects the chip for as long as a transfer is active, so one
//! request is one selection. A transfer that is begun goes on at each interrupt: when bytes have come back, and when nothing
//! is left to send. One that is waited for looks again and again.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod register;

use bus_space::Registers;
use driver_class::serial::Stuck;
use driver_class::spi::{SpiController, request};
use driver_class::{Answer, Driver, NotThis, Words};
use strata_protocol::driver::Later;
use strata_protocol::driver::spi::{BYTES_MAX, LATER, Select, Settings};

/// Looks at the status without progress before a transfer is given up: many times what a byte takes at the slowest clock.
pub const POLLS_MAX: u32 = 1_000_000;
/// Bytes on their way at once: what the receive FIFO has room for.
const AHEAD_MAX: usize = 16;

/// A controller that is set up.
#[derive(Debug)]
pub struct Spi0<R> {
    registers: R,
    clock_hz: u32,
    phase: Phase,
    job: Job,
}

/// What the controller is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing, and nobody has a result to fetch. No chip is selected.
    Idle,
    /// Bytes go.
    Active,
    /// Nothing; there is a result. No chip is selected.
    Ended,
}

/// A transfer: bytes to send, in whose places come those that are sent back, and how far each direction has come.
#[derive(Debug)]
struct Job {
    bytes: [u8; BYTES_MAX],
    count: usize,
    sent: usize,
    come: usize,
}

impl<R: Registers> Driver<R> for Spi0<R> {
    const LATER: Option<Later> = Some(LATER);

    /// The device has no identification: it is there if it keeps a divider.
    fn probe(registers: R, clock_hz: u32) -> Result<Self, NotThis> {
        let job = Job { bytes: [0; BYTES_MAX], count: 0, sent: 0, come: 0 };
        let mut spi = Self { registers, clock_hz, phase: Phase::Idle, job };
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

    fn interrupt(&mut self) -> bool {
        if self.phase != Phase::Active {
            // Left over: what has ended is off.
            self.stop();
            return false;
        }
        !self.is_under_way()
    }

    fn request(&mut self, label: u64, words: &mut Words, length: usize) -> Answer {
        request(self, label, words, length)
    }
}

impl<R: Registers> SpiController for Spi0<R> {
    fn transfer(&mut self, settings: Settings, bytes: &mut [u8]) -> Result<(), Stuck> {
        self.set_out(settings, bytes, 0);
        let mut polls = 0;
        while self.phase == Phase::Active && polls < POLLS_MAX {
            let before = (self.job.sent, self.job.come);
            self.advance();
            polls = if before == (self.job.sent, self.job.come) { polls + 1 } else { 0 };
        }
        let ended = self.phase == Phase::Ended;
        self.abort();
        bytes.copy_from_slice(&self.job.bytes[..bytes.len()]);
        if ended { Ok(()) } else { Err(Stuck) }
    }

    fn begin(&mut self, settings: Settings, bytes: &[u8]) {
        self.set_out(settings, bytes, register::CONTROL_INTERRUPTS);
    }

    fn is_under_way(&mut self) -> bool {
        if self.phase == Phase::Active {
            self.advance();
        }
        self.phase == Phase::Active
    }

    fn is_taken(&self) -> bool {
        self.phase != Phase::Idle
    }

    fn take_result(&mut self, bytes: &mut [u8; BYTES_MAX]) -> Option<usize> {
        if self.phase != Phase::Ended {
            return None;
        }
        self.phase = Phase::Idle;
        *bytes = self.job.bytes;
        Some(self.job.count)
    }

    fn abort(&mut self) {
        self.stop();
        self.phase = Phase::Idle;
    }
}

impl<R: Registers> Spi0<R> {
    /// Selects the chip; `interrupts` are the bits of those that the transfer may raise.
    fn set_out(&mut self, settings: Settings, bytes: &[u8], interrupts: u32) {
        // The class allows no more.
        self.job.bytes[..bytes.len()].copy_from_slice(bytes);
        (self.job.count, self.job.sent, self.job.come) = (bytes.len(), 0, 0);
        self.phase = Phase::Active;
        let how = control(settings);
        self.registers.write_4(register::DIVIDER, divider(self.clock_hz, settings.hz));
        self.registers.write_4(register::CONTROL, how | register::CONTROL_CLEAR);
        self.registers.write_4(register::CONTROL, how | register::CONTROL_ACTIVE | interrupts);
        // Read back, so that no write is under way any more.
        self.registers.read_4(register::CONTROL);
    }

    /// Goes on as far as the controller allows.
    fn advance(&mut self) {
        loop {
            let status = self.registers.read_4(register::CONTROL);
            let job = &mut self.job;
            let may_send = job.sent < job.count && job.sent - job.come < AHEAD_MAX;
            if status & register::STATUS_HAS_BYTE != 0 && job.come < job.count {
                job.bytes[job.come] = self.registers.read_4(register::FIFO).to_le_bytes()[0];
                job.come += 1;
            } else if status & register::STATUS_HAS_ROOM != 0 && may_send {
                self.registers.write_4(register::FIFO, job.bytes[job.sent].into());
                job.sent += 1;
            } else {
                // The chip must see the last clock before it is let go.
                if job.come == job.count && status & register::STATUS_DONE != 0 {
                    self.stop();
                    self.phase = Phase::Ended;
                }
                return;
            }
        }
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
