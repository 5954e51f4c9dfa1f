//! What a case is: a record in a section of its own, found by name.

use core::fmt;

use strata_protocol::Text;

use crate::agent::Agent;

/// Bytes of a case's name in its record.
pub(crate) const NAME_SIZE: usize = 96;

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

/// The record of a case: the layout that the host reads out of the file.
#[repr(C)]
pub(crate) struct Case {
    /// The name, padded with zeros.
    pub(crate) name: [u8; NAME_SIZE],
    /// How long it may take, in seconds.
    pub(crate) seconds: u32,
    /// Bit 0: a benchmark.
    pub(crate) flags: u32,
    /// The case itself.
    pub(crate) run: fn(&mut Agent) -> Outcome,
}

const _: () = assert!(size_of::<Case>() == 112);

/// Flag of a benchmark: run by `./x bench` alone, and under instruction counting.
pub(crate) const BENCH: u32 = 1;

/// Flag of a case in which something loops until a deadline: run without plugins, which would make minutes of it.
pub(crate) const SPINS: u32 = 8;

/// Flag of a case that means nothing on one core.
pub(crate) const CORES: u32 = 16;

/// Flag of a case that goes on for as long as it is told: run by `./x soak` alone.
pub(crate) const SOAK: u32 = 32;

/// Flags of a case that needs chips on the board's I²C bus: a clock at 0x68, a thermometer at 0x48.
pub(crate) const I2C_CHIPS: u32 = 1 << 8;

/// Flags of a case that needs a flash memory on the board's SPI, with [`PATTERN`] in it.
pub(crate) const SPI_FLASH: u32 = 2 << 8;

/// Flags of a case that needs a controller of pins whose model knows edges.
pub(crate) const EDGES: u32 = 3 << 8;

/// Flags of a case that needs the Pi's mini-UART, to which the host sends [`PATTERN`].
pub(crate) const MINI_UART: u32 = 4 << 8;

/// Flags of a case that needs a generator of random numbers.
pub(crate) const RNG: u32 = 5 << 8;

/// Flags of a case that needs a controller of pins whose model knows edges, and that has no driver server.
pub(crate) const FREE_PINS: u32 = 6 << 8;

/// What the host puts at each 32-bit word of a fitting's memory: the word's place times this.
pub(crate) const PATTERN: u32 = 0x9e37_79b1;

/// A name as it stands in a record.
pub(crate) const fn padded(name: &str) -> [u8; NAME_SIZE] {
    let bytes = name.as_bytes();
    assert!(bytes.len() < NAME_SIZE, "the name of a case is too long");
    let mut out = [0; NAME_SIZE];
    let mut i = 0;
    while i < bytes.len() {
        out[i] = bytes[i];
        i += 1;
    }
    out
}

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
                name: $crate::case::padded(stringify!($name)),
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
    let wanted = name.as_bytes();
    let is = |case: &&Case| {
        case.name.starts_with(wanted) && case.name[wanted.len()..].iter().all(|byte| *byte == 0)
    };
    cases.iter().find(is)
}
