//! Records of the debug ring as lines.
//!
//! A record is written by the layer that executed the access; a mark, by the layer whose name it carries. So the
//! order of the lines is the order in which layers were passed.

use core::fmt::{self, Display, Write};

use bus_space::Op;
use bus_space::ring::{Record, flag};
use strata_protocol::Errno;

/// The layer that writes records of accesses.
const RECORDER: &str = "debug";

/// The names of the columns.
pub fn header(out: &mut dyn Write) -> fmt::Result {
    let (layer, op, value) = ("LAYER", "OP", "VALUE");
    write!(
        out,
        "{:>12} {:>6} {layer:8} {op:12} {:>12} W {value:>18} {:>8} STATUS",
        "US", "THREAD", "ADDRESS", "TICKS"
    )
}

/// One record; times count from `origin`.
pub fn record(record: &Record, origin: u64, frequency: u64, out: &mut dyn Write) -> fmt::Result {
    let since = record.start.saturating_sub(origin);
    let us = u128::from(since) * 1_000_000 / u128::from(frequency.max(1));
    let mark = record.operation() == Some(Op::Mark);
    let op = record.operation().map_or("?", Op::name);
    let layer = if mark { LayerName(record.value) } else { LayerName::of(RECORDER) };
    let value = if mark { 0 } else { record.value };
    write!(out, "{us:>12} {:>6} {layer:8} {op:12} {:#12x} {} ", record.thread, record.address, record.width)?;
    write!(out, "{value:#18x} {:>8} {}", record.duration, Status(record))
}

struct Status<'a>(&'a Record);

impl Display for Status<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.flags & flag::IN_FLIGHT != 0 {
            return out.write_str("in-flight");
        }
        match (self.0.status, Errno::from_number(self.0.status)) {
            (0, _) => out.write_str("ok"),
            (_, Some(errno)) => write!(out, "{errno}"),
            (number, None) => write!(out, "{number}"),
        }
    }
}

/// A layer's name as a mark carries it: one byte a character, the first in the low byte.
#[derive(Clone, Copy)]
struct LayerName(u64);

impl LayerName {
    fn of(name: &str) -> Self {
        Self(name.bytes().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(byte)))
    }
}

impl Display for LayerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.to_le_bytes();
        let end = bytes.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(bytes.len());
        out.pad(core::str::from_utf8(&bytes[..end]).unwrap_or(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn line(what: &Record) -> String {
        let mut out = String::new();
        record(what, 1000, 1_000_000, &mut out).unwrap();
        out
    }

    fn words(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }

    #[test]
    fn an_access_and_a_mark_name_their_layers() {
        let access = Record {
            start: 1250,
            address: 0x0901_0000,
            value: 0x12,
            op: Op::Read as u8,
            width: 4,
            thread: 2,
            duration: 7,
            ..Record::default()
        };
        let mut out = String::new();
        header(&mut out).unwrap();
        assert_eq!(words(&out).len(), words(&line(&access)).len());
        assert_eq!(words(&line(&access)), ["250", "2", "debug", "read", "0x9010000", "4", "0x12", "7", "ok"]);
        let mark = Record { op: Op::Mark as u8, value: u64::from_le_bytes(*b"xh\0\0\0\0\0\0"), ..access };
        assert_eq!(words(&line(&mark))[2..4], ["xh", "mark"]);
        let failed = Record { status: 14, ..access };
        assert_eq!(words(&line(&failed))[8], "EFAULT");
        let hung = Record { flags: flag::IN_FLIGHT, ..access };
        assert_eq!(words(&line(&hung))[8], "in-flight");
    }
}
