//! A QEMU process that runs an image, and what it says.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use strata_protocol::wire::{self, Frame};

use crate::demux::{Demux, Piece};
use crate::model::Model;
use crate::serial::Line;

/// The file with the board's device tree, beside the image.
pub const DEVICE_TREE: &str = "board.dtb";

/// Memory of the virt machine.
pub const RAM_BYTES: u64 = 512 << 20;

/// How to start a machine.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// The machine.
    pub model: Model,
    /// The raw kernel image with the root task appended.
    pub image: PathBuf,
    /// Words for the root task.
    pub bootargs: String,
    /// Count instructions: virtual time is instructions executed, and a run repeats exactly.
    pub icount: bool,
    /// A host thread for each core, where there are several: nothing repeats, and patched instructions may be old.
    pub parallel: bool,
    /// Further arguments.
    pub extra: Vec<String>,
}

impl Qemu {
    /// The command line.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("qemu-system-aarch64");
        command
            .args(self.model.arguments())
            .args(["-nic", "none", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"])
            .arg("-kernel")
            .arg(&self.image)
            .args(["-append", &self.bootargs]);
        if self.model.is_smp() {
            // With a thread for each core QEMU forgets its translation of a patched instruction *before* it does the
            // store, so that another core can translate the old one again and keep it.
            let threads = if self.parallel { "multi" } else { "single" };
            command.args(["-accel", &format!("tcg,thread={threads}")]);
        }
        if !self.model.brings_device_tree() {
            command.arg("-dtb").arg(self.image.with_file_name(DEVICE_TREE));
        }
        if self.icount {
            command.args(["-icount", "shift=0,sleep=off"]);
        }
        command.args(&self.extra);
        command
    }

    /// Starts it with its serial line on pipes.
    pub fn start(&self) -> Result<Machine> {
        check_image(&self.image)?;
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start qemu-system-aarch64; `./x setup` installs it")?;
        let (sender, pieces) = channel();
        let mut stdout = child.stdout.take().context("QEMU has no standard output")?;
        std::thread::spawn(move || {
            let mut demux = Demux::default();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                for piece in demux.feed(&buffer[..count]) {
                    if sender.send(piece).is_err() {
                        return;
                    }
                }
            }
        });
        let stdin = child.stdin.take().context("QEMU has no standard input")?;
        Ok(Machine(Source::Emulator(Emulator { child, input: stdin, pieces })))
    }
}

/// A running machine whose serial line is a pty, for whoever opens it. Dropping it ends QEMU.
#[derive(Debug)]
pub struct OnPty {
    child: Child,
    /// The pty.
    pub path: PathBuf,
}

/// What QEMU says in front of the pty's name.
const REDIRECTED: &str = "char device redirected to ";

impl Qemu {
    /// Starts it with its serial line on a pty. With `resets`, a machine that resets itself starts again, as a board
    /// does; QEMU ends otherwise.
    pub fn start_on_pty(&self, resets: bool) -> Result<OnPty> {
        check_image(&self.image)?;
        let mut command = Command::new("qemu-system-aarch64");
        let words = self.command();
        let words = words.get_args().filter(|word| !resets || *word != "-no-reboot");
        command.args(words.map(|word| if word == "stdio" { OsStr::new("pty") } else { word }));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start qemu-system-aarch64; `./x setup` installs it")?;
        let stdout = child.stdout.take().context("QEMU has no standard output")?;
        let mut machine = OnPty { child, path: PathBuf::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let name = line.strip_prefix(REDIRECTED).and_then(|rest| rest.split(' ').next());
        machine.path = PathBuf::from(name.with_context(|| format!("QEMU named no pty: {line}"))?);
        Ok(machine)
    }
}

impl OnPty {
    /// Waits until QEMU ends.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for OnPty {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn check_image(image: &Path) -> Result<()> {
    if !image.is_file() {
        bail!("there is no image {}; `./x build` makes it", image.display());
    }
    Ok(())
}

/// A running machine: QEMU, which ends when it is dropped, or a board at a serial line.
pub struct Machine(Source);

enum Source {
    Emulator(Emulator),
    Board(AtLine),
}

struct Emulator {
    child: Child,
    input: ChildStdin,
    pieces: Receiver<Piece>,
}

struct AtLine {
    line: AnyLine,
    demux: Demux,
    pieces: VecDeque<Piece>,
}

/// Some line or other.
pub type AnyLine = Box<dyn Line + Send>;

/// The status of a machine that says that it has stopped.
fn powered_off(piece: &Piece) -> Option<i32> {
    let Piece::Frame(bytes) = piece else { return None };
    match wire::decode(&mut bytes.clone()) {
        Ok(Frame::PoweredOff { status }) => Some(status),
        _ => None,
    }
}

/// What happened next.
#[derive(Debug)]
pub enum Next {
    /// A piece of the serial line.
    Piece(Piece),
    /// QEMU has ended and everything it said has been read.
    Ended(ExitStatus),
    /// The deadline has passed.
    TimedOut,
}

impl Machine {
    /// The board at the other end of a line.
    #[must_use]
    pub fn on_line(line: AnyLine) -> Self {
        Self(Source::Board(AtLine { line, demux: Demux::default(), pieces: VecDeque::new() }))
    }

    /// The line, where it is a board's.
    #[must_use]
    pub fn into_line(self) -> Option<AnyLine> {
        match self.0 {
            Source::Board(board) => Some(board.line),
            Source::Emulator(_) => None,
        }
    }

    /// Waits for the next thing that happens, at most until `deadline`.
    pub fn next(&mut self, deadline: Instant) -> Result<Next> {
        let next = match &mut self.0 {
            Source::Emulator(emulator) => emulator.next(deadline)?,
            Source::Board(board) => board.next(deadline)?,
        };
        match next {
            Next::Piece(piece) => match powered_off(&piece) {
                // The machine cannot end its emulator: this is its end.
                Some(status) => {
                    self.complaints();
                    Ok(Next::Ended(ExitStatus::from_raw((status & 0xff) << 8)))
                }
                None => Ok(Next::Piece(piece)),
            },
            other => Ok(other),
        }
    }

    /// Types on the serial line.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.0 {
            Source::Emulator(emulator) => {
                emulator.input.write_all(bytes)?;
                emulator.input.flush()?;
            }
            Source::Board(board) => board.line.send(bytes)?,
        }
        Ok(())
    }

    /// Ends QEMU if it still runs, and returns what it complained about itself.
    ///
    /// Its standard error stays open as long as it runs, so reading to the end of that would wait for ever.
    pub fn complaints(&mut self) -> String {
        let mut text = String::new();
        if let Source::Emulator(Emulator { child, .. }) = &mut self.0 {
            // Already gone is as good as killed.
            let _ = child.kill();
            if let Some(stderr) = child.stderr.as_mut() {
                // What cannot be read is left out: this is an explanation, not a result.
                let _ = stderr.read_to_string(&mut text);
            }
        }
        text
    }
}

impl Emulator {
    fn next(&mut self, deadline: Instant) -> Result<Next> {
        match self.pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(piece) => Ok(Next::Piece(piece)),
            Err(RecvTimeoutError::Timeout) => Ok(Next::TimedOut),
            // The line is closed: QEMU is at its end.
            Err(RecvTimeoutError::Disconnected) => {
                while Instant::now() < deadline {
                    if let Some(status) = self.child.try_wait()? {
                        return Ok(Next::Ended(status));
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(Next::TimedOut)
            }
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

impl AtLine {
    fn next(&mut self, deadline: Instant) -> Result<Next> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok(Next::Piece(piece));
            }
            let bytes = self.line.receive(deadline)?;
            if bytes.is_empty() {
                return Ok(Next::TimedOut);
            }
            self.pieces.extend(self.demux.feed(&bytes));
        }
    }
}

fn end(child: &mut Child) {
    // Already gone is as good as killed.
    let _ = child.kill();
    let _ = child.wait();
}
