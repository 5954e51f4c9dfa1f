//! Goal: each on-target case is an ordinary test: listed, filtered, run alone, timed, judged.
//!
//! Method: the cases are read from a section of the test images, without a boot; each runs in a machine of its own, so
//! that none can disturb another: in QEMU, or in a boot of its own of the board at a serial line. `./x test` builds the images and runs this.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use on_target::boot::{self, Report};
use on_target::suite::{Entry, SEED, bench, entries, system};
use on_target::verdict::Verdict;
use on_target::{chain, entry, push};

/// Machines at once: a boot keeps one core busy.
const BOOTS: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(BOOTS);
    match trials(&arguments) {
        Ok((trials, threads)) => {
            arguments.test_threads = Some(threads);
            libtest_mimic::run(&arguments, trials).exit_code()
        }
        Err(error) => {
            eprintln!("on-target: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What there is to run, and how much of it at once.
fn trials(arguments: &Arguments) -> Result<(Vec<Trial>, usize)> {
    let nocapture = arguments.nocapture;
    let (mut entries, bench) = (entries()?, bench()?);
    if let Some(bench) = bench {
        // The fewer changes of the image, the less goes over the line.
        entries.sort_by(|a, b| a.image.cmp(&b.image));
        let bench = Arc::new(Mutex::new(bench));
        let trials = entries.into_iter().filter(|entry| !entry.is_for_lint()).map(|entry| {
            let bench = Arc::clone(&bench);
            let is_fitted = entry.fitting.is_some();
            Trial::test(entry.name.clone(), move || {
                let mut bench = bench.lock().map_err(|_| "a case before has panicked")?;
                judge(&entry, nocapture, |live| bench.run(&entry, live))
            })
            // Nobody knows what is connected to the board.
            .with_ignored_flag(is_fitted)
        });
        return Ok((trials.collect(), 1));
    }
    let trials = entries.into_iter().map(|entry| {
        // What the lint is to flag proves nothing without it: listed as ignored, in the open.
        let unwatched = entry.is_for_lint() && entry.lint.is_none();
        // So is what wants something connected to a device that the board does not have.
        let ignored = unwatched || entry.does_not_fit();
        Trial::test(entry.name.clone(), move || judge(&entry, nocapture, |live| boot::run(&entry, live)))
            .with_ignored_flag(ignored)
    });
    let stories = system()?.map(|(image, model)| {
        let stories = push::STORIES.iter().chain(chain::STORIES).copied();
        stories.chain(entry::stories(model)).map(move |(name, story)| {
            let (name, image) = (format!("{}::host::{name}", model.name()), image.clone());
            Trial::test(name, move || story(&image, model).map_err(|error| format!("{error:#}").into()))
        })
    });
    let trials = trials.chain(stories.into_iter().flatten());
    Ok((trials.collect(), arguments.test_threads.unwrap_or(BOOTS)))
}

fn judge(
    entry: &Entry,
    nocapture: bool,
    run: impl FnOnce(&mut dyn FnMut(&str)) -> Result<Report>,
) -> Result<(), Failed> {
    let start = Instant::now();
    let report = run(&mut |line| {
        if nocapture {
            eprintln!("{}: {line}", entry.case.name);
        }
    });
    let (took, stated) = (start.elapsed(), Duration::from_secs(entry.case.seconds.into()));
    if took > stated {
        eprintln!("{}: slow: {took:.0?}, where a board has {stated:.0?}", entry.case.name);
    }
    let report = report.map_err(|error| format!("{error:#}"))?;
    if let Some(summary) = report.output.iter().rev().find(|line| line.starts_with("(call truth: ")) {
        eprintln!("{}: {summary}", entry.case.name);
    }
    if report.verdict == Verdict::Pass {
        return Ok(());
    }
    let output = report.output.join("\n");
    Err(format!("{}\n{output}\nseed: {SEED}={}", report.verdict, entry.seed).into())
}
