//! Documents that describe a source carry its hash, so that neither changes without somebody looking at the other.
//!
//! A line of the document says `<!-- describes PATH HASH -->`. When the source changes, `x tidy` fails and prints the
//! new line: whoever pastes it has been asked to read the document.

use std::path::Path;

use super::{Finding, Source};

/// How a mark begins.
const MARK: &str = "<!-- describes ";

/// Documents that must carry a mark for a path, once both exist.
const REQUIRED: &[(&str, &str)] = &[("docs/kmod-format.md", "linker-server/kmod/src/records.rs")];

/// All findings about stale documents.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for document in
        sources.iter().filter(|source| source.path.extension().is_some_and(|extension| extension == "md"))
    {
        for line in document.text.lines() {
            let mark = line.trim().strip_prefix(MARK).and_then(|rest| rest.strip_suffix("-->"));
            if let Some((path, hash)) = mark.and_then(|mark| mark.trim().split_once(' ')) {
                findings.extend(check_mark(document, path, hash.trim(), sources));
            }
        }
    }
    for (document, path) in REQUIRED {
        let find = |wanted: &str| sources.iter().find(|source| source.path == Path::new(wanted));
        if let (Some(text), Some(source)) = (find(document), find(path))
            && !text.text.contains(&format!("{MARK}{path} "))
        {
            findings.push(Finding::new(
                *document,
                format!("no mark for what it describes; add\n{}", mark(path, source)),
            ));
        }
    }
    findings
}

fn check_mark(document: &Source, path: &str, hash: &str, sources: &[Source]) -> Option<Finding> {
    let at = document.path.display().to_string();
    let Some(source) = sources.iter().find(|source| source.path == Path::new(path)) else {
        return Some(Finding::new(at, format!("describes {path}, which is not there")));
    };
    (hash != hash_of(source)).then(|| {
        Finding::new(
            at,
            format!(
                "{path} has changed: see whether this document still describes it, then write\n{}",
                mark(path, source)
            ),
        )
    })
}

fn mark(path: &str, source: &Source) -> String {
    format!("{MARK}{path} {} -->", hash_of(source))
}

/// FNV-1a of the code: comments, blank lines and layout may change freely.
fn hash_of(source: &Source) -> String {
    let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let bytes = lines.flat_map(|line| line.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_mark_holds_until_the_code_changes() {
        let code = source("a/records.rs", "//! R.\npub const SIZE: usize = 88;\n");
        let line = mark("a/records.rs", &code);
        let document = source("docs/a.md", &format!("# A\n{line}\n"));
        assert_eq!(check(&[document.clone(), code]), []);
        let commented = source("a/records.rs", "//! Records.\n\n    pub const SIZE: usize =\n        88;\n");
        assert_eq!(check(&[document.clone(), commented]), []);
        let changed = source("a/records.rs", "pub const SIZE: usize = 96;");
        let findings = check(&[document.clone(), changed.clone()]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains(&mark("a/records.rs", &changed)));
        assert!(check(&[document])[0].what.contains("not there"));
    }

    #[test]
    fn the_format_document_must_carry_its_mark() {
        let format = source("docs/kmod-format.md", "# Format");
        let records = source("linker-server/kmod/src/records.rs", "pub const A: u8 = 1;");
        assert_eq!(check(&[format, records]).len(), 1);
    }
}
