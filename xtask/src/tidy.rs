//! `x tidy`: what can be checked without taste.
//!
//! [`layers`]: who may import whom. [`text`]: heads of files, words that must not be there, dead files.
//! [`requirements`]: every requirement is shown by a test that exists.
//! [`stale`]: documents that describe a source and must change with it.

mod layers;
mod requirements;
mod stale;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// A rule that is broken, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file or package.
    at: String,
    /// What is wrong and what to do.
    what: String,
}

impl Finding {
    fn new(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into() }
    }
}

/// A text file of the tree.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the root.
    path: PathBuf,
    /// Its text.
    text: String,
}

/// `x tidy`.
pub(crate) fn tidy(workspace: &Workspace) -> Result<ExitCode> {
    check(workspace)?;
    println!("tidy");
    Ok(ExitCode::SUCCESS)
}

/// Prints every finding; an error if there is one.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let sources = sources(&workspace.root)?;
    let mut findings = layers::check(workspace, &sources);
    findings.extend(text::check(workspace, &sources));
    findings.extend(stale::check(&sources));
    findings.extend(requirements::check(&sources));
    findings.sort();
    for finding in &findings {
        println!("{}: {}", finding.at, finding.what);
    }
    if findings.is_empty() { Ok(()) } else { bail!("{} findings", findings.len()) }
}

/// Every text file of the tree, without what git ignores; git itself need not be there.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == ".git" || name == "target" || name.starts_with("target-") {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                sources.push(Source { path: path.strip_prefix(root)?.to_path_buf(), text });
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}
