//! Sends a module to a running system over the line that carries its console and its log.
//!
//! Everything is a frame that is answered, and is sent again until it is: see `strata_protocol::uplink`. The image is
//! kept aside on the target until it has come whole; then one line puts it in place of the module of its name, and
//! what was there before is put back if the new one is refused.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kmod::Object;
use kmod_trust::container::split;
use strata_protocol::Errno;
use strata_protocol::uplink::{DATA_MAX, UPLINK_MAX, Uplink, crc32, encode, is_sound};
use strata_protocol::wire::{self, Frame};

use crate::demux::{Demux, Piece};
use crate::serial::Line;

/// How long an answer may take before the frame is sent again.
const ANSWER: Duration = Duration::from_millis(300);
/// How often a frame is sent before the line is given up.
const TRIES: u32 = 30;
/// How long a module may take to leave and the next to come: the target has deadlines of its own.
const RELOAD: Duration = Duration::from_secs(30);

/// A module as the host knows it.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// What travels: the image, and its signature behind it.
    pub bytes: Vec<u8>,
    /// Whether there is a signature. Whether it is good is the target's to say.
    pub is_signed: bool,
    /// The symbols that it has aliases of.
    pub symbols: Vec<String>,
}

impl Module {
    /// Reads an image with or without a signature behind it, and refuses what is no module.
    pub fn read(bytes: Vec<u8>) -> Result<Self> {
        let container = split(&bytes);
        let image = container.map_or(&bytes[..], |container| container.image);
        let object = match Object::parse(image) {
            Ok(object) => object,
            Err(error) => bail!("this is no module: {error:?}"),
        };
        let name = object.info().name.to_owned();
        let mut symbols: Vec<String> = object.aliases().map(|alias| alias.name.to_owned()).collect();
        symbols.dedup();
        Ok(Self { name, is_signed: container.is_some(), symbols, bytes })
    }

    /// The image without its signature.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        split(&self.bytes).map_or(&self.bytes, |container| container.image)
    }
}

/// What a line has answered: its status, and the text that it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0, or an errno number.
    pub status: i32,
    /// Its text.
    pub text: String,
}

/// A line to a system that answers frames.
pub struct Link<L> {
    line: L,
    demux: Demux,
    /// Console text since the last line was sent.
    text: Vec<u8>,
    number: u32,
    /// What has been heard at all, to say what is wrong when nothing is understood.
    bytes: usize,
    frames: usize,
    /// Frames that were sent again.
    pub resent: u32,
}

impl<L: Line> Link<L> {
    /// A link over a line. `seed` is another number each time, so that a line is not taken for one of a link before.
    pub fn new(line: L, seed: u32) -> Self {
        Self { line, demux: Demux::default(), text: Vec::new(), number: seed, bytes: 0, frames: 0, resent: 0 }
    }

    /// Gives the line back.
    pub fn into_line(self) -> L {
        self.line
    }

    /// Sends a module, and puts it in place of the one of its name.
    ///
    /// `sent` is told how many bytes the target has. The answer's status says whether the module serves.
    pub fn push(&mut self, module: &Module, mut sent: impl FnMut(usize)) -> Result<Answer> {
        let Module { name, bytes: image, .. } = module;
        let size = u32::try_from(image.len()).context("larger than any module")?;
        let begin = Uplink::Begin { name, size, crc: crc32(image) };
        let mut next = self.received(&begin, 0)?;
        while next < size {
            let at = usize::try_from(next)?;
            let bytes = &image[at..image.len().min(at + DATA_MAX)];
            let end = next + u32::try_from(bytes.len())?;
            next = match self.received(&Uplink::Data { offset: next, bytes }, end) {
                Ok(next) => next,
                // The target was started again, or another image came between.
                Err(error) if error.downcast_ref() == Some(&Refused(Errno::ENOENT.number())) => {
                    self.received(&begin, 0)?
                }
                Err(error) => return Err(error),
            };
            sent(usize::try_from(next)?);
        }
        self.carry_out(&format!("modpush {name}"), RELOAD)
    }

    /// The stack of a symbol, as the console prints it. Asked again when the text was changed on its way.
    pub fn stack(&mut self, symbol: &str) -> Result<Answer> {
        self.carry_out(&format!("alias {symbol}"), ANSWER * TRIES)
    }

    /// Has a line carried out, once.
    pub fn carry_out(&mut self, text: &str, patience: Duration) -> Result<Answer> {
        // Lines that only show something are asked again until they are readable.
        for _ in 0..TRIES {
            self.number = self.number.wrapping_add(1);
            let number = self.number;
            self.text.clear();
            let frame = Uplink::Line { number, text };
            let tries = u32::try_from(patience.as_millis() / ANSWER.as_millis())?.max(TRIES);
            let (status, output) = self.ask(&frame, tries, |frame| match *frame {
                Frame::LineDone { number: done, status, output, .. } if done == number => {
                    Some((status, output))
                }
                _ => None,
            })?;
            let readable = crc32(&self.text) == output;
            if readable || !text.starts_with("alias") {
                return Ok(Answer { status, text: String::from_utf8_lossy(&self.text).replace('\r', "") });
            }
        }
        bail!("the line changes so much of `{text}`'s answer that it cannot be read")
    }

    /// Asks until bytes up to `end` have been received; what is expected next.
    fn received(&mut self, uplink: &Uplink<'_>, end: u32) -> Result<u32> {
        let (next, status) = self.ask(uplink, TRIES, |frame| match *frame {
            Frame::Received { next, status, .. } if status != 0 || next >= end => Some((next, status)),
            _ => None,
        })?;
        match Errno::from_number(status) {
            None if status == 0 => Ok(next),
            // Out of order: an answer got lost, and what is expected is said.
            Some(Errno::ERANGE) => Ok(next),
            Some(Errno::E2BIG | Errno::ENOSPC) => bail!("the target has no room for the image"),
            _ => Err(Refused(status).into()),
        }
    }

    fn ask<A>(
        &mut self,
        uplink: &Uplink<'_>,
        tries: u32,
        mut wanted: impl FnMut(&Frame<'_>) -> Option<A>,
    ) -> Result<A> {
        let mut buffer = [0; UPLINK_MAX];
        let frame =
            encode(uplink, &mut buffer).map_err(|error| anyhow::anyhow!("{error:?}: {uplink:?}"))?.to_vec();
        for attempt in 0..tries {
            self.resent += u32::from(attempt != 0);
            self.line.send(&frame)?;
            let until = Instant::now() + ANSWER;
            loop {
                let bytes = self.line.receive(until)?;
                if bytes.is_empty() {
                    break;
                }
                self.bytes += bytes.len();
                if let Some(answer) = self.take(&bytes, &mut wanted) {
                    return Ok(answer);
                }
            }
        }
        bail!("{}", self.silence())
    }

    /// Splits what came; the answer, if it was among it.
    fn take<A>(&mut self, bytes: &[u8], wanted: &mut impl FnMut(&Frame<'_>) -> Option<A>) -> Option<A> {
        let mut answer = None;
        for piece in self.demux.feed(bytes) {
            match piece {
                Piece::Text(text) if answer.is_none() => self.text.extend(text),
                Piece::Frame(mut inside) => {
                    if let Ok(frame) = wire::decode(&mut inside) {
                        self.frames += 1;
                        if is_sound(&frame) {
                            answer = answer.or_else(|| wanted(&frame));
                        }
                    }
                }
                Piece::Text(_) | Piece::Damaged(_) => {}
            }
        }
        answer
    }

    /// Why there is no answer, as far as can be told.
    fn silence(&self) -> &'static str {
        match (self.bytes, self.frames) {
            (0, _) => "nothing comes over the line: is the board on, and TXD on RXD?",
            (_, 0) => "what comes over the line makes no sense: is the speed that of the board?",
            _ => "the system talks and does not answer: has it stopped?",
        }
    }
}

/// The target refused a frame.
#[derive(Debug, PartialEq, Eq)]
struct Refused(i32);

impl std::fmt::Display for Refused {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Errno::from_number(self.0) {
            Some(errno) => write!(out, "the target refuses the image ({})", errno.word()),
            None => write!(out, "the target refuses the image ({})", self.0),
        }
    }
}

impl std::error::Error for Refused {}

/// Ends with an error unless the module serves.
pub fn check(answer: &Answer) -> Result<()> {
    ensure!(answer.status == 0, "{}", answer.text.trim_end());
    Ok(())
}
