//! A serial line: a USB cable to a board, or the end of a pty that QEMU made.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rustix::termios::{self, OptionalActions};

/// Bits per second of every board's console.
pub const BAUD: u32 = 115_200;

/// A line to a running system.
pub trait Line {
    /// Sends bytes.
    fn send(&mut self, bytes: &[u8]) -> Result<()>;
    /// Bytes that have come; waits for some, and gives none when `until` has passed.
    fn receive(&mut self, until: Instant) -> Result<Vec<u8>>;
}

impl<L: Line + ?Sized> Line for Box<L> {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        (**self).send(bytes)
    }

    fn receive(&mut self, until: Instant) -> Result<Vec<u8>> {
        (**self).receive(until)
    }
}

/// A serial device.
#[derive(Debug)]
pub struct Serial {
    file: File,
    arrived: Receiver<Vec<u8>>,
    name: String,
}

impl Serial {
    /// Opens a device at this speed, raw.
    pub fn open(path: &Path, baud: u32) -> Result<Self> {
        let name = path.display().to_string();
        // O_NOCTTY: a Ctrl-C on that line must not reach us.
        let flags = i32::try_from(rustix::fs::OFlags::NOCTTY.bits())?;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
        let file = file.with_context(|| format!("cannot open {name}: is the cable plugged in?"))?;
        ensure!(termios::isatty(&file), "{name} is no serial line");
        let mut settings = termios::tcgetattr(&file).with_context(|| name.clone())?;
        settings.make_raw();
        settings.set_speed(baud).with_context(|| format!("{name} knows no speed of {baud}"))?;
        termios::tcsetattr(&file, OptionalActions::Now, &settings).with_context(|| name.clone())?;
        let mut from = file.try_clone()?;
        let (sender, arrived) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { file, arrived, name })
    }
}

impl Line for Serial {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).with_context(|| format!("{} is gone: was the cable unplugged?", self.name))
    }

    fn receive(&mut self, until: Instant) -> Result<Vec<u8>> {
        match self.arrived.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(bytes) => Ok(bytes),
            Err(RecvTimeoutError::Timeout) => Ok(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => bail!("{} is gone: was the cable unplugged?", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_serial_line_is_refused_in_one_line() {
        let said = |path: &str| Serial::open(Path::new(path), BAUD).map(drop).map_err(|e| e.to_string());
        assert!(said("/no/such/cable").unwrap_err().contains("is the cable plugged in?"));
        assert_eq!(said("/dev/null"), Err("/dev/null is no serial line".into()));
    }
}
