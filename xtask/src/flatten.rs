//! Flattens an ELF executable: its loadable segments as one contiguous run of bytes, zeros where nothing is stored.
//!
//! The kernel maps the root task's frames in place, and QEMU copies the kernel as it is: neither parses an ELF.

use anyhow::{Context, Result, bail};
use object::Endianness;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// Frames are this large.
pub(crate) const PAGE: u64 = 4096;
/// The most bytes of a flattened image: a wild address in an ELF must not fill the memory of the host.
const FLAT_SIZE_MAX: u64 = 256 << 20;

/// Which of the two addresses of a segment counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Where the code runs: for a process.
    Virtual,
    /// Where the bytes lie: for a kernel that is linked high.
    Physical,
}

/// A flattened executable.
#[derive(Debug)]
pub(crate) struct Flat {
    /// The address of the first byte, a multiple of [`PAGE`].
    pub(crate) base: u64,
    /// The entry point.
    pub(crate) entry: u64,
    /// The bytes; a multiple of [`PAGE`].
    pub(crate) bytes: Vec<u8>,
}

/// Flattens the executable.
pub(crate) fn flatten(elf: &[u8], by: By) -> Result<Flat> {
    let header = FileHeader64::<Endianness>::parse(elf).context("not a 64-bit ELF file")?;
    let endian = header.endian()?;
    let machine = header.e_machine(endian);
    if endian != Endianness::Little || machine != object::elf::EM_AARCH64 {
        bail!(
            "made for another machine: ELF machine {}, {endian:?}-endian; little-endian AArch64 is 183",
            machine.0
        );
    }
    let kind = header.e_type(endian);
    if !matches!(kind, object::elf::ET_EXEC | object::elf::ET_DYN) {
        bail!("not linked: ELF type {}, an executable is 2 or 3", kind.0);
    }
    let mut segments = Vec::new();
    for segment in header.program_headers(endian, elf)? {
        let size = segment.p_memsz(endian);
        if segment.p_type(endian) != PT_LOAD || size == 0 {
            continue;
        }
        let address = if by == By::Virtual { segment.p_vaddr(endian) } else { segment.p_paddr(endian) };
        let data = segment.data(endian, elf).ok().context("a segment lies outside the file")?;
        let end = address.checked_add(size).context("a segment wraps around the address space")?;
        if u64::try_from(data.len())? > size {
            bail!("the segment at {address:#x} stores more than its size");
        }
        segments.push((address, end, data));
    }
    segments.sort_by_key(|(address, ..)| *address);
    let (Some(first), Some(end)) = (segments.first(), segments.iter().map(|(_, end, _)| *end).max()) else {
        bail!("no loadable segment");
    };
    let base = first.0 / PAGE * PAGE;
    let size =
        (end - base).checked_next_multiple_of(PAGE).context("the image wraps around the address space")?;
    if size > FLAT_SIZE_MAX {
        bail!(
            "does not fit in memory: its segments span {size:#x} bytes, and {FLAT_SIZE_MAX:#x} is the most"
        );
    }
    let mut bytes = vec![0; usize::try_from(size)?];
    let mut filled = base;
    for (address, end, data) in segments {
        if address < filled {
            bail!("segments overlap at {address:#x}");
        }
        let start = usize::try_from(address - base)?;
        bytes[start..start + data.len()].copy_from_slice(data);
        filled = end;
    }
    let entry = header.e_entry(endian);
    if by == By::Virtual && !(base..base + size).contains(&entry) {
        bail!("it starts at {entry:#x}, outside of its segments");
    }
    Ok(Flat { base, entry, bytes })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A minimal executable with the given segments: virtual address, physical address, bytes, size in memory.
    pub(crate) fn elf(entry: u64, segments: &[(u64, u64, &[u8], u64)]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        out.extend(2_u16.to_le_bytes());
        out.extend(183_u16.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        for word in [entry, 64, 0] {
            out.extend(word.to_le_bytes());
        }
        out.extend(0_u32.to_le_bytes());
        let count = u16::try_from(segments.len()).unwrap();
        for half in [64_u16, 56, count, 64, 0, 0] {
            out.extend(half.to_le_bytes());
        }
        let mut offset = 64 + 56 * u64::from(count);
        for (vaddr, paddr, bytes, size) in segments {
            out.extend(1_u32.to_le_bytes());
            out.extend(5_u32.to_le_bytes());
            let length = bytes.len() as u64;
            for word in [offset, *vaddr, *paddr, length, *size, 4096] {
                out.extend(word.to_le_bytes());
            }
            offset += length;
        }
        segments.iter().for_each(|(_, _, bytes, _)| out.extend_from_slice(bytes));
        out
    }

    #[test]
    fn segments_become_one_run_with_zeros_between_and_behind() {
        let elf = elf(0x40_1000, &[(0x40_1000, 0, b"text", 4), (0x40_3000, 0, b"data", 0x1800)]);
        let flat = flatten(&elf, By::Virtual).unwrap();
        assert_eq!((flat.base, flat.entry, flat.bytes.len()), (0x40_1000, 0x40_1000, 0x4000));
        assert_eq!(&flat.bytes[..4], b"text");
        assert_eq!(&flat.bytes[0x2000..0x2004], b"data");
        assert!(flat.bytes[4..0x2000].iter().chain(&flat.bytes[0x2004..]).all(|byte| *byte == 0));
    }

    #[test]
    fn a_kernel_is_flattened_by_physical_address() {
        let elf = elf(
            0xffff_0000_4008_0000,
            &[(0xffff_0000_4008_1000, 0x4008_1000, b"b", 1), (0xffff_0000_4008_0000, 0x4008_0000, b"a", 1)],
        );
        let flat = flatten(&elf, By::Physical).unwrap();
        assert_eq!(
            (flat.base, flat.bytes.len(), flat.bytes[0], flat.bytes[4096]),
            (0x4008_0000, 8192, b'a', b'b')
        );
    }

    #[test]
    fn a_wrong_file_is_refused() {
        assert!(flatten(b"no elf", By::Virtual).is_err());
        assert!(flatten(&elf(0, &[]), By::Virtual).is_err());
        let overlap = elf(0, &[(0x1000, 0, b"abcd", 4), (0x1002, 0, b"ef", 2)]);
        assert!(flatten(&overlap, By::Virtual).unwrap_err().to_string().contains("overlap"));
        assert!(flatten(&elf(0, &[(0, 0, b"a", 1), (1 << 40, 0, b"b", 1)]), By::Virtual).is_err());
        assert!(flatten(&elf(0, &[(u64::MAX, 0, b"ab", 2)]), By::Virtual).is_err());
        let good = elf(0x1000, &[(0x1000, 0, b"abcd", 4)]);
        assert!(flatten(&good, By::Virtual).is_ok());
        for length in 0..good.len() {
            let _ = flatten(&good[..length], By::Virtual);
        }
    }

    #[test]
    fn the_message_says_what_is_wrong_with_a_file() {
        let good = elf(0x1000, &[(0x1000, 0, b"abcd", 4)]);
        let says = |elf: &[u8], what: &str| {
            let message = flatten(elf, By::Virtual).unwrap_err().to_string();
            assert!(message.contains(what), "{message}");
        };
        says(b"#!/bin/sh", "not a 64-bit ELF file");
        let mut other = good.clone();
        other[18] = 62;
        says(&other, "another machine: ELF machine 62");
        let mut object = good;
        object[16] = 1;
        says(&object, "not linked");
        says(&elf(0x1000, &[]), "no loadable segment");
        says(&elf(0x1000, &[(0x1000, 0, b"a", 1), (1 << 40, 0, b"b", 1)]), "does not fit in memory");
        says(&elf(0x5000, &[(0x1000, 0, b"abcd", 4)]), "starts at 0x5000");
    }
}
