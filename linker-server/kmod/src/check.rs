//! Checking a module: container first (`elf`), then sections, then records (so that names are known), then symbols.
//! Each step relies on the ones before it. Relocations come last and are checked as they are read (`relocations`).

use core::mem::offset_of;

use crate::by_hash::ByHash;
use crate::elf::{ET_REL, Elf, Fields};
use crate::error::ParseError;
use crate::object::{Home, Info, Loaded, ModuleClass, Object, SectionKind, read_import};
use crate::records::{
    ALIAS_SIZE, API_VERSION, COMMAND_CATCH, COMMAND_UNCATCH, COMMANDS_ALL, COMMANDS_MANDATORY,
    FORMAT_VERSION, IMPORT_SIZE, INFO_SIZE, MODULE_FIXUP_POLICY, MODULE_MAGIC, MODULE_NAME_SIZE, ModuleInfo,
    command_bit, unpadded,
};
use crate::sections::Sections;
use crate::symbols::{Undefined, check_symbols};
use crate::{ALIASES_MAX, IMPORTS_MAX, SECTIONS_MAX, SHARED_PAGES_MAX};

/// Checks every rule but those about relocations.
pub(crate) fn open(file: &[u8]) -> Result<Object<'_>, ParseError> {
    let elf = Elf::parse(file, ET_REL)?;
    if elf.segments().len() != 0 {
        return Err(ParseError::Segments);
    }
    let sections = Sections::collect(&elf)?;
    let mut object = unchecked(elf, &sections)?;
    let aliases = check_aliases(&object)?;
    let imports = check_imports(&object)?;
    object.info = read_info(&object, &sections.info)?;
    object.undefined = check_symbols(&object, &aliases, &imports)?;
    Ok(object)
}

/// The object so far: its records and symbols are not yet checked, its info is empty.
fn unchecked<'a>(elf: Elf<'a>, sections: &Sections<'a>) -> Result<Object<'a>, ParseError> {
    let aliases = records::<ALIAS_SIZE>(&sections.aliases)?;
    let imports = records::<IMPORT_SIZE>(&sections.imports)?;
    if aliases.len() > ALIASES_MAX {
        return Err(ParseError::TooManyAliases);
    }
    if imports.len() > IMPORTS_MAX {
        return Err(ParseError::TooManyImports);
    }
    let mut homes = [Home::NONE; SECTIONS_MAX];
    for (kind, loaded) in SectionKind::ALL.into_iter().zip(&sections.loaded) {
        if let Some(home) = homes.get_mut(loaded.index).filter(|_| loaded.index != 0) {
            *home = Home::of(kind, loaded.size);
        }
    }
    Ok(Object {
        elf,
        loaded: sections.loaded,
        homes,
        aliases,
        alias_relocations: sections.aliases.relocations,
        imports,
        undefined: Undefined::NONE,
        info: NO_INFO,
    })
}

/// Stands in the object until the info record is read.
const NO_INFO: Info<'static> = Info {
    name: "",
    class: ModuleClass::Misc,
    flags: 0,
    shared_pages: 0,
    version: 0,
    commands: 0,
    entry: 0,
    build_id: 0,
};

fn records<'a, const SIZE: usize>(section: &Loaded<'a>) -> Result<&'a [[u8; SIZE]], ParseError> {
    let (records, rest) = section.bytes.as_chunks();
    if rest.is_empty() { Ok(records) } else { Err(ParseError::RecordSize(section.index)) }
}

fn check_aliases(object: &Object<'_>) -> Result<ByHash, ParseError> {
    let mut by_hash = ByHash::EMPTY;
    for (index, bytes) in object.aliases.iter().enumerate() {
        let alias = object.read_alias(index, bytes)?;
        if by_hash.find(alias.name_hash, |other| object.is_alias_of(other, alias.name.as_bytes())).is_some() {
            return Err(ParseError::DuplicateAlias(index));
        }
        by_hash.add(alias.name_hash, index);
    }
    // Each record has found its relocation, so equal counts leave none over.
    if object.alias_relocations.len() != object.aliases.len() {
        return Err(ParseError::AliasRelocations);
    }
    Ok(by_hash)
}

fn check_imports(object: &Object<'_>) -> Result<ByHash, ParseError> {
    let mut by_hash = ByHash::EMPTY;
    for (index, bytes) in object.imports.iter().enumerate() {
        let import = read_import(index, bytes)?;
        if by_hash
            .find(import.name_hash, |other| object.is_import_of(other, import.name.as_bytes()))
            .is_some()
        {
            return Err(ParseError::DuplicateImport(index));
        }
        by_hash.add(import.name_hash, index);
    }
    Ok(by_hash)
}

fn read_info<'a>(object: &Object<'a>, section: &Loaded<'a>) -> Result<Info<'a>, ParseError> {
    let bytes: &'a [u8; INFO_SIZE] = section.bytes.try_into().map_err(|_| ParseError::Info)?;
    let record = decode_info(bytes);
    if record.magic != MODULE_MAGIC {
        return Err(ParseError::InfoMagic);
    }
    if record.format != FORMAT_VERSION {
        return Err(ParseError::InfoFormat(record.format));
    }
    if record.api != API_VERSION {
        return Err(ParseError::InfoApi(record.api));
    }
    let class = ModuleClass::from_record(record.class).ok_or(ParseError::InfoClass(record.class))?;
    if record.flags & !MODULE_FIXUP_POLICY != 0 {
        return Err(ParseError::InfoFlags(record.flags));
    }
    if record.shared_pages > SHARED_PAGES_MAX {
        return Err(ParseError::InfoSharedPages(record.shared_pages));
    }
    check_commands(record.commands)?;
    if record.reserved != 0 || record.reserved_tail != [0; 16] {
        return Err(ParseError::InfoReserved);
    }
    let field = bytes.get(offset_of!(ModuleInfo, name)..).and_then(|tail| tail.get(..MODULE_NAME_SIZE));
    let name = field.and_then(unpadded).ok_or(ParseError::InfoName)?;
    let at = offset_of!(ModuleInfo, entry) as u64;
    let entry = object
        .function_pointer(section.relocations, 0, at)
        .filter(|_| section.relocations.len() == 1)
        .ok_or(ParseError::InfoEntry)?;
    Ok(Info {
        name,
        class,
        flags: record.flags,
        shared_pages: record.shared_pages,
        version: record.version,
        commands: record.commands,
        entry,
        build_id: record.build_id,
    })
}

/// CATCH without UNCATCH could not be rolled back, UNCATCH alone undoes nothing.
const fn check_commands(commands: u32) -> Result<(), ParseError> {
    let unknown = commands & !COMMANDS_ALL != 0;
    let missing = commands & COMMANDS_MANDATORY != COMMANDS_MANDATORY;
    let catch = commands & command_bit(COMMAND_CATCH) != 0;
    let uncatch = commands & command_bit(COMMAND_UNCATCH) != 0;
    if unknown || missing || catch != uncatch {
        return Err(ParseError::InfoCommands(commands));
    }
    Ok(())
}

fn decode_info(bytes: &[u8; INFO_SIZE]) -> ModuleInfo {
    let mut fields = Fields(bytes);
    ModuleInfo {
        magic: fields.array(),
        format: fields.u16(),
        api: fields.u16(),
        class: fields.u8(),
        flags: fields.u8(),
        shared_pages: fields.u16(),
        version: fields.u32(),
        commands: fields.u32(),
        entry: fields.u64(),
        reserved: fields.u64(),
        build_id: fields.u64(),
        name: fields.array(),
        reserved_tail: fields.array(),
    }
}
