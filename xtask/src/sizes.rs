//! `x sizes`: what each image takes, section kind by section kind, and what each crate contributes.

mod crates;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use object::read::{Object as _, ObjectSection as _};
use object::{SectionFlags, elf};

use crate::build::{self, Variant};
use crate::cargo;
use crate::workspace::{Role, Workspace};

/// Bytes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sizes {
    text: u64,
    rodata: u64,
    data: u64,
    bss: u64,
}

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Rodata,
    Data,
    Bss,
}

/// `x sizes`.
pub(crate) fn sizes(workspace: &Workspace) -> Result<ExitCode> {
    let tables = build::all(workspace)?.tables;
    let mut images = Vec::new();
    for entry in std::fs::read_dir(&tables)? {
        let entry = entry?;
        images.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    images.sort();
    for bin in &workspace.only(Role::Kernel)?.bins {
        images.push((bin.clone(), cargo::product(workspace, cargo::KERNEL_TARGET, bin)));
        let release = build::kernel_variant(workspace, Variant::Release)?;
        images.push((format!("{bin} (release)"), release));
    }
    println!("{:<28} {:>9} {:>9} {:>9} {:>9}", "IMAGE", "TEXT", "RODATA", "DATA", "BSS");
    for (name, path) in &images {
        let sizes = measure(path)?;
        println!("{name:<28} {:>9} {:>9} {:>9} {:>9}", sizes.text, sizes.rodata, sizes.data, sizes.bss);
    }
    println!();
    by_crate(workspace, &images)
}

/// A row for each crate: what it takes in the image where it takes most, and the lines of its source that are unsafe.
fn by_crate(workspace: &Workspace, images: &[(String, PathBuf)]) -> Result<ExitCode> {
    let sources = crates::sources(workspace)?;
    let mut rows: BTreeMap<String, (Sizes, &str)> = BTreeMap::new();
    for (image, path) in images {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let found = crates::contributions(&bytes, &sources).with_context(|| path.display().to_string())?;
        for (name, sizes) in found {
            let row = rows.entry(name).or_insert((sizes, image));
            if row.0.total() < sizes.total() {
                *row = (sizes, image);
            }
        }
    }
    println!("{:<28} {:>9} {:>9} {:>9} {:>7}  IN", "CRATE", "TEXT", "RODATA", "BSS", "UNSAFE");
    for (name, source) in &sources {
        let (sizes, image) = rows.get(name).copied().unwrap_or((Sizes::default(), "-"));
        // Initialised data is part of the image as constants are.
        let (rodata, lines) = (sizes.rodata + sizes.data, crates::unsafe_lines(source));
        println!("{name:<28} {:>9} {rodata:>9} {:>9} {lines:>7}  {image}", sizes.text, sizes.bss);
    }
    for (name, (sizes, image)) in rows.iter().filter(|(name, _)| !sources.contains_key(*name)) {
        let rodata = sizes.rodata + sizes.data;
        println!("{name:<28} {:>9} {rodata:>9} {:>9} {:>7}  {image}", sizes.text, sizes.bss, "-");
    }
    Ok(ExitCode::SUCCESS)
}

impl Sizes {
    fn total(&self) -> u64 {
        self.text + self.rodata + self.data + self.bss
    }
}

fn measure(path: &Path) -> Result<Sizes> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    of(&bytes).with_context(|| path.display().to_string())
}

/// The size of one section of a linked image.
pub(crate) fn of_section(path: &Path, name: &str) -> Result<u64> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    let section =
        file.section_by_name(name).with_context(|| format!("{} has no section {name}", path.display()))?;
    Ok(section.size())
}

fn of(bytes: &[u8]) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    for section in object::File::parse(bytes)?.sections() {
        match kind_of(&section) {
            Some(Kind::Text) => sizes.text += section.size(),
            Some(Kind::Rodata) => sizes.rodata += section.size(),
            Some(Kind::Data) => sizes.data += section.size(),
            Some(Kind::Bss) => sizes.bss += section.size(),
            None => {}
        }
    }
    Ok(sizes)
}

/// What a section holds; `None` for one that is not loaded.
fn kind_of<'d>(section: &impl object::read::ObjectSection<'d>) -> Option<Kind> {
    let SectionFlags::Elf { sh_flags, .. } = section.flags() else { return None };
    let has = |flag: elf::SectionFlags| sh_flags.contains(flag);
    if !has(elf::SHF_ALLOC) {
        return None;
    }
    Some(match (has(elf::SHF_EXECINSTR), has(elf::SHF_WRITE), section.kind()) {
        (true, ..) => Kind::Text,
        (_, true, object::SectionKind::UninitializedData) => Kind::Bss,
        (_, true, _) => Kind::Data,
        _ => Kind::Rodata,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::{Object, StandardSection};
    use object::{Architecture, BinaryFormat, Endianness};

    #[test]
    fn each_section_counts_once_under_its_kind() {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::Aarch64, Endianness::Little);
        for (section, size) in
            [(StandardSection::Text, 8), (StandardSection::ReadOnlyData, 3), (StandardSection::Data, 5)]
        {
            let id = object.section_id(section);
            object.append_section_data(id, &vec![1; size], 1);
        }
        let bss = object.section_id(StandardSection::UninitializedData);
        object.append_section_bss(bss, 100, 1);
        assert_eq!(of(&object.write().unwrap()).unwrap(), Sizes { text: 8, rodata: 3, data: 5, bss: 100 });
    }
}
