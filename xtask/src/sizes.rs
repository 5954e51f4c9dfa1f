//! `x sizes`: what each image takes, section kind by section kind.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use object::read::{Object as _, ObjectSection as _};
use object::{SectionFlags, elf};

use crate::workspace::{Role, Workspace};
use crate::{build, cargo};

/// Bytes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sizes {
    text: u64,
    rodata: u64,
    data: u64,
    bss: u64,
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
    }
    println!("{:<28} {:>9} {:>9} {:>9} {:>9}", "IMAGE", "TEXT", "RODATA", "DATA", "BSS");
    for (name, path) in images {
        let sizes = measure(&path)?;
        println!("{name:<28} {:>9} {:>9} {:>9} {:>9}", sizes.text, sizes.rodata, sizes.data, sizes.bss);
    }
    Ok(ExitCode::SUCCESS)
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
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        let has = |flag: elf::SectionFlags| sh_flags.contains(flag);
        if !has(elf::SHF_ALLOC) {
            continue;
        }
        let kind = match (has(elf::SHF_EXECINSTR), has(elf::SHF_WRITE), section.kind()) {
            (true, ..) => &mut sizes.text,
            (_, true, object::SectionKind::UninitializedData) => &mut sizes.bss,
            (_, true, _) => &mut sizes.data,
            _ => &mut sizes.rodata,
        };
        *kind += section.size();
    }
    Ok(sizes)
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
