//! Driver servers as a client sees them: raw words.

use board::device;
use sel4_sys::{seL4_CPtr, seL4_MessageInfo};
use selected_board::BOARD;
use strata_protocol::Errno;
use strata_protocol::driver::{
    BENCH_RUN, BUS_READ, BUS_WRITE, DEMO_NOTE, DEMO_PING, DEMO_PING_POINTER, DEMO_RELEASE, DEMO_STATUS,
    DEMO_WAIT,
};
use strata_protocol::linker::Request;
use strata_runtime::Ipc;

use crate::agent::{Agent, name};
use crate::case::{Outcome, ensure, fail};

/// The board's device for cases: it identifies itself, and one of its registers keeps what is written.
pub(crate) const SPECIMEN: &str = BOARD.specimen.device;
/// Where its registers are on the bus.
pub(crate) const SPECIMEN_REGISTERS: u64 = device(BOARD, SPECIMEN).registers.start;
/// Offset of its identification.
pub(crate) const SPECIMEN_ID_AT: u64 = BOARD.specimen.id;
/// What it answers there.
pub(crate) const SPECIMEN_ID: u64 = BOARD.specimen.id_value as u64;
/// Offset of the register that keeps what is written and does nothing.
pub(crate) const SPECIMEN_SCRATCH_AT: u64 = BOARD.specimen.scratch;

/// Where the UART's registers are on the bus.
pub(crate) const UART: u64 = BOARD.console.registers.start;
/// Identification register 0 of the UART.
pub(crate) const UART_ID_AT: u64 = 0xfe0;
/// What a PL011 answers there.
pub(crate) const UART_ID_0: u64 = 0x11;
/// The last identification register, which reads the same on every PrimeCell.
pub(crate) const CELL_ID_3_AT: u64 = 0xffc;
/// What it reads.
pub(crate) const CELL_ID_3: u64 = 0xb1;
/// The UART's low-power counter: it keeps what is written, and nothing uses it.
pub(crate) const UART_LOW_POWER_AT: u64 = 0x20;

/// Where nothing is.
pub(crate) const HOLE: u64 = device(BOARD, "hole").registers.start;

/// A driver server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device(seL4_CPtr);

/// An answer: the label (0, or an errno number) and the first words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 0, or an errno number.
    pub(crate) label: u64,
    /// The first message words.
    pub(crate) words: [u64; 4],
}

impl Answer {
    /// Whether the server was started again under this request.
    pub(crate) fn is_fault(&self) -> bool {
        self.label == u64::from(Errno::EFAULT.number().unsigned_abs())
    }
}

impl Device {
    /// The driver server behind an endpoint that another thread has opened.
    pub(crate) const fn at(endpoint: seL4_CPtr) -> Self {
        Self(endpoint)
    }

    /// The endpoint, to be handed to another thread of this process.
    pub(crate) const fn endpoint(self) -> seL4_CPtr {
        self.0
    }

    /// Asks for anything.
    pub(crate) fn call(self, ipc: &mut Ipc, label: u64, words: &[u64]) -> Answer {
        ipc.msg[..words.len()].copy_from_slice(words);
        let tag = seL4_MessageInfo::new(label, 0, 0, words.len() as u64);
        let answer = ipc.seL4_Call(self.0, tag);
        Answer { label: answer.get_label(), words: [ipc.msg[0], ipc.msg[1], ipc.msg[2], ipc.msg[3]] }
    }

    fn value(self, ipc: &mut Ipc, label: u64, words: &[u64]) -> Outcome<[u64; 4]> {
        let answer = self.call(ipc, label, words);
        ensure!(answer.label == 0, "request {label} {words:x?}: {answer:x?}");
        Ok(answer.words)
    }

    /// Reads a 32-bit register: value and status.
    pub(crate) fn read_4(self, ipc: &mut Ipc, offset: u64) -> Outcome<(u64, u64)> {
        let [value, status, ..] = self.value(ipc, BUS_READ, &[4, offset])?;
        Ok((value, status))
    }

    /// Writes a 32-bit register.
    pub(crate) fn write_4(self, ipc: &mut Ipc, offset: u64, value: u64) -> Outcome {
        let [status, ..] = self.value(ipc, BUS_WRITE, &[4, offset, value])?;
        ensure!(status == 0, "write of {value:#x} at {offset:#x}: status {status}");
        Ok(())
    }

    /// Calls `demo_ping`.
    pub(crate) fn ping(self, ipc: &mut Ipc, value: u64) -> Outcome<u64> {
        Ok(self.value(ipc, DEMO_PING, &[value])?[0])
    }

    /// Calls `demo_ping` through the pointer that the server has kept since its start.
    pub(crate) fn ping_pointer(self, ipc: &mut Ipc, value: u64) -> Outcome<u64> {
        Ok(self.value(ipc, DEMO_PING_POINTER, &[value])?[0])
    }

    /// Calls `demo_note`.
    pub(crate) fn take_note(self, ipc: &mut Ipc, note: u64) -> Outcome<u64> {
        Ok(self.value(ipc, DEMO_NOTE, &[note])?[0])
    }

    /// Has the server call `demo_wait`; the answer comes before the call.
    pub(crate) fn wait(self, ipc: &mut Ipc, value: u64) -> Outcome {
        self.value(ipc, DEMO_WAIT, &[value])?;
        Ok(())
    }

    /// Signals what blocking test modules wait on.
    pub(crate) fn release(self, ipc: &mut Ipc) -> Outcome {
        self.value(ipc, DEMO_RELEASE, &[0])?;
        Ok(())
    }

    /// Waits begun, waits ended, the last value.
    pub(crate) fn waits(self, ipc: &mut Ipc) -> Outcome<(u64, u64, u64)> {
        let [begun, ended, last, _] = self.value(ipc, DEMO_STATUS, &[])?;
        Ok((begun, ended, last))
    }

    /// Runs a loop of the bench server; how many ticks it took.
    pub(crate) fn bench(self, ipc: &mut Ipc, which: u64, rounds: u64) -> Outcome<u64> {
        Ok(self.value(ipc, BENCH_RUN, &[which, rounds])?[0])
    }
}

impl Agent {
    /// Opens a driver server.
    pub(crate) fn open(&mut self, device: &str) -> Outcome<Device> {
        let (endpoint, _) = self.capability(&Request::OpenDevice { name: name(device)? })?;
        Ok(Device(endpoint))
    }

    /// Fails unless both devices answer as they do without layers.
    pub(crate) fn expect_devices_well(&mut self) -> Outcome {
        let identifications = [
            (SPECIMEN, SPECIMEN_ID_AT, SPECIMEN_ID),
            ("uart", UART_ID_AT, UART_ID_0),
            ("uart", CELL_ID_3_AT, CELL_ID_3),
        ];
        for (device, offset, expected) in identifications {
            let endpoint = self.open(device)?;
            let read = endpoint.read_4(self.ipc, offset)?;
            if read != (expected, 0) {
                fail!("{device} at {offset:#x}: {read:x?}, not {expected:#x}");
            }
            self.close(endpoint)?;
        }
        Ok(())
    }

    /// Gives a driver server's endpoint back.
    pub(crate) fn close(&mut self, device: Device) -> Outcome {
        let done = self.slots.delete(self.ipc, device.0);
        ensure!(done.is_ok(), "closing a device: {done:?}");
        Ok(())
    }
}
