//! What a chainloader decides: a kernel image and a device tree that come over a serial line in the frames of
//! `strata_protocol::uplink`, kept aside until they are whole.
//!
//! ```text
//!   Line "chainloader BOARD" ─► Begin BOARD ─► Data … ─► Begin "tree" ─► Data … ─► Line "boot" ─► started
//! ```
//! Every frame is answered and may be repeated. Nothing that runs is written over before all has come and its CRC is
//! right: the image lies in [`Memory`] apart, and beside it a [`Mark`] that outlives a reset, so that a board that was
//! reset asks for nothing that it has.
#![no_std]
#![forbid(unsafe_code)]

pub mod places;
#[cfg(test)]
mod tests;

use strata_protocol::Errno;
use strata_protocol::uplink::{Intake, IntakeError, Uplink, crc32, line_done, received};
use strata_protocol::wire::Frame;

/// The most bytes of a kernel image.
pub const KERNEL_MAX: u32 = 32 << 20;
/// The most bytes of a device tree.
pub const TREE_MAX: u32 = 64 << 10;
/// What [`Uplink::Begin`] calls a device tree; a kernel image is called by its board.
pub const TREE: &str = "tree";
/// The line that asks who is there; the board follows. No system knows it.
pub const HELLO: &str = "chainloader";
/// How a chainloader's greeting begins, which it repeats while nobody is understood.
pub const GREETING: &str = "chainloader for ";
/// The line that starts what has come.
pub const BOOT: &str = "boot";

/// One of the two things that come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The kernel image: at most [`KERNEL_MAX`] bytes.
    Kernel,
    /// The device tree: at most [`TREE_MAX`] bytes.
    Tree,
}

/// How much of which kernel image lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of the whole image.
    pub size: u32,
    /// Its CRC-32.
    pub crc: u32,
    /// Bytes that are there.
    pub next: u32,
    /// CRC-32 of the other fields: memory after power-on holds anything.
    pub check: u32,
}

impl Mark {
    fn new(size: u32, crc: u32, next: u32) -> Self {
        let mut bytes = [0; 12];
        for (place, word) in bytes.chunks_exact_mut(4).zip([size, crc, next]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Self { size, crc, next, check: crc32(&bytes) }
    }

    /// Whether it is of this image and was written by a chainloader.
    fn is_of(self, size: u32, crc: u32) -> bool {
        self == Self::new(size, crc, self.next) && self.next <= size
    }
}

/// Where parts are kept until they are started.
pub trait Memory {
    /// Keeps bytes of a part; they end within what the part may have.
    fn write(&mut self, part: Part, offset: u32, bytes: &[u8]);
    /// The first bytes of a part, at most what it may have.
    fn bytes(&self, part: Part, size: u32) -> &[u8];
    /// The mark as it was written last, before a reset if there was one since.
    fn mark(&self) -> Mark;
    /// Writes the mark.
    fn set_mark(&mut self, mark: Mark);
}

/// What is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Bytes of the kernel image.
    pub kernel: u32,
    /// Bytes of the device tree, if one came.
    pub tree: Option<u32>,
}

/// A chainloader without its board.
#[derive(Debug)]
pub struct Loader<M> {
    board: &'static str,
    /// Where the parts are.
    pub memory: M,
    kernel: Intake,
    tree: Intake,
    /// Whose bytes come now.
    part: Part,
    /// Size and CRC of the kernel image that comes.
    announced: (u32, u32),
    /// The last line: number and status.
    last: Option<(u32, i32)>,
    start: Option<Start>,
}

impl<M: Memory> Loader<M> {
    /// A chainloader for a board.
    pub fn new(board: &'static str, memory: M) -> Self {
        Self {
            board,
            memory,
            kernel: Intake::default(),
            tree: Intake::default(),
            part: Part::Kernel,
            announced: (0, 0),
            last: None,
            start: None,
        }
    }

    /// What is to be started, once that was asked for. The host may not have heard the answer yet: it is given again
    /// to a line that comes again, so the start waits until the line is quiet.
    pub const fn start(&self) -> Option<Start> {
        self.start
    }

    /// Serves a frame; what is to be answered.
    pub fn serve(&mut self, uplink: &Uplink<'_>) -> Frame<'static> {
        match *uplink {
            Uplink::Begin { name, size, crc } => {
                let result = self.begin(name, size, crc);
                self.received(result)
            }
            Uplink::Data { offset, bytes } => {
                let result = self.data(offset, bytes);
                self.received(result)
            }
            Uplink::Line { number, text } => {
                let status = match self.last {
                    Some((last, status)) if last == number => status,
                    _ => self.line(text).map_or_else(Errno::number, |()| 0),
                };
                self.last = Some((number, status));
                line_done(number, status, crc32(b""))
            }
        }
    }

    fn received(&self, result: Result<(), Errno>) -> Frame<'static> {
        let intake = if self.part == Part::Kernel { &self.kernel } else { &self.tree };
        received(intake.next(), result.map_or_else(Errno::number, |()| 0))
    }

    fn begin(&mut self, name: &str, size: u32, crc: u32) -> Result<(), Errno> {
        self.start = None;
        let (part, max) = if name == TREE { (Part::Tree, TREE_MAX) } else { (Part::Kernel, KERNEL_MAX) };
        if part == Part::Kernel && name != self.board {
            return Err(Errno::ENODEV);
        }
        if size > max {
            return Err(Errno::E2BIG);
        }
        self.part = part;
        let intake = if part == Part::Kernel { &mut self.kernel } else { &mut self.tree };
        if !intake.begin(name, size, crc).map_err(errno)? || part == Part::Tree {
            return Ok(());
        }
        // A new image: the tree is none of its, and memory may have some of it from before a reset.
        self.tree.forget();
        self.announced = (size, crc);
        let mark = self.memory.mark();
        if mark.is_of(size, crc) {
            self.kernel.accept(0, self.memory.bytes(Part::Kernel, mark.next)).map_err(errno)?;
        }
        Ok(())
    }

    fn data(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Errno> {
        self.start = None;
        let intake = if self.part == Part::Kernel { &mut self.kernel } else { &mut self.tree };
        if intake.accept(offset, bytes).map_err(errno)? {
            self.memory.write(self.part, offset, bytes);
            if self.part == Part::Kernel {
                let (size, crc) = self.announced;
                self.memory.set_mark(Mark::new(size, crc, self.kernel.next()));
            }
        }
        Ok(())
    }

    fn line(&mut self, text: &str) -> Result<(), Errno> {
        let mut words = text.split(' ');
        match (words.next(), words.next()) {
            (Some(HELLO), Some(board)) if board == self.board => Ok(()),
            (Some(HELLO), _) => Err(Errno::ENODEV),
            (Some(BOOT), None) => {
                let start = self.complete();
                if start == Err(Errno::EIO) {
                    // What has come is not what was announced: it has to come again.
                    self.kernel.forget();
                    self.tree.forget();
                    self.memory.set_mark(Mark::default());
                }
                self.start = Some(start?);
                Ok(())
            }
            _ => Err(Errno::ENOSYS),
        }
    }

    fn complete(&self) -> Result<Start, Errno> {
        let kernel = self.kernel.complete(self.board).map_err(errno)?;
        let tree = match self.tree.complete(TREE) {
            Ok(size) => Some(size),
            Err(IntakeError::NotBegun) => None,
            Err(error) => return Err(errno(error)),
        };
        Ok(Start { kernel, tree })
    }
}

fn errno(error: IntakeError) -> Errno {
    match error {
        IntakeError::NotBegun | IntakeError::Incomplete => Errno::ENOENT,
        IntakeError::BadName => Errno::EINVAL,
        IntakeError::OutOfOrder => Errno::ERANGE,
        IntakeError::Damaged => Errno::EIO,
    }
}
