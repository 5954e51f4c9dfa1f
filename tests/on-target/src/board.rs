//! All cases on one board at a serial line, whose card has the chainloader.
//!
//! ```text
//!   chainloader waits ─► kernel image, if it is not there ─► tree with the case's name ─► case ─► restart ─┐
//!            ▲─────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! Each case has a boot of its own, as in QEMU. The image stays on the board, where the system that runs leaves it
//! alone: between two cases of one image only a small tree is sent.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use strata_host::chain::{RESETS, System, boot, meet};
use strata_host::link::Link;
use strata_host::model::Model;
use strata_host::qemu::{AnyLine, Machine};
use strata_host::serial::Serial;

use crate::boot::{Report, Watched, arguments, limit, watch};
use crate::suite::Entry;
use crate::verdict::Verdict;

/// How often a case is run whose words came damaged.
const RUNS_MAX: u32 = 3;

/// A board, or what was wrong with it: then nothing more is asked of it.
pub struct Bench {
    line: Result<AnyLine, String>,
    /// The image that was read last: most cases have the one of the case before.
    image: (PathBuf, Vec<u8>),
    /// Bytes of kernel images that have gone over the line.
    pub sent: usize,
}

impl Bench {
    /// The board at a serial device, if its chainloader waits there.
    pub fn open(path: &Path, baud: u32, model: &Model) -> Result<Self> {
        let mut link = Link::anew(Serial::open(path, baud)?);
        meet(&mut link, model).with_context(|| path.display().to_string())?;
        Ok(Self::new(Box::new(link.into_line())))
    }

    /// The board at the other end of a line.
    #[must_use]
    pub fn new(line: AnyLine) -> Self {
        Self { line: Ok(line), image: Default::default(), sent: 0 }
    }

    /// Runs a case, and again if the line has damaged what it said.
    pub fn run(&mut self, entry: &Entry, live: &mut dyn FnMut(&str)) -> Result<Report> {
        let mut runs = 1;
        loop {
            let Watched { verdict, mut output, damaged } = self.run_once(entry, live)?;
            if verdict != Verdict::Pass && damaged != 0 && runs < RUNS_MAX {
                live("(the line has damaged what the case said: once more)");
                runs += 1;
                continue;
            }
            if runs > 1 {
                output.push(format!("(run {runs} times: the line is bad)"));
            }
            return Ok(Report { verdict, output });
        }
    }

    fn run_once(&mut self, entry: &Entry, live: &mut dyn FnMut(&str)) -> Result<Watched> {
        let line = std::mem::replace(&mut self.line, Err("the board is lost".to_owned()));
        let line = line.map_err(|lost| {
            self.line = Err(lost.clone());
            anyhow::anyhow!(lost)
        })?;
        match self.on_line(line, entry, live) {
            Ok((line, watched)) => {
                self.line = Ok(line);
                Ok(watched)
            }
            Err(error) => {
                self.line = Err(format!("the board is lost: {error:#}"));
                Err(error)
            }
        }
    }

    fn on_line(
        &mut self,
        line: AnyLine,
        entry: &Entry,
        live: &mut dyn FnMut(&str),
    ) -> Result<(AnyLine, Watched)> {
        if self.image.0 != entry.image {
            let bytes = std::fs::read(&entry.image).with_context(|| entry.image.display().to_string())?;
            self.image = (entry.image.clone(), bytes);
        }
        // Should the case hang, the board starts again when nobody waits for it any more.
        let seconds = limit(entry).as_secs();
        let arguments = format!("{} {RESETS} reset_after={seconds}", arguments(entry));
        let system = System { model: &entry.model, kernel: &self.image.1, arguments: &arguments };
        let mut link = Link::anew(line);
        let (mut before, mut sent) = (None, 0);
        boot(&mut link, &system, |there| {
            // What it has from before is said first.
            sent += there.saturating_sub(before.unwrap_or(there));
            before = Some(there);
        })?;
        self.sent += sent;
        let mut machine = Machine::on_line(link.into_line());
        let watched = watch(&mut machine, entry, live)?;
        let Some(line) = machine.into_line() else { bail!("a board without a line") };
        Ok((line, watched))
    }
}
