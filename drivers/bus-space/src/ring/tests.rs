//! The ring: a story, the offsets, and a reader beside a writer.

use std::boxed::Box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::vec::Vec;

use super::{
    Geometry, HEADER_SIZE, Next, RECORDS_PER_RING, REGION_SIZE, Reader, Record, RingError, State, Writer,
    flag,
};
use crate::access::Op;

const GEOMETRY: Geometry = Geometry { frequency: 62_500_000, seed: 7, boot_id: 9 };

fn region() -> Box<[AtomicU64]> {
    (0..REGION_SIZE / 8).map(|_| AtomicU64::new(0)).collect()
}

fn read_of(thread: u32, start: u64) -> Record {
    Record {
        start,
        address: 0x0900_0018,
        op: Op::Read as u8,
        width: 4,
        count: 1,
        thread,
        ..Record::default()
    }
}

#[test]
fn an_access_is_in_flight_and_then_complete() {
    let words = region();
    let writer = Writer::new(&words).unwrap();
    assert_eq!(Reader::new(&words).unwrap_err(), RingError::Magic(0));
    writer.format(GEOMETRY);
    let mut reader = Reader::new(&words).unwrap();
    assert_eq!((reader.state(), reader.frequency()), (Some(State::Run), 62_500_000));

    let ticket = writer.begin(read_of(1, 100)).unwrap();
    let Next::Record(0, hung) = reader.peek(1) else { panic!("no record") };
    assert_eq!((hung.flags, hung.value), (flag::IN_FLIGHT, 0));
    writer.complete(ticket, 0x90, 5, 0, 0);
    let Next::Record(0, done) = reader.next(1) else { panic!("no record") };
    assert_eq!((done.flags, done.value, done.duration, done.operation()), (0, 0x90, 5, Some(Op::Read)));
    assert_eq!(reader.next(1), Next::Empty);
}

#[test]
fn offsets_are_the_published_ones() {
    let words = region();
    let writer = Writer::new(&words).unwrap();
    writer.format(GEOMETRY);
    let record = Record {
        start: 0x0807_0605_0403_0201,
        address: 0x1817_1615_1413_1211,
        value: 0x2827_2625_2423_2221,
        caller: 0x3837_3635_3433_3231,
        count: 0x4443_4241,
        op: 2,
        width: 8,
        flags: flag::IO_SPACE,
        tag: 0x5251,
        pe: 0x6261,
        thread: 0,
        duration: 0,
        status: 0,
    };
    let ticket = writer.begin(record).unwrap();
    writer.complete(ticket, record.value, 0x7473_7271, -2, 0);
    let bytes: Vec<u8> = words[HEADER_SIZE / 8..HEADER_SIZE / 8 + 8]
        .iter()
        .flat_map(|w| w.load(Ordering::Relaxed).to_le_bytes())
        .collect();
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u16_at = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    assert_eq!(u64_at(0), 3);
    assert_eq!((u64_at(8), u64_at(16)), (record.start, record.address));
    assert_eq!((u64_at(24), u64_at(32)), (record.value, record.caller));
    assert_eq!((u32_at(40), bytes[44], bytes[45]), (record.count, 2, 8));
    assert_eq!(u16_at(46), flag::IO_SPACE | flag::ERROR);
    assert_eq!((u16_at(48), u16_at(50), u32_at(52)), (0x5251, 0x6261, 0));
    assert_eq!((u32_at(56), u32_at(60).cast_signed()), (0x7473_7271, -2));
}

#[test]
fn filter_freeze_and_missing_rings_leave_records_out() {
    let words = region();
    let writer = Writer::new(&words).unwrap();
    writer.format(GEOMETRY);
    assert!(writer.begin(read_of(16, 0)).is_none());
    assert_eq!(Reader::new(&words).unwrap().unrecorded(), 1);
    writer.set_filter(1 << Op::Write as u8, 0, u64::MAX);
    assert!(writer.begin(read_of(0, 0)).is_none());
    writer.set_filter(u64::MAX, 0x0900_0018, 0x0900_0018);
    writer.set_trigger(1 << Op::Read as u8, 0x0900_0018, 0);
    let ticket = writer.begin(read_of(0, 0)).unwrap();
    writer.complete(ticket, 0, 0, 0, 0);
    assert_eq!(writer.state(), Some(State::Frozen));
    assert!(writer.begin(read_of(0, 0)).is_none());
    writer.set_state(State::Run);
    writer.set_trigger(0, 0, 1);
    let ticket = writer.begin(read_of(0, 0)).unwrap();
    writer.complete(ticket, u64::MAX, 0, 14, 0);
    assert_eq!(writer.state(), Some(State::Frozen));
}

#[test]
fn lost_records_are_counted_and_time_orders_the_rings() {
    let words = region();
    let writer = Writer::new(&words).unwrap();
    writer.format(GEOMETRY);
    let mut reader = Reader::new(&words).unwrap();
    for start in 0..RECORDS_PER_RING as u64 + 3 {
        let ticket = writer.begin(read_of(0, 2 * start)).unwrap();
        writer.complete(ticket, start, 0, 0, 0);
    }
    let ticket = writer.begin(read_of(1, 9)).unwrap();
    writer.complete(ticket, 99, 0, 0, 0);
    assert_eq!(reader.next_by_time(), Next::Lost(3));
    let mut values = Vec::new();
    while let Next::Record(_, record) = reader.next_by_time() {
        values.push(record.value);
    }
    assert_eq!(values[..4], [3, 4, 99, 5]);
    assert_eq!(values.len(), RECORDS_PER_RING + 1);
}

/// A record whose fields do not belong together was torn.
#[test]
fn a_reader_beside_a_writer_sees_no_torn_record() {
    let words = region();
    let writer = Writer::new(&words).unwrap();
    writer.format(GEOMETRY);
    // A reader starts at the oldest record there is, so this one is made before the first.
    let mut reader = Reader::new(&words).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..200_000_u64 {
                let record = Record { start: i, address: i, caller: i, ..read_of(3, i) };
                let ticket = writer.begin(record).unwrap();
                writer.complete(ticket, i, i & 0xff, 0, 0);
            }
            stop.store(true, Ordering::Release);
        });
        let (mut seen, mut lost) = (0, 0);
        loop {
            let finished = stop.load(Ordering::Acquire);
            match reader.next(3) {
                Next::Record(ticket, record) => {
                    assert_eq!((record.start, record.address, record.caller), (ticket, ticket, ticket));
                    let complete = record.flags & flag::IN_FLIGHT == 0;
                    assert_eq!(record.value, if complete { ticket } else { 0 });
                    seen += 1;
                }
                Next::Lost(count) => lost += count,
                Next::Empty if finished => break,
                Next::Empty => std::thread::yield_now(),
            }
        }
        assert_eq!(seen + lost, 200_000);
    });
}
