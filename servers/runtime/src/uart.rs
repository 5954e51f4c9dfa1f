//! The client side of a UART driver server: raw words, so that short requests stay in registers.

use sel4_sys::{seL4_CPtr, seL4_MessageInfo};
use strata_protocol::driver::{UART_BYTES_MAX, UART_READ, UART_WRITE};

use crate::Ipc;

/// A driver that was restarted under our request answers with an error; how often to ask again.
const TRIES: usize = 3;

/// A UART driver server.
#[derive(Clone, Copy, Debug)]
pub struct Uart {
    endpoint: seL4_CPtr,
}

/// The driver refused: its label, an errno number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UartError(pub u64);

impl Uart {
    /// The driver server behind an endpoint.
    #[must_use]
    pub const fn new(endpoint: seL4_CPtr) -> Self {
        Self { endpoint }
    }

    /// Writes all bytes; those of one [`UART_BYTES_MAX`] are contiguous on the line.
    pub fn write(self, ipc: &mut Ipc, bytes: &[u8]) -> Result<(), UartError> {
        bytes.chunks(UART_BYTES_MAX).try_for_each(|chunk| self.write_chunk(ipc, chunk))
    }

    fn write_chunk(self, ipc: &mut Ipc, bytes: &[u8]) -> Result<(), UartError> {
        self.insist(ipc, UART_WRITE, |ipc| {
            ipc.msg[0] = bytes.len() as u64;
            for (word, eight) in ipc.msg[1..].iter_mut().zip(bytes.chunks(8)) {
                let mut padded = [0; 8];
                padded[..eight.len()].copy_from_slice(eight);
                *word = u64::from_le_bytes(padded);
            }
            1 + bytes.len().div_ceil(8)
        })
    }

    /// Reads what has arrived, without waiting; how many bytes it was.
    pub fn read(self, ipc: &mut Ipc, buffer: &mut [u8]) -> Result<usize, UartError> {
        let room = buffer.len().min(UART_BYTES_MAX);
        self.insist(ipc, UART_READ, |ipc| {
            ipc.msg[0] = room as u64;
            1
        })?;
        let length = usize::try_from(ipc.msg[0]).unwrap_or(room).min(room);
        for (eight, word) in buffer[..length].chunks_mut(8).zip(&ipc.msg[1..]) {
            eight.copy_from_slice(&word.to_le_bytes()[..eight.len()]);
        }
        Ok(length)
    }

    fn insist(self, ipc: &mut Ipc, label: u64, fill: impl Fn(&mut Ipc) -> usize) -> Result<(), UartError> {
        let mut error = 0;
        for _ in 0..TRIES {
            let length = fill(ipc);
            let tag = seL4_MessageInfo::new(label, 0, 0, length as u64);
            error = ipc.seL4_Call(self.endpoint, tag).get_label();
            if error == 0 {
                return Ok(());
            }
        }
        Err(UartError(error))
    }
}
