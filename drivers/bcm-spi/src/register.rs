//! Registers and bits of SPI0, as BCM2835 ARM Peripherals, chapter 10, names them.

/// CS: control and status.
pub const CONTROL: u64 = 0x00;
/// FIFO: a byte to send or a byte that came back.
pub const FIFO: u64 = 0x04;
/// CLK: clock divider.
pub const DIVIDER: u64 = 0x08;

/// CS.CS: chip select 0, 1, or 3 for none.
pub const CONTROL_SELECT_NOBODY: u32 = 3;
/// CS.CPHA: bits are taken at the clock's second edge.
pub const CONTROL_SECOND_EDGE: u32 = 1 << 2;
/// CS.CPOL: the clock idles high.
pub const CONTROL_IDLES_HIGH: u32 = 1 << 3;
/// CS.CLEAR: empties both FIFOs.
pub const CONTROL_CLEAR: u32 = 3 << 4;
/// CS.TA: the chip is selected and bytes go.
pub const CONTROL_ACTIVE: u32 = 1 << 7;
/// CS.INTD: interrupts while everything has been sent.
pub const CONTROL_INTERRUPT_DONE: u32 = 1 << 9;
/// CS.INTR: interrupts while bytes that came back are to be fetched.
pub const CONTROL_INTERRUPT_READ: u32 = 1 << 10;
/// Both.
pub const CONTROL_INTERRUPTS: u32 = CONTROL_INTERRUPT_DONE | CONTROL_INTERRUPT_READ;
/// CS.DONE: everything has been sent.
pub const STATUS_DONE: u32 = 1 << 16;
/// CS.RXD: a byte has come back.
pub const STATUS_HAS_BYTE: u32 = 1 << 17;
/// CS.TXD: there is room for a byte to send.
pub const STATUS_HAS_ROOM: u32 = 1 << 18;
/// CLK keeps 16 bits, the lowest of which is taken as 0; 0 stands for 65536.
pub const DIVIDER_MAX: u32 = 0xfffe;
