//! Calls of cargo: one for each target and many packages, because each call costs and each prints.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tools;
use crate::workspace::Workspace;

/// Target of user-level code: servers, base image, modules.
pub(crate) const USER_TARGET: &str = "aarch64-unknown-none";
/// Target of the kernel, which never touches the vector registers.
pub(crate) const KERNEL_TARGET: &str = "aarch64-unknown-none-softfloat";

/// A cargo command in the workspace, with the environment that every build has.
pub(crate) fn cargo(workspace: &Workspace, verb: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(&workspace.root).arg(verb);
    // `boards/selected` and the kernel's linker script follow it.
    command.env("STRATA_BOARD", workspace.model.board.name);
    // Without it only errors are compiled in, and the string tables are empty.
    if std::env::var_os("DEFMT_LOG").is_none() {
        command.env("DEFMT_LOG", "info");
    }
    if verb == "build" {
        // Everything that is built is a release, and one program wherever it is built: an incremental rustc inlines less
        // across crates, and the figures of `x bench` would depend on who has this variable set.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// Runs it; cargo says itself what was wrong.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Builds the binaries of `packages` for `target` in the release profile.
pub(crate) fn build<'a>(
    workspace: &Workspace,
    target: &str,
    packages: impl IntoIterator<Item = &'a str>,
    envs: &[(&str, &Path)],
) -> Result<()> {
    let mut command = cargo(workspace, "build");
    command.args(["--release", "--target", target]);
    for package in packages {
        command.args(["-p", package]);
        if workspace.model.is_smp() && workspace.packages.get(package).is_some_and(|package| package.has_smp)
        {
            command.args(["--features", &format!("{package}/smp")]);
        }
    }
    if workspace.model.is_smp() && target == USER_TARGET {
        // Whoever makes system calls makes them with that profile's numbers.
        command.args(["--features", "sel4-sys/smp"]);
    }
    command.envs(envs.iter().copied());
    run_without_finish(&mut command)
}

/// Runs cargo and forwards what it says, progress included, but not the line that says that all is well: the common
/// case of a build in which nothing changed prints nothing.
fn run_without_finish(command: &mut Command) -> Result<()> {
    if std::io::stderr().is_terminal() {
        let progress = [
            ("CARGO_TERM_PROGRESS_WHEN", "always"),
            ("CARGO_TERM_PROGRESS_WIDTH", "100"),
            ("CARGO_TERM_COLOR", "always"),
        ];
        command.envs(progress);
    }
    let mut child = command.stderr(Stdio::piped()).spawn().context("cannot run cargo")?;
    let mut from = BufReader::new(child.stderr.take().context("cargo has no stderr")?);
    let mut piece = Vec::new();
    while read_piece(&mut from, &mut piece)? {
        if !piece.windows(8).any(|word| word == b"Finished") {
            std::io::stderr().write_all(&piece)?;
        }
        piece.clear();
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Reads up to the next line feed or carriage return: a progress bar ends with the latter.
fn read_piece(from: &mut impl BufRead, piece: &mut Vec<u8>) -> Result<bool> {
    loop {
        let available = from.fill_buf()?;
        if available.is_empty() {
            return Ok(!piece.is_empty());
        }
        let end = available.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let used = end.map_or(available.len(), |end| end + 1);
        piece.extend_from_slice(&available[..used]);
        from.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Lints for a target: clippy's driver looks for `core` in the sysroot that this variable names.
pub(crate) fn clippy_for(workspace: &Workspace, target: &str) -> Result<Command> {
    let mut command = cargo(workspace, "clippy");
    command.args(["--target", target]).env("SYSROOT", tools::sysroot()?);
    Ok(command)
}

/// Where cargo leaves a binary of the release profile.
pub(crate) fn product(workspace: &Workspace, target: &str, bin: &str) -> PathBuf {
    workspace.target.join(target).join("release").join(bin)
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
