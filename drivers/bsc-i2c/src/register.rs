//! Registers and bits of the Broadcom Serial Controller, as BCM2835 ARM Peripherals, chapter 3, names them.

/// C: control.
pub const CONTROL: u64 = 0x00;
/// S: status.
pub const STATUS: u64 = 0x04;
/// DLEN: bytes of the transfer; while it runs, bytes that are left.
pub const LENGTH: u64 = 0x08;
/// A: address of the device.
pub const ADDRESS: u64 = 0x0c;
/// FIFO: a byte to send or a byte that has arrived.
pub const FIFO: u64 = 0x10;
/// DIV: clock divider.
pub const DIVIDER: u64 = 0x14;

/// C.I2CEN: the controller is on.
pub const CONTROL_ON: u32 = 1 << 15;
/// C.INTR: interrupts while bytes that have arrived are to be fetched.
pub const CONTROL_INTERRUPT_READ: u32 = 1 << 10;
/// C.INTT: interrupts while there is room for bytes to write.
pub const CONTROL_INTERRUPT_WRITE: u32 = 1 << 9;
/// C.INTD: interrupts when the transfer has ended.
pub const CONTROL_INTERRUPT_DONE: u32 = 1 << 8;
/// All three.
pub const CONTROL_INTERRUPTS: u32 = CONTROL_INTERRUPT_READ | CONTROL_INTERRUPT_WRITE | CONTROL_INTERRUPT_DONE;
/// C.ST: starts a transfer.
pub const CONTROL_START: u32 = 1 << 7;
/// C.CLEAR: empties the FIFO.
pub const CONTROL_CLEAR: u32 = 3 << 4;
/// C.READ: the transfer reads.
pub const CONTROL_READ: u32 = 1;

/// S.CLKT: the device has held the clock for too long.
pub const STATUS_CLOCK_HELD: u32 = 1 << 9;
/// S.ERR: a byte was not acknowledged.
pub const STATUS_ERROR: u32 = 1 << 8;
/// S.RXD: the FIFO has a byte that has arrived.
pub const STATUS_HAS_BYTE: u32 = 1 << 5;
/// S.TXD: the FIFO has room.
pub const STATUS_HAS_ROOM: u32 = 1 << 4;
/// S.DONE: the transfer has ended.
pub const STATUS_DONE: u32 = 1 << 1;
/// S.TA: a transfer is under way.
pub const STATUS_ACTIVE: u32 = 1;
/// What is cleared by writing ones.
pub const STATUS_CLEAR: u32 = STATUS_CLOCK_HELD | STATUS_ERROR | STATUS_DONE;
/// DIV keeps this many bits, the lowest of which is taken as 0.
pub const DIVIDER_MAX: u32 = 0xfffe;
