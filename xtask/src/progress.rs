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

/// Prints a line of xtask's own on stderr.
pub(crate) fn say(line: &str) {
    let (bold, plain) = if std::io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    eprintln!("{bold}x:{plain} {line}");
}
