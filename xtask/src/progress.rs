//! One line for each step, and what it took when that was long.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Steps shorter than this say nothing about their time.
const NOTABLE: Duration = Duration::from_secs(2);

/// A step that is under way.
pub(crate) struct Step {
    what: String,
    start: Instant,
}

/// Says what begins.
pub(crate) fn step(what: impl Into<String>) -> Step {
    let what = what.into();
    say(&what);
    Step { what, start: Instant::now() }
}

impl Drop for Step {
    fn drop(&mut self) {
        let took = self.start.elapsed();
        if took >= NOTABLE {
            say(&format!("{}: {:.1} s", self.what, took.as_secs_f32()));
        }
    }
}

/// A bar that fills while something long goes on: one line on a terminal, a line for each tenth elsewhere.
pub(crate) struct Bar {
    what: &'static str,
    total: usize,
    done: usize,
    shown: Option<usize>,
}

impl Bar {
    /// An empty bar for `total` bytes.
    pub(crate) const fn new(what: &'static str, total: usize) -> Self {
        Self { what, total, done: 0, shown: None }
    }

    /// This many bytes more are done.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.done += bytes;
        let percent = (self.done * 100).checked_div(self.total).unwrap_or(100).min(100);
        let terminal = std::io::stderr().is_terminal();
        let step = if terminal { percent } else { percent / 10 * 10 };
        if self.shown == Some(step) {
            return;
        }
        self.shown = Some(step);
        if terminal {
            let end = if percent == 100 { "\n" } else { "" };
            eprint!("\r{} [{:<50}] {percent:3} %{end}", self.what, "#".repeat(percent / 2));
        } else {
            eprintln!("{} {percent:3} %", self.what);
        }
    }
}

/// Prints a line of xtask's own on stderr.
pub(crate) fn say(line: &str) {
    let (bold, plain) = if std::io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    eprintln!("{bold}x:{plain} {line}");
}
