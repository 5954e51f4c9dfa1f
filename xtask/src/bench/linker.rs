//! `x bench linker`: loading, relinking, unloading and calling, beside Linux's module loader.
//!
//! The references are recorded (`reference/performance.md`): Linux 6.12, QEMU virt, instructions of the calling task. They
//! are measured by the on-target case `bench_linker`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::{Bounds, measure, print_figures, write_document};
use crate::build;
use crate::workspace::Workspace;

/// The on-target case.
pub(super) const CASE: &str = "bench_linker";

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
    // G7: a plain call of a symbol; one layer more in a chain of `super_` calls.
    ("linker.call.direct.extra", Some(0.0), Some(3.0)),
    ("linker.call.chain.per_layer", Some(2.0), Some(3.0)),
    // G8: what a layer's binding costs over a plain call.
    ("linker.call.layer.extra", Some(13.0), Some(18.0)),
    // G9, G10.
    ("linker.unload.work", Some(25_000.0), Some(82_300.0)),
    ("linker.unload.per_module", Some(0.0), Some(119.0)),
    ("linker.unload.latency", Some(600_000.0), Some(12_000_000.0)),
    // G12.
    ("linker.memory.module", Some(8_192.0), Some(12_288.0)),
    // Growth laws: the slope over the second half of the sizes by that over the first.
    ("linker.law.load_by_modules", Some(1.15), None),
    ("linker.law.load_by_sites", Some(1.15), None),
    ("linker.law.unload_by_sites", Some(1.15), None),
];

/// `x bench linker`.
pub(super) fn bench(workspace: &Workspace, json: Option<&Path>) -> Result<ExitCode> {
    let images = build::all(workspace)?;
    let figures = measure(&images, CASE)?;
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
    ROWS.iter().find(|row| row.0 == name).map_or((None, None), |(_, goal, reference)| (*goal, *reference))
}
