//! `x image`: a bootable image in one file, with the system's root task or with somebody else's.
//!
//! A root task is one ELF that carries everything it needs: the same file that seL4's own loader would be given.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::build::{self, Variant};
use crate::flash;
use crate::workspace::Workspace;

/// Arguments of `x image`.
#[derive(Args, Debug)]
pub(crate) struct ImageArgs {
    /// Another root task: an ELF file, or the name of a package.
    #[arg(long, value_name = "FILE")]
    root_task: Option<String>,
    /// The release kernel: without debug system calls, and silent. Our own userland talks through them until its drivers
    /// run, so this is for others.
    #[arg(long, requires = "root_task")]
    release: bool,
    /// The chainloader in place of the system: it takes one over the serial line.
    #[arg(long, conflicts_with = "root_task")]
    chainloader: bool,
    /// Where to write the image. For a board that boots from a card: the folder for what the card needs besides the
    /// firmware, kernel, device tree and config.txt.
    #[arg(long, value_name = "IMAGE")]
    out: Option<PathBuf>,
}

/// `x image`.
pub(crate) fn image(workspace: &Workspace, args: &ImageArgs) -> Result<ExitCode> {
    let images = match &args.root_task {
        Some(root) if args.release => build::with_root_on(workspace, Variant::Release, root)?,
        Some(root) => build::with_root(workspace, root)?,
        None if args.chainloader => build::chainloader(workspace)?,
        None => build::all(workspace)?,
    };
    let image = match &args.out {
        Some(folder) if workspace.model.board.card.is_some() => {
            return flash::image(workspace, &images.kernel_image, folder).map(|()| ExitCode::SUCCESS);
        }
        Some(out) => {
            std::fs::copy(&images.kernel_image, out)
                .with_context(|| format!("cannot write {}", out.display()))?;
            out
        }
        None => &images.kernel_image,
    };
    println!("{}", image.display());
    Ok(ExitCode::SUCCESS)
}
