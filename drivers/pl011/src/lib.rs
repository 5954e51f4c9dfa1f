//! Device logic of the PL011 UART.
//!
//! Pure: registers are reached through [`Registers`], and nothing waits for an interrupt in here. The driver server
//! calls [`Uart::interrupt`] when one has come and takes what has arrived with [`Uart::take`].
//!
//! Writes may be posted (a layer or an interconnect may hold them), so whoever needs the device to *have* something
//! reads a register back: after the last byte of a request, and after acknowledging an interrupt.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod register;

use bus_space::Registers;

/// Bytes that wait to be taken. More are dropped and counted.
pub const RECEIVED_MAX: usize = 1024;
/// Reads of the flag register before a byte that does not go out is given up.
pub const TRANSMIT_POLLS_MAX: u32 = 1_000_000;

/// Why a device is not driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeError {
    /// The identification registers hold this instead.
    NotAPl011(u32),
}

/// The transmitter stayed full: the device is stuck or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

/// A PL011 that has been identified and set up: FIFOs on, receive interrupts on.
#[derive(Debug)]
pub struct Uart<R> {
    registers: R,
    received: [u8; RECEIVED_MAX],
    first: usize,
    count: usize,
    dropped: u32,
}

impl<R: Registers> Uart<R> {
    /// Identifies the device and sets it up. Speed and format stay as the firmware left them.
    pub fn probe(registers: R) -> Result<Self, ProbeError> {
        let id = identification(&registers);
        if id & register::ID_PART_MASK != register::ID_PART {
            return Err(ProbeError::NotAPl011(id));
        }
        let mut uart = Self { registers, received: [0; RECEIVED_MAX], first: 0, count: 0, dropped: 0 };
        uart.set_up();
        // What came before is taken as well: the device interrupts when its FIFO passes a level, and one that is full
        // already never does.
        uart.interrupt();
        Ok(uart)
    }

    fn set_up(&mut self) {
        let r = &self.registers;
        r.write_4(register::INTERRUPT_MASK, 0);
        r.write_4(register::LINE_CONTROL, register::LINE_FIFOS | register::LINE_8_BITS);
        r.write_4(register::FIFO_LEVELS, register::LEVEL_RECEIVE_EIGHTH);
        r.write_4(register::CONTROL, register::CONTROL_ON);
        r.write_4(register::INTERRUPT_CLEAR, register::INTERRUPT_ALL);
        self.arm();
    }

    /// Lets the device raise its interrupt. Harmless when it may already: a layer that has gone may have kept the write
    /// that said so.
    pub fn arm(&mut self) {
        let interrupts = register::INTERRUPT_RECEIVE | register::INTERRUPT_TIMEOUT;
        self.registers.write_4(register::INTERRUPT_MASK, interrupts);
        self.settle();
    }

    /// Leaves the device: it raises no interrupt any more, and what arrives stays in its queue.
    pub fn stop(&mut self) {
        self.registers.write_4(register::INTERRUPT_MASK, 0);
        self.registers.write_4(register::INTERRUPT_CLEAR, register::INTERRUPT_ALL);
        self.settle();
    }

    /// The registers, for a client that looks at the device itself.
    pub const fn registers(&self) -> &R {
        &self.registers
    }

    /// Takes what the device has and acknowledges its interrupt. Returns whether anything has arrived.
    pub fn interrupt(&mut self) -> bool {
        // Acknowledged first: a byte that comes after the last look raises the interrupt again.
        self.registers.write_4(register::INTERRUPT_CLEAR, register::INTERRUPT_ALL);
        let mut arrived = false;
        while self.registers.read_4(register::FLAGS) & register::FLAG_RECEIVE_EMPTY == 0 {
            let data = self.registers.read_4(register::DATA);
            self.put(data.to_le_bytes()[0]);
            arrived = true;
        }
        arrived
    }

    fn put(&mut self, byte: u8) {
        if self.count == RECEIVED_MAX {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.received[(self.first + self.count) % RECEIVED_MAX] = byte;
        self.count += 1;
    }

    /// Takes the oldest byte that has arrived.
    pub fn take(&mut self) -> Option<u8> {
        if self.count == 0 {
            return None;
        }
        let byte = self.received[self.first];
        self.first = (self.first + 1) % RECEIVED_MAX;
        self.count -= 1;
        Some(byte)
    }

    /// Bytes that arrived and found no room.
    pub const fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Sends bytes and returns when the device has them all.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Stuck> {
        for byte in bytes {
            let mut polls = 0;
            while self.registers.read_4(register::FLAGS) & register::FLAG_TRANSMIT_FULL != 0 {
                polls += 1;
                if polls == TRANSMIT_POLLS_MAX {
                    return Err(Stuck);
                }
            }
            self.registers.write_4(register::DATA, u32::from(*byte));
        }
        self.settle();
        Ok(())
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
