//! The serial line: a PL011 that nothing but this image uses.
use board::{Console, UartKind};
use bus_space::{BarrierFlags, Registers};
use driver_class::Driver as _;
use pl011::Pl011;
use selected_board::BOARD;

const _: () = assert!(matches!(BOARD.console.kind, UartKind::Pl011), "the chainloader has no other driver");

/// UARTFR.BUSY: something is being sent.
const BUSY: u32 = 1 << 3;
/// UARTIBRD and UARTFBRD: the divisor, whole and in 64ths (DDI 0183, 3.3.6).
const DIVISOR: u64 = 0x24;
const FRACTION: u64 = 0x28;

/// Registers at a physical address; the MMU is off, so that they are device memory.
pub(crate) struct Physical(u64);

impl Physical {
    fn at(&self, offset: u64) -> *mut u32 {
        core::ptr::with_exposed_provenance_mut(usize::try_from(self.0 + offset).unwrap_or(0))
    }
}

impl Registers for Physical {
    fn read_4(&self, offset: u64) -> u32 {
        // SAFETY: only `open` makes one, for registers that are this image's.
        unsafe { self.at(offset).read_volatile() }
    }

    fn write_4(&self, offset: u64, value: u32) {
        // SAFETY: as for reading; the device changes no memory.
        unsafe { self.at(offset).write_volatile(value) };
    }

    fn barrier(&self, _: BarrierFlags) {
        // SAFETY: orders only.
        unsafe { core::arch::asm!("dsb sy", options(nostack, preserves_flags)) };
    }
}

/// Leads the pins to the line, sets its speed and switches it on; none if there is no PL011.
pub(crate) fn open() -> Option<Pl011<Physical>> {
    for change in BOARD.pins {
        let register = Physical(change.register);
        register.write_4(0, register.read_4(0) & !change.clear | change.set);
    }
    let Console { registers, clock_hz, baud, .. } = BOARD.console;
    let line = Physical(registers.start);
    if clock_hz != 0 && baud != 0 {
        // The speed may change only while the device is off, and what is under way has to leave it first (UARTCR).
        while line.read_4(pl011::register::FLAGS) & BUSY != 0 {}
        line.write_4(pl011::register::CONTROL, 0);
        let divisor = (4 * clock_hz + baud / 2) / baud;
        line.write_4(DIVISOR, divisor >> 6);
        line.write_4(FRACTION, divisor & 0x3f);
    }
    // Setting it up writes UARTLCR_H, which takes the divisor over.
    let uart = Pl011::probe(line, 0).ok()?;
    // What came before is dropped with the FIFO that had it. QEMU's model stops listening while that is full, and goes
    // on at a read only, which is no harm elsewhere.
    uart.registers().read_4(pl011::register::DATA);
    Some(uart)
}
