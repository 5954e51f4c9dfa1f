//! Data that a layer keeps beside a handle.
//!
//! A handle is a word that layers hand on as it is; wrapped, it would dangle after the layer's unload. So what a layer wants
//! to know of a mapping lies in a table of its own, by handle and by a number that says what it is: what Linux' livepatch
//! calls shadow variables. The table is bounded and part of the layer's data, so it goes with the layer and allocates
//! nothing; a layer that changes it from several threads holds a lock.

use crate::BusHandle;

/// The table: at most `N` data of one type.
#[derive(Debug)]
pub struct Beside<T, const N: usize> {
    entries: [Option<Entry<T>>; N],
}

#[derive(Debug)]
struct Entry<T> {
    handle: BusHandle,
    id: u32,
    data: T,
}

/// Why nothing was attached; the table is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError<E> {
    /// The handle has data of this id.
    Exists,
    /// The table is full.
    Full,
    /// The constructor has refused.
    Refused(E),
}

impl<T, const N: usize> Beside<T, N> {
    /// Nothing is attached to any handle.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: [const { None }; N] }
    }

    /// Attaches what `make` constructs. It is called only if there is room for its result.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn attach<E>(
        &mut self,
        handle: BusHandle,
        id: u32,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<&mut T, AttachError<E>> {
        if self.get(handle, id).is_some() {
            return Err(AttachError::Exists);
        }
        let place = self.entries.iter_mut().find(|place| place.is_none()).ok_or(AttachError::Full)?;
        let data = make().map_err(AttachError::Refused)?;
        Ok(&mut place.insert(Entry { handle, id, data }).data)
    }

    /// What is attached, or what `make` constructs if nothing is.
    ///
    /// # Errors
    /// [`AttachError::Full`] or [`AttachError::Refused`].
    pub fn get_or_attach<E>(
        &mut self,
        handle: BusHandle,
        id: u32,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<&mut T, AttachError<E>> {
        if self.get(handle, id).is_none() {
            return self.attach(handle, id, make);
        }
        // It is there: the same look again, because a borrow that is returned on one way only cannot be dropped on the other.
        self.get_mut(handle, id).ok_or(AttachError::Exists)
    }

    /// What is attached.
    #[must_use]
    pub fn get(&self, handle: BusHandle, id: u32) -> Option<&T> {
        self.entries.iter().flatten().find(|entry| entry.is(handle, id)).map(|entry| &entry.data)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, handle: BusHandle, id: u32) -> Option<&mut T> {
        self.entries.iter_mut().flatten().find(|entry| entry.is(handle, id)).map(|entry| &mut entry.data)
    }

    /// Everything of this id, with its handle.
    pub fn all(&self, id: u32) -> impl Iterator<Item = (BusHandle, &T)> {
        self.entries
            .iter()
            .flatten()
            .filter(move |entry| entry.id == id)
            .map(|entry| (entry.handle, &entry.data))
    }

    /// Takes what is attached off the handle.
    pub fn free(&mut self, handle: BusHandle, id: u32) -> Option<T> {
        let is = |place: &&mut Option<Entry<T>>| place.as_ref().is_some_and(|entry| entry.is(handle, id));
        self.entries.iter_mut().find(is)?.take().map(|entry| entry.data)
    }

    /// Takes everything of this id off all handles; `last` gets each with its handle.
    pub fn free_all(&mut self, id: u32, mut last: impl FnMut(BusHandle, T)) {
        for place in &mut self.entries {
            if let Some(entry) = place.take_if(|entry| entry.id == id) {
                last(entry.handle, entry.data);
            }
        }
    }
}

impl<T> Entry<T> {
    fn is(&self, handle: BusHandle, id: u32) -> bool {
        self.handle == handle && self.id == id
    }
}

impl<T, const N: usize> Default for Beside<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::vec::Vec;

    use super::{AttachError, Beside};
    use crate::BusHandle;
    use crate::rng::Rng;

    const fn handle(number: u64) -> BusHandle {
        BusHandle::new(0x1000 * number)
    }

    /// A constructor that does not refuse.
    fn of(value: u32) -> impl FnOnce() -> Result<u32, ()> {
        move || Ok(value)
    }

    #[test]
    fn story() {
        let mut beside = Beside::<u32, 3>::new();
        assert_eq!(beside.attach(handle(1), 7, of(10)), Ok(&mut 10));
        assert_eq!(beside.attach(handle(1), 7, of(11)), Err(AttachError::Exists));
        // The same handle with another id, and the same id with another handle, are other data.
        beside.attach(handle(1), 8, of(20)).unwrap();
        assert_eq!(beside.attach(handle(2), 7, || Err("no")), Err(AttachError::Refused("no")));
        assert_eq!(beside.get(handle(2), 7), None, "a constructor that refuses leaves nothing");
        beside.attach(handle(2), 7, of(30)).unwrap();
        let never = || -> Result<u32, ()> { panic!("there is no room for what this would make") };
        assert_eq!(beside.attach(handle(3), 7, never), Err(AttachError::Full));

        *beside.get_mut(handle(2), 7).unwrap() += 1;
        assert_eq!(beside.get_or_attach(handle(2), 7, never), Ok(&mut 31));
        assert_eq!(beside.free(handle(1), 8), Some(20));
        assert_eq!(beside.free(handle(1), 8), None, "freed once");
        assert_eq!(beside.get_or_attach(handle(3), 8, of(40)), Ok(&mut 40));
        let mut freed = Vec::new();
        beside.free_all(7, |handle, data| freed.push((handle, data)));
        assert_eq!(freed, [(handle(1), 10), (handle(2), 31)]);
        assert_eq!(beside.all(8).collect::<Vec<_>>(), [(handle(3), &40)], "another id stays");
        beside.free_all(7, |_, _| panic!("nothing of this id is left"));
    }

    /// Random operations against a map: the same answers, and never more than there is room for.
    #[test]
    fn any_sequence_is_as_a_map_says() {
        const ROOM: usize = 5;
        let mut rng = Rng::new(0xbe5);
        let mut beside = Beside::<u64, ROOM>::new();
        let mut model = BTreeMap::<(u64, u32), u64>::new();
        let mut seen = [0; 4];
        for step in 0..200_000_u64 {
            let mut below = |bound: u64| rng.next() % bound;
            let (at, id, what, refuses) =
                (below(4), u32::try_from(below(3)).unwrap(), below(20), below(4) == 0);
            let key = (at, id);
            let make = || if refuses { Err(step) } else { Ok(step) };
            match what {
                0..10 => {
                    let expected = if model.contains_key(&key) {
                        Err(AttachError::Exists)
                    } else if model.len() == ROOM {
                        Err(AttachError::Full)
                    } else {
                        make().map_err(AttachError::Refused).inspect(|value| {
                            model.insert(key, *value);
                        })
                    };
                    seen[match expected {
                        Ok(_) => 0,
                        Err(AttachError::Exists) => 1,
                        Err(AttachError::Full) => 2,
                        Err(AttachError::Refused(_)) => 3,
                    }] += 1;
                    assert_eq!(beside.attach(handle(at), id, make).map(|value| *value), expected);
                }
                10..19 => assert_eq!(beside.free(handle(at), id), model.remove(&key)),
                _ => {
                    let mut freed = BTreeMap::new();
                    beside.free_all(id, |handle, value| {
                        assert_eq!(freed.insert((handle.address() / 0x1000, id), value), None);
                    });
                    let expected =
                        model.extract_if(.., |(_, other), _| *other == id).collect::<BTreeMap<_, _>>();
                    assert_eq!(freed, expected);
                }
            }
            for (at, id) in (0..4).flat_map(|at| (0..3).map(move |id| (at, id))) {
                assert_eq!(beside.get(handle(at), id), model.get(&(at, id)));
            }
        }
        assert!(seen.iter().all(|count| *count > 1_000), "{seen:?}");
    }
}
