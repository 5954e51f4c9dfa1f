//! What became of a case.

use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

/// The end of a case. Everything but [`Verdict::Pass`] is a failure, each of another kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The case said that it passed, and the machine ended as it was told to.
    Pass,
    /// The case said why not.
    Fail(String),
    /// No case began: the system did not come up in this time.
    NoBoot(Duration),
    /// The case began and did not end in this time.
    Hang(Duration),
    /// An image panicked or a server died.
    Panic {
        /// Which.
        image: String,
        /// What it said.
        message: String,
    },
    /// QEMU itself was ended by a signal (status 134 where a shell reports it).
    EmulatorCrash(String),
    /// The machine stopped with this status and no verdict.
    Stopped(String),
    /// The case said that it passed, and then the machine ended with another status than 0.
    StatusDisagrees(String),
    /// The case passed, and hardware could have executed something else: cache maintenance is missing.
    Stale(String),
    /// The case left cache maintenance out on purpose, and the cache lint did not see it.
    NotFlagged,
    /// The case passed, and the unwinder said of a thread inside of a module that it is outside.
    Missed(String),
    /// The machine ran another case than it was asked for.
    OtherCase(String),
}

impl Verdict {
    /// What the unwinder's misses make of a verdict.
    #[must_use]
    pub fn unwound(self, missed: &[String]) -> Self {
        if self == Self::Pass && !missed.is_empty() { Self::Missed(missed.join("\n")) } else { self }
    }

    /// What the end of QEMU means when there was no verdict before it.
    #[must_use]
    pub fn of_end(status: ExitStatus, complaints: &str) -> Self {
        let text = if complaints.trim().is_empty() {
            status.to_string()
        } else {
            format!("{status}; QEMU says: {}", complaints.trim())
        };
        if crashed(status) { Self::EmulatorCrash(text) } else { Self::Stopped(text) }
    }

    /// What the cache lint's report makes of a verdict. `wanted`: the case is there to be flagged.
    #[must_use]
    pub fn linted(self, stale: &[String], wanted: bool) -> Self {
        match self {
            Self::Pass if wanted && stale.is_empty() => Self::NotFlagged,
            Self::Pass if !wanted && !stale.is_empty() => Self::Stale(stale.join("\n")),
            other => other,
        }
    }

    /// What the end of QEMU means after a verdict of the case.
    #[must_use]
    pub fn confirmed(self, status: ExitStatus) -> Self {
        match self {
            Self::Pass if crashed(status) => Self::EmulatorCrash(status.to_string()),
            Self::Pass if !status.success() => Self::StatusDisagrees(status.to_string()),
            other => other,
        }
    }
}

/// Whether QEMU ended by a signal of its own, directly or as a shell reports it.
fn crashed(status: ExitStatus) -> bool {
    status.code().is_none_or(|code| code == 134 || code == 139)
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => formatter.write_str("PASS"),
            Self::Fail(why) => write!(formatter, "FAIL: {why}"),
            Self::NoBoot(limit) => write!(formatter, "NO BOOT: no case began within {limit:.0?}"),
            Self::Hang(limit) => write!(formatter, "HANG: the case did not end within {limit:.0?}"),
            Self::Panic { image, message } => write!(formatter, "PANIC of {image}: {message}"),
            Self::EmulatorCrash(how) => write!(formatter, "EMULATOR CRASH: {how}"),
            Self::Stopped(how) => write!(formatter, "STOPPED without a verdict: {how}"),
            Self::StatusDisagrees(how) => {
                write!(formatter, "DISAGREEMENT: the case passed and the machine ended with {how}")
            }
            Self::Stale(places) => write!(formatter, "STALE instructions on hardware:\n{places}"),
            Self::NotFlagged => {
                formatter.write_str("NOT FLAGGED: the cache lint missed what the case left out")
            }
            Self::Missed(samples) => write!(formatter, "MISSED by the unwinder:\n{samples}"),
            Self::OtherCase(name) => write!(formatter, "OTHER CASE: the machine ran `{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn each_end_has_its_own_name() {
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        let abort = ExitStatus::from_raw(6);
        assert!(matches!(Verdict::of_end(exit(0), ""), Verdict::Stopped(_)));
        assert!(matches!(Verdict::of_end(exit(134), ""), Verdict::EmulatorCrash(_)));
        assert!(matches!(Verdict::of_end(abort, "x"), Verdict::EmulatorCrash(text) if text.contains("x")));
        assert_eq!(Verdict::Pass.confirmed(exit(0)), Verdict::Pass);
        assert!(matches!(Verdict::Pass.confirmed(exit(1)), Verdict::StatusDisagrees(_)));
        assert!(matches!(Verdict::Pass.confirmed(abort), Verdict::EmulatorCrash(_)));
        let stale = ["0x10".to_owned()];
        assert_eq!(Verdict::Pass.linted(&[], false), Verdict::Pass);
        assert_eq!(Verdict::Pass.linted(&stale, true), Verdict::Pass);
        assert_eq!(Verdict::Pass.linted(&[], true), Verdict::NotFlagged);
        assert_eq!(Verdict::Pass.linted(&stale, false), Verdict::Stale("0x10".into()));
        assert_eq!(Verdict::Pass.unwound(&[]), Verdict::Pass);
        assert_eq!(Verdict::Pass.unwound(&stale), Verdict::Missed("0x10".into()));
        let failed = Verdict::Fail("why".into());
        assert_eq!(failed.clone().confirmed(exit(1)), failed);
    }
}
