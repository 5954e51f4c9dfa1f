//! Goal: a module that is pushed to a running machine is in service or is refused, however bad the line is, and nothing
//! on the machine is left half-changed.
//!
//! Method: QEMU with its serial line on a pty, the same way to it as to a board; between us and the pty bytes get lost
//! and changed by a seed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use strata_host::model::Model;
use strata_host::noise::Noise;
use strata_host::push::{Answer, Link, Module, check};
use strata_host::qemu::{OnPty, Qemu};
use strata_host::serial::{BAUD, Line, Serial};

/// A story, told with the system's image on a machine.
pub type Story = fn(&Path, Model) -> Result<()>;

/// All stories, by name.
pub const STORIES: &[(&str, Story)] = &[
    ("push_replaces_a_module_in_service", replaces_a_module_in_service),
    ("push_over_a_bad_line_arrives_whole", over_a_bad_line_arrives_whole),
    ("push_of_a_refused_module_leaves_everything_as_it_was", refused_module_leaves_everything_as_it_was),
];

/// How long a machine may take to boot.
const BOOT: Duration = Duration::from_secs(60);
/// One byte in so many is lost, and one in so many changed.
const BAD: u64 = 2000;

fn boot(image: &Path, model: Model) -> Result<(OnPty, Serial)> {
    let qemu = Qemu {
        model,
        image: image.to_path_buf(),
        bootargs: "host=1".into(),
        icount: false,
        extra: Vec::new(),
    };
    let machine = qemu.start_on_pty()?;
    let line = Serial::open(&machine.path, BAUD)?;
    Ok((machine, line))
}

fn link<L: Line>(line: L, seed: u32) -> Result<Link<L>> {
    let mut link = Link::new(line, seed);
    link.carry_out("modstat", BOOT).context("the boot")?;
    Ok(link)
}

fn module(image: &Path, name: &str) -> Result<Module> {
    let path = image.with_file_name("stripped").join(name).with_extension("kmod");
    Module::read(std::fs::read(&path).with_context(|| path.display().to_string())?)
}

/// Who answers to a symbol, top first.
fn owners(answer: &Answer) -> Vec<&str> {
    let rows = answer.text.lines().skip(1);
    rows.filter_map(|row| row.split_whitespace().nth(2)).collect()
}

fn replaces_a_module_in_service(image: &Path, model: Model) -> Result<()> {
    let (_machine, line) = boot(image, model)?;
    let mut link = link(line, 1)?;
    let layer = module(image, "pass_a")?;
    let first = link.push(&layer, |_| ())?;
    check(&first)?;
    ensure!(first.text.starts_with("pass_a: loaded"), "the first push: {first:?}");
    let over = link.push(&module(image, "pass_b")?, |_| ())?;
    check(&over)?;
    ensure!(
        owners(&link.stack("demo_ping")?) == ["pass_b", "pass_a", "base"],
        "{:?}",
        link.stack("demo_ping")?
    );
    // The one below is replaced: it leaves from the middle, and comes back on top.
    let again = link.push(&layer, |_| ())?;
    check(&again)?;
    ensure!(again.text.starts_with("pass_a: unloaded\npass_a: loaded"), "the second push: {again:?}");
    ensure!(
        owners(&link.stack("demo_ping")?) == ["pass_a", "pass_b", "base"],
        "{:?}",
        link.stack("demo_ping")?
    );
    Ok(())
}

fn over_a_bad_line_arrives_whole(image: &Path, model: Model) -> Result<()> {
    let (_machine, line) = boot(image, model)?;
    let mut link = link(line, 2)?;
    let mut line = link.into_line();
    let layer = module(image, "bus_space_xh")?;
    for seed in 1..=3_u32 {
        let mut bad = Link::new(Noise::new(line, seed.into(), BAD), seed << 16);
        let answer = bad.push(&layer, |_| ()).with_context(|| format!("seed {seed}"))?;
        ensure!(answer.status == 0, "seed {seed}: {answer:?}");
        let stack = bad.stack("bus_space_read_4")?;
        ensure!(owners(&stack) == ["bus_space_xh", "base"], "seed {seed}: {stack:?}");
        ensure!(bad.resent > 0, "seed {seed} spoilt nothing");
        let noise = bad.into_line();
        ensure!(noise.hits > 10, "seed {seed} hit {} bytes only", noise.hits);
        line = noise.into_line();
    }
    // Whatever was lost or changed, nothing of it was typed: the ledger agrees, and there is one module.
    link = Link::new(line, 9 << 16);
    let modules = link.carry_out("modstat", BOOT)?;
    ensure!(modules.text.lines().count() == 2, "{modules:?}");
    check(&link.carry_out("ledger", BOOT)?)
}

fn refused_module_leaves_everything_as_it_was(image: &Path, model: Model) -> Result<()> {
    let (_machine, line) = boot(image, model)?;
    let mut link = link(line, 3)?;
    let good = module(image, "strong_note")?;
    check(&link.push(&good, |_| ())?)?;
    let before = [link.carry_out("modstat", BOOT)?, link.stack("demo_note")?];
    // A second full replacement of one stub.
    let answer = link.push(&module(image, "second_note")?, |_| ())?;
    ensure!(answer.status != 0 && answer.text.contains("strong_note"), "{answer:?}");
    // The module itself again, in an image that the linker server refuses: the old one serves again.
    let mut damaged = good.clone();
    let middle = damaged.image.len() / 2;
    damaged.image[middle..].fill(0xff);
    let answer = link.push(&damaged, |_| ())?;
    ensure!(answer.status != 0, "a damaged image was loaded: {answer:?}");
    ensure!(answer.text.contains("the old image is loaded again"), "{answer:?}");
    let after = [link.carry_out("modstat", BOOT)?, link.stack("demo_note")?];
    ensure!(before[0].text == after[0].text, "{before:?} became {after:?}");
    ensure!(owners(&before[1]) == owners(&after[1]), "{before:?} became {after:?}");
    check(&link.carry_out("ledger", BOOT)?)
}
