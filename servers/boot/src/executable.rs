//! A static executable, cut into pages: what to map where, and which bytes to copy.

/// Bytes of a page.
pub const PAGE_SIZE: u64 = 4096;
/// The most loadable segments of an executable.
pub const SEGMENTS_MAX: u16 = 16;
/// Executables lie below this address, so that stacks and shared pages have room above.
pub const ADDRESS_MAX: u64 = 0x1000_0000;

/// What an executable breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutableError {
    /// The header or a program header lies beyond the end.
    Truncated,
    /// Not a 64-bit little-endian AArch64 executable with a fixed address.
    Kind,
    /// More than [`SEGMENTS_MAX`] program headers, or headers of another size.
    Headers,
    /// This segment lies beyond the file or the address space, or is larger in the file than in memory.
    Segment(u16),
    /// This segment would be writable and executable.
    WriteExecute(u16),
    /// This segment shares a page with the one before it, or does not follow it.
    Overlap(u16),
    /// The entry is not in an executable segment.
    Entry(u64),
}

/// A checked executable.
///
/// Holding one proves that its segments are in ascending order, share no page, and are never both writable and
/// executable.
#[derive(Clone, Copy, Debug)]
pub struct Executable<'a> {
    bytes: &'a [u8],
    headers_at: usize,
    count: u16,
    entry: u64,
}

/// A loadable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Its first address.
    pub address: u64,
    /// Its bytes in the file; the rest of its memory is zero.
    pub bytes: &'a [u8],
    /// Its size in memory.
    pub size: u64,
    /// Whether it is written to.
    pub write: bool,
    /// Whether it is executed.
    pub execute: bool,
}

/// A page of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<'a> {
    /// Its address: a multiple of [`PAGE_SIZE`].
    pub address: u64,
    /// Bytes to copy into it; all others are zero.
    pub bytes: &'a [u8],
    /// Where in the page these bytes go.
    pub offset: usize,
}

impl<'a> Executable<'a> {
    /// Checks everything that loading relies on.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ExecutableError> {
        const IDENT: [u8; 7] = [0x7f, b'E', b'L', b'F', 2, 1, 1];
        const TYPE_EXEC: u16 = 2;
        const MACHINE_AARCH64: u16 = 183;
        let ident = bytes.get(..7).ok_or(ExecutableError::Truncated)?;
        let kind = half(bytes, 16).ok_or(ExecutableError::Truncated)?;
        let machine = half(bytes, 18).ok_or(ExecutableError::Truncated)?;
        if ident != IDENT || kind != TYPE_EXEC || machine != MACHINE_AARCH64 {
            return Err(ExecutableError::Kind);
        }
        let entry = word(bytes, 24).ok_or(ExecutableError::Truncated)?;
        let headers_at = word(bytes, 32).ok_or(ExecutableError::Truncated)?;
        let header_size = half(bytes, 54).ok_or(ExecutableError::Truncated)?;
        let count = half(bytes, 56).ok_or(ExecutableError::Truncated)?;
        if usize::from(header_size) != HEADER_SIZE || count > SEGMENTS_MAX {
            return Err(ExecutableError::Headers);
        }
        let headers_at = usize::try_from(headers_at).map_err(|_| ExecutableError::Truncated)?;
        let executable = Self { bytes, headers_at, count, entry };
        executable.check()?;
        Ok(executable)
    }

    fn check(&self) -> Result<(), ExecutableError> {
        let mut end = 0;
        let mut entry_is_text = false;
        for index in 0..self.count {
            let Some(segment) = self.segment(index)? else { continue };
            if segment.write && segment.execute {
                return Err(ExecutableError::WriteExecute(index));
            }
            let first = segment.address - segment.address % PAGE_SIZE;
            if first < end {
                return Err(ExecutableError::Overlap(index));
            }
            end = (segment.address + segment.size).next_multiple_of(PAGE_SIZE);
            let range = segment.address..segment.address + segment.size;
            entry_is_text |= segment.execute && range.contains(&self.entry);
        }
        if entry_is_text { Ok(()) } else { Err(ExecutableError::Entry(self.entry)) }
    }

    /// Where its first thread starts.
    #[must_use]
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// Its loadable segments in ascending order.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> {
        (0..self.count).filter_map(|index| self.segment(index).ok().flatten())
    }

    fn segment(&self, index: u16) -> Result<Option<Segment<'a>>, ExecutableError> {
        const LOAD: u32 = 1;
        let at = self
            .headers_at
            .checked_add(usize::from(index) * HEADER_SIZE)
            .ok_or(ExecutableError::Truncated)?;
        let header = self
            .bytes
            .get(at..)
            .and_then(|rest| rest.get(..HEADER_SIZE))
            .ok_or(ExecutableError::Truncated)?;
        let field = |at| word(header, at).ok_or(ExecutableError::Truncated);
        let size = field(40)?;
        let kind_and_flags = field(0)?;
        if kind_and_flags & 0xffff_ffff != u64::from(LOAD) || size == 0 {
            return Ok(None);
        }
        let flags = kind_and_flags >> 32;
        let refuse = ExecutableError::Segment(index);
        let (offset, address, file_size) = (field(8)?, field(16)?, field(32)?);
        let end = address.checked_add(size).ok_or(refuse)?;
        let offset = usize::try_from(offset).map_err(|_| refuse)?;
        let file_length = usize::try_from(file_size).map_err(|_| refuse)?;
        if file_size > size || end > ADDRESS_MAX {
            return Err(refuse);
        }
        let bytes = self.bytes.get(offset..).and_then(|rest| rest.get(..file_length)).ok_or(refuse)?;
        Ok(Some(Segment { address, bytes, size, write: flags & 2 != 0, execute: flags & 1 != 0 }))
    }
}

impl<'a> Segment<'a> {
    /// The pages that the segment touches, in ascending order.
    pub fn pages(&self) -> impl Iterator<Item = Page<'a>> {
        let segment = *self;
        let first = segment.address / PAGE_SIZE;
        let last = (segment.address + segment.size).div_ceil(PAGE_SIZE);
        (first..last).map(move |number| segment.page(number * PAGE_SIZE))
    }

    fn page(&self, page: u64) -> Page<'a> {
        let start = page.saturating_sub(self.address);
        let end = page + PAGE_SIZE - self.address;
        let length = self.bytes.len() as u64;
        let range = clamp(start, length)..clamp(end, length);
        let offset = self.address.saturating_sub(page);
        Page { address: page, bytes: &self.bytes[range], offset: clamp(offset, PAGE_SIZE) }
    }
}

/// Size of a program header in bytes.
const HEADER_SIZE: usize = 56;

fn clamp(value: u64, limit: u64) -> usize {
    usize::try_from(value.min(limit)).expect("a length in memory fits usize")
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// An executable with these segments: address, file bytes, size, flags.
    fn build(entry: u64, segments: &[(u64, &[u8], u64, u32)]) -> Vec<u8> {
        let mut out = vec![0; 64];
        out[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        out[16..20].copy_from_slice(&[2, 0, 183, 0]);
        out[24..32].copy_from_slice(&entry.to_le_bytes());
        out[32..40].copy_from_slice(&64_u64.to_le_bytes());
        out[54..58].copy_from_slice(&[56, 0, u8::try_from(segments.len()).unwrap(), 0]);
        let mut offset = 64 + 56 * segments.len();
        for (address, bytes, size, flags) in segments {
            out.extend(1_u32.to_le_bytes());
            out.extend(flags.to_le_bytes());
            for field in [offset as u64, *address, *address, bytes.len() as u64, *size, 4096] {
                out.extend(field.to_le_bytes());
            }
            offset += bytes.len();
        }
        segments.iter().for_each(|(_, bytes, ..)| out.extend_from_slice(bytes));
        out
    }

    #[test]
    fn pages_hold_the_bytes_and_zeros() {
        let text: Vec<u8> = (0..5000_u32).map(|byte| (byte % 251) as u8).collect();
        let file = build(0x40_0100, &[(0x40_0100, &text, 5000, 5), (0x41_0008, &[1, 2, 3], 9000, 6)]);
        let executable = Executable::parse(&file).unwrap();
        assert_eq!(executable.entry(), 0x40_0100);
        let segments: Vec<_> = executable.segments().collect();
        assert!(segments[0].execute && !segments[0].write && segments[1].write);
        let mut memory = vec![0_u8; 0x1_4000];
        let mut pages = 0;
        for page in segments.iter().flat_map(Segment::pages) {
            let at = usize::try_from(page.address).unwrap() - 0x40_0000 + page.offset;
            memory[at..at + page.bytes.len()].copy_from_slice(page.bytes);
            assert!(page.offset + page.bytes.len() <= 4096);
            pages += 1;
        }
        assert_eq!(pages, 2 + 3);
        assert_eq!(&memory[0x100..0x100 + 5000], &text[..]);
        assert_eq!(&memory[0x1_0008..0x1_000b], &[1, 2, 3]);
        assert!(memory[0x1_000b..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn rules_are_enforced() {
        let parse =
            |segments: &[(u64, &[u8], u64, u32)]| Executable::parse(&build(0x40_0000, segments)).err();
        assert_eq!(parse(&[(0x40_0000, &[0; 8], 8, 5)]), None);
        assert_eq!(parse(&[(0x40_0000, &[0; 8], 8, 7)]), Some(ExecutableError::WriteExecute(0)));
        assert_eq!(
            parse(&[(0x40_0000, &[0; 8], 8, 5), (0x40_0800, &[0; 8], 8, 4)]),
            Some(ExecutableError::Overlap(1))
        );
        assert_eq!(parse(&[(0x40_0000, &[0; 8], 4, 5)]), Some(ExecutableError::Segment(0)));
        assert_eq!(parse(&[(u64::MAX - 4, &[0; 8], 8, 5)]), Some(ExecutableError::Segment(0)));
        assert_eq!(parse(&[(0x40_0000, &[0; 8], 8, 4)]), Some(ExecutableError::Entry(0x40_0000)));
        assert_eq!(Executable::parse(b"\x7fELF").err(), Some(ExecutableError::Truncated));
        assert_eq!(Executable::parse(&[0; 64]).err(), Some(ExecutableError::Kind));
    }

    #[test]
    fn no_damage_panics() {
        let good = build(0x40_0000, &[(0x40_0000, &[7; 300], 5000, 5), (0x50_0000, &[1; 20], 20, 6)]);
        let walk = |bytes: &[u8]| {
            if let Ok(executable) = Executable::parse(bytes) {
                executable.segments().take(4).for_each(|segment| {
                    segment.pages().take(8).for_each(|page| assert!(page.bytes.len() <= 4096));
                });
            }
        };
        (0..good.len()).for_each(|length| walk(&good[..length]));
        for position in 0..64 + 2 * 56 {
            for value in 0..=255 {
                let mut bytes = good.clone();
                bytes[position] = value;
                walk(&bytes);
            }
        }
    }
}
