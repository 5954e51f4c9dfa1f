//! Records, found by the hash of the name that they carry.

use crate::{ALIASES_MAX, IMPORTS_MAX};

/// Twice as many places as there are records, so that a search ends soon.
const PLACES: usize = 256;
const _: () = assert!(PLACES >= 2 * ALIASES_MAX && PLACES >= 2 * IMPORTS_MAX && PLACES == 1 << u8::BITS);

/// Which record stands at which place: the low byte of the hash says where a search begins.
///
/// Names that are made to collide cost one look at each record, of which there are few.
pub(crate) struct ByHash {
    // Index of the record plus one; 0 is free.
    places: [u8; PLACES],
}

impl ByHash {
    /// No records.
    pub(crate) const EMPTY: Self = Self { places: [0; PLACES] };

    /// The record for which `is_it` holds, among those whose hash begins a search where this one does.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        self.from(hash).map_while(|place| self.record_at(place)).find(|index| is_it(*index))
    }

    /// Adds the record with this index: below [`PLACES`] / 2.
    pub(crate) fn add(&mut self, hash: u64, index: usize) {
        let free = self.from(hash).find(|place| self.record_at(*place).is_none());
        let place = free.and_then(|place| self.places.get_mut(place));
        if let (Some(place), Ok(index)) = (place, u8::try_from(index + 1)) {
            *place = index;
        }
    }

    fn from(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let [first, ..] = hash.to_le_bytes();
        (0..=u8::MAX).map(move |step| usize::from(first.wrapping_add(step)))
    }

    fn record_at(&self, place: usize) -> Option<usize> {
        self.places.get(place).and_then(|index| usize::from(*index).checked_sub(1))
    }
}
