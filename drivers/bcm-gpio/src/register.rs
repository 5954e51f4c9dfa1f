//! Registers for pins 0 to 31, as BCM2835 ARM Peripherals, chapter 6, names them.

/// GPFSEL0: what pins 0 to 9 are for, three bits each; the next register has the next ten.
pub const FUNCTION: u64 = 0x00;
/// GPSET0: a set bit drives the pin high.
pub const SET: u64 = 0x1c;
/// GPCLR0: a set bit drives the pin low.
pub const CLEAR: u64 = 0x28;
/// GPLEV0: a set bit is a pin that is high.
pub const LEVEL: u64 = 0x34;
/// GPEDS0: pins at which an edge was seen; cleared by writing ones.
pub const EVENTS: u64 = 0x40;
/// GPREN0: pins whose rising edges are watched.
pub const RISING: u64 = 0x4c;
/// GPFEN0: pins whose falling edges are watched.
pub const FALLING: u64 = 0x58;
/// Pins of one function register.
pub const PINS_PER_FUNCTION: u32 = 10;
/// The function "input".
pub const FUNCTION_INPUT: u32 = 0;
/// The function "output".
pub const FUNCTION_OUTPUT: u32 = 1;
