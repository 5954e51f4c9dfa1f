//! Goal: a thread that is inside is never said to be outside, at any instruction, whatever its tables say; and one that
//! is outside is said to be, where the tables are right, though its stack is full of stale addresses.
//!
//! Method: a machine runs a small program through every instruction and knows the truth. The same program runs with
//! right tables, with tables that are wrong in each of the ways in which compilers' are, and without any.
#![allow(clippy::unwrap_used)]

mod support;

use linker_unwind::frame::part_from;
use linker_unwind::verdict::{scanned, verdict, walked};
use linker_unwind::{
    Code, End, Hull, Memory, Method, Place, Record, Registers, Scratch, Snapshot, exit, scan,
};
use support::{BASE, Image, MODULE, Machine, Step, World, branch};

const RET: u32 = 0xd65f_03c0;
const NOP: u32 = 0xd503_201f;
/// stp x29, x30, [sp, #-16]!
const PUSH: u32 = 0xa9bf_7bfd;
/// ldp x29, x30, [sp], #16
const POP: u32 = 0xa8c1_7bfd;
/// sub sp, sp, #32
const LOWER: u32 = 0xd100_83ff;
/// add sp, sp, #32
const RAISE: u32 = 0x9100_83ff;
/// str x30, [sp, #24]
const SAVE: u32 = 0xf900_0ffe;
/// ldr x30, [sp, #24]
const RESTORE: u32 = 0xf940_0ffe;

/// What is done to the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tables {
    Right,
    /// The push is said to be done one instruction before it is.
    EarlySave,
    /// Prologue and epilogue are not described.
    OnlyBodies,
    /// A frame that is there is not described.
    Frameless,
    /// The frame is said to be larger than it is.
    TooLarge,
    /// There are none.
    Missing,
}

const ALL: [Tables; 6] = [
    Tables::Right,
    Tables::EarlySave,
    Tables::OnlyBodies,
    Tables::Frameless,
    Tables::TooLarge,
    Tables::Missing,
];

/// Adds a function of the form `sub; nop; str x30; body; ldr x30; add; last`, with the tables wanted.
fn framed(image: &mut Image, body: &[u32], last: u32, tables: Tables) -> u64 {
    let mut words = vec![LOWER, NOP, SAVE];
    words.extend(body);
    words.extend([RESTORE, RAISE, last]);
    let (frame, size) = (Step::Frame(32), words.len());
    let saved = Step::Saved(30, 1);
    let end = [Step::At(size - 2), Step::Restored(30), Step::At(size - 1), Step::Frame(0)];
    let mut steps = match tables {
        Tables::Right => vec![Step::At(1), frame, Step::At(3), saved],
        Tables::EarlySave => vec![Step::At(1), frame, saved],
        Tables::OnlyBodies => vec![frame, saved],
        Tables::Frameless => vec![],
        Tables::TooLarge => vec![Step::At(1), Step::Frame(48), Step::At(3), saved],
        Tables::Missing => return image.bare(&words),
    };
    match tables {
        Tables::Right | Tables::EarlySave => steps.extend(end),
        Tables::TooLarge => steps.extend([Step::At(size - 1), Step::Frame(0)]),
        _ => {}
    }
    image.add(&words, &steps)
}

/// A thread's root, a module function, a base function that it calls, a leaf; and a module function that ends in a tail
/// call. Returns where the thread starts.
fn program(base_tables: Tables, module_tables: Tables) -> (World, u64) {
    let (mut base, mut module) = (Image::new(BASE), Image::new(MODULE));
    let leaf = base.add(&[NOP, RET], &[]);
    let helper_at = base.next();
    let helper = framed(&mut base, &[branch(helper_at + 12, leaf, true)], RET, base_tables);
    let inner_at = module.next();
    let inner = framed(&mut module, &[branch(inner_at + 12, helper, true)], RET, module_tables);
    let outer_at = module.next();
    let outer = framed(
        &mut module,
        &[branch(outer_at + 12, inner, true), branch(outer_at + 16, leaf, true)],
        RET,
        module_tables,
    );
    // stp; bl inner; ldp; b helper: the caller of this function is left behind by the tail call.
    let tail_at = module.next();
    let words = [PUSH, branch(tail_at + 4, inner, true), POP, branch(tail_at + 12, helper, false)];
    let steps = [
        Step::At(1),
        Step::Frame(16),
        Step::Saved(29, 2),
        Step::Saved(30, 1),
        Step::At(3),
        Step::Restored(29),
        Step::Restored(30),
        Step::Frame(0),
    ];
    let tail = match module_tables {
        Tables::Missing => module.bare(&words),
        _ => module.add(&words, &steps),
    };
    let main_at = base.next();
    let calls = [
        branch(main_at + 12, helper, true),
        branch(main_at + 16, outer, true),
        branch(main_at + 20, tail, true),
        branch(main_at + 24, helper, true),
    ];
    // What every thread stands on: its table is right.
    let main = framed(&mut base, &calls, RET, Tables::Right);
    (World { base, module }, main)
}

/// Runs the program and holds each moment against the truth; returns how often the answer was "inside" though the
/// thread was outside, and of how many moments outside.
fn run(base_tables: Tables, module_tables: Tables) -> (usize, usize) {
    let (world, main) = program(base_tables, module_tables);
    let mut scratch = Box::new(Scratch::EMPTY);
    let mut machine = Machine::new(main);
    let (mut too_often, mut outside, mut cleared) = (0, 0, 0);
    loop {
        let snapshot = machine.snapshot();
        let watched = |at: u64| world.module.contains(at);
        let answer = verdict(&world, &snapshot, &watched, &mut scratch);
        let pc = machine.registers.pc;
        let clear = is_clear(&snapshot);
        cleared += usize::from(clear);
        assert!(!clear || !machine.is_inside(&world), "cleared at {pc:#x} though inside");
        if machine.is_inside(&world) {
            assert!(answer.is_some(), "missed at {pc:#x} with {base_tables:?}, {module_tables:?}");
            assert!(scanned(&snapshot, &watched), "the scan missed at {pc:#x}");
        } else {
            outside += 1;
            too_often += usize::from(answer.is_some());
        }
        if walked(&world, &snapshot, &watched, &mut scratch).is_ok() {
            assert!(scanned(&snapshot, &watched), "the walk sees what the scan does not, at {pc:#x}");
        }
        if !machine.step(&world) {
            assert!(cleared > 0, "no moment is told at a glance");
            return (too_often, outside);
        }
    }
}

/// Whether a thread is told to be outside by the range of the module's text alone.
fn is_clear(snapshot: &Snapshot<'_, impl Memory>) -> bool {
    let registers = &snapshot.registers;
    let used = part_from(&(snapshot.stack_start..snapshot.stack_end), registers.sp);
    let hull = Hull::around(&(MODULE..MODULE + 0x1000));
    scan::is_clear(hull, registers.pc, &registers.x, (snapshot.memory, used), scan::records(snapshot))
}

#[test]
fn a_word_of_the_hull_is_found_wherever_it_stands() {
    let hull = Hull::around(&(MODULE..MODULE + 0x1000));
    for count in 0..40 {
        let mut words = vec![MODULE - 1; count];
        assert!(!hull.any_of(&words, |word| *word));
        for place in 0..count {
            // A return address stands one instruction behind its call, so that the word behind the text counts.
            for inside in [MODULE, MODULE + 8, MODULE + 0x1000, MODULE + 0x1003] {
                words[place] = inside;
                assert!(hull.any_of(&words, |word| *word), "{inside:#x} in place {place} of {count}");
            }
            words[place] = MODULE + 0x1004;
            assert!(!hull.any_of(&words, |word| *word));
        }
    }
}

#[test]
fn nobody_inside_is_missed_whatever_the_tables_say() {
    for base_tables in ALL {
        for module_tables in ALL {
            run(base_tables, module_tables);
        }
    }
}

#[test]
fn with_right_tables_stale_words_are_seen_through() {
    let (too_often, outside) = run(Tables::Right, Tables::Right);
    assert!(outside > 20, "only {outside} moments outside");
    assert_eq!(too_often, 0, "of {outside} moments outside");
    // Without them the stale words of the frame make the answer "inside": never too seldom, at times too often.
    let (too_often, _) = run(Tables::Missing, Tables::Missing);
    assert!(too_often > 0);
}

#[test]
fn a_walk_of_a_damaged_stack_ends_and_the_scan_decides() {
    let (world, main) = program(Tables::Right, Tables::Right);
    let mut scratch = Box::new(Scratch::EMPTY);
    for damage in [0, 1, 8, MODULE, BASE, support::STACK, u64::MAX, u64::MAX - 7] {
        let mut machine = Machine::new(main);
        for _ in 0..12 {
            machine.step(&world);
        }
        for sp in [machine.registers.sp, 0, damage, support::STACK + support::STACK_SIZE] {
            machine.registers.sp = sp;
            machine.stack.fill(damage);
            let snapshot = machine.snapshot();
            let watched = |at: u64| world.module.contains(at);
            // Every word of the stack names the module, or none does.
            let above = sp != support::STACK + support::STACK_SIZE;
            let answer = verdict(&world, &snapshot, &watched, &mut scratch);
            assert!(answer.is_some() || damage != MODULE || !above, "sp {sp:#x}, stack full of {damage:#x}");
        }
    }
}

#[test]
fn a_faulting_call_finds_its_caller_with_its_registers() {
    let (world, main) = program(Tables::Right, Tables::Right);
    let mut scratch = Box::new(Scratch::EMPTY);
    let mut machine = Machine::new(main);
    let mut before = machine.registers;
    let (mut faults, mut wild) = (0, 0);
    loop {
        let snapshot = machine.snapshot();
        let inside = world.module.contains(machine.registers.pc);
        if !machine.is_inside(&world) {
            before = machine.registers;
        }
        if inside {
            let watched = |at: u64| world.module.contains(at);
            let way = exit(&world, &snapshot, &watched, &mut scratch).expect("the tables lead out");
            // The frame that called is as it was before its `bl`, and goes on behind it.
            assert_eq!((way.caller.pc, way.caller.sp), (before.pc + 4, before.sp));
            assert_eq!(way.caller.x[19..30], before.x[19..30]);
            faults += 1;
            let pc = machine.registers.pc;
            let calls = world.instruction(pc).is_some_and(|word| word >> 26 == 0x25);
            for nowhere in [0, 0x4000, pc + 2] {
                // The same call, had it gone to where no instruction is: nothing has been executed there.
                let mut snapshot = machine.snapshot();
                snapshot.registers.pc = nowhere;
                snapshot.registers.x[30] = if calls { pc + 4 } else { 0x8000 };
                let wild_way = exit(&world, &snapshot, &watched, &mut scratch);
                assert_eq!(wild_way, calls.then_some(way), "a wild call to {nowhere:#x} from {pc:#x}");
                wild += usize::from(calls);
            }
        }
        if !machine.step(&world) {
            break;
        }
    }
    assert!(faults > 20, "only {faults} moments in the module");
    assert!(wild > 8, "only {wild} wild calls");
}

#[test]
fn a_walk_says_how_it_ended() {
    let (world, main) = program(Tables::Right, Tables::Right);
    let mut scratch = Box::new(Scratch::EMPTY);
    let machine = Machine::new(main);
    let nowhere = |_: u64| false;
    assert_eq!(walked(&world, &machine.snapshot(), &nowhere, &mut scratch), Err(End::Root));
    let lost = Machine::new(0x4000);
    let end = walked(&world, &lost.snapshot(), &nowhere, &mut scratch);
    assert_eq!(end, Err(End::Lost { from: lost.registers.sp, innermost: true }));
    let here = |at: u64| at == 0x4000;
    let inside = verdict(&world, &lost.snapshot(), &here, &mut scratch).unwrap();
    assert_eq!(inside.method, Method::Precise);
}

/// A stack of zeros, under text that nobody knows.
struct Nothing;

impl Memory for Nothing {
    fn word(&self, _at: u64) -> Option<u64> {
        Some(0)
    }
}

impl Code for Nothing {
    fn place(&self, _at: u64) -> Place<'_> {
        Place::Nowhere
    }

    fn instruction(&self, _at: u64) -> Option<u32> {
        None
    }
}

/// A module that has called through another module's gate: its return address is in the gate's record and nowhere else.
#[test]
fn a_caller_that_only_a_record_names_is_inside() {
    let module = |at: u64| (MODULE..MODULE + 0x1000).contains(&at);
    let records = [
        Record { caller: MODULE + 0x104, gate: 0x1200_0000 },
        Record { caller: BASE + 0x204, gate: 0x1200_0030 },
    ];
    let registers = Registers { pc: BASE, sp: 0x1_0000, ..Registers::default() };
    let (stack_start, stack_end) = (registers.sp, registers.sp + 64);
    let snapshot = |records| Snapshot { registers, stack_start, stack_end, memory: &Nothing, records };
    let scratch = &mut Box::new(Scratch::EMPTY);
    assert!(scanned(&snapshot(&records[..]), &module));
    let seen = verdict(&Nothing, &snapshot(&records[..]), &module, scratch).unwrap();
    assert_eq!((seen.method, seen.at), (Method::Conservative, MODULE + 0x104));
    assert_eq!(verdict(&Nothing, &snapshot(&records[1..]), &module, scratch), None);
}
