//! Goal: each on-target case is an ordinary test: listed, filtered, run alone, timed, judged.
//!
//! Method: the cases are read from a section of the test images, without a boot; each runs in a machine of its own, so
//! that none can disturb another. `./x test` builds the images and runs this.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use on_target::suite::{Entry, SEED, entries, system};
use on_target::verdict::Verdict;
use on_target::{chain, entry, push};

/// Machines at once: a boot keeps one core busy.
const BOOTS: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(BOOTS);
    let nocapture = arguments.nocapture;
    match entries().and_then(|entries| Ok((entries, system()?))) {
        Ok((entries, system)) => {
            let trials = entries.into_iter().map(|entry| {
                // What the lint is to flag proves nothing without it: listed as ignored, in the open.
                let ignored = entry.is_for_lint() && entry.lint.is_none();
                Trial::test(entry.name.clone(), move || run(&entry, nocapture)).with_ignored_flag(ignored)
            });
            let stories = system.map(|(image, model)| {
                let stories = push::STORIES.iter().chain(chain::STORIES).copied();
                stories.chain(entry::stories(model)).map(move |(name, story)| {
                    let (name, image) = (format!("{}::host::{name}", model.name()), image.clone());
                    Trial::test(name, move || {
                        story(&image, model).map_err(|error| format!("{error:#}").into())
                    })
                })
            });
            let trials = trials.chain(stories.into_iter().flatten());
            libtest_mimic::run(&arguments, trials.collect()).exit_code()
        }
        Err(error) => {
            eprintln!("on-target: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(entry: &Entry, nocapture: bool) -> Result<(), Failed> {
    let report = on_target::boot::run(entry, |line| {
        if nocapture {
            eprintln!("{}: {line}", entry.case.name);
        }
    });
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
