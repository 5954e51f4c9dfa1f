//! Base images from a few words about their functions.

use crate::image::{
    ALLOC, ALLOC_EXECUTE, ALLOC_WRITE, GLOBAL_FUNCTION, Image, PROGBITS, Relocation, Section, Segment, Symbol,
};
use crate::module::{FINGERPRINT, RET, name_field};
use aarch64_reloc::{Branch, BranchKind, RelocKind};
use kmod::records::fnv1a;

/// Where the text of the image stands.
pub const TEXT: u64 = 0x1000_0000;
const RECORDS: u64 = 0x1000_2000;
/// Where its data stands: the pointers come first.
pub const DATA: u64 = 0x1000_4000;

/// A small base image: some symbols with defaults, a caller of each, one table of pointers.
#[derive(Clone, Debug)]
pub struct BaseImage {
    /// Aliasable symbols; the default of each is a `ret` of its own.
    pub weak: Vec<String>,
    /// Functions offered by name.
    pub exports: Vec<String>,
    /// Servers: name, device address, interrupt.
    pub servers: Vec<(String, u64, u32)>,
    /// Symbols whose address stands in `.data`.
    pub pointers: Vec<String>,
}

impl BaseImage {
    /// A base with two symbols, an export, two servers and a pointer.
    #[must_use]
    pub fn small() -> Self {
        let strings = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect();
        Self {
            weak: strings(&["bus_space_read_4", "voidop"]),
            exports: strings(&["memcpy"]),
            servers: vec![("uart".into(), 0x0900_0000, 33), ("demo".into(), 0, 0)],
            pointers: strings(&["bus_space_read_4"]),
        }
    }

    /// The functions in the order of the text: one word each for the worker, the defaults and the exports, then for
    /// each weak symbol a `bl` and a `b`.
    #[must_use]
    pub fn default_address(&self, index: usize) -> u64 {
        TEXT + 4 * (1 + index as u64)
    }

    /// Address of the `bl` to a weak symbol; the `b` stands behind it.
    #[must_use]
    pub fn call_address(&self, index: usize) -> u64 {
        self.default_address(self.weak.len() + self.exports.len()) + 8 * index as u64
    }

    /// The image's bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        self.image().write()
    }

    /// The image, open to changes.
    ///
    /// # Panics
    /// Where a pointer names no weak symbol.
    #[must_use]
    pub fn image(&self) -> Image {
        let mut image = Image { kind: 2, ..Image::relocatable() };
        let mut add = |name: &str, flags, address, bytes| {
            let (name, kind) = (name.to_string(), PROGBITS);
            image.sections.push(Section {
                name,
                kind,
                flags,
                address,
                bytes,
                align: 8,
                ..Section::default()
            });
        };
        add(".text", ALLOC_EXECUTE, TEXT, self.text());
        let (aliases, servers, info) = (self.alias_records(), self.server_records(), self.info_record());
        let server_start = RECORDS + aliases.len() as u64;
        let info_start = server_start + servers.len() as u64;
        add(".modlink.alias", ALLOC, RECORDS, aliases);
        add(".modlink.server", ALLOC, server_start, servers);
        add(".modlink.base", ALLOC, info_start, info);
        add(".data", ALLOC_WRITE, DATA, self.data());
        self.add_symbols(&mut image);
        self.add_relocations(&mut image);
        // A segment covers one section here; the records' segment begins with the aliases and is not read as a whole.
        for (section, flags) in [(0, 5), (1, 4), (4, 6)] {
            let memory_size = image.sections[section].bytes.len() as u64 + if flags == 6 { 64 } else { 0 };
            image.segments.push(Segment { kind: 1, flags, section, memory_size });
        }
        image
    }

    fn text(&self) -> Vec<u8> {
        let mut words = vec![RET; 1 + self.weak.len() + self.exports.len()];
        for index in 0..self.weak.len() {
            let (at, to) = (self.call_address(index), self.default_address(index));
            words.push(Branch::between(BranchKind::Bl, at, to).unwrap().encode());
            words.push(Branch::between(BranchKind::B, at + 4, to).unwrap().encode());
        }
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    fn data(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in &self.pointers {
            let index = self.weak.iter().position(|weak| weak == name).unwrap();
            bytes.extend_from_slice(&self.default_address(index).to_le_bytes());
        }
        for address in [self.call_address(0), self.call_address(0) + 4] {
            bytes.extend_from_slice(&address.to_le_bytes());
        }
        bytes
    }

    fn alias_records(&self) -> Vec<u8> {
        let kinds = self.weak.iter().map(|name| (1, name)).chain(self.exports.iter().map(|name| (4, name)));
        let mut bytes = Vec::new();
        for (index, (kind, name)) in kinds.enumerate() {
            bytes.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
            for field in [fnv1a(name.as_bytes()), FINGERPRINT, u64::MAX, self.default_address(index)] {
                bytes.extend_from_slice(&field.to_le_bytes());
            }
            bytes.extend_from_slice(&name_field(name, 48));
        }
        bytes
    }

    fn server_records(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, device, irq) in &self.servers {
            bytes.extend_from_slice(&name_field(name, 16));
            let size = if *device == 0 { 0 } else { 4096 };
            for field in [TEXT, *device, size] {
                bytes.extend_from_slice(&field.to_le_bytes());
            }
            bytes.extend_from_slice(&irq.to_le_bytes());
            bytes.extend_from_slice(&[0; 20]);
        }
        bytes
    }

    fn info_record(&self) -> Vec<u8> {
        let mut bytes = b"STRATABS\x01\0\x01\0\0\0\0\0".to_vec();
        bytes.extend_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0]);
        let fixups = DATA + 8 * self.pointers.len() as u64;
        for field in [0xb11d, TEXT, fixups, fixups + 16] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&name_field("base", 32));
        bytes.extend_from_slice(&[0; 8]);
        bytes
    }

    fn add_symbols(&self, image: &mut Image) {
        for (index, name) in self.weak.iter().enumerate() {
            for name in [name.clone(), format!("_{name}")] {
                let value = self.default_address(index);
                image.symbols.push(Symbol { name, info: GLOBAL_FUNCTION, section: 1, value, size: 4 });
            }
        }
    }

    fn add_relocations(&self, image: &mut Image) {
        let mut calls = Vec::new();
        for (index, name) in self.weak.iter().enumerate() {
            let symbol = image.symbol_index(name);
            for (offset, kind) in [(0, RelocKind::Call26), (4, RelocKind::Jump26)] {
                let offset = self.call_address(index) + offset;
                calls.push(Relocation { offset, kind: kind.elf(), symbol, addend: 0 });
            }
        }
        let pointers = (0..).zip(&self.pointers).map(|(index, name)| {
            let symbol = image.symbol_index(name);
            Relocation { offset: DATA + 8 * index, kind: RelocKind::Abs64.elf(), symbol, addend: 0 }
        });
        let pointers = pointers.collect();
        image.section(".text").relocations = calls;
        image.section(".data").relocations = pointers;
    }
}
