//! A machine without a person: its console text is a transcript on stdout, its log goes to stderr.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use strata_host::demux::Piece;
use strata_host::qemu::{Machine, Next};
use strata_host::tables::Tables;
use strata_protocol::wire::{self, Frame};

use crate::progress;
use crate::script::{Console, Said};
use crate::transcript::Transcript;

/// Say that something is still awaited this often.
const STILL_WAITING: Duration = Duration::from_secs(10);

/// A machine, what it has said, and what a script has still to hear of it.
pub(crate) struct Session {
    machine: Machine,
    logs: Logs,
    transcript: Transcript,
    said: VecDeque<Said>,
    /// Lines since the last one was typed.
    answer: Vec<String>,
    /// What an on-target case reported, in order: name, passed, message.
    pub(crate) verdicts: Vec<(String, bool, String)>,
    /// Figures of a bench: name, thousandths, unit.
    pub(crate) figures: Vec<(String, u64, String)>,
}

impl Session {
    /// Takes over a machine that has just been booted.
    pub(crate) fn new(machine: Machine, tables: Tables) -> Self {
        Self {
            machine,
            logs: Logs::new(tables),
            transcript: Transcript::default(),
            said: VecDeque::new(),
            answer: Vec::new(),
            verdicts: Vec::new(),
            figures: Vec::new(),
        }
    }

    /// Modules get names that no file has: nobody is told that the strings of such a one are not known.
    pub(crate) fn expect_renamed_modules(&mut self) {
        self.logs.renamed_modules = true;
    }

    /// Prints what is left of the last line, for a machine that stopped in the middle of one.
    pub(crate) fn finish(&mut self) {
        self.transcript.finish().iter().for_each(|line| print_line(line));
        let complaints = self.machine.complaints();
        if !complaints.trim().is_empty() {
            eprintln!("QEMU: {}", complaints.trim());
        }
    }

    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) | Piece::Damaged(text) => {
                let lines = self.transcript.push(&text);
                lines.iter().for_each(|line| print_line(line));
                self.answer.extend(lines);
            }
            Piece::Frame(mut bytes) => {
                if let Ok(frame) = wire::decode(&mut bytes) {
                    self.frame(&frame);
                }
            }
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        match *frame {
            Frame::Prompt => {
                self.transcript.prompted();
                self.said.push_back(Said::Prompt);
            }
            Frame::CommandDone { status } => self.said.push_back(Said::Done(status)),
            Frame::CaseBegin { name } => eprintln!("case {name}"),
            Frame::CaseEnd { name, passed, message } => {
                self.verdicts.push((name.to_owned(), passed, message.to_owned()));
            }
            Frame::Figure { name, milli, unit } => {
                self.figures.push((name.to_owned(), milli, unit.to_owned()));
            }
            _ => {}
        }
        if let Some(line) = self.logs.line(frame) {
            eprintln!("{line}");
        }
    }
}

impl Console for Session {
    fn type_line(&mut self, line: &str) -> Result<()> {
        self.transcript.typed();
        self.answer.clear();
        // A machine that has just stopped says so at the next wait.
        let _ = self.machine.send(format!("{line}\r").as_bytes());
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) -> Result<Said> {
        let start = Instant::now();
        let mut reminder = start + STILL_WAITING;
        loop {
            if let Some(said) = self.said.pop_front() {
                return Ok(said);
            }
            match self.machine.next(reminder.min(start + timeout))? {
                Next::Piece(piece) => self.piece(piece),
                Next::Ended(status) => return Ok(Said::Stopped(status.code())),
                Next::TimedOut if start.elapsed() >= timeout => return Ok(Said::TooLate),
                Next::TimedOut => {
                    progress::say(&format!("still waiting, {} s", start.elapsed().as_secs()));
                    reminder = Instant::now() + STILL_WAITING;
                }
            }
        }
    }

    fn print(&mut self, line: &str) {
        print_line(line);
    }

    fn answer(&mut self) -> Vec<String> {
        std::mem::take(&mut self.answer)
    }
}

/// Prints a line of the transcript. A reader that has gone away is no reason to stop in the middle of a script.
pub(crate) fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Frames for people: log lines, panics, notes.
pub(crate) struct Logs {
    tables: Tables,
    coloured: bool,
    renamed_modules: bool,
}

impl Logs {
    /// Coloured where a person reads.
    pub(crate) fn new(tables: Tables) -> Self {
        Self { tables, coloured: std::io::stderr().is_terminal(), renamed_modules: false }
    }

    /// The line that a frame asks for, if it asks for one.
    pub(crate) fn line(&mut self, frame: &Frame<'_>) -> Option<String> {
        let line = match *frame {
            Frame::Log { stream, bytes } => self.tables.line(stream, bytes),
            Frame::LogDropped { stream, count } => {
                let name = strata_protocol::streams::image_of(stream).unwrap_or("?");
                format!("[{name}] WARN {count} log lines lost, the ring was full")
            }
            Frame::Panic { image, message } => format!("[{image}] ERROR panic: {message}"),
            Frame::Note { text } => format!("note: {text}"),
            Frame::ModuleLoaded { stream, name, index_base, .. } => {
                let error = self.tables.module_loaded(stream, name, index_base).err();
                let error = error.filter(|_| !self.renamed_modules)?;
                format!("[{name}] WARN no log strings: {error:#}")
            }
            Frame::ModuleUnloaded { stream, index_base } => {
                self.tables.module_unloaded(stream, index_base);
                return None;
            }
            _ => return None,
        };
        Some(if self.coloured { format!("\x1b[{}m{line}\x1b[0m", colour(&line)) } else { line })
    }
}

/// The colour of the first level that the line names.
fn colour(line: &str) -> &'static str {
    let levels = [("ERROR", "31;1"), ("WARN", "33"), ("INFO", "32"), ("DEBUG", "36")];
    let words = line.split_whitespace().take(4);
    let mut found = words.filter_map(|word| levels.iter().find(|(level, _)| *level == word));
    found.next().map_or("2", |(_, colour)| colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_colour_of_its_level() {
        assert_eq!(colour("[console] 0.000123 WARN it is late"), "33");
        assert_eq!(colour("[console] ERROR panic: no INFO"), "31;1");
        assert_eq!(colour("note: nothing"), "2");
    }
}
