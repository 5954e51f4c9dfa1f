//! Device logic of the BCM2835's GPIO, as its later chips have it too: the pins of the header, 0 to 27.
//!
//! The device has more pins, which lead into the board: to the card, to the radio. They are nobody's. A pin of the header
//! whose function is another device's (a UART, a bus) is left to it.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod register;

use bus_space::Registers;
use driver_class::gpio::{Edges, Pin, Pins, Use, Watches, request};
use driver_class::{Answer, Driver, NotThis, Words};

/// Pins of the header.
const PINS: usize = 28;
/// Their bits in registers with one bit for each pin.
const ALL: u32 = (1 << PINS) - 1;

/// The controller.
#[derive(Debug)]
pub struct BcmGpio<R> {
    registers: R,
    watches: Watches<PINS>,
}

impl<R: Registers> Driver<R> for BcmGpio<R> {
    /// The device has no identification, and nothing in it may be changed to find out: it is taken as there. Pins stay as
    /// they are, and none of the header's is watched.
    fn probe(registers: R, _clock_hz: u32) -> Result<Self, NotThis> {
        let mut gpio = Self { registers, watches: Watches::default() };
        gpio.stop();
        Ok(gpio)
    }

    fn registers(&self) -> &R {
        &self.registers
    }

    fn stop(&mut self) {
        for register in [register::RISING, register::FALLING] {
            self.registers.write_4(register, self.registers.read_4(register) & !ALL);
        }
        self.registers.write_4(register::EVENTS, ALL);
        self.settle();
    }

    /// The writes that have pins watched may be what a layer has kept.
    fn layers_changed(&mut self) {
        self.watch_all();
    }

    fn interrupt(&mut self) -> bool {
        let seen = self.registers.read_4(register::EVENTS) & ALL;
        // Forgotten first: an edge that comes after the look at the level raises the interrupt again.
        self.registers.write_4(register::EVENTS, seen);
        let level = self.registers.read_4(register::LEVEL);
        self.watches.see(seen, |pin| level >> pin & 1 == 1);
        seen != 0
    }

    fn request(&mut self, label: u64, words: &mut Words, length: usize) -> Answer {
        request(self, label, words, length)
    }
}

impl<R: Registers> Pins for BcmGpio<R> {
    const COUNT: Pin = 28;

    fn used_as(&self, pin: Pin) -> Use {
        let (register, shift) = function_of(pin);
        match self.registers.read_4(register) >> shift & 7 {
            register::FUNCTION_INPUT => Use::Input,
            register::FUNCTION_OUTPUT => Use::Output,
            _ => Use::Elsewhere,
        }
    }

    fn is_high(&self, pin: Pin) -> bool {
        self.registers.read_4(register::LEVEL) >> pin & 1 == 1
    }

    fn drive(&mut self, pin: Pin, high: bool) {
        self.registers.write_4(if high { register::SET } else { register::CLEAR }, 1 << pin);
        self.settle();
    }

    fn make_input(&mut self, pin: Pin) {
        self.set_function(pin, register::FUNCTION_INPUT);
    }

    fn make_output(&mut self, pin: Pin, high: bool) {
        // What is set while the pin is an input is driven once it is an output (6.1, GPSETn).
        self.drive(pin, high);
        self.set_function(pin, register::FUNCTION_OUTPUT);
    }

    fn watch(&mut self, pin: Pin, edges: Edges) {
        self.watches.watch(pin, edges);
        self.watch_all();
        self.registers.write_4(register::EVENTS, 1 << pin);
        self.settle();
    }

    fn take_edges(&mut self, pin: Pin) -> Edges {
        self.watches.take(pin)
    }
}

impl<R: Registers> BcmGpio<R> {
    fn set_function(&self, pin: Pin, function: u32) {
        let (register, shift) = function_of(pin);
        let others = self.registers.read_4(register) & !(7 << shift);
        self.registers.write_4(register, others | function << shift);
        self.settle();
    }

    /// Watches each pin for what it is watched for; pins that are not the header's stay as they are.
    fn watch_all(&self) {
        let rising = self.watches.bits(|edges| edges.rising);
        let falling = self.watches.bits(|edges| edges.falling);
        for (register, wanted) in [(register::RISING, rising), (register::FALLING, falling)] {
            self.registers.write_4(register, self.registers.read_4(register) & !ALL | wanted);
        }
        self.settle();
    }

    /// Reads back, so that no write is under way any more.
    fn settle(&self) {
        self.registers.read_4(register::LEVEL);
    }
}

/// A pin's function register, and where in it the pin's three bits start.
fn function_of(pin: Pin) -> (u64, u32) {
    let (register, place) = (pin / register::PINS_PER_FUNCTION, pin % register::PINS_PER_FUNCTION);
    (register::FUNCTION + 4 * u64::from(register), 3 * place)
}

#[cfg(test)]
mod tests;
