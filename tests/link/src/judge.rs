//! O4: an accepted module is read again by the `object` crate, which must see the same.
//!
//! The judge takes nothing from the parser under test but its answers, and says for each relocation what it refers to,
//! so that the loader in `place` can be judged as well.

use kmod::records::{ALIAS_REFINE, fnv1a};
use kmod::{Object, SectionKind, Target};
use object::read::elf::ElfFile64;
use object::{
    LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationFlags, RelocationTarget,
    SymbolSection,
};

type File<'a> = ElfFile64<'a, LittleEndian>;
type FileSection<'a, 'f> = object::read::elf::ElfSection64<'a, 'f, LittleEndian>;

/// The file's sections and their names.
struct Sections<'a, 'f>(Vec<(&'f str, FileSection<'a, 'f>)>);

/// What the judge says about one relocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The section it stands in.
    pub section: SectionKind,
    /// Where in the section.
    pub offset: u64,
    /// The ELF number of its type.
    pub kind: u32,
    /// What it refers to.
    pub refers_to: Reference,
}

/// What a relocation refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A place in a section of the module.
    Own(SectionKind, u64),
    /// A symbol that is defined elsewhere.
    Elsewhere(String),
}

/// What an alias record says.
type Record = (u8, String, u64, u64, u64);

/// Reads the file again and compares; the rulings, or what differs.
///
/// # Errors
/// A sentence for people.
pub fn judge(file: &[u8], module: &Object<'_>) -> Result<Vec<Ruling>, String> {
    let other = File::parse(file).map_err(|error| format!("the judge cannot read the file: {error}"))?;
    let sections = Sections::of(&other);
    let mut rulings = Vec::new();
    for kind in SectionKind::ALL {
        judge_section(&sections, module, kind)?;
        judge_relocations(&other, &sections, module, kind, &mut rulings)?;
    }
    judge_aliases(&other, &sections, module)?;
    judge_imports(&sections, module)?;
    judge_symbols(&other, &sections, module)?;
    Ok(rulings)
}

impl<'a, 'f> Sections<'a, 'f> {
    fn of(file: &'f File<'a>) -> Self {
        Self(file.sections().filter_map(|section| Some((section.name().ok()?, section))).collect())
    }

    /// The one section of this name; an error where there are two.
    fn one(&self, name: &str) -> Result<Option<&FileSection<'a, 'f>>, String> {
        let mut all = self.0.iter().filter(|(other, _)| *other == name).map(|(_, section)| section);
        let found = all.next();
        if all.next().is_some() { Err(format!("two sections {name}")) } else { Ok(found) }
    }
}

fn judge_section(sections: &Sections<'_, '_>, module: &Object<'_>, kind: SectionKind) -> Result<(), String> {
    let (ours, theirs) = (module.section(kind), sections.one(kind.name())?);
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return equal(kind.name(), ours.is_some(), theirs.is_some());
    };
    equal("size", ours.size, theirs.size())?;
    equal("alignment", ours.align, theirs.align().max(1))?;
    equal("address", 0, theirs.address())?;
    equal("contents", ours.bytes, theirs.data().map_err(|error| error.to_string())?)
}

fn judge_relocations(
    file: &File<'_>,
    sections: &Sections<'_, '_>,
    module: &Object<'_>,
    kind: SectionKind,
    rulings: &mut Vec<Ruling>,
) -> Result<(), String> {
    let first = rulings.len();
    if let Some(theirs) = sections.one(kind.name())? {
        for (offset, relocation) in theirs.relocations() {
            let refers_to = reference(file, &relocation)?;
            rulings.push(Ruling { section: kind, offset, kind: number(&relocation)?, refers_to });
        }
    }
    let theirs = &rulings[first..];
    equal("relocation count", module.relocation_count(kind), theirs.len())?;
    for (ours, theirs) in module.relocations(kind).zip(theirs) {
        let ours = ours.map_err(|error| format!("a parsed module has a bad relocation: {error:?}"))?;
        equal("relocation place", (ours.offset, ours.kind.elf()), (theirs.offset, theirs.kind))?;
        let target = match ours.target {
            Target::Section(kind, offset) => Reference::Own(kind, offset),
            Target::Super(index) => {
                Reference::Elsewhere(format!("super_{}", module.alias(index).ok_or("no such alias")?.name))
            }
            Target::Import(index) => {
                Reference::Elsewhere(module.import(index).ok_or("no such import")?.name.to_string())
            }
        };
        equal("relocation target", &target, &theirs.refers_to)?;
    }
    Ok(())
}

fn number(relocation: &object::Relocation) -> Result<u32, String> {
    match relocation.flags() {
        RelocationFlags::Elf { r_type } => Ok(r_type.0),
        flags => Err(format!("{flags:?}")),
    }
}

fn reference(file: &File<'_>, relocation: &object::Relocation) -> Result<Reference, String> {
    let RelocationTarget::Symbol(index) = relocation.target() else {
        return Err("a relocation without a symbol".into());
    };
    let symbol = file.symbol_by_index(index).map_err(|error| error.to_string())?;
    match symbol.section() {
        SymbolSection::Undefined => {
            equal("addend", 0, relocation.addend())?;
            Ok(Reference::Elsewhere(symbol.name().map_err(|error| error.to_string())?.to_string()))
        }
        SymbolSection::Section(index) => {
            let section = file.section_by_index(index).map_err(|error| error.to_string())?;
            let name = section.name().map_err(|error| error.to_string())?;
            let kind = SectionKind::ALL.into_iter().find(|kind| kind.name() == name);
            let kind = kind.ok_or_else(|| format!("a relocation against {name}"))?;
            let offset = symbol.address().wrapping_add_signed(relocation.addend());
            if offset > section.size() {
                return Err(format!("{offset:#x} lies outside {name}"));
            }
            Ok(Reference::Own(kind, offset))
        }
        other => Err(format!("a relocation against {other:?}")),
    }
}

fn judge_aliases(file: &File<'_>, sections: &Sections<'_, '_>, module: &Object<'_>) -> Result<(), String> {
    let records = records(sections, ".modlink.alias", 88)?;
    let pointers = match sections.one(".modlink.alias")? {
        Some(section) => section.relocations().collect::<Vec<_>>(),
        None => Vec::new(),
    };
    equal("alias count", module.alias_count(), records.len())?;
    for (index, record) in records.iter().enumerate() {
        let at = (88 * index + 32) as u64;
        let mut here = pointers.iter().filter(|(offset, _)| *offset == at);
        let (Some((_, pointer)), None) = (here.next(), here.next()) else {
            return Err(format!("alias {index} has not one function pointer"));
        };
        equal("pointer type", 257, number(pointer)?)?;
        let Reference::Own(SectionKind::Text, implementation) = reference(file, pointer)? else {
            return Err(format!("alias {index} is answered from outside .text"));
        };
        let ours = module.alias(index).ok_or("no such alias")?;
        let ours: Record = (
            u8::from(ours.may_block),
            ours.name.into(),
            ours.fingerprint,
            ours.fault_value,
            ours.implementation,
        );
        let name = name(&record[40..88])?;
        equal("hash", word(record, 8), fnv1a(name.as_bytes()))?;
        equal("alias", ours, (record[1], name, word(record, 16), word(record, 24), implementation))?;
    }
    Ok(())
}

fn judge_imports(sections: &Sections<'_, '_>, module: &Object<'_>) -> Result<(), String> {
    let records = records(sections, ".modlink.import", 64)?;
    equal("import count", module.import_count(), records.len())?;
    for (ours, record) in module.imports().zip(records) {
        let name = name(&record[16..64])?;
        equal("hash", word(record, 0), fnv1a(name.as_bytes()))?;
        equal("import", (ours.name.to_string(), ours.fingerprint), (name, word(record, 8)))?;
    }
    Ok(())
}

/// Undefined symbols have records; nothing is common, thread-local or weak without one.
fn judge_symbols(file: &File<'_>, sections: &Sections<'_, '_>, module: &Object<'_>) -> Result<(), String> {
    let refined: Vec<String> = records(sections, ".modlink.alias", 88)?
        .iter()
        .filter(|record| record[0] == ALIAS_REFINE)
        .map(|record| name(&record[40..88]))
        .collect::<Result<_, _>>()?;
    let has_weak =
        |name: &str| module.aliases().any(|alias| alias.kind == kmod::AliasKind::Weak && alias.name == name);
    let imported: Vec<&str> = module.imports().map(|import| import.name).collect();
    for symbol in file.symbols() {
        // Names of symbols that nothing refers to by name may be any bytes.
        let name = symbol.name_bytes().map_err(|error| error.to_string())?;
        let name = &*String::from_utf8_lossy(name);
        let below = name.strip_prefix("super_");
        let recorded = match below {
            Some(below) => refined.iter().any(|refined| refined == below),
            None => imported.contains(&name),
        };
        let odd = symbol.is_common() || symbol.kind() == object::SymbolKind::Tls;
        let weak = symbol.is_weak() && !symbol.is_undefined() && !has_weak(name);
        if odd || weak || (symbol.is_undefined() && !recorded) {
            return Err(format!("symbol {name} is not what the format allows"));
        }
    }
    Ok(())
}

fn records<'a>(sections: &Sections<'a, '_>, name: &str, size: usize) -> Result<Vec<&'a [u8]>, String> {
    let Some(section) = sections.one(name)? else {
        return Ok(Vec::new());
    };
    let bytes = section.data().map_err(|error| error.to_string())?;
    equal("rest of a record section", 0, bytes.len() % size)?;
    Ok(bytes.chunks(size).collect())
}

fn word(record: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| record[at + byte]))
}

fn name(field: &[u8]) -> Result<String, String> {
    let text = String::from_utf8(field.to_vec()).map_err(|error| error.to_string())?;
    let name = text.trim_end_matches('\0');
    let sound =
        !name.is_empty() && name.len() < field.len() && name.bytes().all(|byte| byte.is_ascii_graphic());
    if sound { Ok(name.into()) } else { Err(format!("no name: {text:?}")) }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what}: the parser says {ours:?}, the judge {theirs:?}"))
    }
}
