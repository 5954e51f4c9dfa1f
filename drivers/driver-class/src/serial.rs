//! Serial ports: bytes that go out, and bytes that have arrived.

use strata_protocol::Errno;
use strata_protocol::driver::bytes::{get, put, words_of};
use strata_protocol::driver::{UART_BYTES_MAX, UART_READ, UART_WRITE};

use crate::{Answer, Words};

/// The transmitter stayed full: the device is stuck or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

/// A serial port.
pub trait SerialPort {
    /// Sends bytes and returns when the device has them all.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Stuck>;

    /// Takes the oldest byte that has arrived.
    fn take(&mut self) -> Option<u8>;
}

/// Looks at a transmitter that stays full before a byte is given up.
pub const TRANSMIT_POLLS_MAX: u32 = 1_000_000;

/// Sends bytes one by one, each once there is room for it.
pub fn send(bytes: &[u8], has_room: impl Fn() -> bool, put: impl Fn(u8)) -> Result<(), Stuck> {
    for byte in bytes {
        if !(0..TRANSMIT_POLLS_MAX).any(|_| has_room()) {
            return Err(Stuck);
        }
        put(*byte);
    }
    Ok(())
}

/// Bytes that wait to be taken. More are dropped and counted.
pub const RECEIVED_MAX: usize = 1024;

/// What a port's driver keeps for its client: bytes that have arrived, the oldest first.
#[derive(Debug)]
pub struct Received {
    bytes: [u8; RECEIVED_MAX],
    first: usize,
    count: usize,
    dropped: u32,
}

impl Default for Received {
    fn default() -> Self {
        Self { bytes: [0; RECEIVED_MAX], first: 0, count: 0, dropped: 0 }
    }
}

impl Received {
    /// Keeps a byte, or counts it as dropped where there is no room.
    pub const fn put(&mut self, byte: u8) {
        if self.count == RECEIVED_MAX {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.bytes[(self.first + self.count) % RECEIVED_MAX] = byte;
        self.count += 1;
    }

    /// Takes the oldest byte.
    pub const fn take(&mut self) -> Option<u8> {
        if self.count == 0 {
            return None;
        }
        let byte = self.bytes[self.first];
        self.first = (self.first + 1) % RECEIVED_MAX;
        self.count -= 1;
        Some(byte)
    }

    /// Bytes that found no room.
    #[must_use]
    pub const fn dropped(&self) -> u32 {
        self.dropped
    }
}

/// Answers a request of the class.
pub fn request(port: &mut impl SerialPort, label: u64, words: &mut Words, length: usize) -> Answer {
    let mut bytes = [0; UART_BYTES_MAX];
    match label {
        UART_WRITE => {
            let count = usize::try_from(words[0]).map_err(|_| Errno::E2BIG)?;
            if count > UART_BYTES_MAX || 1 + words_of(count) > length {
                return Err(Errno::E2BIG);
            }
            get(&words[1..], &mut bytes[..count]);
            port.write(&bytes[..count]).map(|()| 0).map_err(|Stuck| Errno::EIO)
        }
        UART_READ => {
            let wanted = usize::try_from(words[0]).unwrap_or(UART_BYTES_MAX).min(UART_BYTES_MAX);
            let arrived = core::iter::from_fn(|| port.take());
            let count = bytes[..wanted].iter_mut().zip(arrived).map(|(place, byte)| *place = byte).count();
            words[0] = count as u64;
            put(&bytes[..count], &mut words[1..]);
            Ok(1 + words_of(count))
        }
        _ => Err(Errno::ENOSYS),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::vec::Vec;

    use super::*;
    use strata_protocol::message::WORDS_MAX;

    /// A port whose other end is connected to itself.
    #[derive(Default)]
    struct Loop(VecDeque<u8>);

    impl SerialPort for Loop {
        fn write(&mut self, bytes: &[u8]) -> Result<(), Stuck> {
            self.0.extend(bytes);
            Ok(())
        }

        fn take(&mut self) -> Option<u8> {
            self.0.pop_front()
        }
    }

    #[test]
    fn bytes_of_every_length_come_around_and_none_is_lost() {
        let mut port = Loop::default();
        for length in [0, 1, 7, 8, 9, 100, UART_BYTES_MAX] {
            let sent: Vec<u8> = (0..=255).cycle().take(length).collect();
            let mut words = [0; WORDS_MAX];
            words[0] = length as u64;
            put(&sent, &mut words[1..]);
            assert_eq!(request(&mut port, UART_WRITE, &mut words, 1 + words_of(length)), Ok(0));
            // Fewer are asked for than have arrived: the rest waits.
            let mut back: Vec<u8> = Vec::new();
            while back.len() < length {
                words[0] = 50;
                let answer = request(&mut port, UART_READ, &mut words, 1);
                let count = usize::try_from(words[0]).unwrap();
                assert_eq!(answer, Ok(1 + words_of(count)));
                assert!(count > 0);
                let mut some = [0; 50];
                get(&words[1..], &mut some[..count]);
                back.extend(&some[..count]);
            }
            assert_eq!(back, sent);
        }
    }

    #[test]
    fn a_length_beyond_the_message_is_refused() {
        let mut port = Loop::default();
        let mut words = [0; WORDS_MAX];
        for (count, length) in [(UART_BYTES_MAX as u64 + 1, WORDS_MAX), (9, 2), (u64::MAX, WORDS_MAX)] {
            words[0] = count;
            assert_eq!(request(&mut port, UART_WRITE, &mut words, length), Err(Errno::E2BIG));
        }
        assert!(port.0.is_empty());
        assert_eq!(request(&mut port, 12345, &mut words, 1), Err(Errno::ENOSYS));
    }
}
