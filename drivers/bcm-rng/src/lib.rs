//! Device logic of the BCM2835's random number generator.
//!
//! Broadcom has not described the device; what is known of its registers comes from drivers of other systems. It is told
//! how many of its first numbers to leave out, and then switched on; the status says how many words are ready.
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
    /// Control: bit 0 switches it on.
    pub const CONTROL: u64 = 0x0;
    /// Status: in the low 20 bits how many numbers are still left out, in the high 8 how many words are ready.
    pub const STATUS: u64 = 0x4;
    /// A word.
    pub const DATA: u64 = 0x8;
    /// It is on.
    pub const CONTROL_ON: u32 = 1;
    /// How many numbers are left out at the start.
    pub const WARM_UP: u32 = 0x4_0000;
    /// Where in the status the number of words stands.
    pub const STATUS_READY_SHIFT: u32 = 24;
}

/// Looks at the status before a word that does not come is given up: many times what the warm-up takes.
pub const POLLS_MAX: u32 = 10_000_000;

/// A generator that is on.
#[derive(Debug)]
pub struct BcmRng<R> {
    registers: R,
}

impl<R: Registers> Driver<R> for BcmRng<R> {
    /// The device has no identification: it is there if it can be switched on. One that is on already goes on.
    fn probe(registers: R, _clock_hz: u32) -> Result<Self, NotThis> {
        if registers.read_4(register::CONTROL) & register::CONTROL_ON == 0 {
            registers.write_4(register::STATUS, register::WARM_UP);
            registers.write_4(register::CONTROL, register::CONTROL_ON);
        }
        match registers.read_4(register::CONTROL) {
            on if on & register::CONTROL_ON != 0 => Ok(Self { registers }),
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

impl<R: Registers> RandomSource for BcmRng<R> {
    fn next(&mut self) -> Result<u32, Stuck> {
        let ready = |_| self.registers.read_4(register::STATUS) >> register::STATUS_READY_SHIFT != 0;
        if !(0..POLLS_MAX).any(ready) {
            return Err(Stuck);
        }
        Ok(self.registers.read_4(register::DATA))
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
    use strata_protocol::driver::random::BYTES_MAX;

    use super::{BcmRng, register};

    /// A generator that counts, and has a word at every third look.
    #[derive(Default)]
    struct Mock {
        control: Cell<u32>,
        status: Cell<u32>,
        looks: Cell<u32>,
        count: Cell<u32>,
        is_there: bool,
        is_dry: Cell<bool>,
    }

    impl Registers for &Mock {
        fn read_4(&self, offset: u64) -> u32 {
            match offset {
                register::CONTROL => self.control.get(),
                register::STATUS => {
                    self.looks.set(self.looks.get() + 1);
                    u32::from(self.looks.get().is_multiple_of(3) && !self.is_dry.get()) << 24
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
                register::STATUS | register::CONTROL => self.status.set(value),
                _ => panic!("write of {offset:#x}"),
            }
        }

        fn barrier(&self, _flags: BarrierFlags) {}
    }

    struct Server<'a>(BcmRng<&'a Mock>);

    impl Call for Server<'_> {
        fn call(&mut self, label: u64, words: &mut Words, length: usize) -> Result<usize, Errno> {
            self.0.request(label, words, length)
        }
    }

    #[test]
    fn every_byte_is_one_of_the_devices_and_none_is_given_twice() {
        let mock = Mock { is_there: true, ..Mock::default() };
        let mut random = Random::new(Server(BcmRng::probe(&mock, 0).unwrap()));
        assert_eq!(mock.status.get(), register::WARM_UP);
        let mut bytes = [0; 12];
        random.fill(&mut bytes).unwrap();
        assert_eq!(bytes, [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
        // The fourth went with the answer; more bytes than an answer has come in several.
        let mut many = [0; BYTES_MAX + 4];
        random.fill(&mut many).unwrap();
        assert_eq!(many[..4], [5, 0, 0, 0]);
        assert_eq!(many[BYTES_MAX..], [5 + 240, 0, 0, 0]);
    }

    #[test]
    fn a_device_that_is_not_there_or_dry_is_an_error() {
        assert_eq!(BcmRng::probe(&Mock::default(), 0).err(), Some(NotThis(0)));
        let mock = Mock { is_there: true, ..Mock::default() };
        let mut random = Random::new(Server(BcmRng::probe(&mock, 0).unwrap()));
        mock.is_dry.set(true);
        assert_eq!(random.fill(&mut [0; 1]), Err(Error::Refused(Errno::EIO)));
        mock.is_dry.set(false);
        assert_eq!(random.fill(&mut [0; 1]), Ok(()));
    }
}
