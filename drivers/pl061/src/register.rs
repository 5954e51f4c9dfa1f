//! Registers, as the PL061 technical reference manual (Arm DDI 0190) names them.

/// GPIODATA: the pins whose bits are set in bits 2 to 9 of the offset, and no others.
pub const DATA: u64 = 0x000;
/// GPIODIR: a set bit is an output.
pub const DIRECTION: u64 = 0x400;
/// GPIOIS: a set bit watches the level, a clear one edges.
pub const SENSE: u64 = 0x404;
/// GPIOIBE: a set bit watches both edges.
pub const BOTH_EDGES: u64 = 0x408;
/// GPIOIEV: a set bit watches rising edges, a clear one falling ones.
pub const EVENT: u64 = 0x40c;
/// GPIOIE: a set bit lets the pin raise the interrupt.
pub const INTERRUPT_MASK: u64 = 0x410;
/// GPIOMIS: pins that raise the interrupt.
pub const INTERRUPT_STATUS: u64 = 0x418;
/// GPIOIC: a set bit forgets the pin's edge.
pub const INTERRUPT_CLEAR: u64 = 0x41c;
/// GPIOAFSEL: a set bit is a pin of the hardware behind it.
pub const ALTERNATE: u64 = 0x420;
/// GPIOPeriphID0, the first of four.
pub const PERIPHERAL_ID: u64 = 0xfe0;
/// The identification of a PL061: part 0x061, designer 0x41 (Arm).
pub const ID_PART: u32 = 0x0004_1061;
/// Revision and configuration differ between PL061s.
pub const ID_PART_MASK: u32 = 0x000f_ffff;
