//! The terminal of a person: raw while the machine runs, put back afterwards.

use std::io::IsTerminal;

use anyhow::Result;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The key that begins a command to xtask itself.
const ESCAPE: u8 = 0x01;

/// A terminal in raw mode; dropping it puts the old mode back.
pub(crate) struct RawTerminal {
    before: Option<Termios>,
}

impl RawTerminal {
    /// Sets standard input raw, if it is a terminal.
    pub(crate) fn enter() -> Result<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self { before: None });
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Self { before: Some(before) })
    }

    /// Whether a person sits there.
    pub(crate) fn is_raw(&self) -> bool {
        self.before.is_some()
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs no mode.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// What a person typed, after xtask's own keys are taken out.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    escaped: bool,
}

/// The result of [`Keys::push`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    /// For the machine.
    pub(crate) bytes: Vec<u8>,
    /// Ctrl-A x: end it.
    pub(crate) quits: bool,
}

impl Keys {
    /// Takes keys; Ctrl-A Ctrl-A is one Ctrl-A.
    pub(crate) fn push(&mut self, keys: &[u8]) -> Typed {
        let mut typed = Typed { bytes: Vec::new(), quits: false };
        for &key in keys {
            match (std::mem::take(&mut self.escaped), key) {
                (false, ESCAPE) => self.escaped = true,
                (true, b'x' | b'X') => typed.quits = true,
                (_, key) => typed.bytes.push(key),
            }
        }
        typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_a_x_quits_and_twice_control_a_is_one() {
        let mut keys = Keys::default();
        assert_eq!(keys.push(b"ab\x01"), Typed { bytes: b"ab".to_vec(), quits: false });
        assert_eq!(keys.push(b"\x01c"), Typed { bytes: b"\x01c".to_vec(), quits: false });
        assert_eq!(keys.push(b"\x01x"), Typed { bytes: vec![], quits: true });
    }
}
