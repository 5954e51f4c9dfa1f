//! The store buffer: litmus tests over every choice, all short programs, and long random ones (seeded).

use std::vec::Vec;

use super::{Access, Answer, Choice, Profile, StoreBuffer};
use crate::BarrierFlags;
use crate::rng::Rng;

/// Takes every sequence of choices, one run after the other.
#[derive(Default)]
struct Every {
    taken: Vec<(usize, usize)>,
    at: usize,
}

impl Choice for Every {
    fn below(&mut self, bound: usize) -> usize {
        if self.at == self.taken.len() {
            self.taken.push((0, bound));
        }
        let (choice, expected) = self.taken[self.at];
        assert_eq!(bound, expected, "a run is a function of its choices");
        self.at += 1;
        choice
    }
}

impl Every {
    /// Moves to the next sequence; false after the last.
    fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, bound)) = self.taken.pop() {
            if choice + 1 < bound {
                self.taken.push((choice + 1, bound));
                return true;
            }
        }
        false
    }
}

/// Runs `body` once for each sequence of choices.
fn for_every(mut body: impl FnMut(&mut Every)) -> usize {
    let (mut every, mut runs) = (Every::default(), 0);
    loop {
        body(&mut every);
        runs += 1;
        if !every.advance() {
            return runs;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Write(Access),
    Read(Access),
    Barrier(Access, BarrierFlags),
}

const fn at(device: u32, address: u64, relaxed: bool) -> Access {
    Access { device, address, size: 4, relaxed }
}

const fn whole(device: u32) -> Access {
    Access { device, address: 0, size: 64, relaxed: false }
}

/// What has reached the devices, in order. Numbers are positions in the program.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Wrote(usize),
    Read(usize),
    Barrier(usize),
}

/// Runs a program and drains at its end.
fn run(profile: Profile, program: &[Step], choice: &mut impl Choice) -> Vec<Event> {
    let mut buffer = StoreBuffer::new(profile);
    let mut events = Vec::new();
    for (i, step) in program.iter().enumerate() {
        match *step {
            Step::Write(access) => {
                buffer.post(access, 0, i, 0, choice, &mut |posted| events.push(Event::Wrote(posted.context)));
                if choice.below(2) == 1 {
                    buffer.release_one(choice, &mut |posted| events.push(Event::Wrote(posted.context)));
                }
            }
            Step::Read(access) => {
                let answer =
                    buffer.read(access, choice, &mut |posted| events.push(Event::Wrote(posted.context)));
                match answer {
                    Answer::Device => events.push(Event::Read(i)),
                    Answer::Value(_) => assert!(access.relaxed, "a strict read reaches its device"),
                }
            }
            Step::Barrier(range, flags) => {
                buffer.barrier(range, flags, choice, &mut |posted| events.push(Event::Wrote(posted.context)));
                events.push(Event::Barrier(i));
            }
        }
    }
    buffer.drain_all(choice, &mut |posted| events.push(Event::Wrote(posted.context)));
    assert!(buffer.is_empty());
    events
}

/// The rules of requirements §6.3 as a relation over pairs of the program, apart from the code under test.
fn check(profile: Profile, program: &[Step], events: &[Event]) {
    let place = |event: Event| events.iter().position(|e| *e == event);
    for (i, first) in program.iter().enumerate() {
        let Step::Write(a) = *first else { continue };
        let written = place(Event::Wrote(i)).expect("every write is carried out");
        assert_eq!(events.iter().filter(|e| **e == Event::Wrote(i)).count(), 1, "no write is invented");
        for (j, second) in program.iter().enumerate().skip(i + 1) {
            let (b, other) = match *second {
                Step::Write(b) => (b, place(Event::Wrote(j))),
                Step::Read(b) => (b, place(Event::Read(j))),
                Step::Barrier(_, flags) => {
                    if flags == BarrierFlags::READ_WRITE {
                        assert!(written < place(Event::Barrier(j)).unwrap(), "READ|WRITE drains all");
                    }
                    continue;
                }
            };
            // A read that was answered by a held or an early value has no place of its own.
            let Some(other) = other else { continue };
            let same_bytes =
                a.device == b.device && a.address < b.address + b.size && b.address < a.address + a.size;
            let strict_pair = profile == Profile::Strict && a.device == b.device && !a.relaxed && !b.relaxed;
            let gate = matches!(second, Step::Write(_))
                && program[i..j].iter().any(|step| {
                    matches!(*step, Step::Barrier(range, flags) if flags.orders_writes() && range.overlaps(&a))
                });
            if same_bytes || strict_pair || gate {
                assert!(written < other, "{first:?} before {second:?} in {program:?}: {events:?}");
            }
        }
    }
    for (i, step) in program.iter().enumerate() {
        if let Step::Read(access) = step
            && !access.relaxed
        {
            assert_eq!(
                events.iter().filter(|e| **e == Event::Read(i)).count(),
                1,
                "strict reads happen once"
            );
        }
    }
}

#[test]
fn two_writes_to_different_devices_change_places_and_two_to_one_do_not() {
    let mut orders = Vec::new();
    for_every(|choice| {
        let program =
            [Step::Write(at(0, 0, false)), Step::Write(at(1, 0, false)), Step::Write(at(0, 4, false))];
        let events = run(Profile::Strict, &program, choice);
        if !orders.contains(&events) {
            orders.push(events);
        }
    });
    // Write 1 may stand anywhere, 0 is always before 2.
    assert_eq!(orders.len(), 3);
}

#[test]
fn every_short_program_keeps_the_rules_under_every_choice() {
    let steps = [
        Step::Write(at(0, 0, false)),
        Step::Write(at(0, 4, false)),
        Step::Write(at(1, 0, false)),
        Step::Write(at(0, 8, true)),
        Step::Read(at(0, 0, false)),
        Step::Read(at(0, 8, true)),
        Step::Barrier(whole(0), BarrierFlags::WRITE),
        Step::Barrier(whole(1), BarrierFlags::READ_WRITE),
    ];
    let mut runs = 0;
    for profile in [Profile::Strict, Profile::Legacy] {
        for number in 0..steps.len().pow(4) {
            let program: Vec<_> =
                (0..4).map(|place| steps[number / steps.len().pow(place) % steps.len()]).collect();
            runs += for_every(|choice| check(profile, &program, &run(profile, &program, choice)));
        }
    }
    assert!(runs > 50_000, "{runs}");
}

#[test]
fn long_random_programs_keep_the_rules() {
    for seed in 0..3_000 {
        let mut rng = Rng::new(seed);
        let profile = if rng.below(4) == 0 { Profile::Legacy } else { Profile::Strict };
        let program: Vec<_> = (0..80)
            .map(&mut |_| {
                let device = u32::try_from(rng.below(3)).unwrap();
                let access = at(device, 4 * rng.below(5) as u64, device == 2 || rng.below(5) == 0);
                match rng.below(16) {
                    0 => Step::Barrier(whole(device), BarrierFlags::WRITE),
                    1 => Step::Barrier(whole(device), BarrierFlags::READ),
                    2 => Step::Barrier(whole(device), BarrierFlags::READ_WRITE),
                    3..6 => Step::Read(access),
                    _ => Step::Write(access),
                }
            })
            .collect();
        let events = run(profile, &program, &mut rng);
        check(profile, &program, &events);
        assert_eq!(events, run(profile, &program, &mut replay(seed)), "seed {seed} replays");
    }
}

/// The generator as it stood after the program of `seed` was made.
fn replay(seed: u64) -> Rng {
    let mut rng = Rng::new(seed);
    rng.below(4);
    for _ in 0..80 {
        let device = rng.below(3);
        rng.below(5);
        if device != 2 {
            rng.below(5);
        }
        rng.below(16);
    }
    rng
}

/// Litmus: a descriptor in a prefetchable slot, then a strict doorbell.
#[test]
fn litmus_doorbell() {
    let possible = |barrier: Option<BarrierFlags>| {
        let (slot, bell) = (at(0, 0, true), at(0, 16, false));
        let mut program = std::vec![Step::Write(slot), Step::Write(bell)];
        if let Some(flags) = barrier {
            program.insert(1, Step::Barrier(slot, flags));
        }
        let last = program.len() - 1;
        let mut stale = false;
        for_every(|choice| {
            let events = run(Profile::Strict, &program, choice);
            let place = |i| events.iter().position(|e| *e == Event::Wrote(i));
            stale |= place(0) > place(last);
        });
        stale
    };
    assert!(possible(None));
    assert!(possible(Some(BarrierFlags::READ)));
    assert!(!possible(Some(BarrierFlags::WRITE)));
    assert!(!possible(Some(BarrierFlags::READ_WRITE)));
}

/// Litmus: a response ring in prefetchable memory; the pointer says that the slot is new.
#[test]
fn litmus_response_ring() {
    let possible = |barrier: Option<BarrierFlags>| {
        let (pointer, slot) = (at(0, 0, true), at(0, 4, true));
        let mut old_seen = false;
        for_every(|choice| {
            let mut buffer: StoreBuffer<()> = StoreBuffer::new(Profile::Strict);
            let mut memory = [0, 0];
            let mut read = |buffer: &mut StoreBuffer<()>, access: Access, memory: &[u64; 2]| {
                let index = |access: Access| usize::try_from(access.address / 4).unwrap();
                match buffer.read(access, choice, &mut |_| {}) {
                    Answer::Value(value) => value,
                    Answer::Device => {
                        let value = memory[index(access)];
                        if let Some(next) = buffer.wants_prefetch(access, choice)
                            && index(next) < memory.len()
                        {
                            buffer.keep_prefetched(next, memory[index(next)]);
                        }
                        value
                    }
                }
            };
            read(&mut buffer, pointer, &memory);
            memory = [1, 1];
            let new = read(&mut buffer, pointer, &memory);
            if let Some(flags) = barrier {
                buffer.barrier(whole(0), flags, &mut Rng::new(0), &mut |_| {});
            }
            let value = read(&mut buffer, slot, &memory);
            old_seen |= (new, value) == (1, 0);
        });
        old_seen
    };
    assert!(possible(None));
    assert!(possible(Some(BarrierFlags::WRITE)));
    assert!(!possible(Some(BarrierFlags::READ)));
    assert!(!possible(Some(BarrierFlags::READ_WRITE)));
}

/// Litmus: an interrupt acknowledged at its device, then ended at another (the interrupt controller).
#[test]
fn litmus_interrupt_acknowledge() {
    let possible = |read_back: bool| {
        let (acknowledge, end) = (at(0, 0, false), at(1, 0, false));
        let mut program = std::vec![Step::Write(acknowledge), Step::Write(end)];
        if read_back {
            program.insert(1, Step::Read(at(0, 4, false)));
        }
        let last = program.len() - 1;
        let mut spurious = false;
        for_every(|choice| {
            let events = run(Profile::Strict, &program, choice);
            let place = |i| events.iter().position(|e| *e == Event::Wrote(i));
            spurious |= place(0) > place(last);
        });
        spurious
    };
    assert!(possible(false));
    assert!(!possible(true));
}

/// Litmus: FreeBSD's stack device under the legacy rules: right with barriers 1 and 2, barrier 3 makes no difference.
#[test]
fn litmus_stack_device() {
    const PUSH: u64 = 1;
    const POP: u64 = 2;
    let right = |first: bool, second: bool, third: bool| {
        let (data, command) = (at(0, 0, false), at(0, 4, false));
        let mut always = true;
        for_every(|choice| {
            let mut buffer = StoreBuffer::new(Profile::Legacy);
            let (mut stack, mut register) = (Vec::new(), 0);
            let mut device = |access: Access, value: u64| match (access.address, value) {
                (0, value) => register = value,
                (_, PUSH) => stack.push(register),
                _ => register = stack.pop().unwrap_or(99),
            };
            buffer.post(data, 7, (), 0, choice, &mut |p| device(p.access, p.value));
            if first {
                buffer.barrier(whole(0), BarrierFlags::WRITE, choice, &mut |p| device(p.access, p.value));
            }
            buffer.post(command, PUSH, (), 0, choice, &mut |p| device(p.access, p.value));
            buffer.barrier(whole(0), BarrierFlags::WRITE, choice, &mut |p| device(p.access, p.value));
            // Somebody else's use of the data register between push and pop.
            buffer.post(data, 8, (), 0, choice, &mut |p| device(p.access, p.value));
            if first {
                buffer.barrier(whole(0), BarrierFlags::WRITE, choice, &mut |p| device(p.access, p.value));
            }
            buffer.post(command, POP, (), 0, choice, &mut |p| device(p.access, p.value));
            if second {
                buffer
                    .barrier(whole(0), BarrierFlags::READ_WRITE, choice, &mut |p| device(p.access, p.value));
            }
            let answer = buffer.read(data, choice, &mut |p| device(p.access, p.value));
            assert_eq!(answer, Answer::Device);
            if third {
                buffer.barrier(whole(0), BarrierFlags::READ, choice, &mut |p| device(p.access, p.value));
            }
            always &= register == 7;
        });
        always
    };
    for third in [false, true] {
        assert!(right(true, true, third));
        assert!(!right(true, false, third) && !right(false, true, third) && !right(false, false, third));
    }
}

#[test]
fn a_full_buffer_an_old_write_and_a_leaving_device_let_go() {
    let mut rng = Rng::new(1);
    let mut buffer = StoreBuffer::new(Profile::Strict);
    let mut gone = Vec::new();
    for i in 0..40_u64 {
        let device = u32::from(i % 2 == 1);
        buffer.post(at(device, 4 * i, false), i, (), i, &mut rng, &mut |p| gone.push(p.value));
    }
    assert_eq!((buffer.len(), gone.len()), (super::POSTED_MAX, 8));
    buffer.drain_device(0, &mut rng, &mut |p| gone.push(p.value));
    let evens: Vec<_> = gone.iter().filter(|value| **value % 2 == 0).copied().collect();
    assert_eq!(evens, (0..20).map(|i| 2 * i).collect::<Vec<_>>());
    buffer.expire(37, &mut rng, &mut |p| gone.push(p.value));
    assert_eq!(buffer.len(), 1);
    buffer.drain_all(&mut rng, &mut |p| gone.push(p.value));
    assert_eq!(gone.len(), 40);
}
