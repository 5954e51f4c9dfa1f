//! Goal: a module that is pushed to a running machine is in service or is refused, however bad the line is, and nothing
//! on the machine is left half-changed.
//!
//! Method: QEMU with its serial line on a pty, the same way to it as to a board; between us and the pty bytes get lost
//! and changed by a seed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use strata_host::link::{Answer, Link};
use strata_host::model::Model;
use strata_host::noise::Noise;
use strata_host::push::{Module, check};
use strata_host::qemu::{OnPty, Qemu};
use strata_host::serial::{BAUD, Line, Serial};
use strata_host::speed::OtherSpeed;
use strata_protocol::Errno;
use strata_protocol::archive::Archive;

use crate::entry::Story;

/// All stories, by name.
pub const STORIES: &[(&str, Story)] = &[
    ("push_replaces_a_module_in_service", replaces_a_module_in_service),
    ("push_over_a_bad_line_arrives_whole", over_a_bad_line_arrives_whole),
    ("push_of_a_refused_module_leaves_everything_as_it_was", refused_module_leaves_everything_as_it_was),
    ("push_refused_at_init_brings_the_old_module_back", refused_at_init_brings_the_old_module_back),
    ("push_of_what_is_short_says_so_in_one_line", what_is_short_says_so_in_one_line),
    ("push_at_another_speed_changes_nothing", at_another_speed_changes_nothing),
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
        parallel: false,
        // Virtual time goes with instructions, so that a command's deadline waits for a host that is busy elsewhere, and
        // with the host's clock while the system idles, so that it waits for bytes.
        extra: ["-icount", "shift=0,sleep=on"].map(str::to_owned).to_vec(),
    };
    let machine = qemu.start_on_pty(false)?;
    let line = Serial::open(&machine.path, BAUD)?;
    Ok((machine, line))
}

fn link<L: Line>(line: L, seed: u32) -> Result<Link<L>> {
    let mut link = Link::new(line, seed);
    link.carry_out("modstat", BOOT).context("the boot")?;
    Ok(link)
}

/// A module as it lies in the boot archive: signed.
fn module(image: &Path, name: &str) -> Result<Module> {
    let path = image.with_file_name("boot.archive");
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let archive = Archive::new(&bytes).map_err(|error| anyhow!("{}: {error:?}", path.display()))?;
    let file = archive.find(name).with_context(|| format!("the boot archive has no {name}"))?;
    Module::read(file.bytes.to_vec())
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
    // It lies below another, so that a module that left and came back would be seen.
    for layer in [&good, &module(image, "pass_a")?, &module(image, "pass_b")?] {
        check(&link.push(layer, |_| ())?)?;
    }
    let look = |link: &mut Link<Serial>| -> Result<[String; 3]> {
        let seen = [link.carry_out("modstat -k", BOOT)?, link.stack("demo_note")?, link.stack("demo_ping")?];
        Ok(seen.map(|answer| answer.text))
    };
    let before = look(&mut link)?;
    // A second full replacement of one stub.
    let second = module(image, "second_note")?;
    // What runs already, without its signature, and with a signature that is not of these bytes.
    let below = module(image, "pass_a")?;
    let unsigned = Module { bytes: below.image().to_vec(), ..below.clone() };
    let mut changed = below.clone();
    let middle = changed.image().len() / 2;
    changed.bytes[middle] ^= 1;
    for (module, why) in [(second, "strong_note"), (unsigned, "not signed"), (changed, "signature")] {
        let answer = link.push(&module, |_| ())?;
        ensure!(answer.status != 0 && answer.text.contains(why), "{}: {answer:?}", module.name);
        ensure!(answer.text.lines().count() == 1, "more than one line: {answer:?}");
        let after = look(&mut link)?;
        ensure!(before == after, "{before:?} became {after:?}");
    }
    check(&link.carry_out("ledger", BOOT)?)
}

/// Nothing is wrong with the new image but its INIT, which needs the old module's name and place.
fn refused_at_init_brings_the_old_module_back(image: &Path, model: Model) -> Result<()> {
    let (_machine, line) = boot(image, model)?;
    let mut link = link(line, 4)?;
    let refuses = module(image, "pass_a_refuses")?;
    let old = module(image, "pass_a")?;
    ensure!(refuses.name == old.name, "{} is not to replace {}", refuses.name, old.name);
    // The old one from the boot archive, and then one that was pushed itself.
    check(&link.carry_out("modload pass_a", BOOT)?)?;
    for _ in 0..2 {
        let answer = link.push(&refuses, |_| ())?;
        let [unloaded, again, refused] = answer.text.lines().collect::<Vec<_>>()[..] else {
            bail!("it is not said in three lines: {answer:?}");
        };
        ensure!(answer.status == Errno::ENODEV.number(), "{answer:?}");
        ensure!(
            unloaded == "pass_a: unloaded" && again == "pass_a: the old image is loaded again",
            "{answer:?}"
        );
        ensure!(refused.starts_with("error: modpush"), "{answer:?}");
        let stack = link.stack("demo_ping")?;
        ensure!(owners(&stack) == ["pass_a", "base"] && stack.text.contains("pass_a_ping"), "{stack:?}");
        check(&link.carry_out("ledger", BOOT)?)?;
        check(&link.push(&old, |_| ())?)?;
    }
    Ok(())
}

/// A file that was cut is refused before anything is sent, and an image that stops half-way changes nothing.
fn what_is_short_says_so_in_one_line(image: &Path, model: Model) -> Result<()> {
    let whole = module(image, "pass_a")?;
    for length in [0, 1, 63, 64, whole.bytes.len() / 2] {
        let error =
            Module::read(whole.bytes[..length].to_vec()).err().context("a part of a module was taken")?;
        let said = format!("{error:#}");
        ensure!(said.starts_with("this is no module") && !said.contains('\n'), "{length} bytes: {said}");
    }
    let (_machine, line) = boot(image, model)?;
    let mut link = link(line, 5)?;
    let cut = Module { bytes: whole.bytes[..whole.bytes.len() - 100].to_vec(), ..whole.clone() };
    let answer = link.push(&cut, |_| ())?;
    ensure!(answer.status != 0 && answer.text.lines().count() == 1, "{answer:?}");
    ensure!(owners(&link.stack("demo_ping")?) == ["base"], "{:?}", link.stack("demo_ping")?);
    check(&link.push(&whole, |_| ())?)
}

/// Whoever has the wrong speed is told so, and a system that has read rubbish for that long serves as before.
fn at_another_speed_changes_nothing(image: &Path, model: Model) -> Result<()> {
    let (_machine, line) = boot(image, model)?;
    let mut link = link(line, 6)?;
    let layer = module(image, "pass_a")?;
    let before = link.carry_out("modstat -k", BOOT)?;
    let mut wrong = Link::new(OtherSpeed::new(link.into_line(), BAUD, BAUD / 2), 7 << 16);
    let error = wrong.push(&layer, |_| ()).err().context("it was understood")?;
    let said = format!("{error:#}");
    ensure!(said.contains("speed") && !said.contains('\n'), "{said}");
    link = Link::new(wrong.into_line().into_line(), 8 << 16);
    let after = link.carry_out("modstat -k", BOOT)?;
    ensure!(before.text == after.text, "{before:?} became {after:?}");
    check(&link.carry_out("ledger", BOOT)?)?;
    check(&link.push(&layer, |_| ())?)
}
