//! Module images from a few words about their functions.

use crate::image::{
    ALLOC, ALLOC_EXECUTE, ALLOC_WRITE, GLOBAL_UNTYPED, Image, LOCAL_FUNCTION, LOCAL_SECTION, NOBITS,
    PROGBITS, Relocation, Section, Symbol,
};
use aarch64_reloc::RelocKind;
use kmod::records::{
    ALIAS_EXPORT, ALIAS_MAY_BLOCK, ALIAS_REFINE, ALIAS_STRONG, ALIAS_WEAK, COMMANDS_ALL, fnv1a,
};

/// A module before it is an image.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Its class.
    pub class: u8,
    /// Its flags.
    pub flags: u8,
    /// Its commands.
    pub commands: u32,
    /// Shared pages.
    pub shared_pages: u16,
    /// Functions; `entry` is made where it is missing.
    pub functions: Vec<Function>,
    /// Aliases.
    pub aliases: Vec<AliasOf>,
    /// Imported names and fingerprints.
    pub imports: Vec<(String, u64)>,
    /// Pointers in `.data`, each to a function of the module, an import or a super symbol.
    pub pointers: Vec<String>,
    /// Constants.
    pub rodata: Vec<u8>,
    /// Zeros.
    pub bss_size: u64,
    /// Log strings: their symbols lie one byte apart in `.defmt`.
    pub log_strings: Vec<String>,
}

/// A function: a name and what it does.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its symbol.
    pub name: String,
    /// Its instructions.
    pub body: Vec<Op>,
}

/// One or two instructions.
#[derive(Clone, Debug)]
pub enum Op {
    /// `bl symbol`.
    Call(String),
    /// `b symbol`.
    TailCall(String),
    /// `adrp`, `add`: the symbol's address in x0.
    Address(String),
    /// `adr`.
    NearAddress(String),
    /// `adrp`, load of `1 << log2` bytes.
    Load(String, u32),
    /// `cbz` to a function of the module.
    IfZero(String),
    /// `tbz` to a function of the module.
    IfBitClear(String),
    /// A call through the first pointer in `.data`.
    CallPointer,
    /// Any other word.
    Word(u32),
}

/// An alias: what it is, for which symbol, answered by which function.
#[derive(Clone, Debug)]
pub struct AliasOf {
    /// The record's kind.
    pub kind: u8,
    /// The record's flags.
    pub flags: u8,
    /// The symbol.
    pub name: String,
    /// The fingerprint.
    pub fingerprint: u64,
    /// The function of the module.
    pub implementation: String,
}

/// `ret`.
pub const RET: u32 = 0xd65f_03c0;
/// `stp x29, x30, [sp, #-16]!`.
pub const PUSH: u32 = 0xa9bf_7bfd;
/// `ldp x29, x30, [sp], #16`.
pub const POP: u32 = 0xa8c1_7bfd;

/// The fingerprint of every symbol, where a test does not say otherwise.
pub const FINGERPRINT: u64 = 0x5eed_5eed_5eed_5eed;

impl Module {
    /// A module with an entry and nothing else.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            class: 1,
            flags: 0,
            commands: COMMANDS_ALL,
            shared_pages: 0,
            functions: vec![Function {
                name: "entry".into(),
                body: vec![Op::Word(0x5280_0000), Op::Word(RET)],
            }],
            aliases: Vec::new(),
            imports: Vec::new(),
            pointers: Vec::new(),
            rodata: Vec::new(),
            bss_size: 0,
            log_strings: Vec::new(),
        }
    }

    /// Adds a function.
    #[must_use]
    pub fn function(mut self, name: &str, body: &[Op]) -> Self {
        self.functions.push(Function { name: name.into(), body: body.to_vec() });
        self
    }

    /// Adds an alias of this kind, answered by a function `<module>_<symbol>` with this body.
    #[must_use]
    pub fn alias(mut self, kind: u8, symbol: &str, body: &[Op]) -> Self {
        let implementation = format!("{}_{symbol}", self.name);
        self.aliases.push(AliasOf {
            kind,
            flags: 0,
            name: symbol.into(),
            fingerprint: FINGERPRINT,
            implementation: implementation.clone(),
        });
        self.function(&implementation, body)
    }

    /// Introduces a symbol.
    #[must_use]
    pub fn weak(self, symbol: &str) -> Self {
        self.alias(ALIAS_WEAK, symbol, &[Op::Word(RET)])
    }

    /// Replaces a stub.
    #[must_use]
    pub fn strong(self, symbol: &str) -> Self {
        self.alias(ALIAS_STRONG, symbol, &[Op::Word(RET)])
    }

    /// Refines a symbol and calls what it refines.
    #[must_use]
    pub fn refine(self, symbol: &str) -> Self {
        let below = format!("super_{symbol}");
        self.alias(ALIAS_REFINE, symbol, &[Op::Word(PUSH), Op::Call(below), Op::Word(POP), Op::Word(RET)])
    }

    /// Offers a function by name.
    #[must_use]
    pub fn export(self, symbol: &str) -> Self {
        self.alias(ALIAS_EXPORT, symbol, &[Op::Word(RET)])
    }

    /// Makes the last alias one that may block.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn may_block(mut self) -> Self {
        self.aliases.last_mut().unwrap().flags |= ALIAS_MAY_BLOCK;
        self
    }

    /// Imports a symbol.
    #[must_use]
    pub fn import(mut self, symbol: &str) -> Self {
        self.imports.push((symbol.into(), FINGERPRINT));
        self
    }

    /// A module that has one of everything: every section, every relocation kind.
    #[must_use]
    pub fn kitchen_sink() -> Self {
        let symbol = |name: &str| name.to_string();
        let mut module = Self::new("sink").refine("bus_space_read_4").strong("voidop").weak("sink_new");
        module = module.may_block().import("demo_note").import("bus_space_write_4");
        module = module.function(
            "all_kinds",
            &[
                Op::Call(symbol("demo_note")),
                Op::Call(symbol("helper")),
                Op::Address(symbol("demo_note")),
                Op::Address(symbol("super_bus_space_read_4")),
                Op::Address(symbol(".rodata")),
                Op::NearAddress(symbol("helper")),
                Op::Load(symbol(".rodata"), 0),
                Op::Load(symbol(".data"), 1),
                Op::Load(symbol(".data"), 2),
                Op::Load(symbol(".bss"), 3),
                Op::Load(symbol(".bss"), 4),
                Op::Address(symbol("log_1")),
                Op::IfZero(symbol("helper")),
                Op::IfBitClear(symbol("all_kinds")),
                Op::TailCall(symbol("super_bus_space_read_4")),
            ],
        );
        module = module.function("helper", &[Op::TailCall(symbol("bus_space_write_4"))]);
        module.pointers =
            ["helper", "bus_space_write_4", "super_bus_space_read_4", "entry"].map(symbol).to_vec();
        module.rodata = b"a constant, sixteen bytes aligned".to_vec();
        module.bss_size = 0x90;
        module.log_strings = ["log_0", "log_1"].map(symbol).to_vec();
        module
    }

    /// The image's bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        self.image().write()
    }

    /// The image, open to changes.
    ///
    /// # Panics
    /// Where the module names a symbol that it neither defines, imports nor refines.
    #[must_use]
    pub fn image(&self) -> Image {
        let mut image = Image::relocatable();
        self.add_sections(&mut image);
        self.add_symbols(&mut image);
        self.add_text_relocations(&mut image);
        self.add_data_relocations(&mut image);
        image
    }

    fn add_sections(&self, image: &mut Image) {
        let mut add = |name: &str, kind, flags, align, bytes: Vec<u8>, size| {
            let name = name.to_string();
            image.sections.push(Section { name, kind, flags, bytes, size, align, ..Section::default() });
        };
        let text = self.functions.iter().flat_map(|function| function.words()).flat_map(u32::to_le_bytes);
        add(".text", PROGBITS, ALLOC_EXECUTE, 4, text.collect(), None);
        add(".rodata", PROGBITS, ALLOC, 16, self.rodata.clone(), None);
        let aliases = self.aliases.iter().flat_map(AliasOf::record).collect();
        add(".modlink.alias", PROGBITS, ALLOC, 8, aliases, None);
        let imports = self.imports.iter().flat_map(|(name, fingerprint)| import_record(name, *fingerprint));
        add(".modlink.import", PROGBITS, ALLOC, 8, imports.collect(), None);
        add(".modlink.info", PROGBITS, ALLOC, 8, self.info_record(), None);
        add(".defmt", PROGBITS, ALLOC, 1, vec![0; self.log_strings.len()], None);
        add(".data", PROGBITS, ALLOC_WRITE, 8, vec![0; 8 * self.pointers.len()], None);
        add(".bss", NOBITS, ALLOC_WRITE, 16, Vec::new(), Some(self.bss_size));
        let sizes = self.functions.iter().map(|function| 4 * function.words().len());
        add(".eh_frame", PROGBITS, ALLOC, 8, unwind_tables(sizes), None);
    }

    fn add_symbols(&self, image: &mut Image) {
        for index in 0..image.sections.len() {
            let section = u16::try_from(index + 1).unwrap();
            image.symbols.push(Symbol { info: LOCAL_SECTION, section, ..Symbol::default() });
        }
        let (text, defmt) = (image.section_index(".text"), image.section_index(".defmt"));
        for (function, value) in self.functions.iter().zip(self.function_offsets()) {
            let size = 4 * function.words().len() as u64;
            let name = function.name.clone();
            image.symbols.push(Symbol { name, info: LOCAL_FUNCTION, section: text, value, size });
        }
        for (value, name) in (0..).zip(&self.log_strings) {
            image.symbols.push(Symbol { name: name.clone(), info: 1, section: defmt, value, size: 1 });
        }
        let imports = self.imports.iter().map(|(name, _)| name.clone());
        let refined = self.aliases.iter().filter(|alias| alias.kind == ALIAS_REFINE);
        let undefined: Vec<String> =
            imports.chain(refined.map(|alias| format!("super_{}", alias.name))).collect();
        for name in undefined {
            image.symbols.push(Symbol { name, info: GLOBAL_UNTYPED, ..Symbol::default() });
        }
    }

    fn add_text_relocations(&self, image: &mut Image) {
        let mut offset = 0;
        let mut relocations = Vec::new();
        for op in self.functions.iter().flat_map(|function| &function.body) {
            for (kind, name) in op.relocations() {
                if let (Some(kind), Some(name)) = (kind, name) {
                    let symbol = find_symbol(image, name);
                    relocations.push(Relocation { offset, kind: kind.elf(), symbol, addend: 0 });
                }
                offset += 4;
            }
        }
        image.section(".text").relocations = relocations;
    }

    /// Pointers to functions of the module go through the section's symbol, as compilers write them.
    fn add_data_relocations(&self, image: &mut Image) {
        let text = image.section_symbol(".text");
        let offset_of = |name: &str| {
            let position = self.functions.iter().position(|function| function.name == name)?;
            Some(self.function_offsets()[position].cast_signed())
        };
        let pointer = |image: &Image, offset: u64, name: &str| {
            let kind = RelocKind::Abs64.elf();
            match offset_of(name) {
                Some(addend) => Relocation { offset, kind, symbol: text, addend },
                None => Relocation { offset, kind, symbol: find_symbol(image, name), addend: 0 },
            }
        };
        let data = (0..).zip(&self.pointers).map(|(index, name)| pointer(image, 8 * index, name)).collect();
        let aliases = (0..).zip(&self.aliases);
        let aliases = aliases.map(|(index, alias)| pointer(image, 88 * index + 32, &alias.implementation));
        let aliases = aliases.collect();
        let info = vec![pointer(image, 24, "entry")];
        let unwind = (0..).zip(self.function_offsets()).map(|(index, addend)| {
            let offset = 24 + 8 + 20 * index;
            Relocation { offset, kind: RelocKind::Prel32.elf(), symbol: text, addend: addend.cast_signed() }
        });
        let unwind = unwind.collect();
        image.section(".data").relocations = data;
        image.section(".modlink.alias").relocations = aliases;
        image.section(".modlink.info").relocations = info;
        image.section(".eh_frame").relocations = unwind;
    }

    /// Offset of each function in `.text`.
    #[must_use]
    pub fn function_offsets(&self) -> Vec<u64> {
        let sizes = self.functions.iter().map(|function| 4 * function.words().len() as u64);
        sizes.scan(0, |end, size| Some(std::mem::replace(end, *end + size))).collect()
    }

    fn info_record(&self) -> Vec<u8> {
        let mut bytes = b"STRATAKM\x01\0\x01\0".to_vec();
        bytes.extend_from_slice(&[self.class, self.flags]);
        bytes.extend_from_slice(&self.shared_pages.to_le_bytes());
        bytes.extend_from_slice(&7u32.to_le_bytes());
        bytes.extend_from_slice(&self.commands.to_le_bytes());
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&fnv1a(self.name.as_bytes()).to_le_bytes());
        bytes.extend_from_slice(&name_field(&self.name, 32));
        bytes.extend_from_slice(&[0; 16]);
        bytes
    }
}

impl Function {
    fn words(&self) -> Vec<u32> {
        self.body.iter().flat_map(Op::words).collect()
    }
}

impl Op {
    fn words(&self) -> Vec<u32> {
        match self {
            Self::Call(_) => vec![0x9400_0000],
            Self::TailCall(_) => vec![0x1400_0000],
            Self::Address(_) => vec![0x9000_0000, 0x9100_0000],
            Self::NearAddress(_) => vec![0x1000_0001],
            Self::Load(_, log2) => vec![0x9000_0002, load(*log2).1],
            Self::IfZero(_) => vec![0x3400_0000],
            Self::IfBitClear(_) => vec![0x3608_0000],
            Self::CallPointer => vec![0x9000_0010, 0xf940_0210, 0xd63f_0200],
            Self::Word(word) => vec![*word],
        }
    }

    /// For each word its relocation.
    fn relocations(&self) -> Vec<(Option<RelocKind>, Option<&str>)> {
        fn one(kind: RelocKind, name: &str) -> Vec<(Option<RelocKind>, Option<&str>)> {
            vec![(Some(kind), Some(name))]
        }
        match self {
            Self::Call(name) => one(RelocKind::Call26, name),
            Self::TailCall(name) => one(RelocKind::Jump26, name),
            Self::Address(name) => vec![
                (Some(RelocKind::AdrPrelPgHi21), Some(name)),
                (Some(RelocKind::AddAbsLo12Nc), Some(name)),
            ],
            Self::NearAddress(name) => one(RelocKind::AdrPrelLo21, name),
            Self::Load(name, log2) => {
                vec![(Some(RelocKind::AdrPrelPgHi21Nc), Some(name)), (Some(load(*log2).0), Some(name))]
            }
            Self::IfZero(name) => one(RelocKind::Condbr19, name),
            Self::IfBitClear(name) => one(RelocKind::Tstbr14, name),
            Self::CallPointer => vec![
                (Some(RelocKind::AdrPrelPgHi21), Some(".data")),
                (Some(RelocKind::Ldst64AbsLo12Nc), Some(".data")),
                (None, None),
            ],
            Self::Word(_) => vec![(None, None)],
        }
    }
}

/// The load of `1 << log2` bytes from [x2] and its relocation.
fn load(log2: u32) -> (RelocKind, u32) {
    match log2 {
        0 => (RelocKind::Ldst8AbsLo12Nc, 0x3940_0043),
        1 => (RelocKind::Ldst16AbsLo12Nc, 0x7940_0043),
        2 => (RelocKind::Ldst32AbsLo12Nc, 0xb940_0043),
        3 => (RelocKind::Ldst64AbsLo12Nc, 0xf940_0043),
        _ => (RelocKind::Ldst128AbsLo12Nc, 0x3dc0_0043),
    }
}

impl AliasOf {
    /// The record's bytes.
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind, self.flags, 0, 0, 0, 0, 0, 0];
        for field in [fnv1a(self.name.as_bytes()), self.fingerprint, u64::MAX, 0] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&name_field(&self.name, 48));
        bytes
    }
}

fn import_record(name: &str, fingerprint: u64) -> Vec<u8> {
    let mut bytes = fnv1a(name.as_bytes()).to_le_bytes().to_vec();
    bytes.extend_from_slice(&fingerprint.to_le_bytes());
    bytes.extend_from_slice(&name_field(name, 48));
    bytes
}

/// A name and zeros; a name that does not fit is cut, for tests that want it so.
#[must_use]
pub fn name_field(name: &str, size: usize) -> Vec<u8> {
    let mut field = name.as_bytes().to_vec();
    field.resize(size, 0);
    field
}

fn find_symbol(image: &Image, name: &str) -> u32 {
    if name.starts_with('.') { image.section_symbol(name) } else { image.symbol_index(name) }
}

/// A CIE of 24 bytes, then an FDE of 20 bytes for each function; the functions' addresses are relocations.
fn unwind_tables(sizes: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut bytes =
        vec![20, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 30, 1, 0x1b, 0x0c, 31, 0, 0, 0, 0, 0];
    for size in sizes {
        let back = u32::try_from(bytes.len() + 4).unwrap();
        bytes.extend_from_slice(&16u32.to_le_bytes());
        bytes.extend_from_slice(&back.to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 0]);
    }
    bytes
}
