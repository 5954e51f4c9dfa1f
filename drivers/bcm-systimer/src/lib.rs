//! Device logic of the BCM2835's system timer: a counter of microseconds and four comparators.
//!
//! Comparators 0 and 2 are the firmware's, which runs on the graphics processor; 1 and 3 are free (BCM2835 ARM
//! Peripherals, chapter 12, and Linux's device tree of the board, which takes number 3). This driver has number 1, whose
//! interrupt is the board's for the device, and leaves the others alone.
//!
//! A comparator compares the counter's low half only, and when that *is* the value: a time that passes while it is being
//! set would come 71 minutes later. So whoever sets it looks at the counter afterwards.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

use bus_space::Registers;
use driver_class::time::{Alarms, Full, TimeSource, request};
use driver_class::{Answer, Driver, NotThis, Words};

/// Registers and bits, as BCM2835 ARM Peripherals, chapter 12, names them.
pub mod register {
    /// CS: comparators that have matched; cleared by writing ones.
    pub const STATUS: u64 = 0x00;
    /// CLO: the counter's low half.
    pub const COUNTER_LOW: u64 = 0x04;
    /// CHI: its high half.
    pub const COUNTER_HIGH: u64 = 0x08;
    /// C1: comparator 1.
    pub const COMPARE_1: u64 = 0x10;
    /// CS.M1: comparator 1 has matched.
    pub const STATUS_MATCH_1: u32 = 1 << 1;
}

/// How far ahead of the counter the comparator is set at first, in microseconds; it is doubled until that is enough.
const LEAD_US: u64 = 4;
/// A lead that is enough unless the counter is no clock.
const LEAD_MAX_US: u64 = 1 << 20;
/// Looks at the counter that find the same before it is taken to stand still: many microseconds' worth.
pub const LOOKS_MAX: u32 = 100_000;

/// A system timer that counts.
#[derive(Debug)]
pub struct SystemTimer<R> {
    registers: R,
    alarms: Alarms,
}

impl<R: Registers> Driver<R> for SystemTimer<R> {
    /// The device has no identification: it is there if it counts.
    fn probe(registers: R, _clock_hz: u32) -> Result<Self, NotThis> {
        let first = registers.read_4(register::COUNTER_LOW);
        let counts = |_| registers.read_4(register::COUNTER_LOW) != first;
        if !(0..LOOKS_MAX).any(counts) {
            return Err(NotThis(first));
        }
        let mut timer = Self { registers, alarms: Alarms::default() };
        timer.stop();
        Ok(timer)
    }

    fn registers(&self) -> &R {
        &self.registers
    }

    /// A comparator cannot be switched off: it matches every 71 minutes, and whoever is the next takes it for an alarm that
    /// is nobody's.
    fn stop(&mut self) {
        self.registers.write_4(register::STATUS, register::STATUS_MATCH_1);
        self.settle();
    }

    /// The write that sets the comparator may be what a layer has kept.
    fn layers_changed(&mut self) {
        self.set_comparator();
    }

    fn interrupt(&mut self) -> bool {
        // Forgotten first: a match that comes after the look at the counter raises the interrupt again.
        self.stop();
        let due = self.alarms.take_due(self.now());
        self.set_comparator();
        due
    }

    fn request(&mut self, label: u64, words: &mut Words, length: usize) -> Answer {
        request(self, label, words, length)
    }
}

impl<R: Registers> TimeSource for SystemTimer<R> {
    fn now(&self) -> u64 {
        let mut high = self.registers.read_4(register::COUNTER_HIGH);
        loop {
            let low = self.registers.read_4(register::COUNTER_LOW);
            // The low half may have begun anew in between; it does so every 71 minutes.
            let again = self.registers.read_4(register::COUNTER_HIGH);
            if again == high {
                return u64::from(high) << 32 | u64::from(low);
            }
            high = again;
        }
    }

    fn alarm(&mut self, at: u64) -> Result<(), Full> {
        self.alarms.add(at)?;
        self.set_comparator();
        Ok(())
    }
}

impl<R: Registers> SystemTimer<R> {
    /// Sets the comparator to the next alarm. For one whose time has come that is a little ahead of the counter: every alarm
    /// comes by the interrupt. One that is hours ahead matches every 71 minutes, and is nobody's until its time.
    fn set_comparator(&self) {
        let Some(next) = self.alarms.earliest() else { return };
        let mut lead = LEAD_US;
        loop {
            let now = self.now();
            let at = next.max(now + lead);
            // The comparator has the low half.
            let [b0, b1, b2, b3, ..] = at.to_le_bytes();
            self.registers.write_4(register::COMPARE_1, u32::from_le_bytes([b0, b1, b2, b3]));
            self.settle();
            if self.now() < at || lead >= LEAD_MAX_US {
                return;
            }
            lead *= 2;
        }
    }

    /// Reads back, so that no write is under way any more.
    fn settle(&self) {
        self.registers.read_4(register::STATUS);
    }
}

#[cfg(test)]
mod tests;
