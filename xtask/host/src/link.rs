//! Frames to a target that answers each: a running system, or a chainloader that waits for one.
//!
//! A frame is sent again until it is answered, and repeating it changes nothing: see `strata_protocol::uplink`. An image
//! is kept aside on the target until it has come whole.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use strata_protocol::Errno;
use strata_protocol::uplink::{DATA_MAX, UPLINK_MAX, Uplink, crc32, encode, is_sound};
use strata_protocol::wire::{self, Frame};

use crate::demux::{Demux, Piece};
use crate::serial::Line;

/// How long an answer may take before the frame is sent again.
const ANSWER: Duration = Duration::from_millis(300);
/// After so many times it may take twice as long, and then four times: a target that is slow to read has all of it to
/// read.
const PATIENT: u32 = 6;
/// How often a frame is sent before the line is given up.
const TRIES: u32 = 30;

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
    /// What has been heard at all, and what of it makes sense, to say what is wrong when nothing is answered.
    bytes: usize,
    sensible: usize,
    /// Frames that were sent again.
    pub resent: u32,
}

impl<L: Line> Link<L> {
    /// A link over a line. `seed` is another number each time, so that a line is not taken for one of a link before.
    pub fn new(line: L, seed: u32) -> Self {
        Self {
            line,
            demux: Demux::default(),
            text: Vec::new(),
            number: seed,
            bytes: 0,
            sensible: 0,
            resent: 0,
        }
    }

    /// A link over a line, with a number of this moment.
    pub fn anew(line: L) -> Self {
        Self::new(line, SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.subsec_nanos()))
    }

    /// Gives the line back.
    pub fn into_line(self) -> L {
        self.line
    }

    /// Sends an image under a name; the other side keeps it aside. `sent` is told how many bytes it has.
    pub fn send_image(&mut self, name: &str, image: &[u8], mut sent: impl FnMut(usize)) -> Result<()> {
        let size = u32::try_from(image.len()).context("larger than any image")?;
        let begin = Uplink::Begin { name, size, crc: crc32(image) };
        let mut next = self.received(&begin, 0)?;
        sent(usize::try_from(next)?);
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
        Ok(())
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
            Some(Errno::ENODEV) => bail!("no system runs there: a chainloader waits for one"),
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
            // Who starts what has come waits no longer than this for a line to come again.
            let is_line = matches!(uplink, Uplink::Line { .. });
            let until =
                Instant::now() + if is_line { ANSWER } else { ANSWER * (1 << (attempt / PATIENT).min(2)) };
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
                Piece::Text(text) => {
                    self.sensible +=
                        text.iter().filter(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n')).count();
                    if answer.is_none() {
                        self.text.extend(text);
                    }
                }
                Piece::Frame(mut inside) => {
                    self.sensible += inside.len();
                    if let Ok(frame) = wire::decode(&mut inside)
                        && is_sound(&frame)
                    {
                        answer = answer.or_else(|| wanted(&frame));
                    }
                }
                Piece::Damaged(_) => {}
            }
        }
        answer
    }

    /// Why there is no answer, as far as can be told.
    fn silence(&self) -> &'static str {
        match self.bytes {
            0 => "nothing comes over the line: is the board on, TXD on RXD, and the speed that of the board?",
            bytes if self.sensible < bytes / 2 => {
                "what comes over the line makes no sense: is the speed that of the board?"
            }
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
