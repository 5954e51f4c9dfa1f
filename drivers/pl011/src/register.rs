//! Registers and bits, as the PL011 technical reference manual (Arm DDI 0183) names them.

/// UARTDR: data.
pub const DATA: u64 = 0x00;
/// UARTFR: flags.
pub const FLAGS: u64 = 0x18;
/// UARTLCR_H: line control.
pub const LINE_CONTROL: u64 = 0x2c;
/// UARTCR: control.
pub const CONTROL: u64 = 0x30;
/// UARTIFLS: FIFO levels that raise interrupts.
pub const FIFO_LEVELS: u64 = 0x34;
/// UARTIMSC: interrupt mask, set bits are enabled.
pub const INTERRUPT_MASK: u64 = 0x38;
/// UARTICR: interrupt clear.
pub const INTERRUPT_CLEAR: u64 = 0x44;
/// UARTPeriphID0, the first of four.
pub const PERIPHERAL_ID: u64 = 0xfe0;

/// UARTFR.RXFE: nothing has arrived.
pub const FLAG_RECEIVE_EMPTY: u32 = 1 << 4;
/// UARTFR.TXFF: no room to send.
pub const FLAG_TRANSMIT_FULL: u32 = 1 << 5;
/// UARTLCR_H.FEN: FIFOs on.
pub const LINE_FIFOS: u32 = 1 << 4;
/// UARTLCR_H.WLEN: eight bits.
pub const LINE_8_BITS: u32 = 3 << 5;
/// UARTIFLS: receive at one eighth, transmit at one half.
pub const LEVEL_RECEIVE_EIGHTH: u32 = 0b010;
/// UARTCR: device, transmitter and receiver on.
pub const CONTROL_ON: u32 = 1 | 1 << 8 | 1 << 9;
/// Receive interrupt.
pub const INTERRUPT_RECEIVE: u32 = 1 << 4;
/// Receive timeout interrupt: bytes below the level have waited.
pub const INTERRUPT_TIMEOUT: u32 = 1 << 6;
/// Every interrupt.
pub const INTERRUPT_ALL: u32 = 0x7ff;
/// The identification of a PL011: part 0x011, designer 0x41 (Arm).
pub const ID_PART: u32 = 0x0004_1011;
/// Revision and configuration differ between PL011s.
pub const ID_PART_MASK: u32 = 0x000f_ffff;
