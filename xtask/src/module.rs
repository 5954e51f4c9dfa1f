//! From what the linker made of a module to the `.kmod` that travels, and modules written in C.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::tools::{self, C_COMPILER};
use crate::workspace::{CModule, Package, Workspace};

/// Flags of every C module. The `-fno-` flags undo what some distributions' compilers switch on; the unwind tables
/// are how the linker finds out who is inside.
const C_FLAGS: &[&str] = &[
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-std=gnu11",
    "-ffreestanding",
    "-fno-pic",
    "-fno-pie",
    "-fno-stack-protector",
    "-mno-outline-atomics",
    "-ffunction-sections",
    "-fdata-sections",
    "-fasynchronous-unwind-tables",
    "-c",
];

/// The name of a module in the boot archive: what its binary is called, spelt as a symbol.
pub(crate) fn name_of(bin: &str) -> String {
    bin.replace('-', "_")
}

/// Strips a linked module in two passes: `--strip-unneeded` alone leaves debug data.
///
/// Names of implementations stay, because `alias` shows them. Hidden symbols become local: `memcpy` and its like are weak
/// and hidden, and the loader refuses weak symbols whose meaning no record gives.
pub(crate) fn strip(linked: &Path, kmod: &Path) -> Result<()> {
    let objcopy = tools::of_toolchain("llvm-objcopy")?;
    let half = kmod.with_extension("half");
    tools::quietly(Command::new(&objcopy).arg("--strip-debug").args([linked, &half]))?;
    let mut second = Command::new(&objcopy);
    second.args(["--localize-hidden", "--strip-unneeded"]);
    tools::quietly(second.args([&half, kmod]))?;
    std::fs::remove_file(&half).with_context(|| half.display().to_string())
}

/// Compiles and links a module written in C; returns the linked, unstripped object.
///
/// Objects go to a folder `deps`, because the module script keeps the unwind tables of objects under that name only.
pub(crate) fn build_c(
    workspace: &Workspace,
    package: &Package,
    module: &CModule,
    out: &Path,
) -> Result<PathBuf> {
    let deps = out.join("c").join(&module.name).join("deps");
    std::fs::create_dir_all(&deps).with_context(|| deps.display().to_string())?;
    let mut objects = Vec::new();
    for source in &module.sources {
        let stem = source.file_stem().with_context(|| format!("{}: no file name", source.display()))?;
        let object = deps.join(stem).with_extension("o");
        let mut command = Command::new(C_COMPILER);
        command.args(C_FLAGS).arg("-o").arg(&object).arg(package.folder.join(source));
        for folder in &module.include {
            command.arg("-I").arg(package.folder.join(folder));
        }
        tools::quietly(&mut command)?;
        objects.push(object);
    }
    let linked = out.join("c").join(&module.name).join(format!("{}.o", module.name));
    let mut command = Command::new(tools::of_toolchain("rust-lld")?);
    command.args(["-flavor", "gnu", "-r", "--gc-sections", "-T"]).arg(script(workspace)?);
    tools::quietly(command.arg("-o").arg(&linked).args(&objects))?;
    Ok(linked)
}

/// The linker script of modules: the package that modules are written against holds it.
fn script(workspace: &Workspace) -> Result<PathBuf> {
    let api = workspace.packages.get("kmod-api").context("no package kmod-api")?;
    Ok(api.folder.join("module.ld"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_like_a_symbol() {
        assert_eq!(name_of("bus-space-debug"), "bus_space_debug");
    }
}
