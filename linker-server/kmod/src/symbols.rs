//! The symbols of a module: the rules for each, and which record an undefined one stands for.

use crate::by_hash::ByHash;
use crate::elf::{
    SHN_ABS, SHN_COMMON, SHN_LORESERVE, SHN_UNDEF, STB_GLOBAL, STB_LOCAL, STB_WEAK, STT_COMMON, STT_FILE,
    STT_FUNC, STT_NOTYPE, STT_OBJECT, STT_SECTION, STT_TLS, SymbolEntry,
};
use crate::error::ParseError;
use crate::object::{AliasKind, Object};
use crate::records::{SUPER_PREFIX, SYMBOL_NAME_SIZE, fnv1a};
use crate::relocations::Target;
use crate::{ALIASES_MAX, IMPORTS_MAX};

/// A name is undefined once, so there are no more of them than records.
const UNDEFINED_MAX: usize = ALIASES_MAX + IMPORTS_MAX;

/// The undefined symbols of a module, by ascending index, each with its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undefined {
    entries: [(u32, Record); UNDEFINED_MAX],
    count: usize,
}

/// The record that an undefined symbol stands for: half the size of a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Super(u8),
    Import(u8),
}

impl Undefined {
    /// No undefined symbols.
    pub(crate) const NONE: Self = Self { entries: [(0, Record::Import(0)); UNDEFINED_MAX], count: 0 };

    /// What the undefined symbol with this index stands for.
    pub(crate) fn target(&self, symbol: u32) -> Option<Target> {
        let entries = self.entries.get(..self.count)?;
        let index = entries.binary_search_by_key(&symbol, |(other, _)| *other).ok()?;
        entries.get(index).map(|(_, record)| match record {
            Record::Super(index) => Target::Super((*index).into()),
            Record::Import(index) => Target::Import((*index).into()),
        })
    }

    /// Adds a symbol behind all others; an error where its record has one already.
    fn add(&mut self, symbol: usize, record: Record) -> Result<(), ParseError> {
        let duplicate = ParseError::DuplicateUndefined(symbol);
        let entries = self.entries.get(..self.count).unwrap_or_default();
        if entries.iter().any(|(_, other)| *other == record) {
            return Err(duplicate);
        }
        let place = self.entries.get_mut(self.count).ok_or(duplicate)?;
        *place = (u32::try_from(symbol).map_err(|_| duplicate)?, record);
        self.count += 1;
        Ok(())
    }
}

/// Checks every symbol.
pub(crate) fn check_symbols(
    object: &Object<'_>,
    aliases: &ByHash,
    imports: &ByHash,
) -> Result<Undefined, ParseError> {
    let mut undefined = Undefined::NONE;
    for (index, symbol) in object.elf.symbols() {
        check_kind(object, index, symbol)?;
        if symbol.section == SHN_UNDEF {
            undefined.add(index, record_of(object, index, symbol, aliases, imports)?)?;
        } else {
            check_definition(object, index, symbol, aliases)?;
        }
    }
    Ok(undefined)
}

fn check_kind(object: &Object<'_>, index: usize, symbol: SymbolEntry) -> Result<(), ParseError> {
    let known_binding = matches!(symbol.binding(), STB_LOCAL | STB_GLOBAL | STB_WEAK);
    let known_kind = matches!(symbol.kind(), STT_NOTYPE | STT_OBJECT | STT_FUNC | STT_SECTION | STT_FILE);
    if !object.elf.has_name(symbol) {
        Err(ParseError::SymbolName(index))
    } else if known_binding && known_kind && symbol.section != SHN_COMMON {
        Ok(())
    } else {
        Err(match symbol.kind() {
            STT_TLS => ParseError::ThreadLocalSymbol(index),
            STT_COMMON => ParseError::CommonSymbol(index),
            _ if symbol.section == SHN_COMMON => ParseError::CommonSymbol(index),
            _ => ParseError::SymbolKind(index),
        })
    }
}

/// Which record an undefined symbol stands for.
fn record_of(
    object: &Object<'_>,
    index: usize,
    symbol: SymbolEntry,
    aliases: &ByHash,
    imports: &ByHash,
) -> Result<Record, ParseError> {
    let name = object.elf.symbol_name(symbol).unwrap_or_default();
    let below = name.strip_prefix(SUPER_PREFIX.as_bytes());
    let unknown = match below {
        Some(_) => ParseError::SuperWithoutRefine(index),
        None if symbol.binding() == STB_WEAK => ParseError::WeakSymbol(index),
        None => ParseError::Undefined(index),
    };
    let wanted = below.unwrap_or(name);
    if wanted.len() >= SYMBOL_NAME_SIZE {
        // Too long for a record, and not worth hashing.
        return Err(unknown);
    }
    let hash = fnv1a(wanted);
    let found = match below {
        Some(_) => aliases
            .find(hash, |alias| object.is_alias_of(alias, wanted))
            .filter(|alias| object.alias_kind(*alias) == Some(AliasKind::Refine)),
        None => imports.find(hash, |import| object.is_import_of(import, wanted)),
    };
    let record = found.and_then(|record| u8::try_from(record).ok()).ok_or(unknown)?;
    Ok(if below.is_some() { Record::Super(record) } else { Record::Import(record) })
}

fn check_definition(
    object: &Object<'_>,
    index: usize,
    symbol: SymbolEntry,
    aliases: &ByHash,
) -> Result<(), ParseError> {
    if symbol.binding() == STB_WEAK {
        let name = object.elf.symbol_name(symbol).filter(|name| name.len() < SYMBOL_NAME_SIZE);
        let introduces = |name| {
            let alias = aliases.find(fnv1a(name), |alias| object.is_alias_of(alias, name))?;
            object.alias_kind(alias).filter(|kind| *kind == AliasKind::Weak)
        };
        name.and_then(introduces).ok_or(ParseError::WeakSymbol(index))?;
    }
    // Most lie in a section that is loaded.
    let home = object.homes.get(usize::from(symbol.section));
    if symbol.section == SHN_ABS || home.is_some_and(|home| symbol.value < home.end.into()) {
        return Ok(());
    }
    let exists = symbol.section < SHN_LORESERVE && usize::from(symbol.section) < object.elf.section_count();
    if !exists {
        return Err(ParseError::SymbolSection(index));
    }
    let beyond = |kind| symbol.value > object.loaded(kind).size;
    if object.kind_of(symbol.section).is_some_and(beyond) {
        return Err(ParseError::SymbolOutOfSection(index));
    }
    Ok(())
}
