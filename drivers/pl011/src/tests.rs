//! The driver against a mock PL011.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::vec::Vec;

use bus_space::{BarrierFlags, Registers};

use driver_class::serial::{RECEIVED_MAX, TRANSMIT_POLLS_MAX};

use super::{Driver, NotThis, Pl011, SerialPort, Stuck, register};

/// A PL011 that answers as QEMU's does and keeps what it is sent.
#[derive(Default)]
struct Mock {
    line: RefCell<VecDeque<u8>>,
    sent: RefCell<Vec<u8>>,
    full_for: Cell<u32>,
    mask: Cell<u32>,
    unread_writes: Cell<u32>,
    other: bool,
}

impl Registers for &Mock {
    fn read_4(&self, offset: u64) -> u32 {
        self.unread_writes.set(0);
        match offset {
            register::FLAGS => {
                let full = self.full_for.get();
                self.full_for.set(full.saturating_sub(1));
                let empty = if self.line.borrow().is_empty() { register::FLAG_RECEIVE_EMPTY } else { 0 };
                empty | if full > 0 { register::FLAG_TRANSMIT_FULL } else { 0 }
            }
            register::DATA => u32::from(self.line.borrow_mut().pop_front().expect("read of an empty FIFO")),
            0xfe0 if self.other => 0x31,
            0xfe0 => 0x11,
            0xfe4 => 0x10,
            0xfe8 => 0x14,
            0xfec => 0x00,
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn write_4(&self, offset: u64, value: u32) {
        self.unread_writes.set(self.unread_writes.get() + 1);
        match offset {
            register::DATA => self.sent.borrow_mut().push(u8::try_from(value).unwrap()),
            register::INTERRUPT_MASK => self.mask.set(value),
            register::LINE_CONTROL
            | register::CONTROL
            | register::FIFO_LEVELS
            | register::INTERRUPT_CLEAR => {}
            _ => panic!("write of {offset:#x}"),
        }
    }

    fn barrier(&self, _flags: BarrierFlags) {}
}

#[test]
fn bytes_come_and_go() {
    let mock = Mock::default();
    let mut uart = Pl011::probe(&mock, 0).unwrap();
    assert_eq!(mock.mask.get(), register::INTERRUPT_RECEIVE | register::INTERRUPT_TIMEOUT);
    mock.full_for.set(5);
    assert_eq!(uart.write(b"hello"), Ok(()));
    assert_eq!(*mock.sent.borrow(), b"hello");
    assert!(!uart.interrupt());
    mock.line.borrow_mut().extend(b"ok");
    assert!(uart.interrupt());
    assert_eq!((uart.take(), uart.take(), uart.take()), (Some(b'o'), Some(b'k'), None));
}

/// A FIFO that was full before the driver came passes no level, so that no interrupt tells of it.
#[test]
fn what_came_before_the_driver_is_taken() {
    let mock = Mock::default();
    mock.line.borrow_mut().extend(b"early");
    let mut uart = Pl011::probe(&mock, 0).unwrap();
    assert!(mock.line.borrow().is_empty());
    let taken: Vec<u8> = std::iter::from_fn(|| uart.take()).collect();
    assert_eq!(taken, b"early");
}

/// A posted write must not wait in a layer for the driver's next call.
#[test]
fn nothing_is_left_posted() {
    let mock = Mock::default();
    let mut uart = Pl011::probe(&mock, 0).unwrap();
    assert_eq!(mock.unread_writes.get(), 0);
    uart.write(b"x").unwrap();
    assert_eq!(mock.unread_writes.get(), 0);
    uart.interrupt();
    assert_eq!(mock.unread_writes.get(), 0);
}

#[test]
fn a_device_that_is_another_or_stuck_is_an_error() {
    let other = Mock { other: true, ..Mock::default() };
    assert_eq!(Pl011::probe(&other, 0).err(), Some(NotThis(0x0014_1031)));
    let mock = Mock::default();
    let mut uart = Pl011::probe(&mock, 0).unwrap();
    mock.full_for.set(TRANSMIT_POLLS_MAX + 1);
    assert_eq!(uart.write(b"x"), Err(Stuck));
}

#[test]
fn too_much_input_is_counted_and_the_oldest_kept() {
    let mock = Mock::default();
    let mut uart = Pl011::probe(&mock, 0).unwrap();
    mock.line.borrow_mut().extend((0..RECEIVED_MAX + 3).map(|i| i.to_le_bytes()[0]));
    uart.interrupt();
    assert_eq!(uart.dropped(), 3);
    assert_eq!((0..RECEIVED_MAX).filter(|i| uart.take() == Some(i.to_le_bytes()[0])).count(), RECEIVED_MAX);
}
