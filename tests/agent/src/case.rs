//! What a case is: a record in a section of its own, found by name.

use core::fmt;

use strata_protocol::Text;
pub(crate) use strata_protocol::case::PATTERN;
use strata_protocol::case::Record;
pub(crate) use strata_protocol::case::fitting::{
    EDGES, FREE_PINS, I2C_CHIPS, I2C_CHIPS_AND_INTERRUPTS, MAILBOX, MINI_UART, NO_RNG200, RNG, SPI_FLASH,
    SPI_FLASH_AND_INTERRUPTS, SYSTEM_TIMER, VIDEOCORE_INTERRUPTS,
};
pub(crate) use strata_protocol::case::flag::{BENCH, CORES, SOAK, SPINS};

use crate::agent::Agent;

/// Why a case failed, in one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(Text<300>);

impl Failure {
    /// A failure with this text, cut where a frame has no room.
    pub(crate) fn new(why: fmt::Arguments<'_>) -> Self {
        Self(Text::format(why))
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a case ends.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// A case of this image.
pub(crate) type Case = Record<fn(&mut Agent) -> Outcome>;

/// Defines a case: `case!(30, fn name(agent) { … Ok(()) })`, the number being its time limit in seconds.
macro_rules! case {
    ($(#[doc = $doc:literal])* $seconds:literal, fn $name:ident($agent:ident) $body:block) => {
        $crate::case::case!($(#[doc = $doc])* $seconds, 0, fn $name($agent) $body);
    };
    ($(#[doc = $doc:literal])* $seconds:literal, $flags:expr, fn $name:ident($agent:ident) $body:block) => {
        $(#[doc = $doc])*
        fn $name($agent: &mut $crate::agent::Agent) -> $crate::case::Outcome $body

        const _: () = {
            #[used]
            #[unsafe(link_section = ".strata.cases")]
            static CASE: $crate::case::Case = $crate::case::Case {
                name: strata_protocol::case::name(stringify!($name)),
                seconds: $seconds,
                flags: $flags,
                run: $name,
            };
        };
    };
}
pub(crate) use case;

/// Ends the case as failed.
macro_rules! fail {
    ($($argument:tt)*) => { return Err($crate::case::Failure::new(format_args!($($argument)*))) };
}
pub(crate) use fail;

/// Fails unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($argument:tt)*) => {
        if !$condition {
            $crate::case::fail!("{}:{}: {}", file!(), line!(), format_args!($($argument)*));
        }
    };
}
pub(crate) use ensure;

/// Fails unless both are equal, and shows them.
macro_rules! ensure_eq {
    ($left:expr, $right:expr, $($argument:tt)*) => {
        match (&$left, &$right) {
            (left, right) => {
                if *left != *right {
                    $crate::case::fail!(
                        "{}:{}: {}: {left:?}, not {right:?}", file!(), line!(), format_args!($($argument)*)
                    );
                }
            }
        }
    };
}
pub(crate) use ensure_eq;

unsafe extern "C" {
    static __strata_cases_start: u8;
    static __strata_cases_end: u8;
}

/// The case of this name.
pub(crate) fn find(name: &str) -> Option<&'static Case> {
    let (start, end) = ((&raw const __strata_cases_start).cast::<Case>(), &raw const __strata_cases_end);
    let count = (end.addr() - start.addr()) / size_of::<Case>();
    // SAFETY: the linker script puts nothing but the records of `case!` between the two symbols.
    let cases = unsafe { core::slice::from_raw_parts(start, count) };
    cases.iter().find(|case| case.name() == name)
}
