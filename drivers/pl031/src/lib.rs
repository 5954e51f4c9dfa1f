//! Device logic of the PL031 real-time clock.
//!
//! The clock counts seconds since 1970 and keeps its interrupt masked: nobody sets an alarm here.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

use bus_space::Registers;
use driver_class::clock::{Clock, request};
use driver_class::{Answer, Driver, NotThis, Words};

/// Registers, as the PL031 technical reference manual (Arm DDI 0224) names them.
pub mod register {
    /// RTCDR: seconds.
    pub const DATA: u64 = 0x00;
    /// RTCCR: bit 0 starts the clock.
    pub const CONTROL: u64 = 0x0c;
    /// RTCIMSC: interrupt mask, a set bit is enabled.
    pub const INTERRUPT_MASK: u64 = 0x10;
    /// RTCPeriphID0, the first of four.
    pub const PERIPHERAL_ID: u64 = 0xfe0;
    /// The identification of a PL031: part 0x031, designer 0x41 (Arm).
    pub const ID_PART: u32 = 0x0004_1031;
    /// Revision and configuration differ between PL031s.
    pub const ID_PART_MASK: u32 = 0x000f_ffff;
}

/// A PL031 that has been identified and runs.
#[derive(Debug)]
pub struct Pl031<R> {
    registers: R,
}

impl<R: Registers> Driver<R> for Pl031<R> {
    /// Identifies the device and starts it; a running clock goes on with the time that it has.
    fn probe(registers: R, _clock_hz: u32) -> Result<Self, NotThis> {
        let id = identification(&registers);
        if id & register::ID_PART_MASK != register::ID_PART {
            return Err(NotThis(id));
        }
        registers.write_4(register::INTERRUPT_MASK, 0);
        registers.write_4(register::CONTROL, 1);
        // Read back: the clock must run before anybody asks it.
        registers.read_4(register::CONTROL);
        Ok(Self { registers })
    }

    fn registers(&self) -> &R {
        &self.registers
    }

    /// The clock goes on.
    fn stop(&mut self) {
        self.registers.write_4(register::INTERRUPT_MASK, 0);
        self.registers.read_4(register::CONTROL);
    }

    fn request(&mut self, label: u64, words: &mut Words, _length: usize) -> Answer {
        request(self, label, words)
    }
}

impl<R: Registers> Clock for Pl031<R> {
    fn now(&self) -> u32 {
        self.registers.read_4(register::DATA)
    }
}

/// The four peripheral identification registers as one number.
pub fn identification(registers: &impl Registers) -> u32 {
    (0..4).fold(0, |id, i| id | (registers.read_4(register::PERIPHERAL_ID + 4 * i) & 0xff) << (8 * i))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::vec::Vec;

    use bus_space::{BarrierFlags, Registers};

    use super::{Clock, Driver, NotThis, Pl031};

    struct Mock {
        id: u32,
        writes: RefCell<Vec<(u64, u32)>>,
    }

    impl Registers for &Mock {
        fn read_4(&self, offset: u64) -> u32 {
            match offset {
                0x00 => 1_789_000_000,
                0x0c => 1,
                0xfe0..0xff0 => self.id >> (2 * (offset - 0xfe0)) & 0xff,
                _ => panic!("read of {offset:#x}"),
            }
        }

        fn write_4(&self, offset: u64, value: u32) {
            self.writes.borrow_mut().push((offset, value));
        }

        fn barrier(&self, _flags: BarrierFlags) {}
    }

    #[test]
    fn a_clock_is_started_without_interrupt_and_read() {
        let mock = Mock { id: 0x0004_1031, writes: RefCell::default() };
        let clock = Pl031::probe(&mock, 0).unwrap();
        assert_eq!(clock.now(), 1_789_000_000);
        assert_eq!(*mock.writes.borrow(), [(0x10, 0), (0x0c, 1)]);
    }

    #[test]
    fn another_device_is_refused_and_left_alone() {
        let mock = Mock { id: 0xffff_ffff, writes: RefCell::default() };
        assert_eq!(Pl031::probe(&mock, 0).err(), Some(NotThis(0xffff_ffff)));
        assert!(mock.writes.borrow().is_empty());
    }
}
