//! The one line of an error: what, which name, why, and a word that a driver engineer knows.

use core::fmt;

use strata_protocol::linker::{BLOCKERS_MAX, Blocker};
use strata_protocol::{Errno, Refusal, SymbolName, Text};

/// Bytes of an explanation: a refusal's, and who is inside behind it.
const WHY_MAX: usize = 400;

/// A command that did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    what: &'static str,
    name: SymbolName,
    why: Text<WHY_MAX>,
    errno: Errno,
}

impl Failure {
    /// A failure of the command `what` about `name`, which may be empty.
    #[must_use]
    pub fn new(what: &'static str, name: &str, errno: Errno, why: &str) -> Self {
        Self { what, name: SymbolName::cut(name), why: Text::cut(why), errno }
    }

    /// A failure with a formatted explanation.
    #[must_use]
    pub fn format(what: &'static str, name: &str, errno: Errno, why: fmt::Arguments<'_>) -> Self {
        Self { what, name: SymbolName::cut(name), why: Text::format(why), errno }
    }

    /// The reason.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        self.errno
    }

    /// A server's refusal.
    #[must_use]
    pub fn refused(what: &'static str, refusal: &Refusal) -> Self {
        Self::new(what, &refusal.name, refusal.errno, &refusal.why)
    }

    /// An unload that went back, and who was inside.
    #[must_use]
    pub fn blocked(
        what: &'static str,
        refusal: &Refusal,
        blockers: &[Option<Blocker>; BLOCKERS_MAX],
    ) -> Self {
        let inside = Inside(blockers);
        Self::format(what, &refusal.name, refusal.errno, format_args!("{}{inside}", refusal.why))
    }

    /// The number for a script: never 0.
    #[must_use]
    pub const fn status(&self) -> i32 {
        self.errno.number()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error: {}", self.what)?;
        if !self.name.is_empty() {
            write!(out, " {}", self.name)?;
        }
        write!(out, ": {} ({})", self.why, self.errno)
    }
}

struct Inside<'a>(&'a [Option<Blocker>; BLOCKERS_MAX]);

impl fmt::Display for Inside<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, blocker) in self.0.iter().flatten().enumerate() {
            out.write_str(if index == 0 { "; inside: " } else { ", " })?;
            let ms = blocker.since_us / 1000;
            write!(out, "{} at {:#x} by {} for {ms} ms", blocker.thread, blocker.pc, blocker.entry)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use strata_protocol::ModuleName;

    #[test]
    fn blockers_are_named_in_the_same_line() {
        let refusal = Refusal::new(Errno::ETIMEDOUT, "blocker", "still in use after 100 ms");
        let blocker = |thread| Blocker {
            thread: ModuleName::cut(thread),
            pc: 0x1300_0124,
            entry: SymbolName::cut("demo_wait"),
            since_us: 2_345_678,
        };
        let failure =
            Failure::blocked("modunload", &refusal, &[Some(blocker("demo")), Some(blocker("b")), None, None]);
        assert_eq!(
            failure.to_string(),
            "error: modunload blocker: still in use after 100 ms; inside: demo at 0x13000124 by demo_wait for 2345 ms, \
             b at 0x13000124 by demo_wait for 2345 ms (ETIMEDOUT)"
        );
        assert_eq!(failure.status(), 60);
    }
}
