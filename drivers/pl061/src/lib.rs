//! Device logic of the PL061 GPIO: eight pins, each of which can raise the interrupt at an edge.
//!
//! Watching both edges, the device does not say which one came: a pin that is high afterwards has risen.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod register;

use bus_space::Registers;
use driver_class::gpio::{Edges, Pin, Pins, Use, Watches, request};
use driver_class::{Answer, Driver, NotThis, Words};

/// Pins of the device.
const PINS: usize = 8;

/// A PL061 that has been identified.
#[derive(Debug)]
pub struct Pl061<R> {
    registers: R,
    watches: Watches<PINS>,
}

impl<R: Registers> Driver<R> for Pl061<R> {
    /// Identifies the device. Pins stay as they are, and none is watched.
    fn probe(registers: R, _clock_hz: u32) -> Result<Self, NotThis> {
        let id = (0..4)
            .fold(0, |id, i| id | (registers.read_4(register::PERIPHERAL_ID + 4 * i) & 0xff) << (8 * i));
        if id & register::ID_PART_MASK != register::ID_PART {
            return Err(NotThis(id));
        }
        let mut pins = Self { registers, watches: Watches::default() };
        pins.stop();
        pins.registers.write_4(register::SENSE, 0);
        pins.settle();
        Ok(pins)
    }

    fn registers(&self) -> &R {
        &self.registers
    }

    fn stop(&mut self) {
        self.registers.write_4(register::INTERRUPT_MASK, 0);
        self.registers.write_4(register::INTERRUPT_CLEAR, 0xff);
        self.settle();
    }

    /// The write that lets pins raise the interrupt may be what a layer has kept.
    fn layers_changed(&mut self) {
        self.unmask();
    }

    fn interrupt(&mut self) -> bool {
        let raised = self.registers.read_4(register::INTERRUPT_STATUS) & 0xff;
        // Forgotten first: an edge that comes after the look at the level raises the interrupt again.
        self.registers.write_4(register::INTERRUPT_CLEAR, raised);
        let registers = &self.registers;
        self.watches.see(raised, |pin| registers.read_4(data_of(pin)) != 0);
        self.settle();
        raised != 0
    }

    fn request(&mut self, label: u64, words: &mut Words, length: usize) -> Answer {
        request(self, label, words, length)
    }
}

impl<R: Registers> Pins for Pl061<R> {
    const COUNT: Pin = 8;

    fn used_as(&self, pin: Pin) -> Use {
        if self.bit(register::ALTERNATE, pin) {
            Use::Elsewhere
        } else if self.bit(register::DIRECTION, pin) {
            Use::Output
        } else {
            Use::Input
        }
    }

    fn is_high(&self, pin: Pin) -> bool {
        self.registers.read_4(data_of(pin)) != 0
    }

    fn drive(&mut self, pin: Pin, high: bool) {
        self.registers.write_4(data_of(pin), if high { 0xff } else { 0 });
        self.settle();
    }

    fn make_input(&mut self, pin: Pin) {
        self.change(register::DIRECTION, pin, false);
        self.settle();
    }

    fn make_output(&mut self, pin: Pin, high: bool) {
        // The device takes a pin's value once it is an output (3.3.1): it is driven in the next moment.
        self.change(register::DIRECTION, pin, true);
        self.drive(pin, high);
    }

    fn watch(&mut self, pin: Pin, edges: Edges) {
        self.watches.watch(pin, Edges::default());
        self.unmask();
        self.change(register::BOTH_EDGES, pin, edges.rising && edges.falling);
        self.change(register::EVENT, pin, edges.rising);
        self.registers.write_4(register::INTERRUPT_CLEAR, 1 << pin);
        self.watches.watch(pin, edges);
        self.unmask();
    }

    fn take_edges(&mut self, pin: Pin) -> Edges {
        self.watches.take(pin)
    }
}

impl<R: Registers> Pl061<R> {
    fn bit(&self, register: u64, pin: Pin) -> bool {
        self.registers.read_4(register) >> pin & 1 == 1
    }

    fn change(&self, register: u64, pin: Pin, on: bool) {
        let others = self.registers.read_4(register) & !(1 << pin);
        self.registers.write_4(register, others | u32::from(on) << pin);
    }

    fn unmask(&self) {
        let mask = self.watches.bits(|edges| *edges != Edges::default());
        self.registers.write_4(register::INTERRUPT_MASK, mask);
        self.settle();
    }

    /// Reads back, so that no write is under way any more.
    fn settle(&self) {
        self.registers.read_4(register::INTERRUPT_MASK);
    }
}

/// The data register of one pin.
fn data_of(pin: Pin) -> u64 {
    register::DATA + (4 << pin)
}

#[cfg(test)]
mod tests;
