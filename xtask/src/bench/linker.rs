//! `x bench linker`: loading, relinking, unloading and calling, beside Linux's module loader.
//!
//! The references are recorded (`reference/performance.md`): Linux 6.12, QEMU virt, instructions of the calling task. They
//! are measured by the on-target case `bench_linker`.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use super::{Bounds, Figure, measure, measure_with, print_figures, write_document};
use crate::build::{self, Images};
use crate::progress;
use crate::workspace::Workspace;

/// The on-target case of most figures.
const CASE: &str = "bench_linker";
/// The case of those of goal G11, which is run with different numbers of driver servers.
const QUIESCE_CASE: &str = "bench_quiesce";
/// The cases that are measured here and not by `x bench`.
pub(super) const CASES: [&str; 2] = [CASE, QUIESCE_CASE];

/// Driver servers of the link domain: equally far apart, as many as the base image has at most.
const SERVERS: [u32; 3] = [2, 4, 6];

/// A row: name, goal, Linux's figure.
type Row = (&'static str, Option<f64>, Option<f64>);

/// The rows, with the number of the goal.
const ROWS: &[Row] = &[
    // G1, G2, G3.
    ("linker.load.per_reloc", Some(93.0), Some(154.9)),
    ("linker.load.fixed", Some(97_000.0), Some(194_000.0)),
    ("linker.load.per_module", Some(0.0), Some(300.0)),
    // Checking the signature, which the rows above leave out.
    ("linker.signature.fixed", None, None),
    ("linker.signature.per_byte", None, None),
    // G6.
    ("linker.relink.per_site", Some(60.0), Some(1_203.0)),
    ("linker.relink.per_page", Some(500.0), Some(1_203.0)),
    ("linker.relink.fixed", Some(3_000.0), None),
    // G7: a plain call of a symbol; one layer more in a chain of `super_` calls.
    ("linker.call.direct.extra", Some(0.0), Some(3.0)),
    ("linker.call.chain.per_layer", Some(2.0), Some(3.0)),
    // G8: what a layer's binding costs over a plain call.
    ("linker.call.layer.extra", Some(13.0), Some(18.0)),
    // G9, G10.
    // The goal is for what is not unmapping: giving back the module's pages, of which each takes `per_page`.
    ("linker.unload.work", None, Some(82_300.0)),
    ("linker.unload.per_page", None, None),
    ("linker.unload.besides", Some(25_000.0), None),
    ("linker.unload.per_module", Some(0.0), Some(119.0)),
    ("linker.unload.latency", Some(600_000.0), Some(12_000_000.0)),
    // G11: by the threads of the link domain. One invocation of a TCB takes the reference's 801 instructions; a gate's
    // caller is found for a hundred more, a direct one's by the words of its stack.
    ("linker.quiesce.fixed", None, None),
    ("linker.quiesce.per_thread.counted", Some(901.0), None),
    ("linker.quiesce.per_thread.direct", None, None),
    // G12.
    ("linker.memory.module", Some(8_192.0), Some(12_288.0)),
    // G14: a query, beside the reference's round trip through a pipe.
    ("linker.request", Some(2_500.0), Some(50_800.0)),
    // Growth laws: the slope over the second half of the sizes by that over the first.
    ("linker.law.load_by_modules", Some(1.15), None),
    ("linker.law.load_by_sites", Some(1.15), None),
    ("linker.law.unload_by_sites", Some(1.15), None),
    ("linker.law.quiesce_by_threads", Some(1.15), None),
];

/// The linker's core on the host, in instructions that callgrind counts: only where valgrind is.
const HOST_ROWS: &[Row] = &[
    // G4; G5: how much steeper the third file of a link is than the second.
    ("linker.host.per_reloc", Some(210.0), Some(842.0)),
    ("linker.host.law", Some(1.15), None),
];

/// `x bench linker`.
pub(super) fn bench(workspace: &Workspace, json: Option<&Path>) -> Result<ExitCode> {
    let images = build::all(workspace)?;
    let mut figures = measure(&images, CASE)?;
    figures.extend(quiesce(&images)?);
    match host(&images) {
        Ok(host) => figures.extend(host),
        Err(why) => progress::say(&format!("the linker's core on the host is not measured: {why:#}")),
    }
    print_figures(&figures, bounds);
    write_document(json, &figures, bounds)?;
    let missing: Vec<_> = ROWS
        .iter()
        .map(|row| row.0)
        .filter(|name| figures.iter().all(|figure| figure.name != *name))
        .collect();
    if !missing.is_empty() {
        bail!("not measured: {}", missing.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn bounds(name: &str) -> Bounds {
    let mut rows = ROWS.iter().chain(HOST_ROWS);
    rows.find(|row| row.0 == name).map_or((None, None), |(_, goal, reference)| (*goal, *reference))
}

/// What an unload takes for each thread of the link domain, and without any.
fn quiesce(images: &Images) -> Result<Vec<Figure>> {
    let (mut direct, mut counted) = ([0.0; 3], [0.0; 3]);
    for (place, servers) in SERVERS.into_iter().enumerate() {
        let figures = measure_with(images, &format!("case={QUIESCE_CASE} servers={servers}"))?;
        let of = |name: &str| {
            let figure = figures.iter().find(|figure| figure.name == name);
            figure.map(|figure| figure.value).with_context(|| format!("{name} was not measured"))
        };
        (direct[place], counted[place]) = (of("linker.quiesce.direct")?, of("linker.quiesce.counted")?);
    }
    let [few, _, many] = SERVERS.map(f64::from);
    let slope = |of: [f64; 3]| (of[2] - of[0]) / (many - few);
    let law = (direct[2] - direct[1]) / (direct[1] - direct[0]);
    let instructions = |name: &str, value: f64| derived(name, value, "instructions");
    Ok(vec![
        instructions("linker.quiesce.fixed", direct[0] - few * slope(direct)),
        instructions("linker.quiesce.per_thread.counted", slope(counted)),
        instructions("linker.quiesce.per_thread.direct", slope(direct)),
        derived("linker.law.quiesce_by_threads", law, "ratio"),
    ])
}

fn derived(name: &str, value: f64, unit: &str) -> Figure {
    // Thousandths, as those that are measured on the target.
    Figure { name: name.to_owned(), value: (value * 1_000.0).round() / 1_000.0, unit: unit.to_owned() }
}

/// What `x kmod link` takes for a relocation: this very program under callgrind, start-up and files subtracted.
fn host(images: &Images) -> Result<Vec<Figure>> {
    let version = Command::new("valgrind").arg("--version").output();
    ensure!(version.is_ok_and(|output| output.status.success()), "valgrind is not there");
    let linked = |files: &[&str]| -> Result<f64> {
        let out = images.kernel_image.with_file_name("linked.bin");
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg(std::env::current_exe()?).args(["kmod", "link"]).arg(&out).args(["--base", "0x10000000"]);
        command.args(files.iter().map(|file| images.tables.join(format!("{file}.kmod"))));
        let output = command.output().context("cannot start valgrind")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", said.trim());
        let counted =
            said.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count.trim());
        counted.context("callgrind counted nothing")?.parse().context("callgrind's count is no number")
    };
    let relocations = |file: &str| -> Result<f64> {
        let bytes = std::fs::read(images.tables.join(format!("{file}.kmod")))?;
        let object = kmod::Object::parse(&bytes).map_err(|error| anyhow::anyhow!("{file}: {error:?}"))?;
        let count: usize = kmod::SectionKind::ALL.map(|kind| object.relocation_count(kind)).iter().sum();
        Ok(f64::from(u32::try_from(count)?))
    };
    let more = relocations("relocs_large")? - relocations("relocs_small")?;
    const FILE: &str = "relocs_large";
    let (small, once) = (linked(&["relocs_small"])?, linked(&[FILE])?);
    let (twice, thrice) = (linked(&[FILE; 2])?, linked(&[FILE; 3])?);
    Ok(vec![
        derived("linker.host.per_reloc", (once - small) / more, "instructions"),
        derived("linker.host.law", (thrice - twice) / (twice - once), "ratio"),
    ])
}
