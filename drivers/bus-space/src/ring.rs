//! The debug ring: a page of header, then records of 64 bytes, written by the debug layer and read by clients.
//!
//! The region is seen as little-endian 64-bit words on both sides. Each thread of the link domain writes a ring of its
//! own, so a ring has one writer; readers map the frames read-only, so no reader can stall a driver.
//!
//! **Publication.** The first word of a record is its sequence: 0 when empty, all ones while it is being written,
//! `2·(ticket+1)` for an access in flight and `2·(ticket+1)+1` for a complete one. One value for both would let a
//! reader accept a torn record. A hung access is the last record of its ring, in flight.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use crate::access::Op;

/// The first word of the region.
pub const MAGIC: u64 = u64::from_le_bytes(*b"STRRING1");
/// The version of this layout.
pub const VERSION: u32 = 1;
/// Size of the header, the first part of the region.
pub const HEADER_SIZE: usize = 4096;
/// Size of a record.
pub const RECORD_SIZE: usize = 64;
/// Rings in a region; a thread with a higher number is counted and not recorded.
pub const RINGS_MAX: usize = 16;
/// Records of each ring, a power of two.
pub const RECORDS_PER_RING: usize = 64;
/// Size of the whole region.
pub const REGION_SIZE: usize = HEADER_SIZE + RINGS_MAX * RECORDS_PER_RING * RECORD_SIZE;
/// The region in pages of 4 KiB.
pub const REGION_PAGES: u16 = 17;

const _: () = assert!(REGION_SIZE == REGION_PAGES as usize * 4096 && RECORDS_PER_RING.is_power_of_two());

/// Words of a record.
const RECORD_WORDS: usize = RECORD_SIZE / 8;
/// Words of the header.
const HEADER_WORDS: usize = HEADER_SIZE / 8;
/// The sequence of a record that is being written.
const SEQUENCE_WRITING: u64 = u64::MAX;

/// Header words, by index. Two 32-bit fields share a word, the first in the low half.
pub mod header {
    /// [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// Version, record size.
    pub const VERSION_RECORD_SIZE: usize = 1;
    /// Records of each ring, number of rings.
    pub const COUNT_RINGS: usize = 2;
    /// Frequency of the time stamps in Hz.
    pub const FREQUENCY: usize = 3;
    /// State (see [`super::State`]), zero.
    pub const STATE: usize = 4;
    /// The random seed of this boot.
    pub const SEED: usize = 5;
    /// Tells boots apart.
    pub const BOOT_ID: usize = 6;
    /// Accesses of threads that have no ring.
    pub const UNRECORDED: usize = 7;
    /// Filter: bit *n* set records operation *n*.
    pub const FILTER_OPS: usize = 8;
    /// Filter: first bus address.
    pub const FILTER_LOW: usize = 9;
    /// Filter: last bus address.
    pub const FILTER_HIGH: usize = 10;
    /// Filter: non-zero records the elements of multi and region calls, too.
    pub const FILTER_DATA: usize = 11;
    /// Trigger: operations that may freeze the rings, as bits.
    pub const TRIGGER_OPS: usize = 12;
    /// Trigger: bus address that freezes the rings.
    pub const TRIGGER_ADDRESS: usize = 13;
    /// Trigger: bit 0 freezes on any error.
    pub const TRIGGER_FLAGS: usize = 14;
    /// First of the heads: one word a ring, tickets ever taken.
    pub const HEADS: usize = 32;
}

/// Whether the rings take records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Recording.
    Run = 1,
    /// Stopped by a trigger, a fault or a call; what is recorded stays.
    Frozen = 2,
    /// The module is gone or going; nothing will be added.
    Closed = 3,
}

impl State {
    /// The state numbered `number`.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Run),
            2 => Some(Self::Frozen),
            3 => Some(Self::Closed),
            _ => None,
        }
    }
}

/// Bits of [`Record::flags`].
pub mod flag {
    /// The access has begun and not ended.
    pub const IN_FLIGHT: u16 = 1 << 0;
    /// The access ended in an error.
    pub const ERROR: u16 = 1 << 1;
    /// A stream access.
    pub const STREAM: u16 = 1 << 2;
    /// The mapping is prefetchable.
    pub const PREFETCHABLE: u16 = 1 << 3;
    /// In interrupt context.
    pub const INTERRUPT: u16 = 1 << 4;
    /// Elements were left out.
    pub const TRUNCATED: u16 = 1 << 5;
    /// A barrier that orders reads.
    pub const BARRIER_READ: u16 = 1 << 6;
    /// A barrier that orders writes.
    pub const BARRIER_WRITE: u16 = 1 << 7;
    /// I/O space, otherwise memory space.
    pub const IO_SPACE: u16 = 1 << 8;
}

/// What CONTROL's first word asks of the debug layer.
pub mod control {
    /// Records operations in word 1 (bits), bus addresses from word 2 to word 3.
    pub const FILTER: u64 = 1;
    /// Freezes on operations in word 1 (bits) at bus address word 2; word 3 bit 0: on any error.
    pub const TRIGGER: u64 = 2;
    /// Stops recording; what is recorded stays.
    pub const FREEZE: u64 = 3;
    /// Records again.
    pub const RUN: u64 = 4;
    /// Word 1 non-zero: records elements of multi and region calls.
    pub const DATA: u64 = 5;
    /// Records a mark with the value in word 1.
    pub const MARK: u64 = 6;
}

/// One access, unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Generic counter at the start.
    pub start: u64,
    /// Bus address.
    pub address: u64,
    /// The value, zero-extended; the first element of several.
    pub value: u64,
    /// The caller's program counter.
    pub caller: u64,
    /// Elements.
    pub count: u32,
    /// The operation's number, see [`Op`].
    pub op: u8,
    /// Bytes of an element.
    pub width: u8,
    /// Bits of [`flag`].
    pub flags: u16,
    /// The tag's id.
    pub tag: u16,
    /// The core.
    pub pe: u16,
    /// The thread.
    pub thread: u32,
    /// Ticks that the access took, saturating.
    pub duration: u32,
    /// 0, or an errno number.
    pub status: i32,
}

impl Record {
    /// The operation, if the number is one.
    #[must_use]
    pub const fn operation(&self) -> Option<Op> {
        Op::from_number(self.op)
    }

    /// The record's words behind the sequence.
    const fn pack(&self) -> [u64; RECORD_WORDS - 1] {
        [
            self.start,
            self.address,
            self.value,
            self.caller,
            self.count as u64
                | (self.op as u64) << 32
                | (self.width as u64) << 40
                | (self.flags as u64) << 48,
            self.tag as u64 | (self.pe as u64) << 16 | (self.thread as u64) << 32,
            self.duration as u64 | (self.status.cast_unsigned() as u64) << 32,
        ]
    }

    #[expect(clippy::cast_possible_truncation, reason = "each cast takes the bits of one field")]
    const fn unpack(words: &[u64; RECORD_WORDS - 1]) -> Self {
        Self {
            start: words[0],
            address: words[1],
            value: words[2],
            caller: words[3],
            count: words[4] as u32,
            op: (words[4] >> 32) as u8,
            width: (words[4] >> 40) as u8,
            flags: (words[4] >> 48) as u16,
            tag: words[5] as u16,
            pe: (words[5] >> 16) as u16,
            thread: (words[5] >> 32) as u32,
            duration: words[6] as u32,
            status: ((words[6] >> 32) as u32).cast_signed(),
        }
    }
}

/// What the header says of the region at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Frequency of the time stamps in Hz.
    pub frequency: u64,
    /// The random seed.
    pub seed: u64,
    /// Tells boots apart.
    pub boot_id: u64,
}

/// The writing side: what the debug layer does to its region.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    words: &'a [AtomicU64],
}

/// A record whose access is under way.
#[derive(Clone, Copy, Debug)]
#[must_use = "an access that is never completed looks hung"]
pub struct Ticket {
    number: u64,
    at: usize,
    record: Record,
}

impl<'a> Writer<'a> {
    /// The writer of a region; `None` when it is too small.
    #[must_use]
    pub const fn new(words: &'a [AtomicU64]) -> Option<Self> {
        if words.len() < REGION_SIZE / 8 { None } else { Some(Self { words }) }
    }

    /// Makes an empty region that records everything.
    pub fn format(&self, geometry: Geometry) {
        for word in self.words {
            word.store(0, Ordering::Relaxed);
        }
        self.set(header::VERSION_RECORD_SIZE, u64::from(VERSION) | (RECORD_SIZE as u64) << 32);
        self.set(header::COUNT_RINGS, RECORDS_PER_RING as u64 | (RINGS_MAX as u64) << 32);
        self.set(header::FREQUENCY, geometry.frequency);
        self.set(header::SEED, geometry.seed);
        self.set(header::BOOT_ID, geometry.boot_id);
        self.set_filter(u64::MAX, 0, u64::MAX);
        self.set_state(State::Run);
        // The magic publishes the rest.
        self.words[header::MAGIC].store(MAGIC, Ordering::Release);
    }

    /// Starts or stops recording.
    pub fn set_state(&self, state: State) {
        self.set(header::STATE, u64::from(state as u32));
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        State::from_number(u32::try_from(self.get(header::STATE)).ok()?)
    }

    /// Records only operations in `ops` at bus addresses from `low` to `high`.
    pub fn set_filter(&self, ops: u64, low: u64, high: u64) {
        self.set(header::FILTER_OPS, ops);
        self.set(header::FILTER_LOW, low);
        self.set(header::FILTER_HIGH, high);
    }

    /// Records elements of multi and region calls, or only their first.
    pub fn set_data(&self, on: bool) {
        self.set(header::FILTER_DATA, u64::from(on));
    }

    /// Whether elements are recorded.
    #[must_use]
    pub fn data(&self) -> bool {
        self.get(header::FILTER_DATA) != 0
    }

    /// Freezes on one of `ops` at `address`, and on any error if bit 0 of `flags` is set.
    pub fn set_trigger(&self, ops: u64, address: u64, flags: u64) {
        self.set(header::TRIGGER_OPS, ops);
        self.set(header::TRIGGER_ADDRESS, address);
        self.set(header::TRIGGER_FLAGS, flags);
    }

    /// Puts `record` into the ring of its thread as an access in flight. `None`: frozen, filtered out, or no ring.
    #[inline]
    pub fn begin(&self, record: Record) -> Option<Ticket> {
        if self.get(header::STATE) != u64::from(State::Run as u32) {
            return None;
        }
        let wanted = self.get(header::FILTER_OPS) >> (record.op & 63) & 1 == 1
            && record.address >= self.get(header::FILTER_LOW)
            && record.address <= self.get(header::FILTER_HIGH);
        if !wanted {
            return None;
        }
        let ring = record.thread as usize;
        if ring >= RINGS_MAX {
            self.words[header::UNRECORDED].fetch_add(1, Ordering::Relaxed);
            return None;
        }
        // A ring has one writer, so a load and a store take a ticket. A thread never interrupts itself in here.
        let head = &self.words[header::HEADS + ring];
        let number = head.load(Ordering::Relaxed);
        head.store(number + 1, Ordering::Relaxed);
        let at = HEADER_WORDS + (ring * RECORDS_PER_RING + slot(number)) * RECORD_WORDS;
        let mut record = record;
        record.flags |= flag::IN_FLIGHT;
        self.publish(at, &record, 2 * (number + 1));
        Some(Ticket { number, at, record })
    }

    /// Completes an access: its value, its status and what else the end tells (`flags` are added).
    #[inline]
    pub fn complete(&self, ticket: Ticket, value: u64, duration: u64, status: i32, flags: u16) {
        let mut record = ticket.record;
        record.value = value;
        record.duration = u32::try_from(duration).unwrap_or(u32::MAX);
        record.status = status;
        record.flags = record.flags & !flag::IN_FLIGHT | flags;
        if status != 0 {
            record.flags |= flag::ERROR;
        }
        self.publish(ticket.at, &record, 2 * (ticket.number + 1) + 1);
        let hit = self.get(header::TRIGGER_OPS) >> (record.op & 63) & 1 == 1
            && record.address == self.get(header::TRIGGER_ADDRESS);
        if hit || status != 0 && self.get(header::TRIGGER_FLAGS) & 1 == 1 {
            self.set_state(State::Frozen);
        }
    }

    fn publish(&self, at: usize, record: &Record, sequence: u64) {
        self.words[at].store(SEQUENCE_WRITING, Ordering::Relaxed);
        // Nobody sees a new field under an old sequence.
        fence(Ordering::Release);
        for (word, value) in self.words[at + 1..at + RECORD_WORDS].iter().zip(record.pack()) {
            word.store(value, Ordering::Relaxed);
        }
        self.words[at].store(sequence, Ordering::Release);
    }

    fn set(&self, index: usize, value: u64) {
        self.words[index].store(value, Ordering::Relaxed);
    }

    fn get(&self, index: usize) -> u64 {
        self.words[index].load(Ordering::Relaxed)
    }
}

/// Why a region is no ring that this code can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// The region is shorter than a ring region.
    TooSmall,
    /// The first word is another one.
    Magic(u64),
    /// The layout has this version or record size.
    Version(u64),
    /// The header counts this many records and rings.
    Geometry(u64),
}

/// What a reader got at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This record, with its ticket number.
    Record(u64, Record),
    /// Nothing new, or the record at the position is still being written: look again later.
    Empty,
    /// This many records were overwritten before they were read; the position has moved past them.
    Lost(u64),
}

/// The reading side. It never writes, so it works on a read-only mapping.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    words: &'a [AtomicU64],
    /// The next ticket of each ring.
    next: [u64; RINGS_MAX],
}

impl<'a> Reader<'a> {
    /// A reader that starts at the oldest record of each ring.
    pub fn new(words: &'a [AtomicU64]) -> Result<Self, RingError> {
        if words.len() < REGION_SIZE / 8 {
            return Err(RingError::TooSmall);
        }
        let magic = words[header::MAGIC].load(Ordering::Acquire);
        if magic != MAGIC {
            return Err(RingError::Magic(magic));
        }
        let version = words[header::VERSION_RECORD_SIZE].load(Ordering::Relaxed);
        if version != u64::from(VERSION) | (RECORD_SIZE as u64) << 32 {
            return Err(RingError::Version(version));
        }
        let geometry = words[header::COUNT_RINGS].load(Ordering::Relaxed);
        if geometry != RECORDS_PER_RING as u64 | (RINGS_MAX as u64) << 32 {
            return Err(RingError::Geometry(geometry));
        }
        let mut reader = Self { words, next: [0; RINGS_MAX] };
        for ring in 0..RINGS_MAX {
            reader.next[ring] = reader.head(ring).saturating_sub(RECORDS_PER_RING as u64);
        }
        Ok(reader)
    }

    /// The state, if the writer has put one.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        State::from_number(u32::try_from(self.words[header::STATE].load(Ordering::Relaxed)).ok()?)
    }

    /// Frequency of the time stamps in Hz.
    #[must_use]
    pub fn frequency(&self) -> u64 {
        self.words[header::FREQUENCY].load(Ordering::Relaxed)
    }

    /// Accesses of threads that have no ring.
    #[must_use]
    pub fn unrecorded(&self) -> u64 {
        self.words[header::UNRECORDED].load(Ordering::Relaxed)
    }

    /// Moves past everything that is recorded now.
    pub fn skip_all(&mut self) {
        for ring in 0..RINGS_MAX {
            self.next[ring] = self.head(ring);
        }
    }

    /// Takes the next record of one ring.
    pub fn next(&mut self, ring: usize) -> Next {
        let found = self.peek(ring);
        match found {
            Next::Record(ticket, _) => self.next[ring] = ticket + 1,
            Next::Lost(count) => self.next[ring] += count,
            Next::Empty => {}
        }
        found
    }

    /// Takes the record with the lowest time stamp of all rings. Losses are reported first.
    ///
    /// Records of two rings come in the order of their stamps as far as both are already there.
    pub fn next_by_time(&mut self) -> Next {
        let mut first: Option<(usize, u64)> = None;
        for ring in 0..RINGS_MAX {
            match self.peek(ring) {
                Next::Empty => {}
                Next::Lost(count) => {
                    self.next[ring] += count;
                    return Next::Lost(count);
                }
                Next::Record(_, record) => {
                    if first.is_none_or(|(_, start)| record.start < start) {
                        first = Some((ring, record.start));
                    }
                }
            }
        }
        match first {
            Some((ring, _)) => self.next(ring),
            None => Next::Empty,
        }
    }

    /// What is at the position of one ring, without moving.
    #[must_use]
    pub fn peek(&self, ring: usize) -> Next {
        let (Some(&ticket), true) = (self.next.get(ring), ring < RINGS_MAX) else { return Next::Empty };
        let head = self.head(ring);
        if head.saturating_sub(ticket) > RECORDS_PER_RING as u64 {
            return Next::Lost(head - RECORDS_PER_RING as u64 - ticket);
        }
        if ticket >= head {
            return Next::Empty;
        }
        let at = HEADER_WORDS + (ring * RECORDS_PER_RING + slot(ticket)) * RECORD_WORDS;
        let before = self.words[at].load(Ordering::Acquire);
        let mut words = [0; RECORD_WORDS - 1];
        for (word, source) in words.iter_mut().zip(&self.words[at + 1..at + RECORD_WORDS]) {
            *word = source.load(Ordering::Relaxed);
        }
        // The copy is finished before the sequence is read again.
        fence(Ordering::Acquire);
        let after = self.words[at].load(Ordering::Relaxed);
        let expected = 2 * (ticket + 1);
        if before != after || before == SEQUENCE_WRITING || before & !1 < expected {
            return Next::Empty;
        }
        if before & !1 > expected {
            // The writer came round between the two looks.
            return Next::Lost((before & !1) / 2 - 1 - ticket);
        }
        Next::Record(ticket, Record::unpack(&words))
    }

    fn head(&self, ring: usize) -> u64 {
        self.words[header::HEADS + ring].load(Ordering::Acquire)
    }
}

/// Where ticket `number` stands in its ring.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below the number of records")]
const fn slot(number: u64) -> usize {
    (number % RECORDS_PER_RING as u64) as usize
}

#[cfg(test)]
mod tests;
