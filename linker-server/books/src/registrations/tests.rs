//! Goal: each record is there from its making to its giving back, whatever else happens, and nothing goes while another
//! builds on it. Method: the story; every sequence of five events in a small world, and long seeded ones, against a list
//! that a child could keep.
#![allow(clippy::unwrap_used)]
extern crate std;

use super::*;
use std::vec::Vec;

type Book = Registrations<char, u32>;

#[test]
fn a_module_comes_and_leaves_something_behind() {
    let mut book = Book::new();
    let endpoint = book.add('a', None, 1).unwrap();
    let device = book.add('a', Some(endpoint), 2).unwrap();
    let other = book.add('b', None, 3).unwrap();
    assert_eq!(book.add('b', Some(endpoint), 4), Err((RegistrationError::Stale(endpoint), 4)), "not b's");
    assert_eq!(book.take(endpoint), Err(RegistrationError::InUse(device)));
    assert_eq!(book.take(device).unwrap().what, 2);
    assert_eq!(book.take(device), Err(RegistrationError::Stale(device)));
    // What is left is found from the newest to the oldest, and only a's.
    let timer = book.add('a', Some(endpoint), 5).unwrap();
    assert_ne!(timer, device, "the place is used again, the name is not");
    let mut left = Vec::new();
    for handle in book.newest_first('a') {
        left.push(book.take(handle).unwrap().what);
    }
    assert_eq!(left, [5, 1]);
    assert_eq!(book.get(other).unwrap().what, 3);
    assert_eq!(book.get(Handle::from_bits(0)).unwrap_err(), RegistrationError::Stale(Handle::from_bits(0)));
    assert_eq!(Handle::from_bits(other.bits()), other);
}

#[test]
fn times_come_once_and_in_order() {
    let mut book = Book::new();
    let [a, b, c] = [1, 2, 3].map(|what| book.add('a', None, what).unwrap());
    assert_eq!((book.earliest(), book.pass(u64::MAX)), (0, None));
    book.set_due(a, 50).unwrap();
    book.set_due(b, 40).unwrap();
    book.set_due(c, 40).unwrap();
    assert_eq!((book.earliest(), book.pass(39)), (40, None));
    assert_eq!(
        [book.pass(60), book.pass(60), book.pass(60), book.pass(60)],
        [Some(b), Some(c), Some(a), None]
    );
    book.set_due(a, 70).unwrap();
    book.take(a).unwrap();
    assert_eq!((book.earliest(), book.pass(80)), (0, None), "who is gone is not woken");
    assert_eq!(book.set_due(a, 90), Err(RegistrationError::Stale(a)));
}

#[test]
fn the_bounds_are_kept() {
    let mut book = Registrations::<usize, ()>::new();
    for owner in 0..REGISTRATIONS_MAX / PER_OWNER_MAX {
        for _ in 0..PER_OWNER_MAX {
            book.add(owner, None, ()).unwrap();
        }
        assert_eq!(book.admits(owner, None), Err(RegistrationError::TooMany));
    }
    assert_eq!(book.add(99, None, ()), Err((RegistrationError::Full, ())));
    let one = book.newest_first(0)[0];
    book.take(one).unwrap();
    assert_eq!(book.admits(99, None), Ok(()));
}

/// The list: name, owner, what it builds on, time.
type List = Vec<(Handle, char, Option<Handle>, u64)>;

fn happen(book: &mut Book, list: &mut List, event: usize) {
    let owner = ['a', 'b'][event % 2];
    let newest = list.iter().rev().find(|(_, other, ..)| *other == owner).map(|record| record.0);
    match event / 2 {
        0 => list.push((book.add(owner, None, 0).unwrap(), owner, None, 0)),
        1 => match (book.add(owner, newest, 0), newest) {
            (Ok(handle), on) => list.push((handle, owner, on, 0)),
            (Err(error), _) => panic!("{error:?}"),
        },
        2 => {
            if let Some(oldest) = list.iter().find(|(_, other, ..)| *other == owner).copied() {
                let user = list.iter().rev().find(|(_, _, on, _)| *on == Some(oldest.0));
                match book.take(oldest.0) {
                    Ok(taken) => {
                        assert!(user.is_none() && taken.owner == owner && taken.on == oldest.2);
                        list.retain(|(handle, ..)| *handle != oldest.0);
                        assert_eq!(book.get(oldest.0), Err(RegistrationError::Stale(oldest.0)));
                    }
                    Err(error) => assert_eq!(error, RegistrationError::InUse(user.unwrap().0)),
                }
            }
        }
        3 => {
            if let Some(newest) = newest {
                let at = list.len() as u64 * 10;
                book.set_due(newest, at).unwrap();
                list.iter_mut().find(|record| record.0 == newest).unwrap().3 = at;
            }
        }
        _ => {
            let come =
                list.iter().filter(|record| record.3 != 0 && record.3 <= 25).min_by_key(|record| record.3);
            let come = come.map(|record| record.0);
            assert_eq!(book.pass(25), come);
            list.iter_mut().filter(|record| Some(record.0) == come).for_each(|record| record.3 = 0);
        }
    }
    agree(book, list);
}

fn agree(book: &Book, list: &List) {
    assert_eq!(book.all().count(), list.len());
    for (handle, owner, on, due) in list {
        let held = book.get(*handle).unwrap();
        assert_eq!((held.owner, held.on, held.due), (*owner, *on, *due));
    }
    for owner in ['a', 'b'] {
        let newest_first: Vec<Handle> =
            list.iter().rev().filter(|record| record.1 == owner).map(|record| record.0).collect();
        assert_eq!(book.newest_first(owner)[..], newest_first);
    }
    assert_eq!(
        book.earliest(),
        list.iter().map(|record| record.3).filter(|due| *due != 0).min().unwrap_or(0)
    );
}

const EVENTS: usize = 10;

#[test]
fn every_sequence_of_five_events() {
    for sequence in 0..EVENTS.pow(5) {
        let (mut book, mut list, mut rest) = (Book::new(), List::new(), sequence);
        for _ in 0..5 {
            happen(&mut book, &mut list, rest % EVENTS);
            rest /= EVENTS;
        }
    }
}

#[test]
fn long_seeded_histories() {
    for seed in 1..=50_u64 {
        let (mut book, mut list, mut state) = (Book::new(), List::new(), seed);
        for _ in 0..400 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let event = usize::try_from(state >> 33).unwrap() % EVENTS;
            let owner = ['a', 'b'][event % 2];
            // The bounds have a test of their own.
            if event / 2 < 2 && book.of(owner).count() == PER_OWNER_MAX {
                continue;
            }
            happen(&mut book, &mut list, event);
        }
    }
}
