//! Goal: the rule flags exactly the sequences that the architecture does not allow.
//!
//! Method: the whole sequence on one core, each step left out, other cores, other addresses, patched branches; then
//! every order of the five steps.

use super::{Fetch, Lint, Missing, Storer};

const BASE: u64 = 0x4000_0000;
const AT: u64 = 0x1_0000;
const WORD: u64 = BASE + 0x2040;
const RET: u32 = 0xd65f_03c0;
const BRANCH: u32 = 0x1400_0010;
const CALL: u32 = 0x9400_0020;
const STORER: Storer = Storer { pc: 0x77, asid: 3 };

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Store,
    Clean,
    Barrier,
    Invalidate,
    Synchronise,
}
use Step::{Barrier, Clean, Invalidate, Store, Synchronise};

const WHOLE: [Step; 6] = [Store, Clean, Barrier, Invalidate, Barrier, Synchronise];

fn step(lint: &mut Lint, core: usize, step: Step) {
    match step {
        Store => lint.stored(STORER, WORD, 4, || RET),
        Clean => lint.cleaned(core, WORD),
        Barrier => lint.barrier(core),
        Invalidate => lint.invalidated(core, WORD, AT),
        Synchronise => lint.synchronised(core),
    }
}

fn after(steps: &[Step]) -> Lint {
    let mut lint = Lint::new(BASE, 1 << 16, 1);
    // Time has passed: there were barriers before.
    lint.barrier(0);
    lint.synchronised(0);
    steps.iter().for_each(|&one| step(&mut lint, 0, one));
    lint
}

fn missing(lint: &mut Lint, core: usize, at: u64) -> Option<Missing> {
    match lint.fetched(core, WORD, at, RET) {
        Fetch::Coherent | Fetch::Here => None,
        Fetch::Stale(finding) => {
            assert_eq!((finding.storer, finding.physical, finding.at), (STORER, WORD, at));
            Some(finding.missing)
        }
        Fetch::Window => panic!("RET is no branch that may be replaced"),
    }
}

#[test]
fn the_whole_sequence_passes_and_every_gap_is_named() {
    assert_eq!(missing(&mut after(&WHOLE), 0, AT), None);
    assert_eq!(missing(&mut after(&[]), 0, AT), None);
    let gaps = [
        (1, Missing::Clean),
        (2, Missing::Invalidate),
        (3, Missing::Invalidate),
        (4, Missing::Barrier),
        (5, Missing::Synchronise),
    ];
    for (left_out, expected) in gaps {
        let mut steps = WHOLE.to_vec();
        steps.remove(left_out);
        assert_eq!(missing(&mut after(&steps), 0, AT), Some(expected), "without step {left_out}");
    }
    for length in 1..WHOLE.len() {
        assert!(missing(&mut after(&WHOLE[..length]), 0, AT).is_some(), "after {length} steps");
    }
}

#[test]
fn only_the_right_order_passes() {
    // Every sequence of six steps behind a store.
    let steps = [Clean, Barrier, Invalidate, Synchronise];
    for number in 0..steps.len().pow(6) {
        let sequence: Vec<_> =
            (0..6_u32).map(|place| steps[number / steps.len().pow(place) % steps.len()]).collect();
        let mut wanted = WHOLE[1..].iter().peekable();
        for one in &sequence {
            if wanted.peek() == Some(&one) {
                wanted.next();
            }
        }
        let in_order = wanted.peek().is_none();
        let mut lint = after(&[Store]);
        sequence.iter().for_each(|&one| step(&mut lint, 0, one));
        let found = missing(&mut lint, 0, AT);
        // A sequence that contains the right one may go on with an invalidation that is not complete itself.
        let ends = sequence.iter().rposition(|&one| one == Invalidate).map_or(0, |last| last + 1);
        let finished = sequence[ends..]
            .iter()
            .position(|&one| one == Barrier)
            .is_some_and(|barrier| sequence[ends + barrier..].contains(&Synchronise));
        assert_eq!(found.is_none(), in_order && finished, "{sequence:?}: {found:?}");
    }
}

#[test]
fn other_words_of_the_line_are_left_alone() {
    let mut lint = after(&[Store]);
    assert_eq!(lint.fetched(0, WORD + 4, AT + 4, RET), Fetch::Coherent);
    assert!(lint.is_watched(WORD) && !lint.is_watched(WORD + 4) && !lint.is_watched(WORD - 4));
    lint.stored(STORER, WORD + 8, 16, || RET);
    assert!((2..6).all(|word| lint.is_watched(WORD + word * 4)) && !lint.is_watched(WORD + 24));
    // A store beside maintained words does not spoil them.
    let mut lint = after(&WHOLE);
    lint.stored(STORER, WORD + 4, 4, || RET);
    assert_eq!(missing(&mut lint, 0, AT), None);
    assert!(matches!(lint.fetched(0, WORD + 4, AT + 4, RET), Fetch::Stale(_)));
}

#[test]
fn an_invalidation_counts_where_it_was() {
    let mut lint = after(&WHOLE);
    assert_eq!(missing(&mut lint, 0, AT + 0x1000), Some(Missing::InvalidateHere));
    lint.invalidated(0, WORD, AT + 0x1000);
    lint.barrier(0);
    lint.synchronised(0);
    assert_eq!(missing(&mut lint, 0, AT + 0x1000), None);
    assert_eq!(missing(&mut lint, 0, AT), None);
    // Everything at once counts everywhere, but only behind the clean.
    let mut lint = after(&[Store, Clean, Barrier]);
    lint.invalidated_all(0, false);
    [Barrier, Synchronise].into_iter().for_each(|one| step(&mut lint, 0, one));
    assert_eq!(missing(&mut lint, 0, AT + 0x5000), None);
    let mut lint = after(&[Store]);
    lint.invalidated_all(0, true);
    [Clean, Barrier, Synchronise].into_iter().for_each(|one| step(&mut lint, 0, one));
    assert_eq!(missing(&mut lint, 0, AT), Some(Missing::Invalidate));
}

#[test]
fn each_core_synchronises_for_itself() {
    let mut lint = Lint::new(BASE, 1 << 16, 2);
    WHOLE.into_iter().for_each(|one| step(&mut lint, 0, one));
    assert_eq!(lint.fetched(0, WORD, AT, RET), Fetch::Here);
    assert_eq!(missing(&mut lint, 1, AT), Some(Missing::Synchronise));
    lint.synchronised(1);
    assert_eq!(lint.fetched(1, WORD, AT, RET), Fetch::Coherent);
    // IC IALLU of one core is nothing to the other.
    let mut lint = Lint::new(BASE, 1 << 16, 2);
    [Store, Clean, Barrier].into_iter().for_each(|one| step(&mut lint, 0, one));
    lint.invalidated_all(0, false);
    step(&mut lint, 0, Barrier);
    (0..2).for_each(|core| lint.synchronised(core));
    assert_eq!(missing(&mut lint, 1, AT), Some(Missing::Invalidate));
}

#[test]
fn a_branch_may_be_replaced_by_a_branch() {
    let patched = || {
        let mut lint = Lint::new(BASE, 1 << 16, 1);
        assert_eq!(lint.fetched(0, WORD, AT, BRANCH), Fetch::Coherent);
        lint.stored(STORER, WORD, 4, || CALL);
        assert_eq!(lint.fetched(0, WORD, AT, CALL), Fetch::Window);
        lint
    };
    let mut lint = patched();
    WHOLE[1..].iter().for_each(|&one| step(&mut lint, 0, one));
    assert_eq!(lint.fetched(0, WORD, AT, CALL), Fetch::Coherent);
    assert_eq!(lint.unfinished(), []);
    // Maintained, though never executed afterwards.
    let mut lint = patched();
    WHOLE[1..].iter().for_each(|&one| step(&mut lint, 0, one));
    assert_eq!(lint.unfinished(), []);
    // Never maintained.
    let mut lint = patched();
    let open = lint.unfinished();
    assert_eq!((open.len(), open[0].missing, lint.counts.stale), (1, Missing::Ever, 1));
    // By way of something else, or into something else, it is no exchange of branches.
    let mut lint = patched();
    lint.stored(STORER, WORD, 4, || RET);
    lint.stored(STORER, WORD, 4, || BRANCH);
    assert!(matches!(lint.fetched(0, WORD, AT, BRANCH), Fetch::Stale(_)));
    let mut lint = Lint::new(BASE, 1 << 16, 1);
    assert_eq!(lint.fetched(0, WORD, AT, RET), Fetch::Coherent);
    lint.stored(STORER, WORD, 4, || BRANCH);
    assert!(matches!(lint.fetched(0, WORD, AT, BRANCH), Fetch::Stale(_)));
}

#[test]
fn a_core_that_sleeps_takes_the_window_from_nobody() {
    let mut lint = Lint::new(BASE, 1 << 16, 2);
    lint.stored(STORER, WORD, 4, || BRANCH);
    WHOLE[1..].iter().for_each(|&one| step(&mut lint, 0, one));
    // Core 1 has not synchronised since: it may have what was there before the branch.
    assert_eq!(lint.fetched(0, WORD, AT, BRANCH), Fetch::Here);
    lint.stored(STORER, WORD, 4, || CALL);
    assert_eq!(lint.fetched(0, WORD, AT, CALL), Fetch::Window);
    assert!(matches!(lint.fetched(1, WORD, AT, CALL), Fetch::Stale(_)));
    WHOLE[1..].iter().for_each(|&one| step(&mut lint, 0, one));
    lint.synchronised(1);
    assert_eq!(lint.fetched(1, WORD, AT, CALL), Fetch::Coherent);
    assert_eq!(lint.fetched(0, WORD, AT, CALL), Fetch::Coherent);
}

#[test]
fn maintenance_for_a_neighbour_unsettles_nobody() {
    let mut lint = Lint::new(BASE, 1 << 16, 4);
    lint.barrier(0);
    lint.stored(STORER, WORD + 4, 4, || BRANCH);
    WHOLE.iter().for_each(|&one| step(&mut lint, 0, one));
    lint.synchronised(1);
    assert_eq!(missing(&mut lint, 1, AT), None);
    // The branch beside it is replaced; cores 2 and 3 have never run here, so that the line is still on its way.
    lint.stored(STORER, WORD + 4, 4, || CALL);
    for one in [Clean, Barrier, Invalidate] {
        step(&mut lint, 0, one);
        assert_eq!(missing(&mut lint, 1, AT), None, "after {one:?}");
    }
    // Whoever has not run it yet needs what it always needed, and a store of its own unsettles it.
    assert_eq!(missing(&mut lint, 2, AT), Some(Missing::Barrier));
    [Barrier].iter().for_each(|&one| step(&mut lint, 0, one));
    assert_eq!(missing(&mut lint, 2, AT), Some(Missing::Synchronise));
    step(&mut lint, 0, Store);
    assert_eq!(missing(&mut lint, 1, AT), Some(Missing::Clean));
}

#[test]
fn zeroes_are_stores_where_somebody_looked() {
    let mut lint = after(&WHOLE);
    lint.zeroed(STORER, WORD);
    assert_eq!(missing(&mut lint, 0, AT), Some(Missing::Clean));
    let mut lint = after(&[]);
    lint.zeroed(STORER, WORD + 0x1000);
    assert!(!lint.is_watched(WORD + 0x1000));
    // Outside of the memory that is watched nothing happens.
    lint.stored(STORER, BASE - 8, 8, || RET);
    lint.stored(STORER, BASE + (1 << 16), 8, || RET);
    assert_eq!(lint.fetched(0, BASE - 8, AT, RET), Fetch::Coherent);
}
