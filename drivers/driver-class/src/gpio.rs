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

/// What the pins of a controller are watched for, and which edges have come and not been taken.
#[derive(Clone, Copy, Debug)]
pub struct Watches<const PINS: usize> {
    watched: [Edges; PINS],
    come: [Edges; PINS],
}

impl<const PINS: usize> Default for Watches<PINS> {
    /// No pin is watched.
    fn default() -> Self {
        Self { watched: [Edges::default(); PINS], come: [Edges::default(); PINS] }
    }
}

impl<const PINS: usize> Watches<PINS> {
    /// Watches a pin for these edges alone, and forgets those of before. A pin that the controller does not have is nobody's.
    pub fn watch(&mut self, pin: Pin, edges: Edges) {
        if let Some((watched, come)) = self.of(pin) {
            (*watched, *come) = (edges, Edges::default());
        }
    }

    /// Edges have been seen at the pins whose bits are set. Which of two that are watched has come a device does not say: a
    /// pin that is high afterwards has risen.
    pub fn see(&mut self, pins: u32, is_high: impl Fn(Pin) -> bool) {
        for pin in (0..u32::BITS).filter(|pin| pins >> pin & 1 == 1) {
            let Some((watched, come)) = self.of(pin) else { continue };
            let high = is_high(pin);
            let both = watched.rising && watched.falling;
            come.rising |= if both { high } else { watched.rising };
            come.falling |= if both { !high } else { watched.falling };
        }
    }

    /// Takes the edges that have come at a pin.
    pub fn take(&mut self, pin: Pin) -> Edges {
        self.of(pin).map(|(_, come)| core::mem::take(come)).unwrap_or_default()
    }

    /// A bit for each pin that is watched for what is wanted.
    pub fn bits(&self, wanted: impl Fn(&Edges) -> bool) -> u32 {
        self.watched.iter().rev().fold(0, |bits, edges| bits << 1 | u32::from(wanted(edges)))
    }

    fn of(&mut self, pin: Pin) -> Option<(&mut Edges, &mut Edges)> {
        let at = usize::try_from(pin).ok()?;
        Some((self.watched.get_mut(at)?, self.come.get_mut(at)?))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_those_that_are_watched_and_are_taken_once() {
        let edges = |rising, falling| Edges { rising, falling };
        let mut watches = Watches::<3>::default();
        watches.watch(0, edges(true, false));
        watches.watch(2, edges(true, true));
        assert_eq!((watches.bits(|edges| edges.rising), watches.bits(|edges| edges.falling)), (0b101, 0b100));
        // Pin 2 is low now; what is seen at a pin that is not watched, or not there, is nothing.
        watches.see(u32::MAX, |pin| pin == 0);
        assert_eq!(
            [0, 1, 2, 3].map(|pin| watches.take(pin)),
            [edges(true, false), edges(false, false), edges(false, true), edges(false, false)]
        );
        watches.see(0b100, |_| true);
        assert_eq!((watches.take(2), watches.take(2)), (edges(true, false), Edges::default()));
        // Watching anew forgets; a pin that is not there is nobody's.
        watches.see(0b1, |_| true);
        watches.watch(0, edges(false, true));
        watches.watch(3, edges(true, true));
        assert_eq!((watches.take(0), watches.bits(|edges| edges.rising)), (Edges::default(), 0b100));
    }
}
