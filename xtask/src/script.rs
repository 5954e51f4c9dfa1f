//! Console scripts: commands one at a time, each judged by the status that the console reports.
//!
//! ```text
//! # a comment is printed, and so is an empty line
//! modload bus_space_debug
//! !modload bus_space_debug      expected to fail
//! alias bus_space_read_4
//! ? 0 refine bus_space_debug    what the answer must say: see `expect`
//! quit
//! ```

use std::time::Duration;

use anyhow::{Context, Result, bail};
use strata_protocol::Errno;

use crate::expect::Answers;

/// What a script asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    /// Printed as it is.
    Remark(&'a str),
    /// Typed.
    Command { text: &'a str, must_fail: bool },
    /// Held against the answer to the last command.
    Expectation(&'a str),
}

fn parse(line: &str) -> Line<'_> {
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Line::Remark(line.trim_end());
    }
    if let Some(expectation) = trimmed.strip_prefix('?') {
        return Line::Expectation(expectation.trim());
    }
    match trimmed.strip_prefix('!') {
        Some(command) => Line::Command { text: command.trim_start(), must_fail: true },
        None => Line::Command { text: trimmed, must_fail: false },
    }
}

/// What the system behind the console does next, as far as a script cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The console waits for a line.
    Prompt,
    /// It has carried out a line, with this status.
    Done(i32),
    /// The machine has stopped; nothing when a signal ended it.
    Stopped(Option<i32>),
    /// Nothing of this within the time.
    TooLate,
}

/// A console that a script talks to. It prints what the console prints while it waits.
pub(crate) trait Console {
    /// Types a line.
    fn type_line(&mut self, line: &str) -> Result<()>;
    /// Waits for the next event.
    fn wait(&mut self, timeout: Duration) -> Result<Said>;
    /// Prints a line of the script itself.
    fn print(&mut self, line: &str);
    /// The lines that have come since the last line was typed.
    fn answer(&mut self) -> Vec<String>;
}

/// Runs a script. An error says which line did not go as it said; no command behind it is typed.
pub(crate) fn run(script: &str, console: &mut impl Console, timeout: Duration) -> Result<()> {
    let mut waits = false;
    let mut stopped = false;
    let mut answers = Answers::default();
    for (index, line) in script.lines().enumerate() {
        let number = index + 1;
        let (text, must_fail) = match parse(line) {
            Line::Remark(text) => {
                // Remarks at the head come before the first text of the machine.
                console.print(text);
                continue;
            }
            Line::Expectation(text) => {
                answers.check(text).with_context(|| format!("line {number}"))?;
                continue;
            }
            Line::Command { text, must_fail } => (text, must_fail),
        };
        if stopped {
            bail!("line {number}: `{text}`: the machine has stopped");
        }
        if !waits {
            prompt(console, timeout, number, text)?;
        }
        console.print(&format!("strata> {text}"));
        console.type_line(text)?;
        waits = false;
        match console.wait(timeout)? {
            Said::Done(0) if must_fail => {
                bail!("line {number}: `{text}` succeeded, and the script says that it fails")
            }
            Said::Done(status) if status != 0 && !must_fail => {
                bail!("line {number}: `{text}` failed with {}", word(status))
            }
            Said::Done(_) => {}
            Said::Stopped(Some(0)) if is_quit(text) => stopped = true,
            Said::Stopped(status) => {
                bail!("line {number}: `{text}`: the machine stopped with {}", exit(status))
            }
            Said::TooLate => bail!("line {number}: `{text}`: no end after {} s", timeout.as_secs()),
            Said::Prompt => bail!("line {number}: `{text}`: a prompt came before the command's status"),
        }
        answers.add(text, console.answer());
        if is_quit(text) && !stopped {
            stopped = match console.wait(timeout)? {
                Said::Stopped(Some(0)) => true,
                Said::Stopped(status) => {
                    bail!("line {number}: `{text}`: the machine stopped with {}", exit(status))
                }
                other => bail!("line {number}: `{text}`: the machine runs on ({other:?})"),
            };
        }
    }
    Ok(())
}

fn prompt(console: &mut impl Console, timeout: Duration, number: usize, text: &str) -> Result<()> {
    match console.wait(timeout)? {
        Said::Prompt => Ok(()),
        Said::Stopped(status) => {
            bail!("before line {number} (`{text}`) the machine stopped with {}", exit(status))
        }
        Said::TooLate => bail!("before line {number} (`{text}`): no prompt after {} s", timeout.as_secs()),
        Said::Done(status) => bail!("before line {number} (`{text}`): a status ({status}) of no command"),
    }
}

fn is_quit(text: &str) -> bool {
    text.split_whitespace().next() == Some("quit")
}

fn word(status: i32) -> String {
    Errno::from_number(status)
        .map_or_else(|| status.to_string(), |errno| format!("{status} ({})", errno.word()))
}

fn exit(status: Option<i32>) -> String {
    status.map_or_else(|| "a signal".to_owned(), |status| format!("status {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    struct Played {
        says: VecDeque<Said>,
        typed: Vec<String>,
        printed: Vec<String>,
    }

    impl Console for Played {
        fn type_line(&mut self, line: &str) -> Result<()> {
            self.typed.push(line.to_owned());
            Ok(())
        }
        fn wait(&mut self, _: Duration) -> Result<Said> {
            Ok(self.says.pop_front().unwrap_or(Said::TooLate))
        }
        fn print(&mut self, line: &str) {
            self.printed.push(line.to_owned());
        }
        fn answer(&mut self) -> Vec<String> {
            vec![format!("did {}", self.typed.len())]
        }
    }

    fn play(script: &str, says: &[Said]) -> (Result<()>, Played) {
        let mut console =
            Played { says: says.iter().cloned().collect(), typed: Vec::new(), printed: Vec::new() };
        let result = run(script, &mut console, Duration::from_secs(1));
        (result, console)
    }

    const SEED: &str = "# the seed\n\nmodload debug\n!modload debug\nquit\n";

    #[test]
    fn a_script_that_goes_as_it_says() {
        use Said::{Done, Prompt, Stopped};
        let (result, console) = play(SEED, &[Prompt, Done(0), Prompt, Done(17), Prompt, Stopped(Some(0))]);
        result.unwrap();
        assert_eq!(console.typed, ["modload debug", "modload debug", "quit"]);
        assert_eq!(
            console.printed,
            ["# the seed", "", "strata> modload debug", "strata> modload debug", "strata> quit"]
        );
        // The console may report the status of `quit` before the machine stops.
        play("quit", &[Prompt, Done(0), Stopped(Some(0))]).0.unwrap();
    }

    #[test]
    fn an_answer_that_is_not_as_the_script_says_stops_it() {
        use Said::{Done, Prompt};
        let says = [Prompt, Done(0), Prompt, Done(0)];
        play("a\n? did 1\nb\n? did 2", &says).0.unwrap();
        let (result, console) = play("a\n? did 2\nb", &says);
        assert!(format!("{:#}", result.unwrap_err()).starts_with("line 2: the answer to `a`"));
        assert_eq!(console.typed, ["a"]);
        assert!(play("a\na\n?=", &says).0.is_err());
    }

    /// Every single deviation is an error that names the line, and nothing behind it is typed.
    #[test]
    fn every_deviation_stops_the_script_at_its_line() {
        use Said::{Done, Prompt, Stopped, TooLate};
        let cases: &[(&[Said], usize, &str)] = &[
            (&[Prompt, Done(2)], 1, "line 3: `modload debug` failed with 2 (ENOENT)"),
            (&[Prompt, Done(0), Prompt, Done(0)], 2, "line 4: `modload debug` succeeded"),
            (&[Prompt, Done(0), Stopped(Some(1))], 1, "before line 4"),
            (&[Prompt, Stopped(None)], 1, "stopped with a signal"),
            (&[TooLate], 0, "no prompt after 1 s"),
            (&[Prompt, TooLate], 1, "no end after 1 s"),
            (&[Prompt, Prompt], 1, "a prompt came before"),
            (&[Done(0)], 0, "a status (0) of no command"),
            (
                &[Prompt, Done(0), Prompt, Done(17), Prompt, Stopped(Some(3))],
                3,
                "line 5: `quit`: the machine stopped with status 3",
            ),
            (&[Prompt, Done(0), Prompt, Done(17), Prompt, Done(0), Prompt], 3, "runs on"),
        ];
        for (says, typed, message) in cases {
            let (result, console) = play(SEED, says);
            let error = result.unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(console.typed.len(), *typed, "{message}");
        }
        assert!(play("quit\nmodstat", &[Prompt, Stopped(Some(0))]).0.is_err());
    }
}
