//! A line whose two ends go at different speeds: each samples the other's levels at its own times.
//!
//! ```text
//!   sent at 115200   ‾‾\_s_/b0\__b1__/b2 b3 … ‾stop‾
//!   read at  57600   ‾‾\____s____|____b0___|___ …       each bit where its own middle is
//! ```
//! A pty carries bytes and has no speed; this is how one that is wrong is tried on it.

use std::time::Instant;

use anyhow::Result;

use crate::serial::Line;

/// Bits that a byte takes: one to start, eight, one to stop (8N1).
const FRAME: u64 = 10;

/// A line that its user reads and writes at another speed than the other end does.
#[derive(Debug)]
pub struct OtherSpeed<L> {
    line: L,
    theirs: u32,
    ours: u32,
}

impl<L> OtherSpeed<L> {
    /// A line whose other end goes at `theirs` bits per second, and its user at `ours`.
    pub const fn new(line: L, theirs: u32, ours: u32) -> Self {
        Self { line, theirs, ours }
    }

    /// The line itself.
    pub fn into_line(self) -> L {
        self.line
    }
}

impl<L: Line> Line for OtherSpeed<L> {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.line.send(&misread(bytes, self.ours, self.theirs))
    }

    fn receive(&mut self, until: Instant) -> Result<Vec<u8>> {
        loop {
            let bytes = self.line.receive(until)?;
            let read = misread(&bytes, self.theirs, self.ours);
            // Nothing at all means that the time has passed.
            if bytes.is_empty() || !read.is_empty() {
                return Ok(read);
            }
        }
    }
}

/// What a UART at `reader` bits per second takes for bytes when these come without a pause at `writer` bits per second.
///
/// A byte without its stop bit is given as it came, as Linux gives it on a raw line, and the next one is looked for once
/// the line is idle again.
fn misread(bytes: &[u8], writer: u32, reader: u32) -> Vec<u8> {
    // Time in units of which a second has writer × reader, so that both bits are whole numbers of them.
    let (written_bit, read_bit) = (u64::from(reader), u64::from(writer));
    let is_high = |time: u64| {
        let bit = time / written_bit;
        let byte = usize::try_from(bit / FRAME).ok().and_then(|index| bytes.get(index));
        byte.is_none_or(|byte| match bit % FRAME {
            0 => false,
            bit @ 1..=8 => byte >> (bit - 1) & 1 != 0,
            _ => true,
        })
    };
    let end = bytes.len() as u64 * FRAME * written_bit;
    // Levels change where a bit that was written begins.
    let next_bit = |time: u64| (time / written_bit + 1) * written_bit;
    let mut out = Vec::new();
    let mut time = 0;
    while time < end {
        if is_high(time) {
            time = next_bit(time);
            continue;
        }
        let middle = |bit: u64| time + bit * read_bit + read_bit / 2;
        if is_high(middle(0)) {
            // Too short for the start of a byte.
            time = middle(0);
            continue;
        }
        out.push((0..8).fold(0, |byte, bit| byte | u8::from(is_high(middle(bit + 1))) << bit));
        time = middle(FRAME - 1);
        while time < end && !is_high(time) {
            time = next_bit(time);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::link::Link;
    use crate::serial::BAUD;

    /// What comes while a board waits.
    const SAID: &str = "chainloader for raspi4: waits for `./x run --serial`\r\n";
    /// What a line may be set to by mistake.
    const SPEEDS: [u32; 10] =
        [9_600, 19_200, 38_400, 57_600, 230_400, 460_800, 500_000, 921_600, 1_000_000, 1_500_000];

    #[test]
    fn at_one_speed_bytes_come_as_they_were_sent() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(misread(&all, BAUD, BAUD), all);
        // Two per cent off is what a UART stands: half a bit in ten.
        assert_eq!(misread(&all, 100_000, 102_000), all);
        assert_eq!(misread(&all, 102_000, 100_000), all);
    }

    #[test]
    fn at_half_the_speed_two_bits_are_one() {
        // Low for nine bits that were sent: one to start with and three zeros, and then the line is idle.
        assert_eq!(misread(&[0], 200, 100), [0b1111_1000]);
        // The start bit is read as one, and as a zero.
        assert_eq!(misread(&[0xff], 100, 200), [0b1111_1110]);
    }

    /// Says one text, and then nothing more, whatever it is sent.
    struct Says(&'static str);

    impl Line for Says {
        fn send(&mut self, _: &[u8]) -> Result<()> {
            Ok(())
        }

        fn receive(&mut self, _: Instant) -> Result<Vec<u8>> {
            Ok(std::mem::take(&mut self.0).into())
        }
    }

    #[test]
    fn a_wrong_speed_is_told_from_a_board_that_says_nothing() {
        for speed in SPEEDS {
            let board = Says(SAID);
            let mut link = Link::new(OtherSpeed::new(board, BAUD, speed), 1);
            let error = link.carry_out("modstat", Duration::ZERO).unwrap_err().to_string();
            assert!(error.contains("makes no sense"), "{speed}: {error}");
        }
    }
}
