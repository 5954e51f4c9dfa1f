//! `x push`: sends a module to a running system over its serial line, and shows the new alias stacks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use strata_host::link::Link;
use strata_host::push::{Module, check};
use strata_host::serial::{BAUD, Serial};

use crate::kmod::Key;
use crate::progress::Bar;
use crate::workspace::Workspace;
use crate::{build, out_dir};

/// Arguments of `x push`.
#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// The module: a file, or the name of one that `./x build` has made. Without a signature behind it, it is signed with
    /// the key of the build.
    module: PathBuf,
    /// The serial line to the system: a cable, or the pty that `./x run --pty` names.
    #[arg(long, value_name = "DEV")]
    serial: PathBuf,
    /// Bits per second.
    #[arg(long, default_value_t = BAUD)]
    baud: u32,
}

/// `x push`.
pub(crate) fn push(workspace: &Workspace, args: &PushArgs) -> Result<ExitCode> {
    let path = find(&args.module, &out_dir(workspace).join(build::STRIPPED))?;
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut module = Module::read(bytes).with_context(|| path.display().to_string())?;
    if !module.is_signed {
        module.bytes = Key::of_build(workspace)?.signed(&module.bytes)?;
    }
    let line = Serial::open(&args.serial, args.baud)?;
    let mut link = Link::anew(line);
    let mut bar = Bar::new("sending", module.bytes.len());
    let mut before = 0;
    let answer = link
        .push(&module, |sent| {
            bar.advance(sent.saturating_sub(before));
            before = before.max(sent);
        })
        .with_context(|| args.serial.display().to_string())?;
    check(&answer)?;
    print!("{}", answer.text);
    for (index, symbol) in module.symbols.iter().enumerate() {
        let stack = link.stack(symbol)?.text;
        // The columns' names stand above the first stack only.
        let lines = stack.lines().skip(usize::from(index != 0));
        println!("{symbol}");
        lines.for_each(|line| println!("{line}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The file that is meant: itself, or the built module of that name.
fn find(module: &Path, built: &Path) -> Result<PathBuf> {
    let of_that_name = built.join(module.with_extension("kmod"));
    let found = [module.to_path_buf(), of_that_name].into_iter().find(|path| path.is_file());
    found.with_context(|| {
        let shown = module.display();
        format!(
            "{shown} is no file, and no module that `./x build` has made for this board: is --board right?"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_a_file_or_one_that_was_built() {
        let folder = std::env::temp_dir().join(format!("strata-push-find-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let built = folder.join("layer.kmod");
        std::fs::write(&built, "").unwrap();
        assert_eq!(find(Path::new("layer"), &folder).unwrap(), built);
        assert_eq!(find(&built, Path::new("/nowhere")).unwrap(), built);
        for wrong in [Path::new("lair"), &folder] {
            let said = find(wrong, &folder).unwrap_err().to_string();
            assert!(said.starts_with(&format!("{} is no file", wrong.display())), "{said}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
