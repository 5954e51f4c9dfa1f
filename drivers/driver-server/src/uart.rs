//! The "uart" server: the PL011 with interrupt-driven receive.

use kmod_api::bus::Device;
use pl011::Uart;
use strata_protocol::Errno;
use strata_protocol::domain::ServerStart;
use strata_protocol::driver::{UART_BYTES_MAX, UART_READ, UART_WRITE};
use strata_protocol::message::WORDS_MAX;

use crate::device;
use crate::server::{Answer, Class, Server};

/// Entry of the thread.
///
/// # Safety
/// The linker server starts the thread here, with the address of its start record.
pub unsafe extern "C" fn entry(start: *const ServerStart) -> ! {
    // SAFETY: this is the entry of the thread.
    let server = unsafe { Server::begin(start) };
    let device = match server.map_device() {
        Ok(device) => device,
        Err(errno) => server.refuse(errno),
    };
    match Uart::probe(device) {
        Ok(uart) => server.serve(&mut UartClass(uart)),
        Err(_) => server.refuse(Errno::ENODEV),
    }
}

struct UartClass(Uart<Device>);

impl Class for UartClass {
    fn stop(&mut self) {
        self.0.stop();
    }

    fn layers_changed(&mut self) {
        self.0.arm();
    }

    fn signalled(&mut self, server: &Server) {
        if self.0.interrupt() {
            server.tell_client();
        }
    }

    fn request(&mut self, label: u64, words: &mut [u64; WORDS_MAX], length: usize) -> Answer {
        match label {
            UART_WRITE => self.write(words, length),
            UART_READ => Ok(self.read(words)),
            _ => device::request(self.0.registers(), label, words),
        }
    }
}

impl UartClass {
    fn write(&mut self, words: &[u64; WORDS_MAX], length: usize) -> Answer {
        let count = usize::try_from(words[0]).map_err(|_| Errno::E2BIG)?;
        if count > UART_BYTES_MAX || 1 + count.div_ceil(8) > length {
            return Err(Errno::E2BIG);
        }
        let mut bytes = [0; UART_BYTES_MAX];
        for (eight, word) in bytes.chunks_mut(8).zip(&words[1..]) {
            eight.copy_from_slice(&word.to_le_bytes());
        }
        self.0.write(&bytes[..count]).map(|()| 0).map_err(|_| Errno::EIO)
    }

    fn read(&mut self, words: &mut [u64; WORDS_MAX]) -> usize {
        let wanted = usize::try_from(words[0]).unwrap_or(UART_BYTES_MAX).min(UART_BYTES_MAX);
        let mut count = 0;
        let mut word = [0; 8];
        while count < wanted {
            let Some(byte) = self.0.take() else { break };
            word[count % 8] = byte;
            count += 1;
            words[1 + (count - 1) / 8] = u64::from_le_bytes(word);
            if count.is_multiple_of(8) {
                word = [0; 8];
            }
        }
        words[0] = count as u64;
        1 + count.div_ceil(8)
    }
}
