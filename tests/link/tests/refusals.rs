//! Goal: each rule of the module format, broken alone, gives its own error at its own place.
//!
//! Method: a good image, one field changed in it (in the open image, or in the written bytes where the writer would
//! not let it through).
#![allow(clippy::unwrap_used)]

use kmod::records::{ALIAS_REFINE, ALIAS_WEAK, COMMANDS_ALL};
use kmod::{ElfError, Object, ParseError, SectionKind};
use link_tests::image::{
    ALLOC, ALLOC_EXECUTE, ALLOC_WRITE, Image, NOBITS, PROGBITS, Relocation, Section, Segment, Symbol,
};
use link_tests::module::{Module, Op, RET};

const TEXT: SectionKind = SectionKind::Text;

fn refused(file: &[u8]) -> ParseError {
    Object::parse(file).err().unwrap()
}

/// The kitchen sink with one change.
fn changed(change: impl FnOnce(&mut Image)) -> ParseError {
    let mut image = Module::kitchen_sink().image();
    change(&mut image);
    refused(&image.write())
}

/// The kitchen sink's bytes with one change.
fn poked(at: usize, bytes: &[u8]) -> ParseError {
    let mut file = Module::kitchen_sink().write();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    refused(&file)
}

/// Offset in the file of a section's header.
fn header_of(file: &[u8], index: usize) -> usize {
    usize::try_from(u64::from_le_bytes(file[40..48].try_into().unwrap())).unwrap() + 64 * index
}

/// The kitchen sink with one field of one section header changed in the bytes; the section is named.
fn header_poked(name: &str, field: usize, bytes: &[u8]) -> ParseError {
    let mut file = Module::kitchen_sink().write();
    let names_index = usize::from(u16::from_le_bytes([file[62], file[63]]));
    let word = |file: &[u8], at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let names = usize::try_from(word(&file, header_of(&file, names_index) + 24)).unwrap();
    let index = (1..=names_index)
        .find(|&index| {
            let header = header_of(&file, index);
            let offset = u32::from_le_bytes(file[header..header + 4].try_into().unwrap());
            let start = names + usize::try_from(offset).unwrap();
            file[start..].starts_with(format!("{name}\0").as_bytes())
        })
        .unwrap();
    let at = header_of(&file, index) + field;
    file[at..at + bytes.len()].copy_from_slice(bytes);
    refused(&file)
}

/// A record's field, changed in the section's bytes.
fn record_poked(section: &str, at: usize, byte: u8) -> ParseError {
    changed(|image| image.section(section).bytes[at] = byte)
}

fn elf(error: ElfError) -> ParseError {
    ParseError::Elf(error)
}

#[test]
fn the_container() {
    let file = Module::kitchen_sink().write();
    assert_eq!(refused(&file[..63]), elf(ElfError::Truncated));
    assert_eq!(poked(0, &[0]), elf(ElfError::NotElf));
    for (at, byte) in [(4, 1), (5, 2), (6, 0), (7, 9)] {
        assert_eq!(poked(at, &[byte]), elf(ElfError::Identification));
    }
    assert_eq!(changed(|image| image.machine = 62), elf(ElfError::Machine));
    assert_eq!(changed(|image| image.kind = 2), elf(ElfError::Type));
    for at in [20, 52, 58] {
        assert_eq!(poked(at, &[65]), elf(ElfError::HeaderSize));
    }
    assert_eq!(poked(60, &[1, 0]), elf(ElfError::SectionCount));
    assert_eq!(poked(60, &[0, 1]), elf(ElfError::SectionCount));
    assert_eq!(poked(40, &[0xff; 8]), elf(ElfError::SectionTable));
    assert_eq!(poked(62, &[1, 0]), elf(ElfError::SectionNames));
    let null = header_of(&file, 0);
    assert_eq!(poked(null + 4, &[1]), elf(ElfError::NullSection));
}

#[test]
fn program_headers() {
    let segment = Segment { kind: 1, flags: 5, section: 0, memory_size: 4 };
    assert_eq!(changed(|image| image.segments.push(segment)), ParseError::Segments);
    // A table outside the file, of entries of the right size.
    let mut file = Module::kitchen_sink().write();
    file[32] = 0xff;
    file[39] = 0xff;
    file[54] = 56;
    file[56] = 1;
    assert_eq!(refused(&file), elf(ElfError::SegmentTable));
}

#[test]
fn section_headers() {
    assert_eq!(header_poked(".text", 0, &[0xff; 4]), elf(ElfError::SectionName(1)));
    // Offset and size each leave the file, and their sum wraps.
    assert_eq!(header_poked(".text", 24, &[0xff; 8]), elf(ElfError::SectionOutOfFile(1)));
    assert_eq!(header_poked(".text", 32, &[0xff; 8]), elf(ElfError::SectionOutOfFile(1)));
    assert_eq!(header_poked(".rodata", 24, &64u64.to_le_bytes()), elf(ElfError::Overlap(1, 2)));
    assert_eq!(header_poked(".rodata", 24, &8u64.to_le_bytes()), elf(ElfError::OverlapsHeaders(2)));
    assert_eq!(header_poked(".symtab", 4, &[7]), elf(ElfError::NoSymbolTable));
    assert_eq!(header_poked(".strtab", 4, &[2]), elf(ElfError::SymbolNames(15)));
    assert_eq!(header_poked(".symtab", 56, &[23]), elf(ElfError::SymbolTable(15)));
    assert_eq!(header_poked(".symtab", 40, &[1]), elf(ElfError::SymbolNames(15)));
    assert_eq!(header_poked(".rela.text", 4, &[9]), elf(ElfError::RelSection(10)));
    assert_eq!(header_poked(".rela.text", 56, &[12]), elf(ElfError::RelocationTable(10)));
    assert_eq!(header_poked(".rela.text", 40, &[1]), elf(ElfError::RelocationSymbols(10)));
    assert_eq!(header_poked(".rela.text", 44, &[0]), elf(ElfError::RelocationSection(10)));
    assert_eq!(header_poked(".rela.text", 44, &[10]), elf(ElfError::RelocationSection(10)));
    assert_eq!(header_poked(".rela.text", 44, &[200]), elf(ElfError::RelocationSection(10)));
    let second = Section {
        name: ".symtab2".into(),
        kind: 2,
        entry_size: 24,
        bytes: vec![0; 24],
        ..Section::default()
    };
    let twice = changed(|image| image.sections.push(Section { link: 17, ..second }));
    assert_eq!(twice, elf(ElfError::SecondSymbolTable(16)));
}

#[test]
fn sections_by_name() {
    let extra = |name: &str, flags| {
        let (name, kind, bytes) = (name.to_string(), PROGBITS, vec![0; 4]);
        Section { name, kind, flags, bytes, align: 1, ..Section::default() }
    };
    assert_eq!(
        changed(|image| image.sections.push(extra(".init_array", ALLOC))),
        ParseError::UnknownSection(10)
    );
    assert_eq!(
        changed(|image| image.sections.push(extra(".text", ALLOC_EXECUTE))),
        ParseError::DuplicateSection(10)
    );
    assert_eq!(
        changed(|image| image.sections.push(extra(".tdata", 0x403))),
        ParseError::ThreadLocalSection(10)
    );
    assert_eq!(changed(|image| image.section(".text").address = 4), ParseError::SectionAddress(1));
    for align in [3, 8192, u64::MAX] {
        let error = header_poked(".text", 48, &align.to_le_bytes());
        assert_eq!(error, ParseError::SectionAlignment(1));
    }
    assert_eq!(changed(|image| image.section(".text").bytes.push(0)), ParseError::SectionSize(1));
    let huge = kmod::SECTION_SIZE_MAX + 1;
    assert_eq!(changed(|image| image.section(".bss").size = Some(huge)), ParseError::SectionSize(8));
    assert_eq!(changed(|image| image.section(".modlink.alias").bytes.push(0)), ParseError::RecordSize(3));
    assert_eq!(changed(|image| image.section(".modlink.import").bytes.push(0)), ParseError::RecordSize(4));

    // Debug data takes no memory and breaks no rule.
    let mut image = Module::kitchen_sink().image();
    image.sections.push(extra(".debug_line", 0));
    assert!(Object::parse(&image.write()).is_ok());
}

#[test]
fn permissions_go_with_names() {
    let writable_text = ALLOC_EXECUTE | ALLOC_WRITE;
    for (name, index, flags) in [
        (".text", 1, ALLOC),
        (".text", 1, writable_text),
        (".rodata", 2, ALLOC_WRITE),
        (".rodata", 2, ALLOC_EXECUTE),
        (".rodata", 2, ALLOC | 0x800), // compressed
        (".modlink.alias", 3, ALLOC_EXECUTE),
        (".defmt", 6, ALLOC_EXECUTE),
        (".data", 7, ALLOC),
        (".data", 7, ALLOC_WRITE | 4),
        (".bss", 8, ALLOC),
        (".eh_frame", 9, ALLOC_WRITE),
    ] {
        assert_eq!(
            changed(|image| image.section(name).flags = flags),
            ParseError::SectionFlags(index),
            "{name}"
        );
    }
    assert_eq!(changed(|image| image.section(".rodata").kind = NOBITS), ParseError::SectionFlags(2));
    assert_eq!(changed(|image| image.section(".bss").kind = PROGBITS), elf(ElfError::Overlap(8, 9)));
    let bits = |image: &mut Image| {
        let bss = image.section(".bss");
        (bss.kind, bss.size) = (PROGBITS, None);
    };
    assert_eq!(changed(bits), ParseError::SectionFlags(8));
}

#[test]
fn relocation_tables() {
    // Link 16: the symbol table stands behind ten sections and five of relocations.
    let add = |image: &mut Image, name: String, info| {
        let (kind, bytes) = (4, vec![0; 24]);
        image.sections.push(Section {
            name,
            kind,
            bytes,
            align: 8,
            info,
            link: 16,
            entry_size: 24,
            ..Section::default()
        });
    };
    let second = |info: u32| {
        changed(|image| {
            let name = format!(".rela{}", image.sections[info as usize - 1].name);
            add(image, name, info);
        })
    };
    assert_eq!(second(1), ParseError::DuplicateRelocations(11));
    assert_eq!(second(4), ParseError::UnwantedRelocations(10));
    assert_eq!(second(6), ParseError::UnwantedRelocations(10));
    // A table whose target is not the section that its name says.
    assert_eq!(changed(|image| add(image, ".rela.more".to_owned(), 1)), ParseError::SectionFlags(10));
    assert_eq!(changed(|image| add(image, ".rela.text".to_owned(), 4)), ParseError::SectionFlags(10));
    let relocation = Relocation { offset: 0, kind: 257, symbol: 1, addend: 0 };
    let many = vec![relocation; kmod::RELOCATIONS_MAX + 1];
    let error = changed(|image| image.section(".data").relocations = many);
    assert!(matches!(error, ParseError::TooManyRelocations(_)));
}

#[test]
fn alias_records() {
    let alias = |at: usize, byte| record_poked(".modlink.alias", 88 + at, byte);
    assert_eq!(alias(0, 0), ParseError::AliasKind(1));
    assert_eq!(alias(0, 5), ParseError::AliasKind(1));
    assert_eq!(alias(1, 2), ParseError::AliasFlags(1));
    assert_eq!(alias(2, 1), ParseError::AliasReserved(1));
    assert_eq!(alias(4, 1), ParseError::AliasReserved(1));
    assert_eq!(alias(8, 0), ParseError::AliasHash(1));
    assert_eq!(alias(40, 0), ParseError::AliasName(1));
    assert_eq!(alias(40, b' '), ParseError::AliasName(1));
    assert_eq!(alias(87, b'x'), ParseError::AliasName(1));
    assert_eq!(alias(41, b'x'), ParseError::AliasHash(1));
    assert_eq!(refused(&Module::new("m").weak("super_f").write()), ParseError::AliasName(0));
    assert_eq!(refused(&Module::new("m").weak("f").strong("f").write()), ParseError::DuplicateAlias(1));
    let mut many = Module::new("m");
    for index in 0..=kmod::ALIASES_MAX {
        many = many.weak(&format!("f{index}"));
    }
    assert_eq!(refused(&many.write()), ParseError::TooManyAliases);
}

#[test]
fn alias_implementations_are_instructions_of_the_module() {
    let pointer = |change: &dyn Fn(&mut Relocation)| {
        changed(|image| change(&mut image.section(".modlink.alias").relocations[1]))
    };
    let wrong = ParseError::AliasImplementation(1);
    assert_eq!(pointer(&|pointer| pointer.addend += 2), wrong, "between two instructions");
    assert_eq!(pointer(&|pointer| pointer.addend = 1 << 20), wrong, "behind the text");
    assert_eq!(pointer(&|pointer| pointer.addend = -4), wrong, "before the text");
    assert_eq!(pointer(&|pointer| pointer.kind = 261), wrong, "not an absolute address");
    assert_eq!(pointer(&|pointer| pointer.offset += 8), wrong, "another field");
    assert_eq!(pointer(&|pointer| pointer.symbol = 0), wrong, "no symbol");
    assert_eq!(pointer(&|pointer| pointer.symbol = u32::MAX), wrong, "beyond the table");
    let elsewhere = changed(|image| {
        let data = image.section_symbol(".data");
        let pointer = &mut image.section(".modlink.alias").relocations[1];
        (pointer.symbol, pointer.addend) = (data, 0);
    });
    assert_eq!(elsewhere, wrong, "in the data");
    let imported = changed(|image| {
        let import = image.symbol_index("demo_note");
        let pointer = &mut image.section(".modlink.alias").relocations[1];
        (pointer.symbol, pointer.addend) = (import, 0);
    });
    assert_eq!(imported, wrong, "defined elsewhere");
    let missing = changed(|image| {
        image.section(".modlink.alias").relocations.remove(1);
    });
    assert_eq!(missing, wrong);
    let extra = changed(|image| {
        let relocations = &mut image.section(".modlink.alias").relocations;
        relocations.push(relocations[1]);
    });
    assert_eq!(extra, ParseError::AliasRelocations);
}

#[test]
fn import_records() {
    let import = |at: usize, byte| record_poked(".modlink.import", 64 + at, byte);
    assert_eq!(import(0, 0), ParseError::ImportHash(1));
    assert_eq!(import(16, 0), ParseError::ImportName(1));
    assert_eq!(import(63, 1), ParseError::ImportName(1));
    assert_eq!(import(17, b'x'), ParseError::ImportHash(1));
    assert_eq!(refused(&Module::new("m").import("f").import("f").write()), ParseError::DuplicateImport(1));
    assert_eq!(refused(&Module::new("m").import("super_f").write()), ParseError::ImportName(0));
    let mut many = Module::new("m");
    for index in 0..=kmod::IMPORTS_MAX {
        many = many.import(&format!("f{index}"));
    }
    assert_eq!(refused(&many.write()), ParseError::TooManyImports);
}

#[test]
fn the_info_record() {
    let info = |at, byte| record_poked(".modlink.info", at, byte);
    assert_eq!(info(0, b'X'), ParseError::InfoMagic);
    assert_eq!(info(8, 2), ParseError::InfoFormat(2));
    assert_eq!(info(10, 2), ParseError::InfoApi(2));
    assert_eq!(info(12, 0), ParseError::InfoClass(0));
    assert_eq!(info(13, 2), ParseError::InfoFlags(2));
    assert_eq!(info(15, 0xff), ParseError::InfoSharedPages(0xff00));
    assert_eq!(info(32, 1), ParseError::InfoReserved);
    assert_eq!(info(95, 1), ParseError::InfoReserved);
    assert_eq!(info(48, 0), ParseError::InfoName);
    let commands = |commands| {
        let mut module = Module::new("m");
        module.commands = commands;
        refused(&module.write())
    };
    let none = COMMANDS_ALL;
    for bad in
        [none & !(1 << 2), none & !(1 << 6), none & !(1 << 4), none & !(1 << 5), none | 1, none | 1 << 31]
    {
        assert_eq!(commands(bad), ParseError::InfoCommands(bad));
    }
    let unnamed = |image: &mut Image| {
        let section = image.section(".modlink.info");
        (section.name, section.flags) = (".comment".into(), 0);
    };
    assert_eq!(changed(unnamed), ParseError::Info);
    assert_eq!(
        changed(|image| image.section(".modlink.info").bytes.extend_from_slice(&[0; 96])),
        ParseError::Info
    );
    let entry = |change: &dyn Fn(&mut Vec<Relocation>)| {
        changed(|image| change(&mut image.section(".modlink.info").relocations))
    };
    assert_eq!(entry(&Vec::clear), ParseError::InfoEntry);
    assert_eq!(entry(&|entries| entries[0].offset = 32), ParseError::InfoEntry);
    assert_eq!(entry(&|entries| entries.push(entries[0])), ParseError::InfoEntry);
}

#[test]
fn symbols() {
    let with = |symbol: Symbol| {
        let mut image = Module::new("m").weak("known").image();
        image.symbols.push(symbol);
        let index = image.symbols.len();
        (Object::parse(&image.write()).err(), index)
    };
    let symbol = |info, section, value| Symbol { name: "odd".into(), info, section, value, size: 0 };
    let (error, at) = with(symbol(0x11, 0xfff2, 8));
    assert_eq!(error, Some(ParseError::CommonSymbol(at)));
    assert_eq!(with(symbol(0x15, 1, 0)).0, Some(ParseError::CommonSymbol(at)));
    assert_eq!(with(symbol(0x16, 1, 0)).0, Some(ParseError::ThreadLocalSymbol(at)));
    assert_eq!(with(symbol(0x1a, 1, 0)).0, Some(ParseError::SymbolKind(at)), "indirect function");
    assert_eq!(with(symbol(0xa2, 1, 0)).0, Some(ParseError::SymbolKind(at)), "unique");
    assert_eq!(with(symbol(0x12, 200, 0)).0, Some(ParseError::SymbolSection(at)));
    assert_eq!(with(symbol(0x12, 0xffff, 0)).0, Some(ParseError::SymbolSection(at)));
    assert_eq!(with(symbol(0x12, 1, 1 << 30)).0, Some(ParseError::SymbolOutOfSection(at)));
    assert_eq!(with(symbol(0x22, 1, 0)).0, Some(ParseError::WeakSymbol(at)), "defined");
    assert_eq!(with(symbol(0x20, 0, 0)).0, Some(ParseError::WeakSymbol(at)), "undefined");
    assert_eq!(with(symbol(0x10, 0, 0)).0, Some(ParseError::Undefined(at)));
    let below = |name: &str| with(Symbol { name: name.into(), info: 0x10, ..Symbol::default() }).0;
    assert_eq!(below("super_known"), Some(ParseError::SuperWithoutRefine(at)), "weak is not refine");
    assert_eq!(below("super_"), Some(ParseError::SuperWithoutRefine(at)));
    let mut twice = Module::new("m").import("other").image();
    let undefined = Symbol { name: "other".into(), info: 0x10, ..Symbol::default() };
    twice.symbols.push(undefined);
    assert_eq!(refused(&twice.write()), ParseError::DuplicateUndefined(twice.symbols.len()));
    assert_eq!(
        with(Symbol { name: "known".into(), ..symbol(0x22, 1, 0) }).0,
        None,
        "a weak record says what it is"
    );
    assert_eq!(with(symbol(0x04, 0xfff1, 0)).0, None, "the name of a source file");

    let mut image = Module::new("m").image();
    image.symbols.push(symbol(0x12, 1, 0));
    let mut file = image.write();
    let count = image.symbols.len();
    let table = header_of(&file, image.sections.len() + 3);
    let offset =
        usize::try_from(u64::from_le_bytes(file[table + 24..table + 32].try_into().unwrap())).unwrap();
    file[offset + 24 * count..offset + 24 * count + 4].copy_from_slice(&[0xff; 4]);
    assert_eq!(refused(&file), ParseError::SymbolName(count));
}

/// O6: the work of a parse is bounded in names, too.
#[test]
fn names_are_bounded() {
    let mut image = Module::new("m").image();
    let long = "x".repeat(kmod::NAME_SIZE_MAX);
    image.symbols.push(Symbol { name: long.clone(), info: 0x02, section: 1, value: 0, size: 0 });
    assert!(Object::parse(&image.write()).is_ok());
    // A longer name is no record's, and nobody reads it to its end.
    image.symbols.push(Symbol { name: long + "x", info: 0x10, section: 0, value: 0, size: 0 });
    assert_eq!(refused(&image.write()), ParseError::Undefined(image.symbols.len()));

    let mut image = Module::new("m").image();
    let small = Symbol { name: "y".into(), info: 0x02, section: 1, ..Symbol::default() };
    image.symbols.resize(kmod::SYMBOLS_MAX - 1, small);
    assert!(Object::parse(&image.write()).is_ok());
    image.symbols.push(Symbol::default());
    assert!(matches!(refused(&image.write()), ParseError::Elf(ElfError::SymbolTable(_))));
}

/// The kitchen sink with its `index`-th text relocation changed.
fn relocation(index: usize, change: impl FnOnce(&mut Relocation)) -> ParseError {
    changed(|image| change(&mut image.section(".text").relocations[index]))
}

#[test]
fn relocations() {
    // 0 is `bl super_bus_space_read_4`, 1 `bl demo_note`, 2 `bl helper`, 3 and 4 the address of demo_note.
    assert_eq!(relocation(2, |entry| entry.kind = 0), ParseError::RelocationType(TEXT, 2));
    assert_eq!(relocation(2, |entry| entry.kind = 549), ParseError::RelocationType(TEXT, 2), "thread-local");
    assert_eq!(relocation(2, |entry| entry.kind = 311), ParseError::RelocationType(TEXT, 2), "GOT");
    assert_eq!(relocation(2, |entry| entry.offset -= 4), ParseError::RelocationOrder(TEXT, 2));
    assert_eq!(relocation(2, |entry| entry.offset -= 2), ParseError::RelocationOrder(TEXT, 2));
    assert_eq!(relocation(2, |entry| entry.offset += 2), ParseError::InstructionMisaligned(TEXT, 2));
    let size = Module::kitchen_sink().image().section(".text").bytes.len() as u64;
    for offset in [size - 2, size, u64::MAX, u64::MAX - 3] {
        assert_eq!(relocation(2, |entry| entry.offset = offset), ParseError::RelocationOutOfSection(TEXT, 2));
    }
    assert_eq!(relocation(2, |entry| entry.kind = 282), ParseError::WrongInstruction(TEXT, 2), "B is not BL");
    assert_eq!(relocation(2, |entry| entry.symbol = 0), ParseError::RelocationSymbol(TEXT, 2));
    assert_eq!(relocation(2, |entry| entry.symbol = 9999), ParseError::RelocationSymbol(TEXT, 2));
    assert_eq!(relocation(2, |entry| entry.addend = 2), ParseError::BranchTarget(TEXT, 2));
    assert_eq!(relocation(2, |entry| entry.addend = 1 << 20), ParseError::TargetOutOfSection(TEXT, 2));
    assert_eq!(relocation(2, |entry| entry.addend = i64::MIN), ParseError::TargetOutOfSection(TEXT, 2));
    assert_eq!(relocation(1, |entry| entry.addend = 4), ParseError::RelocationAddend(TEXT, 1));
    let data = changed(|image| {
        let symbol = image.section_symbol(".data");
        image.section(".text").relocations[2].symbol = symbol;
    });
    assert_eq!(data, ParseError::BranchTarget(TEXT, 2));
    let records = changed(|image| {
        let symbol = image.section_symbol(".modlink.alias");
        image.section(".text").relocations[3].symbol = symbol;
    });
    assert_eq!(records, ParseError::RelocationNotLoaded(TEXT, 3));
    let tables = changed(|image| {
        let symbol = image.section_symbol(".eh_frame");
        image.section(".text").relocations[3].symbol = symbol;
    });
    assert_eq!(tables, ParseError::RelocationNotLoaded(TEXT, 3));
    let in_data = changed(|image| image.section(".data").relocations[0].kind = 283);
    assert_eq!(in_data, ParseError::InstructionOutsideText(SectionKind::Data, 0));
}

#[test]
fn what_is_defined_elsewhere_is_called_and_not_read() {
    let read = Module::new("m").import("f").function("reads", &[Op::Load("f".into(), 3)]);
    assert_eq!(refused(&read.write()), ParseError::ImportAsData(TEXT, 1));
    let near = Module::new("m").import("f").function("tests", &[Op::IfZero("f".into()), Op::Word(RET)]);
    assert_eq!(refused(&near.write()), ParseError::BranchTarget(TEXT, 0));
    let below = Module::new("m").alias(ALIAS_REFINE, "f", &[Op::IfBitClear("super_f".into())]);
    assert_eq!(refused(&below.write()), ParseError::BranchTarget(TEXT, 0));
    // Calling one's own default by the symbol's name needs an import: it goes to the top of the stack.
    let own = Module::new("m").alias(ALIAS_WEAK, "f", &[Op::Word(RET)]).import("f");
    assert!(Object::parse(&own.function("calls", &[Op::Call("f".into())]).write()).is_ok());
}
