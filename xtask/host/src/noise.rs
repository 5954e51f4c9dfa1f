//! A bad line: bytes get lost and changed, in both directions, by a seed.

use std::time::Instant;

use anyhow::Result;

use crate::serial::Line;

/// A line between which and its user some bytes are lost and some are changed.
#[derive(Debug)]
pub struct Noise<L> {
    line: L,
    state: u64,
    /// One byte in so many is lost, and one in so many is changed.
    one_in: u64,
    /// Bytes that were lost or changed.
    pub hits: u32,
}

impl<L> Noise<L> {
    /// Makes a line bad. The same seed is bad in the same places.
    pub const fn new(line: L, seed: u64, one_in: u64) -> Self {
        Self { line, state: seed, one_in, hits: 0 }
    }

    /// The line itself.
    pub fn into_line(self) -> L {
        self.line
    }

    /// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled".
    fn random(&mut self) -> u64 {
        self.state |= 1;
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            match self.random() % (2 * self.one_in) {
                0 => self.hits += 1,
                1 => {
                    self.hits += 1;
                    out.push(byte ^ 1 << (self.random() % 8));
                }
                _ => out.push(byte),
            }
        }
        out
    }
}

impl<L: Line> Line for Noise<L> {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let spoilt = self.spoil(bytes);
        self.line.send(&spoilt)
    }

    fn receive(&mut self, until: Instant) -> Result<Vec<u8>> {
        loop {
            let bytes = self.line.receive(until)?;
            let spoilt = self.spoil(&bytes);
            // Nothing at all means that the time has passed.
            if bytes.is_empty() || !spoilt.is_empty() {
                return Ok(spoilt);
            }
        }
    }
}
