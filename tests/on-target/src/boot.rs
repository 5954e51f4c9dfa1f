//! One boot for one case: what the machine says, and when it has said enough.
//!
//! ```text
//!   start ─boot limit─► CaseBegin ─case limit─► CaseEnd ─1 s of silence─► end
//! ```
//! A panic frame, an end of QEMU or a passed limit ends the case at once.

use std::time::{Duration, Instant};

use anyhow::Result;
use chain::GREETING;
use strata_host::demux::Piece;
use strata_host::lint::Lint;
use strata_host::qemu::{Machine, Next, Qemu};
use strata_host::tables::{NOT_DECODED, Tables};
use strata_host::truth::Truth;
use strata_protocol::wire::{self, Frame};

use crate::suite::Entry;
use crate::verdict::Verdict;

/// How long the system may take until the case begins.
const BOOT_LIMIT: Duration = Duration::from_secs(20);
/// How long the line must be silent after a verdict before a machine that does not end is ended.
const SILENCE: Duration = Duration::from_secs(1);
/// What a panicking image still says is waited for this long.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// A case that has ended.
#[derive(Debug)]
pub struct Report {
    /// What became of it.
    pub verdict: Verdict,
    /// Everything that it said, one line each.
    pub output: Vec<String>,
}

/// What the target is told: to run this case.
#[must_use]
pub fn arguments(entry: &Entry) -> String {
    let words = entry.fitting.map_or("", |fitting| fitting.words());
    format!("host=1 log=debug case={} seed={}{words}", entry.case.name, entry.seed)
}

/// Boots the case's image in QEMU and watches it to its end. `live` sees each line as it comes.
pub fn run(entry: &Entry, live: &mut dyn FnMut(&str)) -> Result<Report> {
    let bootargs = arguments(entry);
    // Virtual time goes with instructions: a host that is busy elsewhere cannot make a deadline pass, and a run repeats.
    let lint = entry.lint.as_deref().map(|plugin| Lint::new(plugin, &entry.name));
    let truth = entry.truth.as_ref().map(|(plugin, images)| Truth::new(plugin, images, &entry.name));
    let lint_arguments = lint.as_ref().map(Lint::arguments).unwrap_or_default();
    let truth_arguments = truth.as_ref().map(Truth::arguments).unwrap_or_default();
    let fitted = entry.fitting.map(|fitting| fitting.arguments(&entry.case)).transpose()?.unwrap_or_default();
    let extra = [lint_arguments, truth_arguments, fitted].concat();
    let (model, image) = (entry.model, entry.image.clone());
    let qemu = Qemu { model, image, bootargs, icount: true, parallel: false, extra };
    let mut machine = qemu.start()?;
    let Watched { mut verdict, mut output, .. } = watch(&mut machine, entry, live)?;
    // The report is complete when QEMU has ended.
    drop(machine);
    if let Some(fitting) = entry.fitting {
        fitting.clean_up(&entry.case);
    }
    if let Some(lint) = lint {
        let report = lint.read()?;
        output.extend(report.summary.map(|summary| format!("(cache lint: {summary})")));
        verdict = verdict.linted(&report.stale, entry.is_for_lint());
    }
    if let Some(truth) = truth {
        let findings = truth.judge()?;
        output.push(format!("(call truth: {findings})"));
        verdict = verdict.unwound(&findings.missed);
    }
    Ok(Report { verdict, output })
}

/// How long a case may take, from the machine's start.
#[must_use]
pub fn limit(entry: &Entry) -> Duration {
    BOOT_LIMIT * entry.patience + case_limit(entry)
}

fn case_limit(entry: &Entry) -> Duration {
    Duration::from_secs(entry.case.seconds.into()) * entry.patience
}

/// What was seen of a machine that runs a case.
pub(crate) struct Watched {
    /// What became of the case.
    pub(crate) verdict: Verdict,
    /// Everything that it said, one line each.
    pub(crate) output: Vec<String>,
    /// Pieces of frames that were no frames: the line has lost or changed something.
    pub(crate) damaged: u32,
}

/// Watches a machine that has been told to run a case, until the case has ended.
pub(crate) fn watch(machine: &mut Machine, entry: &Entry, live: &mut dyn FnMut(&str)) -> Result<Watched> {
    let mut watch = Watch {
        machine,
        tables: Tables::search(entry.tables.clone()),
        name: entry.case.name.clone(),
        text: Vec::new(),
        output: Vec::new(),
        live,
        logs: Logs::default(),
        damaged: 0,
    };
    let verdict = watch.judge(BOOT_LIMIT * entry.patience, case_limit(entry))?;
    watch.end_line();
    let Watch { output, damaged, .. } = watch;
    Ok(Watched { verdict, output, damaged })
}

struct Watch<'a> {
    machine: &'a mut Machine,
    tables: Tables,
    name: String,
    /// Console text of the line that is not complete.
    text: Vec<u8>,
    output: Vec<String>,
    live: &'a mut dyn FnMut(&str),
    logs: Logs,
    damaged: u32,
}

/// What the decoded log lines mean for the verdict.
#[derive(Default)]
struct Logs {
    /// Lines that the case announces, by stream.
    expected: Vec<(u16, String)>,
    /// The first line that no table has.
    unknown: Option<String>,
}

impl Logs {
    /// A line that a stream has written.
    fn line(&mut self, from: u16, line: &str) {
        self.expected.retain(|(stream, text)| *stream != from || !line.contains(text));
        if line.contains(NOT_DECODED) {
            self.unknown.get_or_insert_with(|| line.to_owned());
        }
    }

    /// What is wrong with the lines of a case that has ended.
    fn defect(&self) -> Option<String> {
        if let Some(line) = &self.unknown {
            return Some(format!("a log line could not be decoded: {line}"));
        }
        self.expected.first().map(|(stream, text)| format!("stream {stream} has not logged {text:?}"))
    }
}

/// What a frame means for the verdict.
enum Turn {
    Begun,
    Ended(Verdict),
    Nothing,
}

impl Watch<'_> {
    fn judge(&mut self, boot: Duration, case: Duration) -> Result<Verdict> {
        let mut begun = false;
        let mut deadline = Instant::now() + boot;
        loop {
            match self.machine.next(deadline)? {
                Next::Piece(piece) => match self.take(piece) {
                    Turn::Begun if !begun => {
                        begun = true;
                        deadline = Instant::now() + case;
                    }
                    Turn::Ended(verdict @ Verdict::Panic { .. }) => {
                        self.listen(LAST_WORDS)?;
                        return Ok(verdict);
                    }
                    Turn::Ended(verdict) => {
                        return Ok(match self.listen(SILENCE)? {
                            Some(status) => verdict.confirmed(status),
                            None => {
                                self.say("(the machine did not end by itself and was ended)".into());
                                verdict
                            }
                        });
                    }
                    Turn::Begun | Turn::Nothing => {}
                },
                Next::Ended(status) => return Ok(Verdict::of_end(status, &self.machine.complaints())),
                Next::TimedOut if begun => return Ok(Verdict::Hang(case)),
                Next::TimedOut => return Ok(Verdict::NoBoot(boot)),
            }
        }
    }

    /// Listens until the line has been silent this long, or the machine has ended.
    fn listen(&mut self, silence: Duration) -> Result<Option<std::process::ExitStatus>> {
        loop {
            match self.machine.next(Instant::now() + silence)? {
                Next::Piece(piece) => {
                    self.take(piece);
                }
                Next::Ended(status) => return Ok(Some(status)),
                Next::TimedOut => return Ok(None),
            }
        }
    }

    fn take(&mut self, piece: Piece) -> Turn {
        match piece {
            Piece::Text(bytes) => {
                let mut turn = Turn::Nothing;
                for byte in bytes {
                    match byte {
                        b'\n' if self.text.starts_with(GREETING.as_bytes()) => {
                            turn = Turn::Ended(Verdict::Stopped("the board has started again".into()));
                            self.end_line();
                        }
                        b'\n' => self.end_line(),
                        b'\r' => {}
                        other => self.text.push(other),
                    }
                }
                turn
            }
            Piece::Damaged(bytes) => {
                self.damaged += 1;
                self.say(format!("(damaged frame, {} bytes: {})", bytes.len(), bytes.escape_ascii()));
                Turn::Nothing
            }
            Piece::Frame(mut bytes) => match wire::decode(&mut bytes) {
                Ok(frame) => self.frame(&frame),
                // The splitter hands on only what it has decoded itself.
                Err(_) => Turn::Nothing,
            },
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Turn {
        match *frame {
            Frame::Log { stream, bytes } => {
                let line = self.tables.line(stream, bytes);
                self.logs.line(stream, &line);
                self.say(line);
            }
            Frame::LogDropped { stream, count } => {
                self.say(format!("({count} log lines of stream {stream} dropped)"))
            }
            Frame::Note { text } => self.say(format!("note: {text}")),
            Frame::Figure { name, milli, unit } => self.say(format!("figure: {name} {milli}/1000 {unit}")),
            Frame::ModuleLoaded { stream, name, index_base, .. } => {
                // A module without log strings has no table; its lines, if there are any, say so themselves.
                let _ = self.tables.module_loaded(stream, name, index_base);
            }
            Frame::ModuleUnloaded { stream, index_base } => self.tables.module_unloaded(stream, index_base),
            Frame::Panic { image, message } => {
                self.say(format!("PANIC {image}: {message}"));
                return Turn::Ended(Verdict::Panic { image: image.into(), message: message.into() });
            }
            Frame::CaseBegin { name } if name == self.name => return Turn::Begun,
            Frame::CaseBegin { name } => return Turn::Ended(Verdict::OtherCase(name.into())),
            Frame::CaseEnd { name, .. } if name != self.name => {
                return Turn::Ended(Verdict::OtherCase(name.into()));
            }
            Frame::ExpectLog { stream, text } => self.logs.expected.push((stream, text.to_owned())),
            Frame::CaseEnd { passed: false, message, .. } => {
                return Turn::Ended(Verdict::Fail(message.into()));
            }
            Frame::CaseEnd { .. } => {
                return Turn::Ended(self.logs.defect().map_or(Verdict::Pass, Verdict::Fail));
            }
            Frame::Prompt
            | Frame::CommandDone { .. }
            | Frame::PoweredOff { .. }
            | Frame::Received { .. }
            | Frame::LineDone { .. } => {}
        }
        Turn::Nothing
    }

    fn end_line(&mut self) {
        if !self.text.is_empty() {
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
            self.say(line);
        }
    }

    fn say(&mut self, line: String) {
        (self.live)(&line);
        self.output.push(line);
    }
}
