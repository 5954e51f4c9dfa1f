//! `x bench`: instruction counts, measured on the target with QEMU's instruction counter as the clock.

mod kernel;
mod linker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use strata_host::cases;
use strata_host::tables::Tables;

use crate::build::{self, Images};
use crate::progress;
use crate::run::{machine, until_stopped};
use crate::session::Session;
use crate::test::AGENT;
use crate::workspace::Workspace;

pub(crate) use kernel::check_size;

/// How long the figures of one case may take.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Names of the contract with the goal and the reference that the design states, where it states one.
const CONTRACT: &[(&str, Option<f64>, Option<f64>)] = &[
    ("call.direct.extra", Some(0.0), Some(3.0)),
    ("call.counted.extra", Some(13.0), Some(18.0)),
    ("call.opsvector.extra", None, Some(3.0)),
    ("bus.read4.depth0", None, None),
    ("bus.read4.depth1", None, None),
    ("bus.read4.depth2", None, None),
    ("bus.read4.depth3", None, None),
    ("bus.read4.opsvector", None, None),
    ("load.fixed", Some(97_000.0), Some(194_000.0)),
    ("load.per_reloc", Some(93.0), Some(154.9)),
    ("relink.per_site", Some(60.0), Some(1_203.0)),
    ("unload.idle", Some(25_000.0), Some(82_300.0)),
];

/// Arguments of `x bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// What to measure.
    #[arg(value_enum, default_value_t = What::Linking)]
    what: What,
    /// Write the figures to this file as well.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Calls between modules, loading, relinking, unloading.
    Linking,
    /// The microkernel's paths.
    Kernel,
    /// The linker's goals, beside Linux's module loader.
    Linker,
}

/// Goal and reference, where there are any.
type Bounds = (Option<f64>, Option<f64>);

/// A measured figure.
#[derive(Clone, Debug, PartialEq)]
struct Figure {
    name: String,
    value: f64,
    unit: String,
}

/// `x bench`.
pub(crate) fn bench(workspace: &Workspace, args: &BenchArgs) -> Result<ExitCode> {
    match args.what {
        What::Linking => linking(workspace, args.json.as_deref()),
        What::Kernel => kernel::bench(workspace, args.json.as_deref()),
        What::Linker => linker::bench(workspace, args.json.as_deref()),
    }
}

fn linking(workspace: &Workspace, json: Option<&Path>) -> Result<ExitCode> {
    let images = build::all(workspace)?;
    let cases = cases::read(&images.tables.join(AGENT))?;
    let mut figures = Vec::new();
    let ours = |case: &&cases::Case| {
        case.flags & cases::flag::BENCH != 0 && !linker::CASES.contains(&case.name.as_str())
    };
    for case in cases.iter().filter(ours) {
        let _step = progress::step(format!("measuring {}", case.name));
        figures.extend(measure(&images, &case.name).with_context(|| case.name.clone())?);
    }
    print_figures(&figures, contract);
    write_document(json, &figures, contract)?;
    let missing: Vec<_> = CONTRACT
        .iter()
        .filter(|(name, ..)| figures.iter().all(|figure| figure.name != *name))
        .map(|(name, ..)| *name)
        .collect();
    if !missing.is_empty() {
        bail!("not measured: {}", missing.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

/// The table for people.
fn print_figures(figures: &[Figure], bounds: impl Fn(&str) -> Bounds) {
    println!("{:<28} {:>12} {:<14} {:>8} {:>10}", "NAME", "VALUE", "UNIT", "GOAL", "REFERENCE");
    for Figure { name, value, unit } in figures {
        let (goal, reference) = bounds(name);
        println!("{name:<28} {value:>12} {unit:<14} {:>8} {:>10}", column(goal), column(reference));
    }
}

/// The figures of one case, in a machine of its own.
fn measure(images: &Images, case: &str) -> Result<Vec<Figure>> {
    measure_with(images, &format!("case={case}"))
}

/// As [`measure`], the case being one of the boot arguments.
fn measure_with(images: &Images, boot_words: &str) -> Result<Vec<Figure>> {
    let mut qemu = machine(images, boot_words);
    qemu.icount = true;
    let mut session = Session::new(qemu.start()?, Tables::new(&images.tables));
    session.expect_renamed_modules();
    let status = until_stopped(&mut session, TIMEOUT)?;
    session.finish();
    if let Some((_, _, message)) = session.verdicts.iter().find(|(_, passed, _)| !passed) {
        bail!("{message}");
    }
    if status != Some(0) {
        bail!("the machine stopped with {status:?}");
    }
    Ok(session.figures.into_iter().map(|(name, milli, unit)| figure(name, milli, unit)).collect())
}

fn figure(name: String, milli: u64, unit: String) -> Figure {
    // Thousandths are exact in a double up to 2^53; instruction counts stay far below.
    let whole = u32::try_from(milli / 1000).map_or(f64::INFINITY, f64::from);
    let rest = u32::try_from(milli % 1000).map_or(0.0, f64::from);
    Figure { name, value: whole + rest / 1000.0, unit }
}

fn contract(name: &str) -> Bounds {
    CONTRACT
        .iter()
        .find(|(known, ..)| *known == name)
        .map_or((None, None), |(_, goal, reference)| (*goal, *reference))
}

fn column(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Writes the figures to a file, if one is wanted.
fn write_document(path: Option<&Path>, figures: &[Figure], bounds: impl Fn(&str) -> Bounds) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, document(figures, bounds))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The list that every bench of the project writes: null where there is no goal or reference.
fn document(figures: &[Figure], bounds: impl Fn(&str) -> Bounds) -> String {
    let list: Vec<Value> = figures
        .iter()
        .map(|figure| {
            let (goal, reference) = bounds(&figure.name);
            json!({ "name": figure.name, "value": figure.value, "unit": figure.unit, "goal": goal, "reference": reference })
        })
        .collect();
    format!("{:#}\n", Value::Array(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_five_keys_and_nulls() {
        let figures = [
            figure("call.direct.extra".into(), 0, "instructions".into()),
            figure("own".into(), 1250, "ms".into()),
        ];
        let read: Value = serde_json::from_str(&document(&figures, contract)).unwrap();
        assert_eq!(
            read[0],
            json!({"name":"call.direct.extra","value":0.0,"unit":"instructions","goal":0.0,"reference":3.0})
        );
        assert_eq!(read[1], json!({"name":"own","value":1.25,"unit":"ms","goal":null,"reference":null}));
    }
}
