//! Console text as a transcript: whole lines, without terminal control, without the echo of what was typed.

/// Takes console text as it comes and gives lines.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// The line so far.
    partial: Vec<u8>,
    escape: Escape,
    /// Drop everything up to the end of the line: the console echoes what is typed.
    skips_echo: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Started,
    /// Inside `ESC [ …`, up to its final byte.
    Control,
}

impl Transcript {
    /// Takes text and returns the lines that it completes, without their ends.
    pub(crate) fn push(&mut self, text: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in text {
            match (self.escape, byte) {
                (Escape::None, 0x1b) => self.escape = Escape::Started,
                (Escape::None, b'\n') => {
                    let line = std::mem::take(&mut self.partial);
                    if !std::mem::take(&mut self.skips_echo) {
                        lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                    }
                }
                (Escape::None, b'\r' | 0x07 | 0x08) => {}
                (Escape::None, _) => self.partial.push(byte),
                (Escape::Started, b'[') => self.escape = Escape::Control,
                (Escape::Control, 0x20..=0x3f) => {}
                (Escape::Started | Escape::Control, _) => self.escape = Escape::None,
            }
        }
        lines
    }

    /// The console waits: what stands in the line is its prompt, and what is typed next will be echoed.
    pub(crate) fn prompted(&mut self) {
        self.partial.clear();
        self.escape = Escape::None;
        self.skips_echo = false;
    }

    /// A command is typed: its echo is not part of the answer.
    pub(crate) fn typed(&mut self) {
        self.skips_echo = true;
    }

    /// The end: a last line without an end, if there is one.
    pub(crate) fn finish(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.partial);
        (!line.is_empty() && !self.skips_echo).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_stands_between_echo_and_prompt() {
        let mut transcript = Transcript::default();
        assert_eq!(transcript.push(b"boot 1\r\nstra"), ["boot 1"]);
        assert!(transcript.push(b"ta> ").is_empty());
        transcript.prompted();
        transcript.typed();
        assert_eq!(
            transcript.push(b"\x1b[2K\rstrata> help\r\nhelp  this\r\n  two \r\nstrata> "),
            ["help  this", "  two"]
        );
        transcript.prompted();
        assert_eq!(transcript.finish(), None);
    }

    #[test]
    fn terminal_control_is_dropped_and_a_last_line_is_kept() {
        let mut transcript = Transcript::default();
        assert_eq!(transcript.push(b"\x1b[1;32mgreen\x1b[0m\n\x1bc"), ["green"]);
        transcript.push("panicked – ".as_bytes());
        assert_eq!(transcript.finish(), Some("panicked –".to_owned()));
    }
}
