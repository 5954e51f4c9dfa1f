//! Sections, symbols and relocations of an image in the upload area, so that a case can have others: the same module
//! otherwise.

use crate::case::{Outcome, ensure, fail};
use crate::image::Upload;

/// ELF64 file header: where the section headers are, how many, and which of them has their names.
const HEADERS_AT: usize = 0x28;
const HEADER_COUNT: usize = 0x3c;
const NAMES_INDEX: usize = 0x3e;
/// ELF64 section header: its size, and where its fields are.
const HEADER_SIZE: usize = 64;
const KIND: usize = 4;
pub(crate) const FLAGS: usize = 8;
pub(crate) const OFFSET: usize = 24;
const SIZE: usize = 32;
pub(crate) const ALIGN: usize = 48;
const RELA: u64 = 4;
/// ELF64 relocation: its size, and where its type is.
const RELOCATION_SIZE: usize = 24;
const RELOCATION_TYPE: usize = 8;
/// ELF64 symbol: its size, where type and binding are, and a weak function.
const SYMBOL_SIZE: usize = 24;
const SYMBOL_INFO: usize = 4;
const WEAK: u8 = 2 << 4;
const PROGBITS: u64 = 1;
const NOBITS: u64 = 8;
/// What is added is full of this.
const FILLER: u8 = 0xa5;
/// What every section is aligned to.
const ALIGNED: usize = 16;

impl Upload {
    /// Makes a section larger by so many bytes. What stands in the file moves to its end.
    pub(crate) fn grow_section(&mut self, name: &str, by: usize) -> Outcome {
        let header = self.section_header(name)?;
        if self.field(header + KIND, 4) == NOBITS {
            let size = self.field(header + SIZE, 8);
            self.set_field(header + SIZE, 8, size + by as u64);
            return Ok(());
        }
        self.move_to_end(header, &[], by)
    }

    /// Adds a section that is not loaded, of so many bytes.
    pub(crate) fn add_section(&mut self, name: &str, size: usize) -> Outcome {
        let (table, count) = (self.offset(HEADERS_AT), self.field(HEADER_COUNT, 2));
        let names = table + self.small(self.field(NAMES_INDEX, 2)) * HEADER_SIZE;
        let name_at = self.field(names + SIZE, 8);
        self.move_to_end(names, name.as_bytes(), 1)?;
        let terminator = self.offset(names + OFFSET) + self.offset(names + SIZE) - 1;
        self.set(terminator, 0);

        // The headers, at the end and with one more.
        let headers = self.small(count) * HEADER_SIZE;
        let at = self.append(headers + HEADER_SIZE)?;
        (0..headers).for_each(|i| self.set(at + i, self.get(table + i)));
        (0..HEADER_SIZE).for_each(|i| self.set(at + headers + i, 0));
        self.set_field(HEADERS_AT, 8, at as u64);
        self.set_field(HEADER_COUNT, 2, count + 1);
        let contents = self.append(size)?;
        for (field, width, value) in [
            (0, 4, name_at),
            (KIND, 4, PROGBITS),
            (OFFSET, 8, contents as u64),
            (SIZE, 8, size as u64),
            (ALIGN, 8, 1),
        ] {
            self.set_field(at + headers + field, width, value);
        }
        Ok(())
    }

    /// A field of a section's header.
    pub(crate) fn section(&self, name: &str, field: usize) -> Outcome<u64> {
        Ok(self.field(self.section_header(name)? + field, 8))
    }

    /// Sets a field of a section's header.
    pub(crate) fn set_section(&self, name: &str, field: usize, value: u64) -> Outcome {
        self.set_field(self.section_header(name)? + field, 8, value);
        Ok(())
    }

    /// Where the first relocation of a type stands.
    pub(crate) fn relocation(&self, number: u32) -> Option<usize> {
        let (table, count) = (self.offset(HEADERS_AT), self.small(self.field(HEADER_COUNT, 2)));
        let tables = (0..count).map(|index| table + index * HEADER_SIZE);
        let tables = tables.filter(|header| self.field(header + KIND, 4) == RELA);
        let entries = tables.flat_map(|header| {
            let (at, size) = (self.offset(header + OFFSET), self.offset(header + SIZE));
            (at..at + size).step_by(RELOCATION_SIZE)
        });
        entries.into_iter().find(|at| self.field(at + RELOCATION_TYPE, 4) == number.into())
    }

    /// Gives a relocation another type.
    pub(crate) fn set_relocation(&self, at: usize, number: u32) {
        self.set_field(at + RELOCATION_TYPE, 4, number.into());
    }

    /// Makes a symbol weak.
    pub(crate) fn make_weak(&self, name: &str) -> Outcome {
        let (symbols, names) = (self.section_header(".symtab")?, self.section_header(".strtab")?);
        let (at, size) = (self.offset(symbols + OFFSET), self.offset(symbols + SIZE));
        let names = self.offset(names + OFFSET);
        for symbol in (at..at + size).step_by(SYMBOL_SIZE) {
            let start = names + self.small(self.field(symbol, 4));
            let end = start + name.len();
            if self.bytes().get(start..end) == Some(name.as_bytes()) && self.get(end) == 0 {
                let info = self.get(symbol + SYMBOL_INFO);
                self.set(symbol + SYMBOL_INFO, info & 0xf | WEAK);
                return Ok(());
            }
        }
        fail!("the image has no symbol {name}")
    }

    /// Moves a section's bytes to the end of the file, with these and so many more behind them.
    fn move_to_end(&mut self, header: usize, more: &[u8], filled: usize) -> Outcome {
        let (from, size) = (self.offset(header + OFFSET), self.offset(header + SIZE));
        let at = self.append(size + more.len() + filled)?;
        (0..size).for_each(|i| self.set(at + i, self.get(from + i)));
        more.iter().enumerate().for_each(|(i, byte)| self.set(at + size + i, *byte));
        self.set_field(header + OFFSET, 8, at as u64);
        self.set_field(header + SIZE, 8, (size + more.len() + filled) as u64);
        Ok(())
    }

    /// Puts filler behind everything; where it begins.
    fn append(&mut self, bytes: usize) -> Outcome<usize> {
        let at = self.size.next_multiple_of(ALIGNED);
        self.extend(at + bytes - self.size)?;
        (at..at + bytes).for_each(|place| self.set(place, FILLER));
        Ok(at)
    }

    /// Where a section's header stands.
    fn section_header(&self, name: &str) -> Outcome<usize> {
        let (table, count) = (self.offset(HEADERS_AT), self.small(self.field(HEADER_COUNT, 2)));
        let names = self.offset(table + self.small(self.field(NAMES_INDEX, 2)) * HEADER_SIZE + OFFSET);
        for header in (0..count).map(|index| table + index * HEADER_SIZE) {
            let at = names + self.small(self.field(header, 4));
            let end = at + name.len();
            ensure!(end < self.size, "the names of sections lie outside of the image");
            if self.bytes().get(at..end) == Some(name.as_bytes()) && self.get(end) == 0 {
                return Ok(header);
            }
        }
        fail!("the image has no section {name}")
    }

    fn field(&self, at: usize, width: usize) -> u64 {
        (0..width).rev().fold(0, |value, i| value << 8 | u64::from(self.get(at + i)))
    }

    fn set_field(&self, at: usize, width: usize, value: u64) {
        value.to_le_bytes().iter().take(width).enumerate().for_each(|(i, byte)| self.set(at + i, *byte));
    }

    /// A 64-bit field that is a place or a size in the file.
    fn offset(&self, at: usize) -> usize {
        self.small(self.field(at, 8))
    }

    /// A number as an index; one that is none lies outside of the image.
    fn small(&self, value: u64) -> usize {
        usize::try_from(value).unwrap_or(self.size)
    }
}
