//! The list of on-target cases, read out of a test image without booting it.
//!
//! Each case leaves a record (`strata_protocol::case`) in the section `.strata.cases`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection};
pub use strata_protocol::case::flag;
use strata_protocol::case::{NAME_SIZE, RECORD_SIZE};

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// How long it may take, in seconds.
    pub seconds: u32,
    /// See [`flag`].
    pub flags: u32,
}

/// The cases of the test image at `path`, by name.
pub fn read(path: &Path) -> Result<Vec<Case>> {
    let bytes =
        std::fs::read(path).with_context(|| format!("cannot read the test image {}", path.display()))?;
    let file = object::File::parse(&*bytes).with_context(|| format!("{} is no ELF file", path.display()))?;
    let section = file
        .section_by_name(".strata.cases")
        .with_context(|| format!("{} has no section .strata.cases: it is no test image", path.display()))?;
    let data = section.data()?;
    ensure!(data.len().is_multiple_of(RECORD_SIZE), "the case list of {} is cut off", path.display());
    let mut cases = data.chunks(RECORD_SIZE).map(case).collect::<Result<Vec<_>>>()?;
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    ensure!(
        cases.windows(2).all(|pair| pair[0].name != pair[1].name),
        "two cases of one name in {}",
        path.display()
    );
    Ok(cases)
}

fn case(record: &[u8]) -> Result<Case> {
    let end = record[..NAME_SIZE].iter().position(|byte| *byte == 0).unwrap_or(NAME_SIZE);
    let word = |at: usize| Ok::<u32, anyhow::Error>(u32::from_le_bytes(record[at..at + 4].try_into()?));
    Ok(Case { name: std::str::from_utf8(&record[..end])?.to_owned(), seconds: word(96)?, flags: word(100)? })
}
