//! The one door: build, image, run, test, bench, tidy, sizes.
//!
//! Reading order: [`workspace`] (which packages are what, from their metadata), [`build`] (the way from sources to
//! a bootable image, one file for each step: [`module`], [`archive`], [`flatten`], [`kernel_image`]), [`run`]
//! (a machine and who talks to it: [`session`], [`script`], [`interactive`]), then the checks.

mod archive;
mod area;
mod bench;
mod build;
mod card;
mod cargo;
mod expect;
mod flash;
mod flatten;
mod fuzz;
mod image;
mod interactive;
mod kernel_image;
mod kmod;
mod kmod_link;
mod models;
mod module;
mod progress;
mod push;
mod run;
mod script;
mod session;
mod sizes;
mod soak;
mod specimen;
mod stress;
mod test;
mod tidy;
mod tools;
mod transcript;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use strata_host::model::Model;

/// Build, run and test Strata.
#[derive(Parser)]
#[command(name = "x", version, about, disable_help_subcommand = true)]
struct Cli {
    /// The board: qemu-virt, raspi3 (QEMU: raspi3b), raspi4 (raspi4b).
    #[arg(long, global = true, default_value = "qemu-virt")]
    board: String,
    /// The version of the GIC that QEMU's virt machine has: 2 or 3.
    #[arg(long, global = true)]
    gic: Option<u32>,
    /// Cores; with more than one, everything is built for the profile for several cores. 1, and 4 for `soak`.
    #[arg(long, global = true)]
    smp: Option<u32>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build every image: modules, base, servers, root task, kernel.
    Build,
    /// Build, and print where the bootable image is; also with any seL4 root task.
    Image(image::ImageArgs),
    /// Make the card that a board boots from, as an image or on a device, or say what is on one.
    Flash(flash::FlashArgs),
    /// Boot the system in QEMU, interactively or with a script of console commands.
    Run(run::RunArgs),
    /// Format, tidy, lints, host tests, on-target tests. With filters: only the tests whose names match.
    Test(test::TestArgs),
    /// Count instructions of the calls that Strata is about.
    Bench(bench::BenchArgs),
    /// Fuzz parser, relocator, planner and protocol.
    Fuzz(fuzz::FuzzArgs),
    /// Explore every state of every model, and reject every mutant.
    Models(models::ModelsArgs),
    /// Check layers, file heads, sizes of images and stale documents.
    Tidy,
    /// Random invocations by several threads, with the kernel's invariants checked in between.
    Stress(stress::StressArgs),
    /// Load and unload layers while every core calls; a seed replays.
    Soak(soak::SoakArgs),
    /// Print a trace: runs a script and shows the records of `trace dump`.
    Trace(run::TraceArgs),
    /// Make keys, sign modules, link them on the host.
    Kmod(kmod::KmodArgs),
    /// Send a module to a running system over its serial line: it takes the place of the one of its name.
    Push(push::PushArgs),
    /// Text, read-only data, data and bss of every image; the same and the unsafe lines of every crate.
    Sizes,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("x: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: &Cli) -> anyhow::Result<ExitCode> {
    let usual = if matches!(cli.verb, Verb::Soak(_)) { soak::CORES } else { 1 };
    let cores = cli.smp.unwrap_or(usual);
    let workspace = workspace::Workspace::read(Model::new(&cli.board, cli.gic, cores)?)?;
    match &cli.verb {
        Verb::Build => build::all(&workspace).map(|_| ExitCode::SUCCESS),
        Verb::Image(args) => image::image(&workspace, args),
        Verb::Flash(args) => flash::flash(&workspace, args),
        Verb::Run(args) => run::run(&workspace, args),
        Verb::Test(args) => test::test(&workspace, args),
        Verb::Bench(args) => bench::bench(&workspace, args),
        Verb::Kmod(args) => kmod::kmod(&workspace, args),
        Verb::Tidy => tidy::tidy(&workspace),
        Verb::Stress(args) => stress::stress(&workspace, args),
        Verb::Soak(args) => soak::soak(&workspace, args),
        Verb::Trace(args) => run::trace(&workspace, args),
        Verb::Push(args) => push::push(&workspace, args),
        Verb::Sizes => sizes::sizes(&workspace),
        Verb::Fuzz(args) => fuzz::fuzz(&workspace, args),
        Verb::Models(args) => models::models(args),
    }
}

/// Where build products of xtask go, a folder for each board and profile: `target/strata/BOARD`, `target/strata/BOARD-smp`.
fn out_dir(workspace: &workspace::Workspace) -> PathBuf {
    let profile = if workspace.model.is_smp() { "-smp" } else { "" };
    workspace.target.join("strata").join(format!("{}{profile}", workspace.model.board.name))
}
