//! The little that the kernel reads from a flattened device tree: its size, and where memory is.

/// A range of physical addresses, the end not included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Range {
    /// Bytes.
    pub const fn size(self) -> u64 {
        self.end - self.start
    }
}

const MAGIC: u32 = 0xd00d_feed;
/// Bytes of the header.
pub const HEADER_SIZE: usize = 40;
/// Byte offset of the total size, a big-endian word.
pub const TOTAL_SIZE_OFFSET: usize = 4;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;

/// A flattened device tree that fits its bytes.
#[derive(Clone, Copy)]
pub struct Fdt<'a> {
    bytes: &'a [u8],
    structure: &'a [u8],
    strings: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn index(word: u32) -> Option<usize> {
    usize::try_from(word).ok()
}

/// The total size that a header claims, if it is one.
pub fn total_size(header: &[u8]) -> Option<usize> {
    (word(header, 0)? == MAGIC).then_some(())?;
    index(word(header, TOTAL_SIZE_OFFSET)?)
}

impl<'a> Fdt<'a> {
    /// Checks the header.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let total = total_size(bytes)?;
        let bytes = bytes.get(..total)?;
        let part = |offset: usize, size: usize| {
            let start = index(word(bytes, offset)?)?;
            bytes.get(start..start.checked_add(index(word(bytes, size)?)?)?)
        };
        Some(Self { bytes, structure: part(8, 36)?, strings: part(12, 32)? })
    }

    /// Bytes up to the end of the last part: the rest, often a megabyte, is room to grow.
    pub fn used(&self) -> usize {
        let base = self.bytes.as_ptr().addr();
        let end = |part: &[u8]| part.as_ptr().addr() + part.len() - base;
        end(self.structure).max(end(self.strings)).max(HEADER_SIZE)
    }

    /// Those bytes.
    pub fn used_bytes(&self) -> &'a [u8] {
        &self.bytes[..self.used()]
    }

    /// Calls `found` for each range of memory.
    pub fn memory(&self, mut found: impl FnMut(Range)) -> Option<()> {
        let mut at = 0;
        let mut depth = 0_usize;
        let (mut address_cells, mut size_cells) = (2, 1);
        let mut in_memory = false;
        loop {
            let token = word(self.structure, at)?;
            at += 4;
            match token {
                BEGIN_NODE => {
                    let rest = self.structure.get(at..)?;
                    let length = rest.iter().position(|&byte| byte == 0)?;
                    let name = &rest[..length];
                    depth += 1;
                    in_memory = depth == 2 && (name == b"memory" || name.starts_with(b"memory@"));
                    at += (length + 1).next_multiple_of(4);
                }
                END_NODE => {
                    depth = depth.checked_sub(1)?;
                    in_memory = false;
                }
                PROP => {
                    let length = index(word(self.structure, at)?)?;
                    let name = self.strings.get(index(word(self.structure, at + 4)?)?..)?;
                    let value = self.structure.get(at + 8..(at + 8).checked_add(length)?)?;
                    at += 8 + length.next_multiple_of(4);
                    if depth == 1 && name.starts_with(b"#address-cells\0") {
                        address_cells = index(word(value, 0)?)?;
                    } else if depth == 1 && name.starts_with(b"#size-cells\0") {
                        size_cells = index(word(value, 0)?)?;
                    } else if in_memory && name.starts_with(b"reg\0") {
                        ranges(value, address_cells, size_cells, &mut found)?;
                    }
                }
                NOP => {}
                _ => return Some(()),
            }
        }
    }
}

fn ranges(
    value: &[u8],
    address_cells: usize,
    size_cells: usize,
    found: &mut impl FnMut(Range),
) -> Option<()> {
    if !(1..=2).contains(&address_cells) || !(1..=2).contains(&size_cells) {
        return None;
    }
    let cells = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    for entry in value.chunks_exact(4 * (address_cells + size_cells)) {
        let (address, size) = entry.split_at(4 * address_cells);
        let start = cells(address);
        found(Range { start, end: start.checked_add(cells(size))? });
    }
    Some(())
}
