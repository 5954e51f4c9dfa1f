//! The debug console: a PL011 (Arm DDI 0183), or the BCM2835's mini-UART (BCM2835 ARM Peripherals, chapter 2).
use crate::mmio::Registers;

/// A UART. Only sending is done here; what arrives is for the user's driver.
#[derive(Clone, Copy)]
pub struct Uart {
    registers: Registers,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Pl011,
    MiniUart,
}

/// How fast a UART is to be.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// The clock that the speed is divided from, in hertz; 0 leaves everything as the loader has set it.
    pub clock_hz: u32,
    /// Bits per second.
    pub baud: u32,
}

const PL011_DATA: u64 = 0;
const PL011_FLAGS: u64 = 0x18;
const PL011_DIVISOR: u64 = 0x24;
const PL011_FRACTION: u64 = 0x28;
const PL011_LINE: u64 = 0x2c;
const PL011_CONTROL: u64 = 0x30;
const PL011_MASK: u64 = 0x38;
const PL011_TX_FULL: u32 = 1 << 5;
const PL011_BUSY: u32 = 1 << 3;
/// Eight bits, FIFOs.
const PL011_8N1: u32 = 3 << 5 | 1 << 4;
/// On, sending and receiving.
const PL011_ON: u32 = 1 | 1 << 8 | 1 << 9;

const AUX_ENABLES: u64 = 0x04;
const MINI_DATA: u64 = 0x40;
const MINI_INTERRUPTS: u64 = 0x44;
const MINI_FIFOS: u64 = 0x48;
const MINI_LINE: u64 = 0x4c;
const MINI_STATUS: u64 = 0x54;
const MINI_CONTROL: u64 = 0x60;
const MINI_DIVISOR: u64 = 0x68;
const MINI_TX_ROOM: u32 = 1 << 5;
const MINI_TX_IDLE: u32 = 1 << 6;

impl Uart {
    /// The PL011 at a physical address.
    ///
    /// # Safety
    /// The registers are mapped as device memory in the direct map.
    pub const unsafe fn pl011(physical: u64) -> Self {
        // SAFETY: the caller's promise; a UART changes no memory.
        Self { registers: unsafe { Registers::new(physical) }, kind: Kind::Pl011 }
    }

    /// The auxiliary block with the mini-UART at a physical address.
    ///
    /// # Safety
    /// As for [`Uart::pl011`].
    pub const unsafe fn mini_uart(physical: u64) -> Self {
        // SAFETY: the caller's promise; a UART changes no memory.
        Self { registers: unsafe { Registers::new(physical) }, kind: Kind::MiniUart }
    }

    /// Sets the speed, eight bits, no parity, and switches the device on.
    pub fn set_up(self, speed: Speed) {
        if speed.clock_hz == 0 || speed.baud == 0 {
            return;
        }
        let r = self.registers;
        match self.kind {
            Kind::Pl011 => {
                // The speed may change only while the device is off, and what is under way has to leave it first
                // (DDI 0183, UARTCR).
                while r.read(PL011_FLAGS) & PL011_BUSY != 0 {}
                r.write(PL011_CONTROL, 0);
                let divisor = pl011_divisor(speed);
                r.write(PL011_DIVISOR, divisor >> 6);
                r.write(PL011_FRACTION, divisor & 0x3f);
                r.write(PL011_LINE, PL011_8N1);
                r.write(PL011_MASK, 0);
                r.write(PL011_CONTROL, PL011_ON);
            }
            Kind::MiniUart => {
                r.write(AUX_ENABLES, r.read(AUX_ENABLES) | 1);
                r.write(MINI_INTERRUPTS, 0);
                r.write(MINI_CONTROL, 0);
                // Eight bits: the manual's 1 is corrected to 3 by its errata.
                r.write(MINI_LINE, 3);
                r.write(MINI_FIFOS, 6);
                r.write(MINI_DIVISOR, (speed.clock_hz / (8 * speed.baud)).saturating_sub(1));
                r.write(MINI_CONTROL, 3);
            }
        }
    }

    /// Waits until everything has been sent.
    pub fn drain(self) {
        let r = self.registers;
        match self.kind {
            Kind::Pl011 => while r.read(PL011_FLAGS) & PL011_BUSY != 0 {},
            Kind::MiniUart => while r.read(MINI_STATUS) & MINI_TX_IDLE == 0 {},
        }
    }

    /// Writes a byte, waiting for room.
    pub fn put(&mut self, byte: u8) {
        let r = self.registers;
        match self.kind {
            Kind::Pl011 => {
                while r.read(PL011_FLAGS) & PL011_TX_FULL != 0 {}
                r.write(PL011_DATA, u32::from(byte));
            }
            Kind::MiniUart => {
                while r.read(MINI_STATUS) & MINI_TX_ROOM == 0 {}
                r.write(MINI_DATA, u32::from(byte));
            }
        }
    }
}

/// Clock over sixteen times the speed, in 64ths, rounded.
const fn pl011_divisor(speed: Speed) -> u32 {
    (4 * speed.clock_hz + speed.baud / 2) / speed.baud
}

// DDI 0183, 3.3.6: its example divides 4 MHz to 230400.
const _: () = assert!(pl011_divisor(Speed { clock_hz: 4_000_000, baud: 230_400 }) == 64 + 5);
const _: () = assert!(pl011_divisor(Speed { clock_hz: 48_000_000, baud: 115_200 }) == 26 * 64 + 3);
