//! A capture file, as tcpdump and Wireshark read it, growing in a piece of memory.
//!
//! The classic format of libpcap (pcap-savefile(5)), little endian, microseconds: a header of 24 bytes, then each packet
//! with 16 bytes in front. What has no room is dropped and counted by the caller; what is there is always whole.

use crate::packet::Packet;

/// The most bytes kept of a packet.
pub const SNAP_MAX: u32 = 65_535;
/// Link types: Ethernet, and raw IEEE 802.11.
pub const LINK_ETHERNET: u32 = 1;
/// See [`LINK_ETHERNET`].
pub const LINK_80211: u32 = 105;
/// Link types that a file can carry are smaller: the upper bits of the field mean something else.
pub const LINK_TYPES: u32 = 1 << 16;

const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: [u16; 2] = [2, 4];
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

/// Moments of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Seconds.
    pub seconds: u32,
    /// Microseconds of the second.
    pub microseconds: u32,
}

impl Time {
    /// The moment `ticks` after the start of a clock that ticks so often a second; 0 ticks a second stand still.
    #[must_use]
    pub fn of_ticks(ticks: u64, a_second: u64) -> Self {
        let (Some(seconds), Some(rest)) = (ticks.checked_div(a_second), ticks.checked_rem(a_second)) else {
            return Self::default();
        };
        let microseconds = u128::from(rest) * 1_000_000 / u128::from(a_second);
        Self {
            seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
            microseconds: u32::try_from(microseconds).unwrap_or(0),
        }
    }
}

/// The file.
#[derive(Debug)]
pub struct Capture<'a> {
    bytes: &'a mut [u8],
    length: usize,
}

impl<'a> Capture<'a> {
    /// Begins a file of packets of one link type; `None` where there is no room for its header.
    #[must_use]
    pub fn begin(bytes: &'a mut [u8], link_type: u32) -> Option<Self> {
        let mut file = Self { bytes, length: 0 };
        let [major, minor] = VERSION.map(u32::from);
        let words = [MAGIC, minor << 16 | major, 0, 0, SNAP_MAX, link_type];
        (file.bytes.len() >= FILE_HEADER).then(|| {
            words.iter().for_each(|word| file.put(&word.to_le_bytes()));
            file
        })
    }

    /// The file that was begun in these bytes and is so long.
    #[must_use]
    pub const fn resume(bytes: &'a mut [u8], length: usize) -> Self {
        Self { bytes, length }
    }

    /// Bytes that are written.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Appends the first bytes of a packet, at most `wanted`; `false`, and nothing written, where there is no room.
    pub fn packet(&mut self, packet: &Packet<'_>, wanted: u32, time: Time) -> bool {
        let kept = wanted.min(packet.length()).min(SNAP_MAX);
        let Ok(count) = usize::try_from(kept) else { return false };
        let room = self.bytes.len().saturating_sub(self.length);
        if room < PACKET_HEADER || room - PACKET_HEADER < count {
            return false;
        }
        for word in [time.seconds, time.microseconds, kept, packet.length()] {
            self.put(&word.to_le_bytes());
        }
        for (to, byte) in self.bytes.iter_mut().skip(self.length).zip(packet.bytes().take(count)) {
            *to = byte;
        }
        self.length += count;
        true
    }

    fn put(&mut self, bytes: &[u8]) {
        for (to, byte) in self.bytes.iter_mut().skip(self.length).zip(bytes) {
            *to = *byte;
        }
        self.length += bytes.len();
    }
}

/// A packet of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept<'a> {
    /// When it came.
    pub time: Time,
    /// How long it was.
    pub length: u32,
    /// Its first bytes.
    pub bytes: &'a [u8],
}

/// The bytes are no file of this format, or its last packet is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoFile;

/// The packets of a file, the first one first.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
    link_type: u32,
}

impl<'a> Packets<'a> {
    /// The packets of a file as [`Capture`] writes it.
    ///
    /// # Errors
    /// [`NoFile`].
    pub fn new(file: &'a [u8]) -> Result<Self, NoFile> {
        let (header, rest) = file.split_at_checked(FILE_HEADER).ok_or(NoFile)?;
        let [major, minor] = VERSION.map(u32::from);
        let known = [word(header, 0), word(header, 1)] == [MAGIC, minor << 16 | major];
        if known { Ok(Self { rest, link_type: word(header, 5) }) } else { Err(NoFile) }
    }

    /// The link type of all of them.
    #[must_use]
    pub const fn link_type(&self) -> u32 {
        self.link_type
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Kept<'a>, NoFile>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = self.rest.split_at_checked(PACKET_HEADER).and_then(|(header, rest)| {
            let (bytes, rest) = rest.split_at_checked(usize::try_from(word(header, 2)).ok()?)?;
            let time = Time { seconds: word(header, 0), microseconds: word(header, 1) };
            self.rest = rest;
            Some(Kept { time, length: word(header, 3), bytes })
        });
        if packet.is_none() {
            self.rest = &[];
        }
        Some(packet.ok_or(NoFile))
    }
}

/// A word of a header that has so many.
fn word(header: &[u8], at: usize) -> u32 {
    let (words, _) = header.as_chunks();
    words.get(at).map_or(0, |word| u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Capture, Kept, LINK_80211, LINK_ETHERNET, NoFile, Packets, Time};
    use crate::packet::Packet;

    #[test]
    fn a_file_reads_as_it_was_written_and_a_cut_one_says_so() {
        let mut bytes = [0; 128];
        let mut file = Capture::begin(&mut bytes, LINK_80211).unwrap();
        let times = [1, 2, 3].map(|seconds| Time { seconds, microseconds: 7 });
        for (time, wanted) in times.into_iter().zip([9, 2, 0]) {
            assert!(file.packet(&Packet::new(&[5, 6, 7]), wanted, time));
        }
        let length = file.length();
        let packets = Packets::new(&bytes[..length]).unwrap();
        assert_eq!(packets.link_type(), LINK_80211);
        let whole: [&[u8]; 3] = [&[5, 6, 7], &[5, 6], &[]];
        let kept = times.into_iter().zip(whole).map(|(time, bytes)| Ok(Kept { time, length: 3, bytes }));
        assert!(packets.eq(kept));
        // Every cut: what is whole is read, what is not is an error and the end.
        for end in 0..length {
            let read = Packets::new(&bytes[..end]);
            assert_eq!(read.is_ok(), end >= 24);
            let Ok(read) = read else { continue };
            let ends = [24, 43, 61, 77];
            let (good, bad): (std::vec::Vec<_>, std::vec::Vec<_>) = read.partition(Result::is_ok);
            assert_eq!(good.len(), ends.iter().filter(|place| (25..=end).contains(place)).count(), "{end}");
            assert_eq!(bad.is_empty(), ends.contains(&end), "{end}");
        }
        bytes[0] = 0;
        assert_eq!(Packets::new(&bytes).err(), Some(NoFile));
    }

    #[test]
    fn a_file_is_what_pcap_savefile_describes_byte_for_byte() {
        let mut bytes = [0; 64];
        let mut file = Capture::begin(&mut bytes, LINK_ETHERNET).unwrap();
        let time = Time { seconds: 0x0102, microseconds: 3 };
        assert!(file.packet(&Packet::with_header(&[0xaa, 0xbb], &[0xcc, 0xdd]), 3, time));
        assert_eq!(file.length(), 24 + 16 + 3);
        #[rustfmt::skip]
        let expected = [
            0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0,
            0x02, 0x01, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0xaa, 0xbb, 0xcc,
        ];
        assert_eq!(bytes[..43], expected);
    }

    #[test]
    fn a_packet_without_room_leaves_the_file_as_it_was() {
        assert!(Capture::begin(&mut [0; 23], LINK_ETHERNET).is_none());
        let mut bytes = [0; 24 + 16 + 4];
        let mut file = Capture::begin(&mut bytes, LINK_ETHERNET).unwrap();
        assert!(!file.packet(&Packet::new(&[1; 5]), 5, Time::default()));
        assert_eq!(file.length(), 24);
        assert!(file.packet(&Packet::new(&[1; 5]), 4, Time::default()));
        assert!(!file.packet(&Packet::new(&[]), 0, Time::default()));
        assert_eq!(file.length(), 44);
    }

    #[test]
    fn ticks_are_seconds_and_microseconds() {
        assert_eq!(Time::of_ticks(62_500_000 * 5 + 625, 62_500_000), Time { seconds: 5, microseconds: 10 });
        assert_eq!(Time::of_ticks(u64::MAX, 0), Time::default());
    }
}
