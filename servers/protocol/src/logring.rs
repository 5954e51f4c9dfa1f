//! The log ring: one page, one writer thread, one reader (the log server).
//!
//! Records are a length (u16, little endian) and that many bytes. The writer never waits: a record that does not
//! fit is counted and dropped. Each side owns one index; both only grow and are reduced modulo [`CAPACITY`].

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Bytes of data in a ring: a power of two, so that the indices may wrap at 2³².
pub const CAPACITY: usize = 2048;
/// The longest record.
pub const RECORD_MAX: usize = crate::wire::LOG_BYTES_MAX;

const CAPACITY_U32: u32 = 2048;
const _: () = assert!(CAPACITY.is_power_of_two() && CAPACITY as u64 == CAPACITY_U32 as u64);
const _: () = assert!(core::mem::size_of::<LogRing>() <= 4096);

/// The page. Zeros are an empty ring.
#[repr(C)]
pub struct LogRing {
    /// Written by the writer: bytes ever put.
    head: AtomicU32,
    /// Written by the reader: bytes ever taken.
    tail: AtomicU32,
    /// Written by the writer: records that did not fit.
    dropped: AtomicU32,
    reserved: AtomicU32,
    data: [AtomicU8; CAPACITY],
}

impl LogRing {
    /// An empty ring, for tests.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            head: AtomicU32::new(0),
            tail: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            data: [const { AtomicU8::new(0) }; CAPACITY],
        }
    }

    /// Puts one record. Only the ring's one writer calls this. `false`: it was dropped and counted.
    pub fn put(&self, record: &[u8]) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        // The reader frees bytes with its release store of `tail`.
        let tail = self.tail.load(Ordering::Acquire);
        let used = head.wrapping_sub(tail) as usize;
        let Ok(length) = u16::try_from(record.len()) else { return self.drop_record() };
        if record.len() > RECORD_MAX || used > CAPACITY || record.len() + 2 > CAPACITY - used {
            return self.drop_record();
        }
        let mut at = head;
        for byte in length.to_le_bytes().iter().chain(record) {
            self.data[(at % CAPACITY_U32) as usize].store(*byte, Ordering::Relaxed);
            at = at.wrapping_add(1);
        }
        // Publishes the bytes above.
        self.head.store(at, Ordering::Release);
        true
    }

    /// Takes the oldest record into `buffer`. Only the ring's one reader calls this.
    ///
    /// A writer can write anything into its ring: a length that makes no sense empties the ring, and nothing more.
    pub fn take<'b>(&self, buffer: &'b mut [u8; RECORD_MAX]) -> Option<&'b [u8]> {
        let tail = self.tail.load(Ordering::Relaxed);
        let head = self.head.load(Ordering::Acquire);
        let used = head.wrapping_sub(tail) as usize;
        if used < 2 {
            return None;
        }
        let byte = |at: u32| self.data[(at % CAPACITY_U32) as usize].load(Ordering::Relaxed);
        let length = usize::from(u16::from_le_bytes([byte(tail), byte(tail.wrapping_add(1))]));
        if used > CAPACITY || length > RECORD_MAX || length + 2 > used {
            self.tail.store(head, Ordering::Release);
            return None;
        }
        let mut at = tail.wrapping_add(2);
        for slot in &mut buffer[..length] {
            *slot = byte(at);
            at = at.wrapping_add(1);
        }
        self.tail.store(at, Ordering::Release);
        Some(&buffer[..length])
    }

    /// Records dropped since the ring was made.
    #[must_use]
    pub fn dropped(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn drop_record(&self) -> bool {
        // One writer: a load and a store lose nothing.
        self.dropped.store(self.dropped.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        false
    }
}

impl Default for LogRing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_across_the_wrap_and_a_full_ring_counts() {
        let ring = LogRing::new();
        let mut buffer = [0; RECORD_MAX];
        for round in 0..1000_u32 {
            assert!(ring.put(&round.to_le_bytes()));
            assert!(ring.put(&[7; 100]));
            assert_eq!(ring.take(&mut buffer), Some(&round.to_le_bytes()[..]));
            assert_eq!(ring.take(&mut buffer), Some(&[7; 100][..]));
        }
        assert_eq!(ring.take(&mut buffer), None);
        let mut fitted = 0;
        while ring.put(&[1; 62]) {
            fitted += 1;
        }
        assert_eq!((fitted, ring.dropped()), (CAPACITY / 64, 1));
    }

    #[test]
    fn a_writer_that_lies_cannot_hurt_the_reader() {
        let mut buffer = [0; RECORD_MAX];
        for head in [1_u32, 2, 100, 2048, 2049, u32::MAX] {
            for length in [0_u8, 1, 255] {
                let ring = LogRing::new();
                ring.data[0].store(length, Ordering::Relaxed);
                ring.data[1].store(length, Ordering::Relaxed);
                ring.head.store(head, Ordering::Relaxed);
                for _ in 0..3000 {
                    let _ = ring.take(&mut buffer);
                }
            }
        }
    }
}
