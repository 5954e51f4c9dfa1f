//! `x fuzz`: seeded campaigns against parser, relocator, planner and protocol.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use clap::Args;

use strata_fuzz::{ALL, Report, Target, campaign, replay};

use crate::out_dir;
use crate::workspace::Workspace;

/// Arguments of `x fuzz`.
#[derive(Args, Debug)]
pub(crate) struct FuzzArgs {
    /// How long in all, shared by the targets.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// The seed; without one it is drawn, and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Run the input in this file again. Its name begins with the target's.
    #[arg(long, conflicts_with_all = ["minutes", "seed"])]
    replay: Option<PathBuf>,
    /// Only these targets: parser, relocator, planner, protocol.
    targets: Vec<String>,
}

/// `x fuzz`.
pub(crate) fn fuzz(workspace: &Workspace, args: &FuzzArgs) -> Result<ExitCode> {
    if let Some(path) = &args.replay {
        return replay_file(path, &args.targets);
    }
    let targets: Vec<&Target> = match args.targets.as_slice() {
        [] => ALL.iter().collect(),
        names => names.iter().map(|name| target(name)).collect::<Result<_>>()?,
    };
    let drawn = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) | now.as_secs() << 32
    };
    let seed = args.seed.unwrap_or_else(drawn);
    let time = Duration::try_from_secs_f64(args.minutes * 60.0).context("--minutes")?;
    let time = time / u32::try_from(targets.len()).context("targets")?;
    let folder = out_dir(workspace).join("fuzz");
    println!("seed {seed}");
    let mut failed = false;
    for target in targets {
        let report = campaign(target, seed, time, u64::MAX, &folder)?;
        print(target, &report);
        failed |= !report.failures.is_empty();
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(target: &Target, report: &Report) {
    let failures = report.failures.len();
    let (runs, outcomes) = (report.runs, report.outcomes.len());
    println!("{}: {runs} runs, {outcomes} outcomes, {failures} failures", target.name);
    for (outcome, count) in &report.outcomes {
        println!("  {count:>10} {outcome}");
    }
    for failure in &report.failures {
        println!("  FAILED run {}: {}", failure.run, failure.why);
        println!("         x fuzz --replay {}", failure.file.display());
    }
}

fn target(name: &str) -> Result<&'static Target> {
    let known = || ALL.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    ALL.iter()
        .find(|target| target.name == name)
        .with_context(|| format!("no target is called {name}; there are {}", known()))
}

fn replay_file(path: &PathBuf, targets: &[String]) -> Result<ExitCode> {
    let input = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let named = match targets {
        [] => file.split('-').next().unwrap_or_default(),
        [one] => one,
        _ => bail!("an input belongs to one target"),
    };
    match replay(target(named)?, &input) {
        Ok(outcome) => {
            println!("{named}: {outcome}");
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => {
            println!("{named}: FAILED: {why}");
            Ok(ExitCode::FAILURE)
        }
    }
}
