//! Why something was refused, in words that a driver engineer knows.
//!
//! The numbers are NetBSD's `<sys/errno.h>`, since the words come from there.

use core::fmt;

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use crate::text::{DetailText, SymbolName};

macro_rules! errno {
    ($($(#[$doc:meta])* $word:ident = $number:literal,)*) => {
        /// A refusal's reason.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
        pub enum Errno {
            $($(#[$doc])* $word,)*
        }

        impl Errno {
            /// All reasons, for tests and tables.
            pub const ALL: &'static [Errno] = &[$(Errno::$word,)*];

            /// NetBSD's number.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self { $(Errno::$word => $number,)* }
            }

            /// The word as a person types it: `EEXIST`.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Errno::$word => stringify!($word),)* }
            }

            /// The reason with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: i32) -> Option<Errno> {
                match number { $($number => Some(Errno::$word),)* _ => None }
            }
        }
    };
}

errno! {
    /// Not allowed by the capability that was presented.
    EPERM = 1,
    /// No module, symbol or device of that name.
    ENOENT = 2,
    /// Given up because of something more urgent: a fault elsewhere.
    EINTR = 4,
    /// The device or bus answered with an error.
    EIO = 5,
    /// The driver server has faulted too often: it stays down until somebody starts it.
    ENXIO = 6,
    /// A message or argument is larger than its bound.
    E2BIG = 7,
    /// The image breaks a rule of the format or of linking.
    ENOEXEC = 8,
    /// The request would wait for its own caller.
    EDEADLK = 11,
    /// A bound or quota is reached.
    ENOMEM = 12,
    /// A bus access or a module faulted.
    EFAULT = 14,
    /// In use: another transaction, a dependent module, a veto.
    EBUSY = 16,
    /// There already is one.
    EEXIST = 17,
    /// The device is not there or not served.
    ENODEV = 19,
    /// An argument makes no sense.
    EINVAL = 22,
    /// The command is not implemented by this module.
    ENOTTY = 25,
    /// A store is full.
    ENOSPC = 28,
    /// A number is out of range.
    ERANGE = 34,
    /// The driver server is being restarted; ask again.
    EAGAIN = 35,
    /// The deadline has passed; everything is as before.
    ETIMEDOUT = 60,
    /// The name is longer than its bound.
    ENAMETOOLONG = 63,
    /// The handle names a module that is gone.
    ESTALE = 70,
    /// The other side speaks another version.
    EPROGMISMATCH = 75,
    /// The service does not know this request.
    ENOSYS = 78,
    /// The image is not signed, or not by a key that is trusted, or it is not what was signed.
    EAUTH = 80,
    /// The request was cancelled.
    ECANCELED = 87,
}

impl fmt::Display for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

/// A refused request: the reason, the name of the thing, and one line that says why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Refusal {
    /// The reason.
    pub errno: Errno,
    /// What it is about: a module, symbol, device or thread.
    pub name: SymbolName,
    /// Why, in one line.
    pub why: DetailText,
}

impl Refusal {
    /// A refusal about `name`; both texts are cut to what a message carries.
    #[must_use]
    pub fn new(errno: Errno, name: &str, why: &str) -> Self {
        Self { errno, name: SymbolName::cut(name), why: DetailText::cut(why) }
    }

    /// A refusal with a formatted explanation.
    #[must_use]
    pub fn format(errno: Errno, name: &str, why: fmt::Arguments<'_>) -> Self {
        Self { errno, name: SymbolName::cut(name), why: DetailText::format(why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_go_both_ways() {
        for errno in Errno::ALL {
            assert_eq!(Errno::from_number(errno.number()), Some(*errno));
            assert!(errno.word().starts_with('E'));
        }
        assert_eq!(Errno::from_number(0), None);
    }
}
