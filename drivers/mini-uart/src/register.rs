//! Registers and bits of the auxiliary block's mini-UART, as BCM2835 ARM Peripherals, chapter 2, names them, with the
//! errata that are known: AUX_MU_IER_REG has the receive interrupt in bit 0, and AUX_MU_LCR_REG wants 3 for eight bits.

/// AUX_ENABLES: bit 0 switches the mini-UART on.
pub const ENABLES: u64 = 0x04;
/// AUX_MU_IO_REG: data.
pub const DATA: u64 = 0x40;
/// AUX_MU_IER_REG: interrupts that are enabled.
pub const INTERRUPT_ENABLE: u64 = 0x44;
/// AUX_MU_LCR_REG: format.
pub const LINE_CONTROL: u64 = 0x4c;
/// AUX_MU_LSR_REG: status.
pub const LINE_STATUS: u64 = 0x54;
/// AUX_MU_CNTL_REG: receiver and transmitter.
pub const CONTROL: u64 = 0x60;
/// AUX_MU_BAUD_REG: eight times the speed goes this often and once more into the clock.
pub const BAUD: u64 = 0x68;

/// AUX_ENABLES: the mini-UART.
pub const ENABLE_UART: u32 = 1;
/// AUX_MU_IER_REG: a byte has arrived.
pub const INTERRUPT_RECEIVE: u32 = 1;
/// AUX_MU_LCR_REG: eight bits.
pub const LINE_8_BITS: u32 = 3;
/// AUX_MU_LSR_REG: a byte has arrived.
pub const STATUS_HAS_BYTE: u32 = 1;
/// AUX_MU_LSR_REG: there is room for a byte to send.
pub const STATUS_HAS_ROOM: u32 = 1 << 5;
/// AUX_MU_CNTL_REG: receiver and transmitter on.
pub const CONTROL_ON: u32 = 3;
