//! Device logic of the mini-UART in the BCM2835's auxiliary block.
//!
//! Its registers share a page with two SPI controllers, which stay as they are.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod register;

use bus_space::Registers;
use driver_class::serial::{Received, SerialPort, Stuck, request, send};
use driver_class::{Answer, Driver, NotThis, Words};

/// Bits a second.
pub const BAUD: u32 = 115_200;

/// A mini-UART that is on, with its receive interrupt.
#[derive(Debug)]
pub struct MiniUart<R> {
    registers: R,
    received: Received,
}

impl<R: Registers> Driver<R> for MiniUart<R> {
    /// Switches the device on; it is there if it stays on.
    fn probe(registers: R, clock_hz: u32) -> Result<Self, NotThis> {
        let enables = registers.read_4(register::ENABLES);
        registers.write_4(register::ENABLES, enables | register::ENABLE_UART);
        let kept = registers.read_4(register::ENABLES);
        if kept & register::ENABLE_UART == 0 {
            return Err(NotThis(kept));
        }
        registers.write_4(register::INTERRUPT_ENABLE, 0);
        registers.write_4(register::LINE_CONTROL, register::LINE_8_BITS);
        registers.write_4(register::BAUD, (clock_hz / (8 * BAUD)).saturating_sub(1));
        registers.write_4(register::CONTROL, register::CONTROL_ON);
        let mut uart = Self { registers, received: Received::default() };
        uart.interrupt();
        uart.layers_changed();
        Ok(uart)
    }

    fn registers(&self) -> &R {
        &self.registers
    }

    /// What arrives stays in the device's queue.
    fn stop(&mut self) {
        self.registers.write_4(register::INTERRUPT_ENABLE, 0);
        self.settle();
    }

    /// The write that lets the device raise its interrupt may be what a layer has kept: once more does no harm.
    fn layers_changed(&mut self) {
        self.registers.write_4(register::INTERRUPT_ENABLE, register::INTERRUPT_RECEIVE);
        self.settle();
    }

    /// Takes what the device has: with that its interrupt goes.
    fn interrupt(&mut self) -> bool {
        let mut arrived = false;
        while self.registers.read_4(register::LINE_STATUS) & register::STATUS_HAS_BYTE != 0 {
            self.received.put(self.registers.read_4(register::DATA).to_le_bytes()[0]);
            arrived = true;
        }
        arrived
    }

    fn request(&mut self, label: u64, words: &mut Words, length: usize) -> Answer {
        request(self, label, words, length)
    }
}

impl<R: Registers> SerialPort for MiniUart<R> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Stuck> {
        let r = &self.registers;
        let has_room = || r.read_4(register::LINE_STATUS) & register::STATUS_HAS_ROOM != 0;
        send(bytes, has_room, |byte| r.write_4(register::DATA, byte.into()))?;
        self.settle();
        Ok(())
    }

    fn take(&mut self) -> Option<u8> {
        self.received.take()
    }
}

impl<R: Registers> MiniUart<R> {
    /// Reads back, so that no write is under way any more.
    fn settle(&self) {
        self.registers.read_4(register::LINE_STATUS);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;
    use std::vec::Vec;

    use bus_space::{BarrierFlags, Registers};
    use driver_class::serial::{SerialPort, Stuck, TRANSMIT_POLLS_MAX};
    use driver_class::{Driver, NotThis};

    use super::{MiniUart, register};

    /// A mini-UART that keeps what it is sent; the enables of its neighbours are on.
    struct Mock {
        enables: Cell<u32>,
        line: RefCell<VecDeque<u8>>,
        sent: RefCell<Vec<u8>>,
        baud: Cell<u32>,
        interrupts: Cell<u32>,
        full_for: Cell<u32>,
        posted: Cell<u32>,
        is_there: bool,
    }

    fn mock(is_there: bool) -> Mock {
        Mock {
            enables: Cell::new(6),
            line: RefCell::default(),
            sent: RefCell::default(),
            baud: Cell::new(0),
            interrupts: Cell::new(0),
            full_for: Cell::new(0),
            posted: Cell::new(0),
            is_there,
        }
    }

    impl Registers for &Mock {
        fn read_4(&self, offset: u64) -> u32 {
            self.posted.set(0);
            match offset {
                register::ENABLES => self.enables.get(),
                register::LINE_STATUS => {
                    let full = self.full_for.get();
                    self.full_for.set(full.saturating_sub(1));
                    let room = if full == 0 { register::STATUS_HAS_ROOM } else { 0 };
                    room | u32::from(!self.line.borrow().is_empty())
                }
                register::DATA => self.line.borrow_mut().pop_front().expect("read of an empty FIFO").into(),
                _ => panic!("read of {offset:#x}"),
            }
        }

        fn write_4(&self, offset: u64, value: u32) {
            self.posted.set(self.posted.get() + 1);
            match offset {
                register::ENABLES if self.is_there => self.enables.set(value),
                register::ENABLES => {}
                register::INTERRUPT_ENABLE => self.interrupts.set(value),
                register::LINE_CONTROL => assert_eq!(value, 3),
                register::BAUD => self.baud.set(value),
                register::CONTROL => assert_eq!(value, 3),
                register::DATA => self.sent.borrow_mut().push(u8::try_from(value).unwrap()),
                _ => panic!("write of {offset:#x}"),
            }
        }

        fn barrier(&self, _flags: BarrierFlags) {}
    }

    #[test]
    fn bytes_come_and_go_and_nothing_is_left_posted() {
        let mock = mock(true);
        mock.line.borrow_mut().extend(b"early");
        let mut uart = MiniUart::probe(&mock, 250_000_000).unwrap();
        // 250 MHz / (8 * (270 + 1)) is 115313 bits a second.
        assert_eq!((mock.enables.get(), mock.baud.get(), mock.interrupts.get()), (7, 270, 1));
        mock.full_for.set(5);
        assert_eq!(uart.write(b"hello"), Ok(()));
        assert_eq!(*mock.sent.borrow(), b"hello");
        assert!(!uart.interrupt());
        mock.line.borrow_mut().extend(b" and late");
        assert!(uart.interrupt());
        let taken: Vec<u8> = std::iter::from_fn(|| uart.take()).collect();
        assert_eq!(taken, b"early and late");
        uart.stop();
        assert_eq!((mock.interrupts.get(), mock.posted.get()), (0, 0));
    }

    #[test]
    fn a_device_that_is_not_there_or_stuck_is_an_error() {
        assert_eq!(MiniUart::probe(&mock(false), 1).err(), Some(NotThis(6)));
        let mock = mock(true);
        let mut uart = MiniUart::probe(&mock, 0).unwrap();
        mock.full_for.set(TRANSMIT_POLLS_MAX);
        assert_eq!(uart.write(b"x"), Err(Stuck));
    }
}
