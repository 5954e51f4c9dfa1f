//! A campaign: seeds one after the other until the time is over, each judged; outcomes are counted, failures kept.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Random, Target};

/// Inputs that fail before a campaign gives up on a target: they tend to have one cause.
const FAILURES_MAX: usize = 5;
/// O6: how long one input may take. It is milliseconds on an idle machine; this is for one that is not.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);

/// An input that an oracle rejects.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The number of the run: with the seed it makes the input again.
    pub run: u64,
    /// Where the input is.
    pub file: PathBuf,
    /// What does not hold.
    pub why: String,
}

/// What a campaign has done.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Inputs run.
    pub runs: u64,
    /// How often each outcome occurred.
    pub outcomes: BTreeMap<String, u64>,
    /// Inputs that failed.
    pub failures: Vec<Failure>,
}

/// Runs a target for a time, or for a number of runs where that is over first. Failing inputs are written to a folder.
///
/// # Errors
/// Where a failing input cannot be written.
pub fn campaign(
    target: &Target,
    seed: u64,
    time: Duration,
    runs_max: u64,
    folder: &Path,
) -> std::io::Result<Report> {
    let mut report = Report::default();
    let start = Instant::now();
    while report.runs < runs_max && report.failures.len() < FAILURES_MAX {
        // The clock is asked now and then only.
        if report.runs.is_multiple_of(64) && start.elapsed() >= time {
            break;
        }
        // Each run has a generator of its own, so that any of them can be made again.
        let mut random = Random(seed ^ report.runs.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let input = (target.generate)(&mut random);
        match run(target, &input) {
            Ok(outcome) => *report.outcomes.entry(outcome).or_default() += 1,
            Err(why) => {
                let file = folder.join(format!("{}-{seed:x}-{}", target.name, report.runs));
                std::fs::create_dir_all(folder)?;
                std::fs::write(&file, &input)?;
                report.failures.push(Failure { run: report.runs, file, why });
            }
        }
        report.runs += 1;
    }
    Ok(report)
}

/// Runs one input again.
///
/// # Errors
/// What does not hold.
pub fn replay(target: &Target, input: &[u8]) -> Result<String, String> {
    run(target, input)
}

/// Judges an input; a panic is a failure like another.
fn run(target: &Target, input: &[u8]) -> Result<String, String> {
    let start = Instant::now();
    let judged = catch_unwind(AssertUnwindSafe(|| (target.judge)(input)));
    let outcome = judged.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("a panic: {}", text.unwrap_or_default()))
    });
    let took = start.elapsed();
    if took > INPUT_TIME_MAX {
        return Err(format!("O6: {} bytes took {took:?}", input.len()));
    }
    outcome
}
