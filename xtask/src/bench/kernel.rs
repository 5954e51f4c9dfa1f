//! `x bench kernel`: the kernel's paths beside those of the reference, the seL4 kernel with its C fast path.
//!
//! The reference's figures are recorded: seL4 1326364bc, QEMU virt, cortex-a53, release build, instructions from the
//! vector's first to `eret`. Ours are measured by the cases `bench_*` of the kernel's on-target tests, which count the
//! same way, on the release kernel.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use strata_host::cases;

use super::{Bounds, Figure, measure_with, write_document};
use crate::build::{self, Variant};
use crate::cargo::{self, USER_TARGET};
use crate::progress;
use crate::sizes;
use crate::workspace::{Role, Workspace};

/// Size of the kernel's instructions, without those that run once.
const TEXT_BYTES: &str = "kernel.text_bytes";
/// What it may be at most; `x test` holds it.
const TEXT_BYTES_MAX: u32 = 32 << 10;
/// Size of the instructions that boot the machine. They are in a section of their own, as the reference's are.
const BOOT_TEXT_BYTES: &str = "kernel.boot_text_bytes";

/// A row: name, the reference's figure, and what would be a fine figure of ours where the design names one. The goal of
/// each row is the reference's figure.
type Row = (&'static str, Option<u32>, Option<u32>);

/// The rows. Rows without a reference are ours alone: there is no record of them.
const ROWS: &[Row] = &[
    ("kernel.call.0w", Some(191), Some(160)),
    ("kernel.call.1w", Some(200), None),
    ("kernel.call.2w", Some(205), None),
    ("kernel.call.3w", Some(210), None),
    ("kernel.call.4w", Some(215), None),
    ("kernel.call.10w", Some(703), Some(500)),
    ("kernel.call.fpu", Some(243), None),
    ("kernel.replyrecv.0w", Some(215), Some(180)),
    ("kernel.replyrecv.1w", Some(223), None),
    ("kernel.replyrecv.2w", Some(228), None),
    ("kernel.replyrecv.3w", Some(233), None),
    ("kernel.replyrecv.4w", Some(238), None),
    ("kernel.replyrecv.10w", Some(687), Some(500)),
    ("kernel.replyrecv.fpu", Some(267), None),
    ("kernel.roundtrip.0w", Some(406), None),
    ("kernel.roundtrip.1w", Some(423), None),
    ("kernel.roundtrip.2w", Some(433), None),
    ("kernel.roundtrip.3w", Some(443), None),
    ("kernel.roundtrip.4w", Some(453), Some(360)),
    ("kernel.roundtrip.10w", Some(1390), None),
    ("kernel.roundtrip.fpu", Some(510), None),
    ("kernel.send.wake", Some(634), None),
    ("kernel.recv.block", Some(368), None),
    ("kernel.signal.wake", Some(656), Some(450)),
    ("kernel.wait.block", None, None),
    ("kernel.yield", Some(312), None),
    ("kernel.yield.switch", Some(329), None),
    ("kernel.fault.deliver", Some(511), None),
    ("kernel.fault.reply", Some(617), None),
    ("kernel.fault.roundtrip", Some(1128), Some(900)),
    ("kernel.page_map", Some(526), Some(400)),
    ("kernel.page_unmap", Some(487), None),
    ("kernel.page_table_map", Some(451), None),
    ("kernel.page_unify", Some(1487), None),
    ("kernel.retype", Some(553), None),
    ("kernel.cnode.copy", Some(623), None),
    ("kernel.cnode.mint", Some(662), None),
    ("kernel.cnode.move", Some(564), None),
    ("kernel.cnode.delete", Some(578), None),
    ("kernel.cnode.revoke", Some(665), None),
    ("kernel.tcb.configure", Some(1222), None),
    ("kernel.tcb.set_priority", Some(409), None),
    ("kernel.tcb.write_registers", Some(801), None),
    ("kernel.tcb.resume", Some(612), None),
    ("kernel.tcb.suspend", Some(430), None),
    ("kernel.asid_assign", Some(405), None),
    (TEXT_BYTES, Some(31_664), Some(TEXT_BYTES_MAX)),
    (BOOT_TEXT_BYTES, None, None),
    ("kernel.boot", Some(2_400_000), Some(500_000)),
];

/// `x bench kernel`.
pub(crate) fn bench(workspace: &Workspace, json: Option<&Path>) -> Result<ExitCode> {
    let tests = workspace.only(Role::RootTest)?;
    let images = build::with_root_on(workspace, Variant::Release, &tests.name)?;
    let cases = cases::read(&cargo::product(workspace, USER_TARGET, &tests.name))?;
    let mut measured = text_bytes(workspace)?;
    for case in cases.iter().filter(|case| case.flags & cases::flag::BENCH != 0) {
        let _step = progress::step(format!("measuring {}", case.name));
        // This kernel prints nothing for anybody: the cases have the console themselves.
        let words = format!("case={} uart=1", case.name);
        measured.extend(measure_with(&images, &words).with_context(|| case.name.clone())?);
    }
    let mut figures = Vec::new();
    println!("{:<28} {:>9} {:>9} {:>7} {:>8}", "NAME", "OURS", "REFERENCE", "RATIO", "STRETCH");
    for (name, reference, stretch) in ROWS {
        let figure = measured
            .iter()
            .find(|figure| figure.name == *name)
            .with_context(|| format!("{name} was not measured"))?;
        let ratio = reference.map(|reference| figure.value / f64::from(reference));
        println!(
            "{name:<28} {:>9} {:>9} {:>7} {:>8}",
            figure.value,
            reference.map_or_else(dash, |reference| reference.to_string()),
            ratio.map_or_else(dash, |ratio| format!("{ratio:.2}")),
            stretch.map_or_else(dash, |stretch| stretch.to_string()),
        );
        figures.push(figure.clone());
    }
    if let Some(unknown) = measured.iter().find(|figure| ROWS.iter().all(|row| row.0 != figure.name)) {
        bail!("{} is measured but has no row", unknown.name);
    }
    write_document(json, &figures, bounds)?;
    Ok(ExitCode::SUCCESS)
}

fn dash() -> String {
    "-".to_owned()
}

/// Goal and reference of a row.
fn bounds(name: &str) -> Bounds {
    let reference = ROWS.iter().find(|row| row.0 == name).and_then(|row| row.1).map(f64::from);
    (reference, reference)
}

/// The sizes of the kernel's instructions.
fn text_bytes(workspace: &Workspace) -> Result<Vec<Figure>> {
    let path = build::kernel_variant(workspace, Variant::Release)?;
    [(TEXT_BYTES, ".text"), (BOOT_TEXT_BYTES, ".boot")]
        .into_iter()
        .map(|(name, section)| {
            let size = sizes::of_section(&path, section)?;
            Ok(Figure {
                name: name.to_owned(),
                value: f64::from(u32::try_from(size)?),
                unit: "bytes".to_owned(),
            })
        })
        .collect()
}

/// Holds the release kernel to its size: nothing else that `x test` does builds it.
pub(crate) fn check_size(workspace: &Workspace) -> Result<()> {
    let figures = text_bytes(workspace)?;
    hold_to_size(figures.iter().find(|figure| figure.name == TEXT_BYTES).context("the text is measured")?)
}

/// Refuses a text that is too large.
fn hold_to_size(text: &Figure) -> Result<()> {
    let (actual, most) = (text.value, f64::from(TEXT_BYTES_MAX));
    if actual > most {
        bail!(
            "the release kernel's .text has {actual} bytes, and {most} are its goal: `./x sizes` shows the crates; \
             what only the boot needs belongs in .boot (microkernel/image/kernel.ld)"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_of_a_row_is_the_reference() {
        assert_eq!(bounds("kernel.call.0w"), (Some(191.0), Some(191.0)));
        assert_eq!(bounds("kernel.wait.block"), (None, None));
        assert_eq!(bounds("nothing"), (None, None));
    }

    #[test]
    fn a_text_beyond_its_goal_is_refused() {
        let text = |value| Figure { name: TEXT_BYTES.to_owned(), value, unit: "bytes".to_owned() };
        assert!(hold_to_size(&text(32_768.0)).is_ok());
        let message = hold_to_size(&text(34_756.0)).unwrap_err().to_string();
        assert!(message.contains("34756") && message.contains("kernel.ld"), "{message}");
    }

    #[test]
    fn no_row_is_there_twice() {
        let mut names: Vec<_> = ROWS.iter().map(|row| row.0).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }
}
