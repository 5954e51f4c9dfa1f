//! Programs that the build needs besides cargo. The first few stand in the toolchain directory, whichever way `./x`
//! came to it, so that their version is the compiler's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// The aarch64 C compiler that builds modules written in C.
pub(crate) const C_COMPILER: &str = "aarch64-linux-gnu-gcc";

/// The compiler's own folder.
pub(crate) fn sysroot() -> Result<&'static Path> {
    static SYSROOT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = SYSROOT.get() {
        return Ok(path);
    }
    let output = Command::new(rustc()).args(["--print", "sysroot"]).output().context("cannot run rustc")?;
    let path = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    Ok(SYSROOT.get_or_init(|| path))
}

fn rustc() -> String {
    std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into())
}

/// A tool of the toolchain directory: `llvm-objcopy`, `rust-lld`.
pub(crate) fn of_toolchain(name: &str) -> Result<PathBuf> {
    let rustlib = sysroot()?.join("lib/rustlib");
    let entries = std::fs::read_dir(&rustlib).with_context(|| rustlib.display().to_string())?;
    for entry in entries {
        let tool = entry?.path().join("bin").join(name);
        if tool.exists() {
            return Ok(tool);
        }
    }
    bail!("{name} is not in {}: run through ./x, which completes the toolchain", rustlib.display())
}

/// Runs a short command; its output is shown only when it fails.
pub(crate) fn quietly(command: &mut Command) -> Result<()> {
    let output =
        command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Writes a file only if that changes it, so that nothing is rebuilt for an equal archive.
pub(crate) fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
