//! Serial ports: `embedded_io::{Read, ReadReady, Write}`.

use embedded_io::{Error as IoError, ErrorKind, ErrorType, Read, ReadReady, Write};
use strata_protocol::Errno;
use strata_protocol::driver::bytes::{get, put, words_of};
use strata_protocol::driver::{Arrivals, Call, UART_BYTES_MAX, UART_READ, UART_WRITE};
use strata_protocol::message::WORDS_MAX;

use crate::Error;

impl IoError for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(Errno::EAGAIN) => ErrorKind::Interrupted,
            Self::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        }
    }
}

/// Bytes that are asked for before somebody wants them.
const AHEAD: usize = 64;

/// A port behind a driver server of the serial class.
///
/// What has arrived goes to whoever asks first: a port has one reader.
#[derive(Debug)]
pub struct Serial<C, A> {
    server: C,
    arrivals: A,
    ahead: [u8; AHEAD],
    first: usize,
    end: usize,
}

impl<C: Call, A: Arrivals> Serial<C, A> {
    /// The port of this server; `arrivals` says when something has come.
    pub const fn new(server: C, arrivals: A) -> Self {
        Self { server, arrivals, ahead: [0; AHEAD], first: 0, end: 0 }
    }

    /// Takes what has arrived, if nothing is left of the last time.
    fn look(&mut self) -> Result<bool, Error> {
        if self.first == self.end {
            let mut words = [0; WORDS_MAX];
            words[0] = AHEAD as u64;
            let answer = self.server.call(UART_READ, &mut words, 1)?;
            let count = usize::try_from(words[0]).ok().filter(|count| *count <= AHEAD);
            let count = count.filter(|count| answer == 1 + words_of(*count)).ok_or(Error::Garbled)?;
            get(&words[1..], &mut self.ahead[..count]);
            (self.first, self.end) = (0, count);
        }
        Ok(self.first < self.end)
    }
}

impl<C, A> ErrorType for Serial<C, A> {
    type Error = Error;
}

impl<C: Call, A: Arrivals> ReadReady for Serial<C, A> {
    fn read_ready(&mut self) -> Result<bool, Error> {
        self.look()
    }
}

impl<C: Call, A: Arrivals> Read for Serial<C, A> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        while !self.look()? {
            self.arrivals.wait();
        }
        let count = bytes.len().min(self.end - self.first);
        bytes[..count].copy_from_slice(&self.ahead[self.first..self.first + count]);
        self.first += count;
        Ok(count)
    }
}

impl<C: Call, A: Arrivals> Write for Serial<C, A> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let bytes = &bytes[..bytes.len().min(UART_BYTES_MAX)];
        let mut words = [0; WORDS_MAX];
        words[0] = bytes.len() as u64;
        put(bytes, &mut words[1..]);
        self.server.call(UART_WRITE, &mut words, 1 + words_of(bytes.len()))?;
        Ok(bytes.len())
    }

    /// A request is answered when the device has all its bytes.
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use super::*;

    /// A port whose other end is connected to itself, two bytes late.
    #[derive(Default)]
    struct Port(RefCell<Loop>);

    #[derive(Default)]
    struct Loop {
        line: [u8; 32],
        sent: usize,
        come: usize,
        taken: usize,
    }

    impl Call for &Port {
        fn call(&mut self, label: u64, words: &mut [u64; WORDS_MAX], _: usize) -> Result<usize, Errno> {
            let port = &mut *self.0.borrow_mut();
            let count = usize::try_from(words[0]).unwrap();
            if label == UART_WRITE {
                get(&words[1..], &mut port.line[port.sent..port.sent + count]);
                port.sent += count;
                return Ok(0);
            }
            let count = count.min(port.come - port.taken);
            put(&port.line[port.taken..port.taken + count], &mut words[1..]);
            port.taken += count;
            words[0] = count as u64;
            Ok(1 + words_of(count))
        }
    }

    impl Arrivals for &Port {
        fn take_arrival(&mut self) -> bool {
            false
        }
        fn wait(&mut self) {
            let port = &mut *self.0.borrow_mut();
            assert!(port.come < port.sent, "waits for what nobody has sent");
            port.come = (port.come + 2).min(port.sent);
        }
        fn stir(&mut self) {}
    }

    #[test]
    fn a_reader_waits_for_what_has_not_come() {
        let port = Port::default();
        let mut serial = Serial::new(&port, &port);
        assert_eq!(serial.read_ready(), Ok(false));
        serial.write_all(b"hello").unwrap();
        let mut bytes = [0; 5];
        assert_eq!(serial.read(&mut bytes), Ok(2));
        serial.read_exact(&mut bytes[2..]).unwrap();
        assert_eq!(&bytes, b"hello");
        assert_eq!((serial.read_ready(), serial.read(&mut [])), (Ok(false), Ok(0)));
    }
}
