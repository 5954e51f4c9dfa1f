//! Device logic of the PL011 UART.
//!
//! Pure: registers are reached through [`Registers`], and nothing waits for an interrupt in here. The driver server
//! calls [`Driver::interrupt`] when one has come and takes what has arrived with [`SerialPort::take`].
//!
//! Writes may be posted (a layer or an interconnect may hold them), so whoever needs the device to *have* something
//! reads a register back: after the last byte of a request, and after acknowledging an interrupt.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod register;

use bus_space::Registers;
use driver_class::serial::{Received, SerialPort, Stuck, request, send};
use driver_class::{Answer, Driver, NotThis, Words};

/// A PL011 that has been identified and set up: FIFOs on, receive interrupts on.
#[derive(Debug)]
pub struct Pl011<R> {
    registers: R,
    received: Received,
}

impl<R: Registers> Driver<R> for Pl011<R> {
    /// Identifies the device and sets it up. Speed and format stay as the firmware left them.
    fn probe(registers: R, _clock_hz: u32) -> Result<Self, NotThis> {
        let id = identification(&registers);
        if id & register::ID_PART_MASK != register::ID_PART {
            return Err(NotThis(id));
        }
        let mut uart = Self { registers, received: Received::default() };
        uart.set_up();
        // What came before is taken as well: the device interrupts when its FIFO passes a level, and one that is full
        // already never does.
        uart.interrupt();
        Ok(uart)
    }

    fn registers(&self) -> &R {
        &self.registers
    }

    /// What arrives stays in the device's queue.
    fn stop(&mut self) {
        self.registers.write_4(register::INTERRUPT_MASK, 0);
        self.registers.write_4(register::INTERRUPT_CLEAR, register::INTERRUPT_ALL);
        self.settle();
    }

    /// The write that lets the device raise its interrupt may be what a layer has kept: once more does no harm.
    fn layers_changed(&mut self) {
        self.arm();
    }

    /// Takes what the device has and acknowledges its interrupt.
    fn interrupt(&mut self) -> bool {
        // Acknowledged first: a byte that comes after the last look raises the interrupt again.
        self.registers.write_4(register::INTERRUPT_CLEAR, register::INTERRUPT_ALL);
        let mut arrived = false;
        while self.registers.read_4(register::FLAGS) & register::FLAG_RECEIVE_EMPTY == 0 {
            let data = self.registers.read_4(register::DATA);
            self.received.put(data.to_le_bytes()[0]);
            arrived = true;
        }
        arrived
    }

    fn request(&mut self, label: u64, words: &mut Words, length: usize) -> Answer {
        request(self, label, words, length)
    }
}

impl<R: Registers> SerialPort for Pl011<R> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Stuck> {
        let r = &self.registers;
        let has_room = || r.read_4(register::FLAGS) & register::FLAG_TRANSMIT_FULL == 0;
        send(bytes, has_room, |byte| r.write_4(register::DATA, byte.into()))?;
        self.settle();
        Ok(())
    }

    fn take(&mut self) -> Option<u8> {
        self.received.take()
    }
}

impl<R: Registers> Pl011<R> {
    fn set_up(&mut self) {
        let r = &self.registers;
        r.write_4(register::INTERRUPT_MASK, 0);
        r.write_4(register::LINE_CONTROL, register::LINE_FIFOS | register::LINE_8_BITS);
        r.write_4(register::FIFO_LEVELS, register::LEVEL_RECEIVE_EIGHTH);
        r.write_4(register::CONTROL, register::CONTROL_ON);
        r.write_4(register::INTERRUPT_CLEAR, register::INTERRUPT_ALL);
        self.arm();
    }

    /// Lets the device raise its interrupt.
    fn arm(&mut self) {
        let interrupts = register::INTERRUPT_RECEIVE | register::INTERRUPT_TIMEOUT;
        self.registers.write_4(register::INTERRUPT_MASK, interrupts);
        self.settle();
    }

    /// Bytes that arrived and found no room.
    pub const fn dropped(&self) -> u32 {
        self.received.dropped()
    }

    /// Reads back, so that no write is under way any more.
    fn settle(&self) {
        self.registers.read_4(register::FLAGS);
    }
}

/// The four peripheral identification registers as one number; 0x0034_1011 and the like for a PL011.
pub fn identification(registers: &impl Registers) -> u32 {
    (0..4).fold(0, |id, i| id | (registers.read_4(register::PERIPHERAL_ID + 4 * i) & 0xff) << (8 * i))
}

#[cfg(test)]
mod tests;
