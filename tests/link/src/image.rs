//! An ELF64 writer in which every field is open.
//!
//! It shares no code with the parser under test and checks nothing: a test sets a field to a wrong value and writes
//! the file.

/// A relocatable or executable file.
#[derive(Clone, Debug)]
pub struct Image {
    /// `e_type`: 1 relocatable, 2 executable.
    pub kind: u16,
    /// `e_machine`.
    pub machine: u16,
    /// The sections behind the null section; the symbol table, its relocations and the names come behind them.
    pub sections: Vec<Section>,
    /// The symbols behind the null symbol, locals first.
    pub symbols: Vec<Symbol>,
    /// The program headers.
    pub segments: Vec<Segment>,
}

/// A section and its relocations.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// `sh_type`.
    pub kind: u32,
    /// `sh_flags`.
    pub flags: u64,
    /// `sh_addr`.
    pub address: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// `sh_size`, where it is not the number of bytes.
    pub size: Option<u64>,
    /// `sh_addralign`.
    pub align: u64,
    /// `sh_link`, for sections that are written as they stand.
    pub link: u32,
    /// `sh_info`, for sections that are written as they stand.
    pub info: u32,
    /// `sh_entsize`.
    pub entry_size: u64,
    /// Written as a `.rela` section of its own.
    pub relocations: Vec<Relocation>,
}

/// An entry of the symbol table.
#[derive(Clone, Debug, Default)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// Binding and type, `st_info`.
    pub info: u8,
    /// `st_shndx`.
    pub section: u16,
    /// `st_value`.
    pub value: u64,
    /// `st_size`.
    pub size: u64,
}

/// An entry of a relocation section.
#[derive(Clone, Copy, Debug, Default)]
pub struct Relocation {
    /// `r_offset`.
    pub offset: u64,
    /// The type.
    pub kind: u32,
    /// Index of the symbol, the null symbol counted.
    pub symbol: u32,
    /// `r_addend`.
    pub addend: i64,
}

/// A program header over the bytes of one section.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// Index of the section in [`Image::sections`].
    pub section: usize,
    /// `p_memsz`.
    pub memory_size: u64,
}

/// Section of code, `SHT_PROGBITS`.
pub const PROGBITS: u32 = 1;
/// `SHT_NOBITS`.
pub const NOBITS: u32 = 8;
/// Flags of a section of constants.
pub const ALLOC: u64 = 2;
/// Flags of a section of data.
pub const ALLOC_WRITE: u64 = 3;
/// Flags of a section of code.
pub const ALLOC_EXECUTE: u64 = 6;

/// `st_info` of a section symbol.
pub const LOCAL_SECTION: u8 = 0x03;
/// `st_info` of a local function.
pub const LOCAL_FUNCTION: u8 = 0x02;
/// `st_info` of a global function.
pub const GLOBAL_FUNCTION: u8 = 0x12;
/// `st_info` of an undefined symbol.
pub const GLOBAL_UNTYPED: u8 = 0x10;

impl Image {
    /// An empty relocatable file for AArch64.
    #[must_use]
    pub const fn relocatable() -> Self {
        Self { kind: 1, machine: 183, sections: Vec::new(), symbols: Vec::new(), segments: Vec::new() }
    }

    /// The section of this name.
    ///
    /// # Panics
    /// Where there is none: the test names a section that it has made.
    pub fn section(&mut self, name: &str) -> &mut Section {
        self.sections.iter_mut().find(|section| section.name == name).unwrap()
    }

    /// Index of the section of this name in the file, the null section counted.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn section_index(&self, name: &str) -> u16 {
        let index = self.sections.iter().position(|section| section.name == name).unwrap();
        u16::try_from(index + 1).unwrap()
    }

    /// The symbol of this name.
    ///
    /// # Panics
    /// Where there is none.
    pub fn symbol(&mut self, name: &str) -> &mut Symbol {
        self.symbols.iter_mut().find(|symbol| symbol.name == name).unwrap()
    }

    /// Index of the symbol of this name in the file, the null symbol counted.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn symbol_index(&self, name: &str) -> u32 {
        let index = self.symbols.iter().position(|symbol| symbol.name == name).unwrap();
        u32::try_from(index + 1).unwrap()
    }

    /// Index of the symbol of a section in the file.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn section_symbol(&self, section: &str) -> u32 {
        let section = self.section_index(section);
        let is_it = |symbol: &Symbol| symbol.info == LOCAL_SECTION && symbol.section == section;
        u32::try_from(self.symbols.iter().position(is_it).unwrap() + 1).unwrap()
    }

    /// The file: header, program headers, contents, section headers.
    ///
    /// # Panics
    /// Where a count does not fit its field.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let sections = self.all_sections();
        let mut names = vec![0];
        let name_offsets: Vec<u32> =
            sections.iter().map(|section| push_string(&mut names, &section.name)).collect();
        let mut file = vec![0; 64 + 56 * self.segments.len()];
        let mut headers = vec![0; 64];
        let mut offsets = Vec::new();
        let last = sections.len() - 1;
        for (index, (section, name)) in sections.iter().zip(name_offsets).enumerate() {
            let bytes = if index == last { &names } else { &section.bytes };
            let align = usize::try_from(section.align.clamp(1, 4096)).unwrap();
            file.resize(file.len().next_multiple_of(align.next_power_of_two()), 0);
            offsets.push(file.len() as u64);
            let size = section.size.unwrap_or(bytes.len() as u64);
            put(&mut headers, &name.to_le_bytes());
            put(&mut headers, &section.kind.to_le_bytes());
            for field in [section.flags, section.address, file.len() as u64, size] {
                put(&mut headers, &field.to_le_bytes());
            }
            put(&mut headers, &section.link.to_le_bytes());
            put(&mut headers, &section.info.to_le_bytes());
            put(&mut headers, &section.align.to_le_bytes());
            put(&mut headers, &section.entry_size.to_le_bytes());
            if section.kind != NOBITS {
                file.extend_from_slice(bytes);
            }
        }
        file.resize(file.len().next_multiple_of(8), 0);
        let header = self.header(file.len() as u64, sections.len() + 1);
        file[..64].copy_from_slice(&header);
        for (index, segment) in self.segments.iter().enumerate() {
            let section = &self.sections[segment.section];
            let at = 64 + 56 * index;
            file[at..at + 56].copy_from_slice(&segment.write(section, offsets[segment.section]));
        }
        file.extend_from_slice(&headers);
        file
    }

    fn header(&self, section_table: u64, section_count: usize) -> Vec<u8> {
        let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        let count = u16::try_from(section_count).unwrap();
        let segments = u16::try_from(self.segments.len()).unwrap();
        put(&mut header, &self.kind.to_le_bytes());
        put(&mut header, &self.machine.to_le_bytes());
        put(&mut header, &1u32.to_le_bytes());
        let segment_table = if segments == 0 { 0 } else { 64u64 };
        for field in [0, segment_table, section_table] {
            put(&mut header, &field.to_le_bytes());
        }
        put(&mut header, &0u32.to_le_bytes());
        for field in [64, if segments == 0 { 0 } else { 56 }, segments, 64, count, count - 1] {
            put(&mut header, &field.to_le_bytes());
        }
        header
    }

    /// The image's sections, then relocations, symbols and both string tables (the section names come last).
    fn all_sections(&self) -> Vec<Section> {
        let mut sections = self.sections.clone();
        let relocated: Vec<usize> =
            (0..sections.len()).filter(|&index| !self.sections[index].relocations.is_empty()).collect();
        let symbol_table = u32::try_from(sections.len() + relocated.len() + 1).unwrap();
        for index in relocated {
            let section = &self.sections[index];
            let mut bytes = Vec::new();
            for relocation in &section.relocations {
                put(&mut bytes, &relocation.offset.to_le_bytes());
                put(&mut bytes, &relocation.kind.to_le_bytes());
                put(&mut bytes, &relocation.symbol.to_le_bytes());
                put(&mut bytes, &relocation.addend.to_le_bytes());
            }
            sections.push(Section {
                name: format!(".rela{}", section.name),
                kind: 4,
                flags: 0x40,
                bytes,
                align: 8,
                link: symbol_table,
                info: u32::try_from(index + 1).unwrap(),
                entry_size: 24,
                ..Section::default()
            });
        }
        let (symbols, names) = self.write_symbols();
        let locals = self.symbols.iter().take_while(|symbol| symbol.info >> 4 == 0).count() + 1;
        sections.push(Section {
            name: ".symtab".into(),
            kind: 2,
            bytes: symbols,
            align: 8,
            link: symbol_table + 1,
            info: u32::try_from(locals).unwrap(),
            entry_size: 24,
            ..Section::default()
        });
        for (name, bytes) in [(".strtab", names), (".shstrtab", Vec::new())] {
            sections.push(Section { name: name.into(), kind: 3, bytes, align: 1, ..Section::default() });
        }
        sections
    }

    fn write_symbols(&self) -> (Vec<u8>, Vec<u8>) {
        let mut names = vec![0];
        let mut bytes = vec![0; 24];
        for symbol in &self.symbols {
            let name = if symbol.name.is_empty() { 0 } else { push_string(&mut names, &symbol.name) };
            put(&mut bytes, &name.to_le_bytes());
            put(&mut bytes, &[symbol.info, 0]);
            put(&mut bytes, &symbol.section.to_le_bytes());
            put(&mut bytes, &symbol.value.to_le_bytes());
            put(&mut bytes, &symbol.size.to_le_bytes());
        }
        (bytes, names)
    }
}

impl Segment {
    fn write(&self, section: &Section, offset: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, &self.kind.to_le_bytes());
        put(&mut bytes, &self.flags.to_le_bytes());
        let size = section.bytes.len() as u64;
        for field in [offset, section.address, section.address, size, self.memory_size, 4096] {
            put(&mut bytes, &field.to_le_bytes());
        }
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.extend_from_slice(field);
}

fn push_string(table: &mut Vec<u8>, string: &str) -> u32 {
    let offset = u32::try_from(table.len()).unwrap();
    table.extend_from_slice(string.as_bytes());
    table.push(0);
    offset
}
