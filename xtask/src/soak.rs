//! `x soak`: layers come and go under calls on several cores, as often as somebody has time for. A seed replays.
//!
//! The long run is one host thread that takes turns between the cores and counts instructions: the same seed makes the same
//! run. A short one with a host thread for each core follows, on as many cores as the host has. It shows real concurrency,
//! and counts for itself; it does not replay, and it is no judge of patched instructions: QEMU forgets its translation of one
//! before it does the store, so that another core can translate the old instruction again and keep it, which no processor
//! does. So what it finds is printed, and does not decide.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use strata_host::model::Model;
use strata_host::tables::Tables;

use crate::build::{self, Images};
use crate::run::{machine, until_stopped};
use crate::session::Session;
use crate::workspace::Workspace;

/// The on-target case that goes on for as long as it is told.
const CASE: &str = "soak_for_long";
/// The name of the run with a host thread for each core.
const PARALLEL: &str = "parallel";
/// Cores, unless somebody wants another number.
pub(crate) const CORES: u32 = 4;
/// How long a cycle may take on a slow host, and how long a run may at least.
const PATIENCE_PER_CYCLE: Duration = Duration::from_millis(500);
const PATIENCE_MIN: Duration = Duration::from_secs(120);

/// Arguments of `x soak`.
#[derive(Args, Debug)]
pub(crate) struct SoakArgs {
    /// Cycles of a load and an unload.
    #[arg(long, default_value_t = 1_000)]
    cycles: u32,
    /// The seed: the same seed makes the same run.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Cycles of the run with a host thread for each core; 0 for none.
    #[arg(long, default_value_t = 20)]
    parallel: u32,
    /// Write the figures to this file as well.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A run and what it counted.
struct Run {
    name: &'static str,
    figures: Vec<(String, u64, String)>,
    seconds: f64,
}

/// `x soak`.
pub(crate) fn soak(workspace: &Workspace, args: &SoakArgs) -> Result<ExitCode> {
    let images = build::all(workspace)?;
    let mut runs = Vec::new();
    if args.cycles > 0 {
        runs.push(run(&images, "turns", args.cycles, args.seed)?);
    }
    if args.parallel > 0 {
        match run(&images, PARALLEL, args.parallel, args.seed) {
            Ok(run) => runs.push(run),
            Err(error) => println!("{PARALLEL}: {error:#}"),
        }
    }
    print(&runs);
    if let Some(path) = &args.json {
        std::fs::write(path, document(&runs, args.seed, images.model))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn run(images: &Images, name: &'static str, cycles: u32, seed: u32) -> Result<Run> {
    let parallel = name == PARALLEL;
    let mut qemu = machine(images, &format!("log=debug case={CASE} cycles={cycles} seed={seed}"));
    (qemu.icount, qemu.parallel) = (!parallel, parallel);
    if parallel {
        // The kernel's lock is fair: where cores have to wait for the host, each entry waits for all of them.
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        qemu.model.cores = qemu.model.cores.min(u32::try_from(threads).unwrap_or(1).max(2));
    }
    let start = Instant::now();
    let mut session = Session::new(qemu.start()?, Tables::new(&images.tables));
    let status = until_stopped(&mut session, PATIENCE_PER_CYCLE.saturating_mul(cycles).max(PATIENCE_MIN))?;
    session.finish();
    if let Some((_, _, message)) = session.verdicts.iter().find(|(_, passed, _)| !passed) {
        bail!("{name}, seed {seed}: {message}");
    }
    if status != Some(0) || session.verdicts.is_empty() {
        bail!("{name}, seed {seed}: the machine stopped with {status:?}");
    }
    Ok(Run { name, figures: session.figures, seconds: start.elapsed().as_secs_f64() })
}

fn print(runs: &[Run]) {
    println!("{:<10} {:<16} {:>14} UNIT", "RUN", "NAME", "VALUE");
    for run in runs {
        for (name, milli, unit) in &run.figures {
            println!("{:<10} {name:<16} {:>14} {unit}", run.name, milli / 1000);
        }
        println!("{:<10} {:<16} {:>14.0} s", run.name, "host.time", run.seconds);
    }
}

/// The list that every bench of the project writes, with the run in front of each name.
fn document(runs: &[Run], seed: u32, model: Model) -> String {
    let rows = runs.iter().flat_map(|run| {
        run.figures.iter().map(|(name, milli, unit)| {
            json!({ "name": format!("{}.{name}", run.name), "value": milli / 1000, "unit": unit, "seed": seed,
                    "machine": model.name() })
        })
    });
    format!("{:#}\n", Value::Array(rows.collect()))
}
