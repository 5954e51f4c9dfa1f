//! `x run`: boots the system and talks to its console, for a person, a script or an on-target case.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use strata_host::chain::{self, RESETS, System};
use strata_host::demux::Piece;
use strata_host::qemu::{Machine, Next, Qemu};
use strata_host::serial::{BAUD, Serial};
use strata_host::tables::Tables;
use strata_protocol::wire;

use crate::build::{self, Images};
use crate::interactive::{Keys, RawTerminal};
use crate::progress::{self, Bar};
use crate::script::{self, Console, Said};
use crate::session::{Logs, Session};
use crate::workspace::Workspace;
use crate::{flash, specimen};

/// How long a typed key may wait for the machine to be looked at.
const KEY_LATENCY: Duration = Duration::from_millis(10);

/// Arguments of `x run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Run a script of tests/demos, or of the board's own folder there, by its name.
    #[arg(long, conflicts_with = "script")]
    demo: Option<String>,
    /// Feed console commands from this file, one at a time; stop at the first that does not go as the file says.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Boot with another root task: the name of a package or an ELF file.
    #[arg(long)]
    root_task: Option<String>,
    /// Run one on-target case and end with its verdict.
    #[arg(long, conflicts_with_all = ["script", "demo"])]
    case: Option<String>,
    /// Seed for whatever the target draws by chance.
    #[arg(long)]
    seed: Option<u64>,
    /// More words for the kernel's command line.
    #[arg(long, value_name = "WORDS")]
    boot_words: Option<String>,
    /// Count instructions: virtual time goes with them, so that runs repeat exactly.
    #[arg(long)]
    icount: bool,
    /// Boot what is on this card's image, with the card in its slot.
    #[arg(long, value_name = "FILE", conflicts_with = "root_task")]
    card: Option<PathBuf>,
    /// Put the serial line on a pty, for `./x push` and for terminal programs.
    #[arg(long, conflicts_with_all = ["script", "demo", "case"])]
    pty: bool,
    /// Boot the chainloader, as on a board whose card has it: the system is sent by another `./x run --serial`.
    #[arg(long, requires = "pty", conflicts_with_all = ["root_task", "card"])]
    chainloader: bool,
    /// Send the system to the chainloader that waits at this serial line, and run it there instead of in QEMU.
    #[arg(long, value_name = "DEV", conflicts_with_all = ["card", "pty", "gdb", "icount"])]
    serial: Option<PathBuf>,
    /// Bits per second of that line.
    #[arg(long, default_value_t = BAUD, requires = "serial")]
    baud: u32,
    /// Wait for a debugger on QEMU's usual port.
    #[arg(long)]
    gdb: bool,
    /// Boot what is built, without looking at the sources.
    #[arg(long)]
    no_build: bool,
    /// How long a command of a script, or a case, may take, in seconds.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

/// Arguments of `x trace`.
#[derive(Args, Debug)]
pub(crate) struct TraceArgs {
    /// Console commands to trace; the default loads the debug layer and reads a register.
    script: Option<PathBuf>,
}

/// What `x trace` runs when no script is given.
const TRACE_SCRIPT: &str = "modload bus_space_debug\ntrace on\nbus read4 $specimen $id\ntrace dump\nquit\n";

impl RunArgs {
    fn boot_words(&self) -> String {
        let mut words = self.boot_words.clone().unwrap_or_default();
        if let Some(case) = &self.case {
            words.push_str(&format!(" case={case}"));
        }
        if let Some(seed) = self.seed {
            words.push_str(&format!(" seed={seed}"));
        }
        words
    }
}

/// `x run`.
pub(crate) fn run(workspace: &Workspace, args: &RunArgs) -> Result<ExitCode> {
    let text = match (&args.script, &args.demo) {
        (Some(path), _) => Some(read_script(path)?),
        (None, Some(demo)) => Some(read_script(demo_named(workspace, demo)?)?),
        (None, None) => None,
    };
    let text = text.map(|text| specimen::fill_in(&text, workspace.model.board));
    if let Some(line) = &args.serial {
        // What is wrong with the cable is said before anything is built. Closed again: whoever sends opens it.
        drop(Serial::open(line, args.baud)?);
    }
    let mut images = images(workspace, args)?;
    if let Some(card) = &args.card {
        images.kernel_image = flash::unpack(workspace, card)?;
    }
    let mut qemu = machine(&images, &args.boot_words());
    if let Some(card) = &args.card {
        qemu.extra.extend(["-drive".into(), format!("if=sd,format=raw,snapshot=on,file={}", card.display())]);
    }
    qemu.icount = args.icount;
    qemu.extra.extend(["-s", "-S"].into_iter().filter(|_| args.gdb).map(str::to_owned));
    if args.chainloader {
        // The cores that wait in the firmware's loop are not to take the host's from the one that works.
        qemu.extra.extend(["-accel", "tcg,thread=single"].map(str::to_owned));
    }
    if args.pty {
        let mut machine = qemu.start_on_pty(args.chainloader)?;
        println!("the machine's serial line is {}; Ctrl-C ends the machine", machine.path.display());
        machine.wait()?;
        return Ok(ExitCode::SUCCESS);
    }
    let machine = match &args.serial {
        Some(line) => send(&qemu, line, args.baud)?,
        None => qemu.start()?,
    };
    let tables = Tables::new(&images.tables);
    let timeout = Duration::from_secs(args.timeout);
    match (text, &args.case) {
        (Some(text), _) => scripted(&text, Session::new(machine, tables), timeout),
        (None, Some(case)) => one_case(case, Session::new(machine, tables), timeout),
        (None, None) => interactive(machine, Logs::new(tables)),
    }
}

/// `x trace`.
pub(crate) fn trace(workspace: &Workspace, args: &TraceArgs) -> Result<ExitCode> {
    let text = args.script.as_deref().map_or_else(|| Ok(TRACE_SCRIPT.to_owned()), read_script)?;
    let text = specimen::fill_in(&text, workspace.model.board);
    let images = build::all(workspace)?;
    let session = Session::new(machine(&images, "").start()?, Tables::new(&images.tables));
    scripted(&text, session, Duration::from_secs(60))
}

/// The machine with these images. Frames are always understood here, so the target is always told so.
pub(crate) fn machine(images: &Images, boot_words: &str) -> Qemu {
    Qemu {
        model: images.model,
        image: images.kernel_image.clone(),
        bootargs: format!("host=1 {}", boot_words.trim()).trim().to_owned(),
        icount: false,
        parallel: false,
        extra: Vec::new(),
    }
}

/// Sends what QEMU would have booted to the chainloader at a line.
fn send(qemu: &Qemu, line: &Path, baud: u32) -> Result<Machine> {
    let kernel = std::fs::read(&qemu.image).with_context(|| qemu.image.display().to_string())?;
    let board = qemu.model.board;
    // Its end is the chainloader's next turn.
    let arguments = format!("{} {RESETS}", qemu.bootargs);
    let system = System { model: &qemu.model, kernel: &kernel, arguments: &arguments };
    progress::say(&format!("waiting for the chainloader of a {} at {}", board.name, line.display()));
    let mut bar = Bar::new("sending", kernel.len());
    let mut before = 0;
    chain::machine(line, baud, &system, |sent| {
        bar.advance(sent.saturating_sub(before));
        before = before.max(sent);
    })
}

fn images(workspace: &Workspace, args: &RunArgs) -> Result<Images> {
    if args.chainloader {
        return build::chainloader(workspace);
    }
    match (&args.root_task, args.no_build) {
        (Some(root), _) => build::with_root(workspace, root),
        (None, true) => build::as_built(workspace),
        (None, false) => build::all(workspace),
    }
}

fn read_script(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn scripted(text: &str, mut session: Session, timeout: Duration) -> Result<ExitCode> {
    let result = script::run(text, &mut session, timeout);
    session.finish();
    result.context("script").map(|()| ExitCode::SUCCESS)
}

/// Where demos are: those of every board, and those of this board alone.
fn demo_folders(workspace: &Workspace) -> [PathBuf; 2] {
    let all = workspace.root.join("tests/demos");
    let own = all.join(workspace.model.board.name);
    [all, own]
}

/// The demos of the board, in their folders' order.
fn demo_scripts(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut scripts = Vec::new();
    for folder in demo_folders(workspace).iter().filter(|folder| folder.is_dir()) {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        scripts.extend(paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "script")));
    }
    scripts.sort();
    Ok(scripts)
}

/// The demo of this name.
fn demo_named(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let scripts = demo_scripts(workspace)?;
    let names = || scripts.iter().filter_map(|path| path.file_stem()?.to_str());
    let at = names().position(|stem| stem == name);
    at.map(|at| scripts[at].clone()).with_context(|| {
        let board = workspace.model.board.name;
        format!("{board} has no demo {name}; it has: {}", names().collect::<Vec<_>>().join(", "))
    })
}

/// Plays every demo of the board on a machine of its own.
pub(crate) fn demos(workspace: &Workspace, images: &Images) -> Result<()> {
    for path in demo_scripts(workspace)? {
        let session = Session::new(machine(images, "").start()?, Tables::new(&images.tables));
        let text = specimen::fill_in(&read_script(&path)?, workspace.model.board);
        scripted(&text, session, Duration::from_secs(60)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn one_case(case: &str, mut session: Session, timeout: Duration) -> Result<ExitCode> {
    let status = until_stopped(&mut session, timeout).with_context(|| format!("case {case}"))?;
    session.finish();
    if session.verdicts.is_empty() {
        bail!("case {case}: no verdict, and the machine stopped with {status:?}");
    }
    for (name, passed, message) in &session.verdicts {
        let verdict = if *passed { "ok" } else { "FAILED" };
        let colon = if message.is_empty() { "" } else { ": " };
        println!("{verdict} {name}{colon}{message}");
    }
    let all = session.verdicts.iter().all(|(_, passed, _)| *passed) && status == Some(0);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets a machine run until it stops by itself; returns its status.
pub(crate) fn until_stopped(session: &mut Session, timeout: Duration) -> Result<Option<i32>> {
    let start = Instant::now();
    loop {
        match session.wait(timeout.saturating_sub(start.elapsed()))? {
            Said::Stopped(status) => return Ok(status),
            Said::TooLate => bail!("no end after {} s", timeout.as_secs()),
            Said::Prompt | Said::Done(_) => {}
        }
    }
}

fn interactive(mut machine: Machine, mut logs: Logs) -> Result<ExitCode> {
    let terminal = RawTerminal::enter()?;
    if terminal.is_raw() {
        eprint!("x: Ctrl-A x ends the machine\r\n");
    }
    let keyboard = keyboard();
    let mut keys = Keys::default();
    // What the console has written of its current line: printed again below a log line that cuts in.
    let mut partial = Vec::new();
    loop {
        match machine.next(Instant::now() + KEY_LATENCY)? {
            Next::Piece(Piece::Text(text) | Piece::Damaged(text)) => {
                let end = text.iter().rposition(|byte| *byte == b'\n');
                if end.is_some() {
                    partial.clear();
                }
                partial.extend_from_slice(&text[end.map_or(0, |end| end + 1)..]);
                write_out(&text)?;
            }
            Next::Piece(Piece::Frame(mut bytes)) => {
                let line = wire::decode(&mut bytes).ok().and_then(|frame| logs.line(&frame));
                match line {
                    Some(line) if terminal.is_raw() => {
                        eprint!("\r\x1b[K{line}\r\n");
                        write_out(&partial)?;
                    }
                    Some(line) => eprintln!("{line}"),
                    None => {}
                }
            }
            Next::Ended(status) => {
                return Ok(ExitCode::from(
                    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
                ));
            }
            Next::TimedOut => {}
        }
        while let Ok(pressed) = keyboard.try_recv() {
            let mut typed = keys.push(&pressed);
            if typed.quits {
                return Ok(ExitCode::SUCCESS);
            }
            if !terminal.is_raw() {
                // A file ends its lines otherwise than the return key does.
                typed.bytes.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b'\r');
            }
            // A machine that has just stopped says so at the next look.
            let _ = machine.send(&typed.bytes);
        }
    }
}

fn write_out(text: &[u8]) -> Result<()> {
    let mut out = std::io::stdout();
    out.write_all(text)?;
    out.flush()?;
    Ok(())
}

/// Our own standard input, as it comes.
fn keyboard() -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = std::io::stdin().read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use strata_host::model::Model;

    #[test]
    fn the_target_is_always_told_that_a_host_listens() {
        let model = Model::new("qemu-virt", None, 1).unwrap();
        let images = Images { model, archive: "a".into(), kernel_image: "k".into(), tables: "t".into() };
        assert_eq!(machine(&images, "").bootargs, "host=1");
        assert_eq!(machine(&images, " case=r01 seed=7").bootargs, "host=1 case=r01 seed=7");
    }

    #[test]
    fn a_folder_of_demos_is_named_for_its_board() {
        let demos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/demos");
        for entry in std::fs::read_dir(demos).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap();
            assert!(path.is_file() || boards::named(name).is_some(), "{}: no such board", path.display());
        }
    }
}
