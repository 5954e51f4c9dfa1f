//! Device logic of the Broadcom Serial Controller, the BCM2835's I²C controller.
//!
//! A transfer is told its length beforehand and ends with a stop when that many bytes have gone. A repeated start is a
//! second transfer that is started while the last bytes of the first still wait in the FIFO: the controller then leaves
//! the stop out. QEMU's model sends bytes at once, and so with a stop and a start; devices that keep their place between
//! two transfers answer the same.
//!
//! ```text
//! begin ─ start a write ─► writing ─ last byte is in the FIFO: start a read ─► reading ─ all come, done ─► ended
//!    └──── nothing to write: start a read ─────────────────────────────────────▲          writing, done ─► ended
//! ```
//! Each step is taken when the controller's interrupt says that it can go on. A transfer that is waited for takes the same
//! steps by looking again and again: at 100 kHz a byte takes 90 µs.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod register;

use bus_space::Registers;
use driver_class::i2c::{I2cBus, request};
use driver_class::{Answer, Driver, NotThis, Words};
use strata_protocol::driver::Later;
use strata_protocol::driver::i2c::{BYTES_MAX, LATER, Outcome};

/// Bits a second on the bus: standard mode, which every device knows.
pub const BUS_HZ: u32 = 100_000;
/// Looks at the status without progress before a transfer is given up: many times what a byte takes.
pub const POLLS_MAX: u32 = 1_000_000;

/// A controller that is set up.
#[derive(Debug)]
pub struct Controller<R> {
    registers: R,
    phase: Phase,
    job: Job,
}

/// What the controller is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing, and nobody has a result to fetch.
    Idle,
    /// It writes.
    Writing,
    /// It reads.
    Reading,
    /// Nothing; there is a result.
    Ended(Outcome),
}

/// A transfer: its bytes, and how far each direction has come.
#[derive(Debug)]
struct Job {
    write: [u8; BYTES_MAX],
    to_write: usize,
    written: usize,
    read: [u8; BYTES_MAX],
    to_read: usize,
    come: usize,
}

impl Default for Job {
    fn default() -> Self {
        Self { write: [0; BYTES_MAX], to_write: 0, written: 0, read: [0; BYTES_MAX], to_read: 0, come: 0 }
    }
}

impl<R: Registers> Driver<R> for Controller<R> {
    const LATER: Option<Later> = Some(LATER);

    /// Sets the speed. The device has no identification: it is there if it keeps the divider.
    fn probe(registers: R, clock_hz: u32) -> Result<Self, NotThis> {
        let divider = (clock_hz.div_ceil(BUS_HZ).next_multiple_of(2)).clamp(2, register::DIVIDER_MAX);
        let mut controller = Self { registers, phase: Phase::Idle, job: Job::default() };
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

    fn interrupt(&mut self) -> bool {
        if !self.is_active() {
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

impl<R: Registers> I2cBus for Controller<R> {
    fn transfer(&mut self, address: u8, write: &[u8], read: &mut [u8]) -> Outcome {
        self.set_out(address, write, read.len(), 0);
        let mut polls = 0;
        let outcome = loop {
            if let Phase::Ended(outcome) = self.phase {
                break outcome;
            }
            let before = (self.phase, self.job.written, self.job.come);
            self.advance(0);
            polls = if before == (self.phase, self.job.written, self.job.come) { polls + 1 } else { 0 };
            if polls == POLLS_MAX {
                break Outcome::Stuck;
            }
        };
        self.abort();
        let come = &self.job.read[..read.len()];
        read.copy_from_slice(come);
        outcome
    }

    fn begin(&mut self, address: u8, write: &[u8], read: usize) {
        self.set_out(address, write, read, register::CONTROL_INTERRUPTS);
    }

    fn is_under_way(&mut self) -> bool {
        if self.is_active() {
            self.advance(register::CONTROL_INTERRUPTS);
        }
        self.is_active()
    }

    fn is_taken(&self) -> bool {
        self.phase != Phase::Idle
    }

    fn take_result(&mut self, read: &mut [u8; BYTES_MAX]) -> Option<(Outcome, usize)> {
        let Phase::Ended(outcome) = self.phase else { return None };
        self.phase = Phase::Idle;
        *read = self.job.read;
        Some((outcome, self.job.to_read))
    }

    fn abort(&mut self) {
        self.stop();
        self.phase = Phase::Idle;
    }
}

impl<R: Registers> Controller<R> {
    const fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Writing | Phase::Reading)
    }

    /// Starts a transfer; `interrupts` are the bits of those that it may raise.
    fn set_out(&mut self, address: u8, write: &[u8], read: usize, interrupts: u32) {
        let job = &mut self.job;
        // The class allows no more.
        job.write[..write.len()].copy_from_slice(write);
        (job.to_write, job.written, job.to_read, job.come) = (write.len(), 0, read, 0);
        self.registers.write_4(register::ADDRESS, address.into());
        if write.is_empty() && read > 0 {
            return self.start_reading(interrupts | register::CONTROL_CLEAR);
        }
        self.phase = Phase::Writing;
        self.start(write.len(), register::CONTROL_CLEAR | interrupts & !register::CONTROL_INTERRUPT_READ);
    }

    fn start_reading(&mut self, how: u32) {
        self.phase = Phase::Reading;
        let how = how & !register::CONTROL_INTERRUPT_WRITE;
        self.start(self.job.to_read, register::CONTROL_READ | how);
    }

    fn start(&self, length: usize, how: u32) {
        self.registers.write_4(register::STATUS, register::STATUS_CLEAR);
        // The class allows no more bytes than a message has, and the register takes 65535.
        self.registers.write_4(register::LENGTH, u32::try_from(length).unwrap_or(u32::MAX));
        self.registers.write_4(register::CONTROL, register::CONTROL_ON | register::CONTROL_START | how);
        // Read back, so that no write is under way any more.
        self.registers.read_4(register::STATUS);
    }

    /// Goes on as far as the controller allows.
    fn advance(&mut self, interrupts: u32) {
        let result = match self.phase {
            Phase::Writing => self.advance_writing(interrupts),
            Phase::Reading => self.advance_reading(),
            Phase::Idle | Phase::Ended(_) => Ok(false),
        };
        let ended = match result {
            Ok(false) => return,
            Ok(true) => Outcome::Done,
            Err(outcome) => outcome,
        };
        self.stop();
        self.phase = Phase::Ended(ended);
    }

    /// Whether the transfer is at its end.
    fn advance_writing(&mut self, interrupts: u32) -> Result<bool, Outcome> {
        let length = self.job.to_write;
        let mut status = self.status(length)?;
        if status & (register::STATUS_ACTIVE | register::STATUS_DONE) == 0 {
            // The controller has not noticed the start; bytes before it would be cleared away.
            return Ok(false);
        }
        let had = self.job.written;
        while self.job.written < length && status & register::STATUS_HAS_ROOM != 0 {
            self.registers.write_4(register::FIFO, self.job.write[self.job.written].into());
            self.job.written += 1;
            status = self.status(length)?;
        }
        if self.job.written < length {
            return Ok(false);
        }
        if self.job.to_read > 0 {
            // The errors of the write have been looked for: starting the read clears them.
            self.start_reading(interrupts);
            return Ok(false);
        }
        if status & register::STATUS_DONE != 0 {
            return Ok(true);
        }
        if had < length && interrupts != 0 {
            // There is nothing left to write, and the controller would go on asking for it.
            let control = register::CONTROL_ON | interrupts & register::CONTROL_INTERRUPT_DONE;
            self.registers.write_4(register::CONTROL, control);
            self.registers.read_4(register::STATUS);
        }
        Ok(false)
    }

    fn advance_reading(&mut self) -> Result<bool, Outcome> {
        let length = self.job.to_read;
        let mut status = self.status(length)?;
        while self.job.come < length && status & register::STATUS_HAS_BYTE != 0 {
            self.job.read[self.job.come] = self.registers.read_4(register::FIFO).to_le_bytes()[0];
            self.job.come += 1;
            status = self.status(length)?;
        }
        Ok(self.job.come == length && status & register::STATUS_DONE != 0)
    }

    /// The status, if it is not that of a transfer of `length` bytes that has failed.
    fn status(&self, length: usize) -> Result<u32, Outcome> {
        let status = self.registers.read_4(register::STATUS);
        if status & register::STATUS_ERROR != 0 {
            // Nothing has been transferred: nobody has answered to the address.
            let left = usize::try_from(self.registers.read_4(register::LENGTH)).unwrap_or(0);
            return Err(if left == length { Outcome::NoDevice } else { Outcome::Refused });
        }
        if status & register::STATUS_CLOCK_HELD != 0 {
            return Err(Outcome::ClockHeld);
        }
        Ok(status)
    }
}

#[cfg(test)]
mod tests;
