//! Device logic of the BCM2711's random number generator, an RNG200.
//!
//! Broadcom has not described the device; what is known of its registers comes from drivers of other systems (Linux's
//! `iproc-rng200`). Its first bits are left out; a count of bits says when that has been done, and a FIFO says how many words
//! are ready. The device watches itself: numbers that fail its tests lock it up until it is reset.
//!
//! No emulator has the device, so this driver has been run against a model of its registers only.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

use bus_space::Registers;
use driver_class::random::{RandomSource, request};
use driver_class::serial::Stuck;
use driver_class::{Answer, Driver, NotThis, Words};

/// Registers and bits.
pub mod register {
    /// Control.
    pub const CONTROL: u64 = 0x00;
    /// Writing 1 and then 0 resets the generator's bus side.
    pub const RESET: u64 = 0x04;
    /// Writing 1 and then 0 resets its source of bits.
    pub const SOURCE_RESET: u64 = 0x08;
    /// Bits that it has made since it was switched on.
    pub const BITS: u64 = 0x0c;
    /// Bits that are left out at the start.
    pub const BITS_LEFT_OUT: u64 = 0x10;
    /// What it has found out about itself; cleared by writing ones.
    pub const INTERRUPT_STATUS: u64 = 0x18;
    /// A word.
    pub const DATA: u64 = 0x20;
    /// In the low 8 bits how many words are ready; above them from how many on it interrupts.
    pub const FIFO: u64 = 0x24;

    /// Control: the source is on.
    pub const CONTROL_ON: u32 = 0x1fff;
    /// Control: how slowly bits are taken.
    pub const CONTROL_DIVIDER: u32 = 3 << 13;
    /// How many bits are left out.
    pub const WARM_UP: u32 = 0x4_0000;
    /// Bits that say that none of the first are left to come.
    pub const WARM: u32 = 16;
    /// The words that are ready.
    pub const FIFO_COUNT: u32 = 0xff;
    /// Its tests have failed too often: it has locked itself up.
    pub const STATUS_LOCKED: u32 = 1 << 31;
    /// A test of its numbers has failed.
    pub const STATUS_FAILED: u32 = 1 << 5;
}

/// Looks at the FIFO before a word that does not come is given up: many times what the warm-up takes.
pub const POLLS_MAX: u32 = 10_000_000;

/// A generator that is on.
#[derive(Debug)]
pub struct Rng200<R> {
    registers: R,
}

impl<R: Registers> Driver<R> for Rng200<R> {
    /// The device has no identification, and where it is missing its page may have nothing in it: the first look bears a bus
    /// error. It is there if it can be switched on. One that is on already goes on.
    fn probe(registers: R, _clock_hz: u32) -> Result<Self, NotThis> {
        let control = registers.peek_4(register::CONTROL).ok_or(NotThis(u32::MAX))?;
        if control & register::CONTROL_ON == 0 {
            registers.write_4(register::BITS_LEFT_OUT, register::WARM_UP);
            registers.write_4(register::CONTROL, register::CONTROL_DIVIDER | register::CONTROL_ON);
        }
        match registers.read_4(register::CONTROL) {
            on if on & register::CONTROL_ON == register::CONTROL_ON => Ok(Self { registers }),
            other => Err(NotThis(other)),
        }
    }

    fn registers(&self) -> &R {
        &self.registers
    }

    /// It has no interrupt that anybody has switched on, and may go on.
    fn stop(&mut self) {}

    fn request(&mut self, label: u64, words: &mut Words, _length: usize) -> Answer {
        request(self, label, words)
    }
}

impl<R: Registers> RandomSource for Rng200<R> {
    fn next(&mut self) -> Result<u32, Stuck> {
        let read = |register| self.registers.read_4(register);
        let failed = register::STATUS_LOCKED | register::STATUS_FAILED;
        for _ in 0..POLLS_MAX {
            if read(register::INTERRUPT_STATUS) & failed != 0 {
                // What it has ready is no better than what has failed: it begins anew, and this request gets nothing.
                self.reset();
                return Err(Stuck);
            }
            if read(register::BITS) > register::WARM && read(register::FIFO) & register::FIFO_COUNT != 0 {
                return Ok(read(register::DATA));
            }
        }
        Err(Stuck)
    }
}

impl<R: Registers> Rng200<R> {
    /// Switches the generator off, resets it, and switches it on.
    fn reset(&self) {
        let on = self.registers.read_4(register::CONTROL);
        self.registers.write_4(register::CONTROL, on & !register::CONTROL_ON);
        self.registers.write_4(register::INTERRUPT_STATUS, u32::MAX);
        for value in [1, 0] {
            for reset in [register::RESET, register::SOURCE_RESET] {
                self.registers.write_4(reset, value);
            }
        }
        self.registers.write_4(register::CONTROL, on | register::CONTROL_ON);
        self.registers.read_4(register::CONTROL);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bus_space::{BarrierFlags, Registers};
    use driver_class::{Driver, NotThis, Words};
    use hal_clients::Error;
    use hal_clients::random::Random;
    use strata_protocol::Errno;
    use strata_protocol::driver::Call;

    use super::{Rng200, register};

    /// A generator that counts, and has a word at every third look at its FIFO.
    #[derive(Default)]
    struct Mock {
        control: Cell<u32>,
        left_out: Cell<u32>,
        bits: Cell<u32>,
        looks: Cell<u32>,
        count: Cell<u32>,
        status: Cell<u32>,
        resets: Cell<u32>,
        /// Resets that have not been taken back.
        held: Cell<u32>,
        is_there: bool,
        is_dry: Cell<bool>,
        /// A read of the page is a bus error.
        is_hole: bool,
    }

    impl Registers for &Mock {
        fn read_4(&self, offset: u64) -> u32 {
            assert!(!self.is_hole, "a bus error that nobody bears");
            match offset {
                register::CONTROL => self.control.get(),
                register::BITS => {
                    assert_eq!(self.held.get(), 0, "it makes no bits while it is held in reset");
                    self.bits.set(self.bits.get() + 1);
                    self.bits.get()
                }
                register::INTERRUPT_STATUS => self.status.get(),
                register::FIFO => {
                    assert!(self.bits.get() > register::WARM, "its first bits are no numbers");
                    self.looks.set(self.looks.get() + 1);
                    let ready = self.looks.get().is_multiple_of(3) && !self.is_dry.get();
                    0x200 | u32::from(ready)
                }
                register::DATA => {
                    assert!(self.looks.get().is_multiple_of(3), "read of a word that is not there");
                    self.count.set(self.count.get() + 1);
                    self.count.get()
                }
                _ => panic!("read of {offset:#x}"),
            }
        }

        fn write_4(&self, offset: u64, value: u32) {
            match offset {
                register::CONTROL if self.is_there => self.control.set(value),
                register::CONTROL => {}
                register::BITS_LEFT_OUT => self.left_out.set(value),
                register::INTERRUPT_STATUS => self.status.set(self.status.get() & !value),
                register::RESET | register::SOURCE_RESET => {
                    assert_eq!(self.control.get() & register::CONTROL_ON, 0, "a reset while it is on");
                    self.resets.set(self.resets.get() + value);
                    let which = if offset == register::RESET { 1 } else { 2 };
                    self.held.set((self.held.get() & !which) | (which * value));
                    self.bits.set(0);
                }
                _ => panic!("write of {offset:#x}"),
            }
        }

        fn barrier(&self, _flags: BarrierFlags) {}

        fn peek_4(&self, offset: u64) -> Option<u32> {
            (!self.is_hole).then(|| self.read_4(offset))
        }
    }

    struct Server<'a>(Rng200<&'a Mock>);

    impl Call for Server<'_> {
        fn call(&mut self, label: u64, words: &mut Words, length: usize) -> Result<usize, Errno> {
            self.0.request(label, words, length)
        }
    }

    #[test]
    fn every_byte_is_one_of_the_devices_and_none_is_given_twice() {
        let mock = Mock { is_there: true, ..Mock::default() };
        let mut random = Random::new(Server(Rng200::probe(&mock, 0).unwrap()));
        assert_eq!((mock.left_out.get(), mock.control.get()), (0x4_0000, 0x7fff));
        let mut bytes = [0; 8];
        random.fill(&mut bytes).unwrap();
        assert_eq!(bytes, [1, 0, 0, 0, 2, 0, 0, 0]);
        // A server that is started again finds it on, and does not begin anew.
        mock.left_out.set(7);
        let mut again = Random::new(Server(Rng200::probe(&mock, 0).unwrap()));
        again.fill(&mut bytes).unwrap();
        assert_eq!((bytes, mock.left_out.get()), ([3, 0, 0, 0, 4, 0, 0, 0], 7));
    }

    #[test]
    fn numbers_that_fail_the_devices_tests_are_not_given_and_it_begins_anew() {
        for failure in [register::STATUS_LOCKED, register::STATUS_FAILED] {
            let mock = Mock { is_there: true, ..Mock::default() };
            let mut random = Random::new(Server(Rng200::probe(&mock, 0).unwrap()));
            mock.status.set(failure);
            assert_eq!(random.fill(&mut [0; 4]), Err(Error::Refused(Errno::EIO)));
            assert_eq!((mock.resets.get(), mock.control.get(), mock.count.get()), (2, 0x7fff, 0));
            assert_eq!(random.fill(&mut [0; 4]), Ok(()));
        }
    }

    #[test]
    fn a_device_that_is_not_there_or_dry_is_an_error() {
        let hole = Mock { is_hole: true, ..Mock::default() };
        assert_eq!(Rng200::probe(&hole, 0).err(), Some(NotThis(u32::MAX)));
        assert_eq!(Rng200::probe(&Mock::default(), 0).err(), Some(NotThis(0)));
        let mock = Mock { is_there: true, ..Mock::default() };
        let mut random = Random::new(Server(Rng200::probe(&mock, 0).unwrap()));
        mock.is_dry.set(true);
        assert_eq!(random.fill(&mut [0; 1]), Err(Error::Refused(Errno::EIO)));
        mock.is_dry.set(false);
        assert_eq!(random.fill(&mut [0; 1]), Ok(()));
    }
}
