//! GPIO: pins that are read, driven and watched.

use strata_protocol::Errno;
use strata_protocol::driver::gpio::{EDGES, FALLING, HIGH, INPUT, LOW, OUTPUT, READ, RISING, WATCH, WRITE};

use crate::{Answer, Words};

/// What a pin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is read.
    Input,
    /// It is driven.
    Output,
    /// It leads to another device: a UART, a bus.
    Elsewhere,
}

/// Edges of a pin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// From low to high.
    pub rising: bool,
    /// From high to low.
    pub falling: bool,
}

/// A pin of the device, by its number.
pub type Pin = u32;

/// A controller of pins.
pub trait Pins {
    /// How many pins it has.
    const COUNT: Pin;

    /// What the pin is for.
    fn used_as(&self, pin: Pin) -> Use;

    /// Whether the pin is high.
    fn is_high(&self, pin: Pin) -> bool;

    /// Drives an output.
    fn drive(&mut self, pin: Pin, high: bool);

    /// Makes the pin an input.
    fn make_input(&mut self, pin: Pin);

    /// Makes the pin an output that drives this from its first moment on.
    fn make_output(&mut self, pin: Pin, high: bool);

    /// Watches the pin for these edges alone, and forgets those of before.
    fn watch(&mut self, pin: Pin, edges: Edges);

    /// Takes the edges that have come.
    fn take_edges(&mut self, pin: Pin) -> Edges;
}

/// Answers a request of the class.
pub fn request<P: Pins>(pins: &mut P, label: u64, words: &mut Words, length: usize) -> Answer {
    if !(READ..=EDGES).contains(&label) {
        return Err(Errno::ENOSYS);
    }
    let pin = Pin::try_from(words[0]).ok().filter(|pin| *pin < P::COUNT).ok_or(Errno::ERANGE)?;
    let used_as = pins.used_as(pin);
    if used_as == Use::Elsewhere {
        return Err(Errno::EBUSY);
    }
    let operand = if length > 1 { words[1] } else { u64::MAX };
    let level = match operand {
        LOW => Ok(false),
        HIGH => Ok(true),
        _ => Err(Errno::EINVAL),
    };
    match label {
        READ => {
            words[0] = if pins.is_high(pin) { HIGH } else { LOW };
            words[1] = u64::from(used_as == Use::Output);
            return Ok(2);
        }
        WRITE if used_as == Use::Input => return Err(Errno::EPERM),
        WRITE => pins.drive(pin, level?),
        INPUT => pins.make_input(pin),
        OUTPUT => pins.make_output(pin, level?),
        WATCH if operand > RISING | FALLING => return Err(Errno::EINVAL),
        WATCH => {
            pins.watch(pin, Edges { rising: operand & RISING != 0, falling: operand & FALLING != 0 });
        }
        _ => {
            let Edges { rising, falling } = pins.take_edges(pin);
            words[0] = if rising { RISING } else { 0 } | if falling { FALLING } else { 0 };
            return Ok(1);
        }
    }
    Ok(0)
}
