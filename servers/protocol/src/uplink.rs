//! What comes over the serial line from a host tool, beside what is typed.
//!
//! A frame is zeros, COBS of postcard of an [`Uplink`] and its CRC-32, a zero. Serial lines lose bytes and change them:
//! a frame whose CRC is wrong is as good as none, and whoever sent it sends it again. So every frame is answered, and
//! carrying one out twice does what carrying it out once does: data has its place, and a line has a number.

use serde::{Deserialize, Serialize};

use crate::text::ModuleName;
use crate::wire::{Frame, WireError};

/// The most bytes of an image in one frame: a frame and the typing around it fit what the UART driver keeps.
pub const DATA_MAX: usize = 256;
/// The most bytes that a frame takes on the line.
pub const UPLINK_MAX: usize = 320;
/// Zeros in front of a frame. One is enough where none gets lost; bytes of a frame that are taken for typing would be
/// carried out.
pub const ZEROS: usize = 4;
/// The most bytes of a line.
pub const LINE_MAX: usize = 160;

/// One message from the host tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Uplink<'a> {
    /// An image will be sent. The same image again goes on where it stopped. Answered with [`Frame::Received`].
    Begin {
        /// The module's name.
        name: &'a str,
        /// Bytes of the image.
        size: u32,
        /// CRC-32 of the whole image.
        crc: u32,
    },
    /// Bytes of the image. Answered with [`Frame::Received`], which says what is expected next.
    Data {
        /// Where they belong.
        offset: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A console line. Answered with [`Frame::LineDone`]; the same number again is only answered.
    Line {
        /// Its number: another one than the line before.
        number: u32,
        /// The line.
        text: &'a str,
    },
}

/// Writes a frame with its zeros and returns its bytes.
///
/// # Errors
/// [`WireError::TooLong`] when it does not fit into the buffer.
pub fn encode<'b>(uplink: &Uplink<'_>, buffer: &'b mut [u8; UPLINK_MAX]) -> Result<&'b [u8], WireError> {
    let mut plain = [0; UPLINK_MAX];
    let used = postcard::to_slice(uplink, &mut plain).map_err(|_| WireError::TooLong)?.len();
    let crc = crc32(&plain[..used]).to_le_bytes();
    plain.get_mut(used..used + 4).ok_or(WireError::TooLong)?.copy_from_slice(&crc);
    let (zeros, rest) = buffer.split_at_mut(ZEROS);
    zeros.fill(0);
    // COBS adds one byte for each 254, and one.
    let whole = used + 4;
    if whole + whole / 254 + 2 > rest.len() {
        return Err(WireError::TooLong);
    }
    let length = cobs(&plain[..whole], rest);
    rest[length] = 0;
    Ok(&buffer[..=ZEROS + length])
}

/// Writes COBS of the bytes; its length. There is room.
fn cobs(bytes: &[u8], out: &mut [u8]) -> usize {
    let (mut code_at, mut at, mut code) = (0, 1, 1_u8);
    for &byte in bytes {
        if byte != 0 {
            out[at] = byte;
            at += 1;
            code += 1;
        }
        if byte == 0 || code == u8::MAX {
            out[code_at] = code;
            (code_at, at, code) = (at, at + 1, 1);
        }
    }
    out[code_at] = code;
    at
}

/// Reads what stood between two zeros; the bytes are decoded in place.
///
/// # Errors
/// [`WireError::Malformed`] when it is no frame, or one that was changed on the way.
pub fn decode(bytes: &mut [u8]) -> Result<Uplink<'_>, WireError> {
    let length = uncobs(bytes).ok_or(WireError::Malformed)?;
    let (plain, crc) = bytes[..length].split_last_chunk::<4>().ok_or(WireError::Malformed)?;
    if crc32(plain) != u32::from_le_bytes(*crc) {
        return Err(WireError::Malformed);
    }
    postcard::from_bytes(plain).map_err(|_| WireError::Malformed)
}

/// Undoes COBS in place.
fn uncobs(bytes: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while from < bytes.len() {
        let code = usize::from(bytes[from]);
        let end = from + code;
        if code == 0 || end > bytes.len() {
            return None;
        }
        bytes.copy_within(from + 1..end, to);
        to += code - 1;
        from = end;
        if code != usize::from(u8::MAX) && from < bytes.len() {
            bytes[to] = 0;
            to += 1;
        }
    }
    Some(to)
}

/// Splits what comes over the line into typed bytes and frames.
///
/// A zero opens a frame, and only a whole frame closes it: behind a damaged one everything up to the next whole one is
/// dropped, because it may be the rest of it. A zero can come from nowhere too (an open line is a zero to a UART); so a
/// line that a person types behind it is dropped, but the one after that is typing again.
#[derive(Debug)]
pub struct Splitter {
    frame: [u8; UPLINK_MAX],
    /// Bytes of the frame that is open.
    length: Option<usize>,
    /// There was one that was damaged: what follows may be the rest of it.
    damaged: bool,
}

/// What a byte has completed.
#[derive(Debug, PartialEq, Eq)]
pub enum Split<'a> {
    /// Nothing yet.
    Nothing,
    /// A typed byte.
    Typed(u8),
    /// The inside of a frame that [`decode`] accepts.
    Frame(&'a mut [u8]),
}

impl Default for Splitter {
    fn default() -> Self {
        Self { frame: [0; UPLINK_MAX], length: None, damaged: false }
    }
}

impl Splitter {
    /// Takes the next byte.
    pub fn feed(&mut self, byte: u8) -> Split<'_> {
        let Some(length) = self.length else {
            if byte == 0 {
                self.length = Some(0);
                return Split::Nothing;
            }
            return Split::Typed(byte);
        };
        let so_far = &self.frame[..length];
        if byte == 0 {
            let mut copy = self.frame;
            let whole = decode(&mut copy[..length]).is_ok();
            self.length = if whole { None } else { Some(0) };
            self.damaged = !whole && (self.damaged || length != 0);
            return if whole { Split::Frame(&mut self.frame[..length]) } else { Split::Nothing };
        }
        // Every frame has a byte in front that no key makes: COBS's first code or the message's kind.
        let is_key = |byte: &u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | 0x08 | 0x7f);
        let is_typing = byte == b'\r' && length != 0 && !self.damaged && so_far.iter().all(is_key);
        self.length = match self.frame.get_mut(length) {
            Some(place) if !is_typing => {
                *place = byte;
                Some(length + 1)
            }
            // Typing, or longer than any frame.
            _ => {
                self.damaged = false;
                None
            }
        };
        Split::Nothing
    }
}

/// CRC-32 as zlib, Ethernet and everybody has it.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    !crc32_more(!0, bytes)
}

/// Goes on with a CRC-32 that is not yet inverted; it begins with all ones.
#[must_use]
pub fn crc32_more(crc: u32, bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    bytes.iter().fold(crc, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg()))
    })
}

/// The answer to [`Uplink::Begin`] and [`Uplink::Data`].
#[must_use]
pub fn received(next: u32, status: i32) -> Frame<'static> {
    Frame::Received { next, status, check: check(next, status, 0) }
}

/// The answer to [`Uplink::Line`]; `output` is the CRC-32 of the text that it wrote.
#[must_use]
pub fn line_done(number: u32, status: i32, output: u32) -> Frame<'static> {
    Frame::LineDone { number, status, output, check: check(number, status, output) }
}

/// Whether an answer arrived as it was sent.
#[must_use]
pub fn is_sound(frame: &Frame<'_>) -> bool {
    match *frame {
        Frame::Received { next, status, check: found } => check(next, status, 0) == found,
        Frame::LineDone { number, status, output, check: found } => check(number, status, output) == found,
        _ => false,
    }
}

fn check(first: u32, status: i32, last: u32) -> u32 {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&first.to_le_bytes());
    bytes[4..8].copy_from_slice(&status.to_le_bytes());
    bytes[8..].copy_from_slice(&last.to_le_bytes());
    crc32(&bytes)
}

/// An image that is being received, without its bytes.
#[derive(Debug, Default)]
pub struct Intake {
    name: ModuleName,
    size: u32,
    crc: u32,
    next: u32,
    running: u32,
}

/// Why bytes are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntakeError {
    /// No image has been begun.
    NotBegun,
    /// The name does not fit, or the image is empty.
    BadName,
    /// Not the bytes that are expected next, or more than the image has.
    OutOfOrder,
    /// All bytes are there, and they are not the image that was announced.
    Damaged,
    /// Bytes are missing.
    Incomplete,
}

impl Intake {
    /// Begins an image, or goes on with the same one. Returns whether it is a new one.
    ///
    /// # Errors
    /// [`IntakeError::BadName`]; the image before is kept.
    pub fn begin(&mut self, name: &str, size: u32, crc: u32) -> Result<bool, IntakeError> {
        let name = ModuleName::new(name).filter(|name| !name.is_empty() && size != 0);
        let name = name.ok_or(IntakeError::BadName)?;
        if self.name == name && self.size == size && self.crc == crc {
            return Ok(false);
        }
        *self = Self { name, size, crc, next: 0, running: !0 };
        Ok(true)
    }

    /// Forgets the image.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Accepts bytes that the caller then keeps. `Ok(false)` for bytes that it has already.
    ///
    /// # Errors
    /// [`IntakeError::NotBegun`] or [`IntakeError::OutOfOrder`]; nothing has changed.
    pub fn accept(&mut self, offset: u32, bytes: &[u8]) -> Result<bool, IntakeError> {
        let length = u32::try_from(bytes.len()).map_err(|_| IntakeError::OutOfOrder)?;
        if self.size == 0 {
            return Err(IntakeError::NotBegun);
        }
        let end =
            offset.checked_add(length).filter(|end| *end <= self.size).ok_or(IntakeError::OutOfOrder)?;
        if end <= self.next {
            return Ok(false);
        }
        if offset != self.next {
            return Err(IntakeError::OutOfOrder);
        }
        self.running = crc32_more(self.running, bytes);
        self.next = end;
        Ok(true)
    }

    /// What is expected next.
    #[must_use]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// The size of the whole image of this name.
    ///
    /// # Errors
    /// [`IntakeError::NotBegun`], [`IntakeError::Incomplete`] or [`IntakeError::Damaged`].
    pub fn complete(&self, name: &str) -> Result<u32, IntakeError> {
        if self.size == 0 || *self.name != *name {
            return Err(IntakeError::NotBegun);
        }
        if self.next != self.size {
            return Err(IntakeError::Incomplete);
        }
        if !self.running == self.crc { Ok(self.size) } else { Err(IntakeError::Damaged) }
    }
}

#[cfg(test)]
mod tests;
