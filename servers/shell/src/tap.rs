//! `tap`: what a listener is told, and one line for each packet.
//!
//! A filter is a program of bpf(4), an instruction as `CODE:JT:JF:K`, separated by commas; the tap checks it.

use core::fmt::{self, Display, Write};

use bpf::Instruction;
use bpf::capture::{Kept, LINK_ETHERNET, SNAP_MAX, Time};
use bpf::tap::direction;
use heapless::Vec;

/// Instructions of a filter that is typed.
pub const TYPED_MAX: usize = 16;
/// Bytes that a line shows of what a packet carries.
const SHOWN_MAX: usize = 16;
/// Bytes of an Ethernet address, and of a header.
const ADDRESS: usize = 6;
const HEADER: usize = 2 * ADDRESS + 2;
/// Return so many bytes: of a packet that is wanted, and of one that is not.
const WANTED: Instruction = Instruction::new(0x06, u32::MAX);
const NOT_WANTED: Instruction = Instruction::new(0x06, 0);

/// A filter.
pub type Program = Vec<Instruction, TYPED_MAX>;

/// What to listen to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The interface.
    pub interface: u32,
    /// In, out or both ([`direction`]).
    pub directions: u32,
    /// The most bytes of a packet.
    pub snap: u32,
    /// The filter.
    pub program: Program,
}

impl Listen {
    /// To everything of an interface.
    #[must_use]
    pub fn to(interface: u32) -> Self {
        let program = Program::from_iter([WANTED]);
        Self { interface, directions: direction::BOTH, snap: SNAP_MAX, program }
    }
}

/// The filter that wants Ethernet frames of one type: `ldh [12]; jeq #type`.
#[must_use]
pub fn of_type(ethertype: u16) -> Program {
    let [load, compare] = [Instruction::new(0x28, 12), Instruction::jump(0x15, ethertype.into(), 0, 1)];
    Program::from_iter([load, compare, WANTED, NOT_WANTED])
}

/// Microseconds since the clock's start.
#[must_use]
pub fn microseconds(time: Time) -> u64 {
    u64::from(time.seconds) * 1_000_000 + u64::from(time.microseconds)
}

/// The names of the columns.
pub fn header(out: &mut dyn Write) -> fmt::Result {
    let (to, from) = ("TO", "FROM");
    write!(out, "{:>12} {:>6} {:>6} {to:17} {from:17} {:>6} DATA", "US", "LENGTH", "KEPT", "TYPE")
}

/// One packet; times count from `origin`, in microseconds.
pub fn packet(packet: &Kept<'_>, link_type: u32, origin: u64, out: &mut dyn Write) -> fmt::Result {
    let since = microseconds(packet.time).saturating_sub(origin);
    write!(out, "{since:>12} {:>6} {:>6} ", packet.length, packet.bytes.len())?;
    match packet.bytes.split_at_checked(HEADER) {
        Some((header, data)) if link_type == LINK_ETHERNET => {
            let (to, rest) = header.split_at(ADDRESS);
            let (from, kind) = rest.split_at(ADDRESS);
            let kind = kind.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
            write!(out, "{} {} {kind:#06x} {}", Address(to), Address(from), Data(data))
        }
        _ => write!(out, "{:17} {:17} {:>6} {}", "-", "-", "-", Data(packet.bytes)),
    }
}

struct Address<'a>(&'a [u8]);

impl Display for Address<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for byte in self.0 {
            write!(out, "{separator}{byte:02x}")?;
            separator = ":";
        }
        Ok(())
    }
}

struct Data<'a>(&'a [u8]);

impl Display for Data<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(SHOWN_MAX).try_for_each(|byte| write!(out, "{byte:02x}"))?;
        match self.0.len() {
            0 => out.write_str("-"),
            1..=SHOWN_MAX => Ok(()),
            _ => out.write_str(".."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bpf::capture::LINK_80211;
    use bpf::{Filter, Packet};
    use std::string::String;
    use std::vec::Vec;

    const FRAME: [u8; 16] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xfe, 0x88, 0xb5, 0xab, 7];

    fn line(bytes: &[u8], link_type: u32) -> Vec<String> {
        let time = Time { seconds: 2, microseconds: 30 };
        let mut out = String::new();
        packet(&Kept { time, length: 60, bytes }, link_type, 1_999_990, &mut out).unwrap();
        out.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn a_frame_names_its_ends_and_its_type() {
        let expected = ["40", "60", "16", "02:00:00:00:00:01", "02:00:00:00:00:fe", "0x88b5", "ab07"];
        assert_eq!(line(&FRAME, LINK_ETHERNET), expected);
        let mut out = String::new();
        header(&mut out).unwrap();
        assert_eq!(out.split_whitespace().count(), expected.len());
    }

    #[test]
    fn what_is_cut_or_no_frame_is_bytes() {
        assert_eq!(line(&FRAME[..3], LINK_ETHERNET)[3..], ["-", "-", "-", "020000"]);
        assert_eq!(line(&FRAME, LINK_80211)[3..6], ["-", "-", "-"]);
        assert_eq!(line(&[], LINK_ETHERNET)[6], "-");
        assert_eq!(line(&[9; 17], LINK_80211)[6], "09090909090909090909090909090909..");
    }

    #[test]
    fn the_filter_of_a_type_wants_that_type() {
        for (wanted, bytes) in [(0x88b5, u32::MAX), (0x0800, 0)] {
            let program = of_type(wanted);
            let filter = Filter::new(&program).unwrap();
            assert_eq!(filter.run(&Packet::new(&FRAME)), bytes);
        }
    }
}
