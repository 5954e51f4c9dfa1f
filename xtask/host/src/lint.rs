//! The cache lint on a machine: the arguments that load the plugin, and its report.
//!
//! The plugin (`tests/cache-lint`) watches stores, maintenance instructions and fetches, and writes a line for each
//! instruction that hardware could have executed otherwise, for want of maintenance.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::qemu::RAM_BYTES;

/// How lines of the report begin.
const WATCHING: &str = "watching: ";
const STALE: &str = "stale: ";
const END: &str = "end: ";

/// The plugin, and where it writes in one run.
#[derive(Clone, Debug)]
pub struct Lint {
    plugin: PathBuf,
    report: PathBuf,
}

/// What the plugin found in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// A line for each place with instructions that could be stale.
    pub stale: Vec<String>,
    /// What was watched, when the machine ended by itself.
    pub summary: Option<String>,
}

impl Lint {
    /// The lint for one run; `name` is the run's own on this machine at this time.
    #[must_use]
    pub fn new(plugin: &Path, name: &str) -> Self {
        let file = format!("strata-cache-lint-{}-{}.txt", std::process::id(), name.replace(':', "."));
        Self { plugin: plugin.to_path_buf(), report: std::env::temp_dir().join(file) }
    }

    /// What QEMU is told.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let Self { plugin, report } = self;
        let plugin = format!("{},report={},ram={RAM_BYTES}", escaped(plugin), escaped(report));
        vec!["-plugin".into(), plugin]
    }

    /// Reads the report of a machine that has ended, and removes the file.
    pub fn read(&self) -> Result<Report> {
        let text = std::fs::read_to_string(&self.report)
            .with_context(|| format!("the cache lint left no report in {}", self.report.display()))?;
        std::fs::remove_file(&self.report).with_context(|| self.report.display().to_string())?;
        parse(&text)
    }
}

/// QEMU takes commas in option values when they are doubled.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

fn parse(text: &str) -> Result<Report> {
    ensure!(text.starts_with(WATCHING), "the cache lint did not watch: {text}");
    let stale = text.lines().filter_map(|line| line.strip_prefix(STALE)).map(str::to_owned).collect();
    let summary = text.lines().find_map(|line| line.strip_prefix(END)).map(str::to_owned);
    Ok(Report { stale, summary })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let report = parse("watching: 1 cores\nstale: 0x10 executed\nend: 5 stores\n").unwrap();
        assert_eq!(report.stale, ["0x10 executed"]);
        assert_eq!(report.summary.as_deref(), Some("5 stores"));
        // A machine that was ended says nothing at its end.
        assert_eq!(parse("watching: 1 cores\n").unwrap(), Report::default());
        assert!(parse("").is_err());
    }
}
