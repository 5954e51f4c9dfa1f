//! Device logic of the BCM2711's mailbox to its firmware: the property channel.
//!
//! ```text
//!   memory: size, code, tag, room, length, values …, 0      (16-byte aligned, below the first GiB)
//!   cores ── its bus address and the channel ──► mailbox 1 ──► firmware, which writes its answer over the question
//!   cores ◄─ the same word ───────────────────── mailbox 0 ◄──
//! ```
//! Whoever writes to the mailbox can have the firmware write anywhere in the first GiB, so nothing of what a client sends
//! gets further than the choice of a property and a number; and a memory that the firmware may still write to, because an
//! answer is owed, is not used for another question.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod register;

use bus_space::{BarrierFlags, Registers};
use driver_class::firmware::{Firmware, Silent, request};
use driver_class::{Answer, Driver, Memory, NotThis, Words};
use strata_protocol::driver::firmware::{Property, VALUES_MAX};

/// Looks at the mailbox's status before an answer is given up: seconds, and the firmware takes milliseconds.
pub const POLLS_MAX: u32 = 5_000_000;
/// Answers to questions of others that are thrown away before ours.
const STRANGERS_MAX: u32 = 16;
/// One behind the memory that the firmware reaches through the addresses that it is given.
pub const REACHED_END: u64 = 1 << 30;
/// Where the firmware's bus has that memory without its own cache (BCM2835 ARM Peripherals, 1.2.3).
const UNCACHED: u32 = 0xc000_0000;

/// A mailbox and the memory in which it is asked.
#[derive(Debug)]
pub struct Mailbox<R> {
    registers: R,
    memory: R,
    /// The memory's bus address: what is written to the mailbox, with the channel below.
    address: u32,
    /// Whether the firmware still owes an answer.
    owed: bool,
}

impl<R: Registers> Driver<R> for Mailbox<R> {
    /// Without memory nothing can be asked.
    fn probe(registers: R, _clock_hz: u32) -> Result<Self, NotThis> {
        Err(NotThis(registers.read_4(register::ANSWER_STATUS)))
    }

    /// The device has no identification: it is there if its status says no impossible thing, and if the firmware tells its
    /// revision. Memory that the firmware does not reach is refused with its address.
    fn probe_with(registers: R, memory: Memory<R>, _clock_hz: u32) -> Result<Self, NotThis> {
        let Memory { words, physical } = memory;
        let reached = u32::try_from(physical).ok().filter(|start| u64::from(*start) < REACHED_END);
        let Some(start) = reached.filter(|start| start.is_multiple_of(register::ALIGNMENT)) else {
            return Err(NotThis(u32::try_from(physical >> 4).unwrap_or(u32::MAX)));
        };
        let status = registers.read_4(register::ANSWER_STATUS);
        if status & register::STATUS_NEVER != 0 {
            return Err(NotThis(status));
        }
        let mut mailbox = Self { registers, memory: words, address: start | UNCACHED, owed: false };
        match mailbox.get(Property::FirmwareRevision, 0, &mut [0; VALUES_MAX]) {
            Ok(_) => Ok(mailbox),
            Err(_) => Err(NotThis(status)),
        }
    }

    fn registers(&self) -> &R {
        &self.registers
    }

    /// It has no interrupt that anybody has switched on. An answer that is owed goes to the memory, which stays what it is.
    fn stop(&mut self) {}

    fn request(&mut self, label: u64, words: &mut Words, length: usize) -> Answer {
        request(self, label, words, length)
    }
}

/// How a property is asked for: its tag, how many values the answer has, and whether the first of them says again what it
/// is about.
const fn tag_of(property: Property) -> (u32, usize, bool) {
    match property {
        Property::FirmwareRevision => (0x0000_0001, 1, false),
        Property::BoardModel => (0x0001_0001, 1, false),
        Property::BoardRevision => (0x0001_0002, 1, false),
        Property::ArmMemory => (0x0001_0005, 2, false),
        Property::PowerState => (0x0002_0001, 2, true),
        Property::ClockRate => (0x0003_0002, 2, true),
        Property::MaxClockRate => (0x0003_0004, 2, true),
        Property::Temperature => (0x0003_0006, 2, true),
        Property::MaxTemperature => (0x0003_000a, 2, true),
        Property::Throttled => (0x0003_0046, 1, false),
    }
}

impl<R: Registers> Firmware for Mailbox<R> {
    fn get(
        &mut self,
        property: Property,
        about: u32,
        values: &mut [u32; VALUES_MAX],
    ) -> Result<usize, Silent> {
        if self.owed {
            self.take_answer(1)?;
        }
        let (tag, count, repeats) = tag_of(property);
        // The firmware writes as much as it is given room for, and says how much it would have written.
        let room = 4 * u32::try_from(VALUES_MAX).unwrap_or(0);
        let size = register::message::VALUES + room + 4;
        for (offset, word) in [
            (register::message::SIZE, size),
            (register::message::CODE, register::message::CODE_REQUEST),
            (register::message::TAG, tag),
            (register::message::ROOM, room),
            (register::message::LENGTH, 0),
            (register::message::VALUES, about),
            (register::message::VALUES + 4, 0),
            (register::message::VALUES + 8, register::message::END),
        ] {
            self.memory.write_4(offset.into(), word);
        }
        // Read back, so that no layer and no buffer has any of it when the firmware is told.
        self.memory.read_4(register::message::SIZE.into());
        self.memory.barrier(BarrierFlags::WRITE);
        self.wait(register::QUESTION_STATUS, register::STATUS_FULL, POLLS_MAX)?;
        self.owed = true;
        self.registers.write_4(register::QUESTION, self.address | register::CHANNEL_PROPERTIES);
        self.take_answer(POLLS_MAX)?;

        let read = |offset: u32| self.memory.read_4(offset.into());
        if read(register::message::CODE) != register::message::CODE_DONE {
            return Err(Silent::Refused);
        }
        let length = read(register::message::LENGTH);
        let known = length & register::message::LENGTH_ANSWERED != 0
            && length & !register::message::LENGTH_ANSWERED >= 4 * u32::try_from(count).unwrap_or(0);
        if !known || repeats && read(register::message::VALUES) != about {
            return Err(Silent::Unknown);
        }
        let first = if repeats { 1 } else { 0 };
        for (at, value) in values.iter_mut().enumerate().take(count - first) {
            *value = read(register::message::VALUES + 4 * u32::try_from(first + at).unwrap_or(0));
        }
        Ok(count - first)
    }
}

impl<R: Registers> Mailbox<R> {
    /// Waits until none of these bits of a status is set.
    fn wait(&self, status: u64, bits: u32, polls: u32) -> Result<(), Silent> {
        let free = |_| self.registers.read_4(status) & bits == 0;
        if (0..polls).any(free) { Ok(()) } else { Err(Silent::Late) }
    }

    /// Takes the answer to our question, and throws away those to others': the firmware has been asked before us.
    fn take_answer(&mut self, polls: u32) -> Result<(), Silent> {
        for _ in 0..STRANGERS_MAX {
            self.wait(register::ANSWER_STATUS, register::STATUS_EMPTY, polls)?;
            if self.registers.read_4(register::ANSWER) == self.address | register::CHANNEL_PROPERTIES {
                self.owed = false;
                // What the firmware has written is read after this.
                self.memory.barrier(BarrierFlags::READ);
                return Ok(());
            }
        }
        Err(Silent::Late)
    }
}

#[cfg(test)]
mod tests;
