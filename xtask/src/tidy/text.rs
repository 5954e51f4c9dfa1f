//! Rules about the text of files: heads, unfinished work, places that exist on one machine only, dead files.

use std::path::Path;

use crate::workspace::Workspace;

use super::{Finding, Source};

/// Marks of unfinished work, written apart so that this file does not contain them.
const UNFINISHED: &[&[&str]] = &[&["todo", "!("], &["unimplemented", "!("], &["FIX", "ME"], &["X", "XX:"]];

/// Code that chooses by board.
const BOARD_CHOICES: &[&[&str]] = &[&["cfg(bo", "ard"], &["cfg(feature = \"bo", "ard"]];

/// Folders of somebody's machine and hosts of registries: neither belongs into a tree that others build. They are
/// written apart for the same reason.
const ELSEWHERE: &[&[&str]] = &[
    &["\"/ho", "me/"],
    &["/ro", "ot/"],
    &["/wo", "rk/"],
    &["crates", ".io"],
    &["rust-lang", ".org/dist"],
    &["deb.deb", "ian.org"],
    &["debian", ".org/debian"],
    &["pypi", ".org"],
    &["registry", ".npmjs"],
    &["github", "usercontent"],
];

/// Who may say so: the lock file names cargo's registry by its nature.
const MAY_NAME_REGISTRIES: &str = "Cargo.lock";

/// All findings about texts.
pub(crate) fn check(workspace: &Workspace, sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        findings.extend(check_one(source));
    }
    for package in workspace.packages.values() {
        findings.extend(dead_files(workspace.relative(&package.folder), sources));
    }
    findings
}

fn check_one(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let at = source.path.display().to_string();
    let is_rust = has_extension(&source.path, "rs");
    if is_rust && !source.text.trim_start().starts_with("//!") {
        findings.push(Finding::new(&at, "the file does not open with `//!` and what it is for"));
    }
    for (number, line) in source.text.lines().enumerate() {
        let mut add = |what: String| findings.push(Finding::new(format!("{at}:{}", number + 1), what));
        if is_rust {
            for word in
                UNFINISHED.iter().map(|parts| parts.concat()).filter(|word| line.contains(word.as_str()))
            {
                add(format!("unfinished work ({word})"));
            }
            if BOARD_CHOICES.iter().any(|parts| line.contains(&parts.concat())) {
                add("code has no opinion on the board: take addresses as arguments".into());
            }
        }
        if at != MAY_NAME_REGISTRIES {
            for word in
                ELSEWHERE.iter().map(|parts| parts.concat()).filter(|word| line.contains(word.as_str()))
            {
                add(format!("`{word}` exists elsewhere only"));
            }
        }
    }
    findings
}

/// Rust files under `src` that no `mod` names, and linker scripts and assembly that nothing mentions.
fn dead_files(folder: &Path, sources: &[Source]) -> Vec<Finding> {
    let own: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with(folder)).collect();
    let is_named = |needles: &[String]| {
        own.iter().any(|source| needles.iter().any(|needle| source.text.contains(needle.as_str())))
    };
    let mut findings = Vec::new();
    for source in &own {
        let path = &source.path;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let in_source = path.starts_with(folder.join("src"));
        let is_root = matches!(name.as_str(), "lib.rs" | "main.rs" | "build.rs")
            || path.starts_with(folder.join("src/bin"));
        let dead = if has_extension(path, "rs") && in_source && !is_root {
            let module = if stem == "mod" {
                path.parent()
                    .and_then(Path::file_name)
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default()
            } else {
                stem
            };
            !is_named(&[format!("mod {module};"), format!("\"{name}\""), format!("/{name}\"")])
        } else if has_extension(path, "ld") || has_extension(path, "S") {
            !sources.iter().any(|other| other.path != *path && other.text.contains(name.as_str()))
        } else {
            false
        };
        if dead {
            findings.push(Finding::new(path.display().to_string(), "nothing names this file"));
        }
    }
    findings
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    fn findings_of(path: &str, text: &str) -> Vec<String> {
        check_one(&source(path, text)).into_iter().map(|finding| finding.at).collect()
    }

    #[test]
    fn a_good_file_has_no_findings() {
        assert!(findings_of("a/src/lib.rs", "//! What it is for.\nfn a() {}\n").is_empty());
    }

    #[test]
    fn each_rule_finds_its_line() {
        assert_eq!(findings_of("a.rs", "fn a() {}"), ["a.rs"]);
        assert_eq!(findings_of("a.rs", &["//! A.\nfn a() { to", "do!() }"].concat()), ["a.rs:2"]);
        assert_eq!(findings_of("a.md", &["see /wo", "rk/x"].concat()), ["a.md:1"]);
        assert_eq!(findings_of("a.toml", &["\n\nindex = \"crates", ".io\""].concat()), ["a.toml:3"]);
        assert_eq!(findings_of("a.rs", &["//! A.\n#[cfg(bo", "ard = \"x\")]"].concat()), ["a.rs:2"]);
    }

    #[test]
    fn a_file_that_nothing_names_is_dead() {
        let sources = [
            source("a/src/lib.rs", "//! A.\nmod used;\nmod folder;"),
            source("a/src/used.rs", "//! U."),
            source("a/src/folder/mod.rs", "//! F.\nmod inner;"),
            source("a/src/folder/inner.rs", "//! I."),
            source("a/src/left.rs", "//! L."),
            source("a/build.rs", "//! B.\nlink(\"a.ld\")"),
            source("a/a.ld", ""),
            source("a/b.ld", ""),
        ];
        let dead: Vec<_> =
            dead_files(Path::new("a"), &sources).into_iter().map(|finding| finding.at).collect();
        assert_eq!(dead, ["a/src/left.rs", "a/b.ld"]);
    }
}
