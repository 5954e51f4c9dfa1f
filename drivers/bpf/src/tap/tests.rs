//! A story of a tap, and a small world of drivers, taps and listeners in every order.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use super::{Counters, LISTENERS_MAX, OpenError, Tap, Wanted, direction};
use crate::capture::{Capture, LINK_80211, LINK_ETHERNET, Time};
use crate::filter::Invalid;
use crate::instruction::Instruction;
use crate::packet::Packet;
use crate::registry::Registry;

/// Everything of every packet.
const ALL: [Instruction; 1] = [Instruction::new(0x06, u32::MAX)];
/// What is longer than 20 bytes.
const LONG: [Instruction; 4] = [
    Instruction::new(0x80, 0),
    Instruction::jump(0x25, 20, 0, 1),
    Instruction::new(0x06, u32::MAX),
    Instruction::new(0x06, 0),
];

fn wanted(interface: u32, program: &[Instruction]) -> Wanted<'_> {
    Wanted { interface, program, snap: 64, directions: direction::BOTH }
}

fn sync(tap: &mut Tap, registry: &Registry) {
    tap.take_over(registry.generation(), registry.attachments());
}

/// Sets drivers' words.
fn set(words: &mut BTreeMap<u64, u64>, changes: &super::Words) {
    words.extend(changes.iter().map(|word| (word.at, word.value)));
}

#[test]
fn story() {
    // Two drivers attach long before there is a tap.
    let mut registry = Registry::new();
    registry.attach(1, LINK_ETHERNET, 14, 0x100).unwrap();
    registry.attach(2, LINK_ETHERNET, 14, 0x200).unwrap();
    let mut words = BTreeMap::from([(0x100, 0), (0x200, 0)]);

    let mut tap = Tap::new();
    assert!(!tap.is_current(registry.generation()));
    sync(&mut tap, &registry);
    assert!(tap.is_current(registry.generation()));
    let mut bytes = vec![0; 400];
    let mut file = Capture::begin(&mut bytes, LINK_ETHERNET).unwrap();
    let (first, changes) = tap.open(wanted(2, &ALL)).unwrap();
    set(&mut words, &changes);
    let (second, changes) = tap.open(wanted(2, &LONG)).unwrap();
    set(&mut words, &changes);
    assert_eq!(words[&0x100], 0, "nobody listens to the other one");

    let heard = words[&0x200];
    for length in [10, 30] {
        let bytes = vec![7; length];
        tap.deliver(heard, &Packet::new(&bytes), direction::OUT, Time::default(), &mut file);
    }
    let all = Counters { received: 2, captured: 2, dropped: 0 };
    assert_eq!(tap.counters(first), Some(all));
    assert_eq!(tap.counters(second), Some(Counters { captured: 1, ..all }));
    assert_eq!(file.length(), 24 + (16 + 10) + 2 * (16 + 30));

    // The file is full: what has no room is counted.
    tap.deliver(heard, &Packet::new(&[1; 300]), direction::IN, Time::default(), &mut file);
    tap.deliver(heard, &Packet::new(&[1; 300]), direction::IN, Time::default(), &mut file);
    assert_eq!(tap.counters(second).unwrap().captured + tap.counters(second).unwrap().dropped, 3);
    assert!(tap.counters(second).unwrap().dropped > 0);

    let (counters, changes) = tap.close(first).unwrap();
    set(&mut words, &changes);
    assert_eq!((counters.received, words[&0x200]), (4, heard), "the other listener is still there");
    let (_, changes) = tap.close(second).unwrap();
    set(&mut words, &changes);
    assert_eq!((words[&0x200], tap.open_count()), (0, 0));
    assert!(tap.close(second).is_none());
}

#[test]
fn what_is_senseless_is_refused_and_changes_nothing() {
    let mut registry = Registry::new();
    registry.attach(1, LINK_ETHERNET, 14, 0x100).unwrap();
    registry.attach(2, LINK_80211, 24, 0x200).unwrap();
    registry.attach(3, 1 << 16, 0, 0x300).unwrap();
    let mut tap = Tap::new();
    assert_eq!(tap.open(wanted(1, &ALL)).err(), Some(OpenError::NoInterface), "before the list is known");
    sync(&mut tap, &registry);
    let error = |tap: &mut Tap, wanted| tap.open(wanted).err();
    assert_eq!(error(&mut tap, wanted(9, &ALL)), Some(OpenError::NoInterface));
    assert_eq!(error(&mut tap, wanted(3, &ALL)), Some(OpenError::LinkType));
    assert_eq!(error(&mut tap, wanted(1, &[])), Some(OpenError::Program(Invalid::Empty)));
    assert_eq!(error(&mut tap, Wanted { snap: 0, ..wanted(1, &ALL) }), Some(OpenError::Senseless));
    assert_eq!(error(&mut tap, Wanted { directions: 4, ..wanted(1, &ALL) }), Some(OpenError::Senseless));
    assert_eq!(error(&mut tap, wanted(1, &[ALL[0]; 65])), Some(OpenError::TooLong));
    assert_eq!(tap.open_count(), 0);
    tap.open(wanted(1, &ALL)).unwrap();
    assert_eq!(error(&mut tap, wanted(2, &ALL)), Some(OpenError::LinkType), "one file has one link type");
    for _ in 1..LISTENERS_MAX {
        tap.open(wanted(1, &ALL)).unwrap();
    }
    assert_eq!(error(&mut tap, wanted(1, &ALL)), Some(OpenError::TooMany));
}

/// What can happen, each to interface 1 or 2.
#[derive(Clone, Copy, Debug)]
enum Event {
    Attach(u32),
    Detach(u32),
    /// A tap comes, or the one that is there goes.
    Tap,
    /// A listener is opened or closed.
    Listen(u32),
    Packet(u32),
}

/// Every sequence of six events: a packet is captured exactly if its interface is attached, a tap is there and
/// somebody listens to this attachment; the driver's word says so; and the registry never depends on the tap.
#[test]
fn every_sequence_of_six_events() {
    let events: Vec<Event> = [1, 2]
        .into_iter()
        .flat_map(|it| [Event::Attach(it), Event::Detach(it), Event::Listen(it), Event::Packet(it)])
        .chain([Event::Tap])
        .collect();
    let length = 6;
    let mut histories = 0_u64;
    for code in 0..events.len().pow(length) {
        let sequence = (0..length).scan(code, |rest, _| {
            let event = events[*rest % events.len()];
            *rest /= events.len();
            Some(event)
        });
        run(&sequence.collect::<Vec<_>>());
        histories += 1;
    }
    assert_eq!(histories, 9_u64.pow(6));
}

fn run(sequence: &[Event]) {
    let mut registry = Registry::new();
    let mut tap: Option<(Tap, [Option<usize>; 3])> = None;
    let mut words = [0_u64; 3];
    let mut bytes = [0; 1024];
    let mut file = Capture::begin(&mut bytes, LINK_ETHERNET).unwrap();
    // The naive model: attached, and heard.
    let (mut attached, mut heard) = ([false; 3], [false; 3]);
    let apply = |words: &mut [u64; 3], changes: &super::Words| {
        for change in changes {
            words[usize::try_from(change.at).unwrap()] = change.value;
        }
    };
    for event in sequence {
        match *event {
            Event::Attach(it) => {
                let at = usize::try_from(it).unwrap();
                let done = registry.attach(it, LINK_ETHERNET, 14, it.into());
                assert_eq!(done.is_ok(), !attached[at]);
                attached[at] = true;
            }
            Event::Detach(it) => {
                let at = usize::try_from(it).unwrap();
                if let Some((tap, _)) = &tap {
                    apply(&mut words, &tap.quiet_of(it));
                }
                registry.detach(it);
                (attached[at], heard[at]) = (false, false);
            }
            Event::Tap => match tap.take() {
                // It may go only if nobody listens.
                Some((old, open)) if old.open_count() > 0 => tap = Some((old, open)),
                Some((old, _)) => apply(&mut words, &old.quiet()),
                None => {
                    let mut new = Tap::new();
                    sync(&mut new, &registry);
                    tap = Some((new, [None; 3]));
                }
            },
            Event::Listen(it) => {
                let at = usize::try_from(it).unwrap();
                let Some((tap, open)) = &mut tap else { continue };
                if !tap.is_current(registry.generation()) {
                    sync(tap, &registry);
                }
                if let Some(number) = open[at].take() {
                    let (_, changes) = tap.close(number).unwrap();
                    apply(&mut words, &changes);
                    heard[at] = false;
                } else if let Ok((number, changes)) = tap.open(wanted(it, &ALL)) {
                    assert!(attached[at]);
                    open[at] = Some(number);
                    apply(&mut words, &changes);
                    heard[at] = true;
                } else {
                    assert!(!attached[at]);
                }
            }
            Event::Packet(it) => {
                let at = usize::try_from(it).unwrap();
                let before = file.length();
                if words[at] != 0
                    && let Some((tap, _)) = &mut tap
                {
                    if !tap.is_current(registry.generation()) {
                        sync(tap, &registry);
                    }
                    let packet = Packet::new(&[1, 2, 3]);
                    tap.deliver(words[at], &packet, direction::IN, Time::default(), &mut file);
                }
                assert_eq!(file.length() > before, heard[at], "{sequence:?}");
            }
        }
        for at in [1, 2] {
            assert_eq!(words[at] != 0, heard[at], "word {at} after {event:?} of {sequence:?}");
            let number = u32::try_from(at).unwrap();
            assert_eq!(registry.attachments().iter().any(|one| one.interface == number), attached[at]);
        }
    }
}
