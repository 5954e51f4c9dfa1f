//! Goal: `docs/kmod-format.md` says what the parser does.
//!
//! Method: every variant of the error enums and every number that the document could get wrong is looked up in it.

use kmod::records::{ALIAS_SIZE, BASE_SIZE, IMPORT_SIZE, INFO_SIZE, SERVER_SIZE, fnv1a};

const DOCUMENT: &str = include_str!("../../../docs/kmod-format.md");

/// The variants of a public enum, from its source.
fn variants(source: &str, name: &str) -> Vec<String> {
    let start = source.find(&format!("pub enum {name} {{")).expect("the enum is in the file");
    let body = &source[start..];
    let body = &body[..body.find("\n}").expect("the enum ends")];
    let lines = body.lines().skip(1).map(str::trim).filter(|line| line.starts_with(char::is_uppercase));
    lines
        .map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_string())
        .collect()
}

#[test]
fn the_document_names_every_error() {
    let sources = [
        (include_str!("../../../linker-server/kmod/src/elf.rs"), "ElfError"),
        (include_str!("../../../linker-server/kmod/src/error.rs"), "ParseError"),
        (include_str!("../../../linker-server/kmod/src/base_error.rs"), "BaseError"),
    ];
    for (source, name) in sources {
        let variants = variants(source, name);
        assert!(variants.len() > 20, "{name}: {variants:?}");
        for variant in variants {
            assert!(DOCUMENT.contains(&format!("`{variant}`")), "{name}::{variant} is not in the document");
        }
    }
}

#[test]
fn the_document_has_the_numbers() {
    for number in [ALIAS_SIZE, IMPORT_SIZE, INFO_SIZE, BASE_SIZE, SERVER_SIZE] {
        assert!(DOCUMENT.contains(&format!("{number} bytes")), "{number}");
    }
    for kind in aarch64_reloc::RelocKind::ALL {
        assert!(DOCUMENT.contains(&kind.elf().to_string()), "{kind:?}");
    }
    assert!(DOCUMENT.contains(&format!("{:016x}", fnv1a(b"demo_note"))), "the hash in the example");
    assert!(DOCUMENT.contains(&format!("{:016x}", fnv1a(b"u64"))), "the fingerprint of u64");
    let mix = |hash: u64, id: u64| fnv1a(&[hash.to_le_bytes(), id.to_le_bytes()].concat());
    let function = mix(mix(fnv1a(b"fn C"), fnv1a(b"u64")), fnv1a(b"u64"));
    assert!(DOCUMENT.contains(&format!("{function:016x}")), "the fingerprint of a function");
    for bound in [kmod::ALIASES_MAX, kmod::IMPORTS_MAX, kmod::FIXUPS_MAX, usize::from(kmod::SHARED_PAGES_MAX)]
    {
        assert!(DOCUMENT.contains(&bound.to_string()), "{bound}");
    }
}
