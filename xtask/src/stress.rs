//! `x stress kernel`: random invocations on the target, as many as somebody has time for. A seed replays.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use strata_host::demux::Piece;
use strata_host::qemu::{Next, Qemu};

use crate::build::{self, Variant};
use crate::cargo;
use crate::workspace::{Role, Workspace};

/// The case of the kernel's own root task that makes the calls.
const CASE: &str = "stress_calls";
/// What the kernel says when it is at its end.
const PANIC: &str = "kernel panic";
/// How long a run may take for each thousand calls, and at least, on a host that has much else to do.
const PATIENCE_PER_THOUSAND: Duration = Duration::from_secs(10);
const PATIENCE_MIN: Duration = Duration::from_secs(300);
/// How long a panicking kernel is listened to.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Calls that the host's fuzz makes for each seed.
const HOST_CALLS_PER_SEED: u64 = 2500;
/// The tests of the core that take seeds or lengths from outside.
const HOST_TESTS: &[&str] = &["random_calls", "the_short_way", "sequence"];
/// Steps of the sequences that are exhausted.
const SEQUENCE_STEPS: u32 = 5;

/// What is put under stress.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The microkernel.
    Kernel,
}

/// Arguments of `x stress`.
#[derive(Args, Debug)]
pub(crate) struct StressArgs {
    /// What.
    what: What,
    /// The seed: the same seed makes the same calls.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many system calls, about.
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
    /// Threads that make calls, at most 4.
    #[arg(long, default_value_t = 4)]
    workers: u64,
    /// Print every answer instead of checking, to compare with another kernel.
    #[arg(long)]
    trace: bool,
    /// The kernel's logic alone, on the host: faster, and with every interruption that the target hardly has.
    #[arg(long, conflicts_with = "trace")]
    host: bool,
}

/// `x stress`.
pub(crate) fn stress(workspace: &Workspace, args: &StressArgs) -> Result<ExitCode> {
    let What::Kernel = args.what;
    if args.host {
        return on_host(workspace, args);
    }
    let root = &workspace.only(Role::RootTest)?.name;
    let image = build::with_root_on(workspace, Variant::Checked, root)?.kernel_image;
    let trace = if args.trace { " trace=1" } else { "" };
    let bootargs =
        format!("case={CASE} seed={} calls={} workers={}{trace}", args.seed, args.calls, args.workers);
    let (model, extra) = (workspace.model, Vec::new());
    let qemu = Qemu { model, image, bootargs, icount: true, parallel: false, extra };
    let thousands = u32::try_from(args.calls / 1000).unwrap_or(u32::MAX);
    let deadline = Instant::now() + PATIENCE_PER_THOUSAND.saturating_mul(thousands).max(PATIENCE_MIN);
    let seen = watch(&qemu, deadline).with_context(|| format!("seed {}", args.seed))?;
    match seen {
        Some(0) => Ok(ExitCode::SUCCESS),
        status => bail!("seed {}: the machine ended with {status:?}", args.seed),
    }
}

/// The fuzz of the core, with as many seeds as the calls ask for; and of several cores every sequence of steps, one step
/// longer than in a test.
fn on_host(workspace: &Workspace, args: &StressArgs) -> Result<ExitCode> {
    let mut command = cargo::cargo(workspace, "test");
    // The profile of the tests, whose assertions and checked arithmetic belong here, is optimised for this crate.
    command.args(["-p", "microkernel-core"]);
    if workspace.model.is_smp() {
        // The features of the tests: nothing is built anew.
        command.args(["--features", "smp,debug"]);
    }
    command.args(["--", "--nocapture"]).args(HOST_TESTS);
    command.env("STRATA_FUZZ_FIRST", args.seed.to_string());
    command.env("STRATA_FUZZ_SEEDS", (args.calls / HOST_CALLS_PER_SEED).max(1).to_string());
    command.env("STRATA_SEQUENCE_STEPS", SEQUENCE_STEPS.to_string());
    cargo::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows what the machine says until it ends; its status.
fn watch(qemu: &Qemu, mut deadline: Instant) -> Result<Option<i32>> {
    let mut machine = qemu.start()?;
    let mut line = Vec::new();
    let mut panicked = false;
    loop {
        match machine.next(deadline)? {
            Next::Piece(Piece::Text(text) | Piece::Damaged(text)) => {
                for byte in text {
                    if byte != b'\n' {
                        line.push(byte);
                        continue;
                    }
                    let said = String::from_utf8_lossy(&line);
                    println!("{said}");
                    if said.contains(PANIC) && !panicked {
                        panicked = true;
                        deadline = Instant::now() + LAST_WORDS;
                    }
                    line.clear();
                }
            }
            Next::Piece(Piece::Frame(_)) => {}
            Next::Ended(status) => return Ok(status.code()),
            Next::TimedOut if panicked => bail!("the kernel panicked"),
            Next::TimedOut => bail!("no end: the kernel hangs, or the host is slow"),
        }
    }
}
