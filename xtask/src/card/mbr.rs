//! The master boot record: one partition.
//!
//! Layout as everybody has it since DOS: four entries of 16 bytes at 446 (status, first sector as cylinder, head and
//! sector, type, last sector, first sector as a number, sectors), and the signature 55 AA at 510. Firmware reads the
//! numbers; the geometry says "beyond what geometry can say".

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};

/// Bytes of a sector.
pub(crate) const SECTOR: u64 = 512;

const TABLE: usize = 446;
const ENTRY: usize = 16;
const ENTRIES: usize = 4;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// FAT32, addressed by sector numbers.
const FAT32_LBA: u8 = 0x0c;
const ACTIVE: u8 = 0x80;
const NO_GEOMETRY: [u8; 3] = [0xfe, 0xff, 0xff];

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Its first sector.
    pub(crate) first: u32,
    /// Its sectors.
    pub(crate) sectors: u32,
}

impl Partition {
    fn bytes(self) -> Result<Range<usize>> {
        let start = u64::from(self.first) * SECTOR;
        Ok(usize::try_from(start)?..usize::try_from(start + u64::from(self.sectors) * SECTOR)?)
    }

    /// Its part of a card's image.
    pub(crate) fn slice_mut(self, image: &mut [u8]) -> Result<&mut [u8]> {
        let range = self.bytes()?;
        let size = image.len();
        image
            .get_mut(range.clone())
            .with_context(|| format!("the partition ends at {:#x}, and the card at {size:#x}", range.end))
    }
}

/// Writes a record with one active FAT32 partition.
pub(crate) fn write(image: &mut [u8], partition: Partition) -> Result<()> {
    let record = image.get_mut(..512).context("a card has at least one sector")?;
    record.fill(0);
    let entry = &mut record[TABLE..TABLE + ENTRY];
    entry[0] = ACTIVE;
    entry[1..4].copy_from_slice(&NO_GEOMETRY);
    entry[4] = FAT32_LBA;
    entry[5..8].copy_from_slice(&NO_GEOMETRY);
    entry[8..12].copy_from_slice(&partition.first.to_le_bytes());
    entry[12..16].copy_from_slice(&partition.sectors.to_le_bytes());
    record[510..].copy_from_slice(&SIGNATURE);
    Ok(())
}

/// Reads the record: the one FAT32 partition.
pub(crate) fn read(image: &[u8]) -> Result<Partition> {
    let record = image.get(..512).context("too short for a card: not even one sector")?;
    ensure!(record[510..] == SIGNATURE, "the card has no partition table");
    for entry in record[TABLE..TABLE + ENTRIES * ENTRY].chunks(ENTRY) {
        let number = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        if entry[4] == FAT32_LBA {
            return Ok(Partition { first: number(8), sectors: number(12) });
        }
    }
    bail!("the card has no FAT32 partition")
}
