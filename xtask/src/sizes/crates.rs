//! What each crate contributes to a linked image, told by the names of symbols, and how much of its source is unsafe.
//!
//! A mangled name begins with the crate that defines it, or for an implementation with the type that it is for. Names
//! that are not mangled belong to the crate whose source defines them. What has no name in the symbol table, such as
//! most constants, belongs to nobody and is counted as such.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::SymbolKind;
use object::read::{Object as _, ObjectSymbol as _};

use super::{Kind, Sizes, kind_of};
use crate::workspace::{Package, Workspace};

/// What nobody can be named for.
pub(super) const UNNAMED: &str = "(no crate's name)";

/// Bytes of each crate in an image, by the crate's name with underscores.
pub(super) fn contributions(
    elf: &[u8],
    sources: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Sizes>> {
    let file = object::File::parse(elf)?;
    let mut found: BTreeMap<String, Sizes> = BTreeMap::new();
    let mut left = super::of(elf)?;
    for symbol in file.symbols() {
        let Some(section) = symbol.section_index().and_then(|index| file.section_by_index(index).ok()) else {
            continue;
        };
        let Some(kind) = kind_of(&section) else { continue };
        if symbol.size() == 0 || !matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data) {
            continue;
        }
        let name = symbol.name().unwrap_or_default();
        let Some(owner) = crate_of(name).or_else(|| definer(name, sources)) else { continue };
        *found.entry(owner).or_default().of_kind(kind) += symbol.size();
        let rest = left.of_kind(kind);
        *rest = rest.saturating_sub(symbol.size());
    }
    found.insert(UNNAMED.to_owned(), left);
    Ok(found)
}

/// The crate at the beginning of a mangled name, in either scheme.
fn crate_of(symbol: &str) -> Option<String> {
    if let Some(rest) = symbol.strip_prefix("_ZN") {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let length: usize = rest[..digits].parse().ok()?;
        let first = rest.get(digits..digits + length)?;
        // `_$LT$impl$u20$crate..Type…`, `_$LT$crate..Type$u20$as…`.
        let mut inner = first.strip_prefix("_$LT$").unwrap_or(first);
        for wrap in ["impl$u20$", "$RF$", "mut$u20$", "$LP$"] {
            inner = inner.strip_prefix(wrap).unwrap_or(inner);
        }
        let word = |text: &str| {
            let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            text[..end.unwrap_or(text.len())].to_owned()
        };
        let name = word(inner);
        // An implementation for every type is the crate's of the trait.
        let path_follows = inner.len() == name.len() || inner[name.len()..].starts_with("..");
        return Some(match inner.split_once("$u20$as$u20$") {
            Some((_, of_trait)) if !path_follows => word(of_trait),
            _ => name,
        });
    }
    // Version 0: `Cs`, a base-62 number, `_`, then the length and the name.
    let rest = symbol.strip_prefix("_R")?;
    let name = rest.find("Cs").map(|at| &rest[at + 2..])?;
    let name = &name[name.find('_')? + 1..];
    let digits = name.find(|letter: char| !letter.is_ascii_digit())?;
    let length: usize = name[..digits].parse().ok()?;
    name.get(digits..digits + length).map(|name| name.trim_start_matches('_').to_owned())
}

/// The crate whose source defines a function or label of this name.
fn definer(symbol: &str, sources: &BTreeMap<String, String>) -> Option<String> {
    let (function, label) = (format!("fn {symbol}("), format!("\n{symbol}:"));
    let defines = |text: &String| text.contains(&function) || text.contains(&label);
    sources.iter().find(|(_, text)| defines(text)).map(|(name, _)| name.clone())
}

/// The sources of each package that runs on the target or is linked into what does, by crate name.
pub(super) fn sources(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    workspace
        .packages
        .values()
        .filter(|package| package.layer != Some(crate::workspace::Layer::Host))
        .map(|package| Ok((package.name.replace('-', "_"), text(package)?)))
        .collect()
}

fn text(package: &Package) -> Result<String> {
    let mut files = Vec::new();
    rust_files(&package.folder.join("src"), &mut files)?;
    files.sort();
    let mut text = String::new();
    for file in files {
        text.push_str(&std::fs::read_to_string(&file).with_context(|| file.display().to_string())?);
        text.push('\n');
    }
    Ok(text)
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Lines of a source that are unsafe code: the blocks and their contents, the heads of unsafe functions, and
/// implementations, and assembly as a whole. Comments do not count.
pub(super) fn unsafe_lines(source: &str) -> usize {
    let mut lines = 0;
    // How deep in braces an unsafe block is, or in parentheses a piece of assembly.
    let mut depth = 0_usize;
    for line in source.lines().map(str::trim) {
        if line.is_empty() || line.starts_with("//") {
            continue;
        }
        let code = line.split(" // ").next().unwrap_or(line);
        let opens = ["unsafe {", "global_asm!("].iter().find_map(|opener| code.find(opener));
        let starts_item =
            ["unsafe fn ", "unsafe impl", "unsafe extern"].iter().any(|head| code.contains(head));
        if depth == 0 && opens.is_none() && !starts_item {
            continue;
        }
        lines += 1;
        let counted = if depth == 0 { opens.map_or("", |at| &code[at..]) } else { code };
        for letter in counted.chars() {
            match letter {
                '{' | '(' => depth += 1,
                '}' | ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    lines
}

impl Sizes {
    fn of_kind(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Text => &mut self.text,
            Kind::Rodata => &mut self.rodata,
            Kind::Data => &mut self.data,
            Kind::Bss => &mut self.bss,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_names_its_crate() {
        for (symbol, name) in [
            ("_ZN16microkernel_core4boot9BootError7message17ha7af14a2155302b0E", "microkernel_core"),
            (
                "_ZN94_$LT$microkernel_aarch64..hardware..Hardware$u20$as$u20$microkernel_core..machine..Machine$GT$4zero17h44228d4502870746E",
                "microkernel_aarch64",
            ),
            ("_ZN50_$LT$T$u20$as$u20$core..convert..Into$LT$U$GT$$GT$4into17h44228d4502870746E", "core"),
            ("_RNvNtCsghYZj1iCWuo_4core9panicking5panic", "core"),
        ] {
            assert_eq!(crate_of(symbol).as_deref(), Some(name), "{symbol}");
        }
        assert_eq!(crate_of("kernel_main"), None);
        let sources = BTreeMap::from([
            ("image".to_owned(), "extern \"C\" fn kernel_main(a: u64) {}".to_owned()),
            ("assembly".to_owned(), "x\nvectors:\n".to_owned()),
        ]);
        assert_eq!(definer("kernel_main", &sources).as_deref(), Some("image"));
        assert_eq!(definer("vectors", &sources).as_deref(), Some("assembly"));
        assert_eq!(definer("vector", &sources), None);
    }

    #[test]
    fn unsafe_code_is_counted_by_line() {
        let source = "fn a() {\n    // unsafe { }\n    let b = unsafe { c() };\n    unsafe {\n        d();\n    }\n}\nunsafe fn e() {}\n";
        assert_eq!(unsafe_lines(source), 5);
        assert_eq!(unsafe_lines("global_asm!(\n    r#\"\n    nop\n\"#\n);\nfn f() {}\n"), 5);
        assert_eq!(unsafe_lines("fn a() { b(); }\n"), 0);
    }
}
