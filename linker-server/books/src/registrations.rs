//! What modules have registered: whose it is, on what it depends, and when its time has come.
//!
//! A record is made while a command of its module runs, and goes when the module gives it back or leaves. One that builds
//! on another (a device on its endpoint, a timer on the thread that it wakes) keeps that one from being given back, and is
//! newer than it: so whoever takes a module's records from the newest to the oldest never meets one that is still used.
//!
//! The clock is the caller's, in ticks; 0 is no time.

use heapless::Vec;

/// Records of one link domain at one time.
pub const REGISTRATIONS_MAX: usize = 64;
/// Records of one module at one time.
pub const PER_OWNER_MAX: usize = 16;
/// Generations of one place; then they begin again.
const GENERATIONS: u32 = 1 << 24;
const _: () = assert!(REGISTRATIONS_MAX < 255, "a place is named by a byte");

/// Names a record for good: the place is used again, with another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u32);

impl Handle {
    /// A place is below [`REGISTRATIONS_MAX`], and one more is not zero.
    const fn new(place: usize, generation: u32) -> Self {
        Self((generation << 8) | (place.to_le_bytes()[0] as u32 + 1))
    }

    const fn place(self) -> Option<usize> {
        ((self.0 & 0xff) as usize).checked_sub(1)
    }

    /// The handle as a word; never 0.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The handle from a word; it may name nothing.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// Why a record is not made, or not given back. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationError {
    /// [`REGISTRATIONS_MAX`].
    Full,
    /// [`PER_OWNER_MAX`].
    TooMany,
    /// No such record: it was given back, or never was there.
    Stale(Handle),
    /// This one builds on it.
    InUse(Handle),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration<M, T> {
    /// Its name for good.
    pub handle: Handle,
    /// Whose.
    pub owner: M,
    /// The record that it builds on.
    pub on: Option<Handle>,
    /// What was registered.
    pub what: T,
    due: u64,
    order: u64,
}

struct Place<M, T> {
    generation: u32,
    held: Option<Registration<M, T>>,
}

/// The book of registrations of modules named by `M`.
pub struct Registrations<M, T> {
    places: [Place<M, T>; REGISTRATIONS_MAX],
    /// A bit for each place that holds a record: mostly there are few, and every unload asks.
    taken: u64,
    order: u64,
}
const _: () = assert!(REGISTRATIONS_MAX == u64::BITS as usize);

impl<M: Copy + PartialEq, T> Registrations<M, T> {
    /// Nothing is registered.
    #[must_use]
    pub const fn new() -> Self {
        let places = [const { Place { generation: 0, held: None } }; REGISTRATIONS_MAX];
        Self { places, taken: 0, order: 0 }
    }

    /// Whether [`Registrations::add`] would succeed: asked before anything is made for the record.
    ///
    /// # Errors
    /// [`RegistrationError`]. What another module has registered is as good as not there.
    pub fn admits(&self, owner: M, on: Option<Handle>) -> Result<(), RegistrationError> {
        if let Some(on) = on
            && self.get(on)?.owner != owner
        {
            return Err(RegistrationError::Stale(on));
        }
        if self.of(owner).count() >= PER_OWNER_MAX {
            return Err(RegistrationError::TooMany);
        }
        self.free().map(|_| ()).ok_or(RegistrationError::Full)
    }

    /// Makes a record.
    ///
    /// # Errors
    /// As [`Registrations::admits`]; what was to be registered is handed back.
    pub fn add(&mut self, owner: M, on: Option<Handle>, what: T) -> Result<Handle, (RegistrationError, T)> {
        if let Err(error) = self.admits(owner, on) {
            return Err((error, what));
        }
        let Some(place) = self.free() else { return Err((RegistrationError::Full, what)) };
        let handle = Handle::new(place, self.places[place].generation);
        self.order += 1;
        self.taken |= 1 << place;
        self.places[place].held = Some(Registration { handle, owner, on, what, due: 0, order: self.order });
        Ok(handle)
    }

    fn free(&self) -> Option<usize> {
        Some(self.taken.trailing_ones() as usize).filter(|place| *place < REGISTRATIONS_MAX)
    }

    fn place(&self, handle: Handle) -> Result<usize, RegistrationError> {
        let held = |place: &usize| {
            let held = self.places.get(*place).and_then(|place| place.held.as_ref());
            held.is_some_and(|held| held.handle == handle)
        };
        handle.place().filter(held).ok_or(RegistrationError::Stale(handle))
    }

    /// The record of that name.
    ///
    /// # Errors
    /// [`RegistrationError::Stale`].
    pub fn get(&self, handle: Handle) -> Result<&Registration<M, T>, RegistrationError> {
        let place = self.place(handle)?;
        self.places[place].held.as_ref().ok_or(RegistrationError::Stale(handle))
    }

    /// The same, to be changed.
    ///
    /// # Errors
    /// [`RegistrationError::Stale`].
    pub fn get_mut(&mut self, handle: Handle) -> Result<&mut Registration<M, T>, RegistrationError> {
        let place = self.place(handle)?;
        self.places[place].held.as_mut().ok_or(RegistrationError::Stale(handle))
    }

    /// Gives a record back.
    ///
    /// # Errors
    /// [`RegistrationError::Stale`], or [`RegistrationError::InUse`] by the newest one that builds on it.
    pub fn take(&mut self, handle: Handle) -> Result<Registration<M, T>, RegistrationError> {
        let place = self.place(handle)?;
        let users = self.all().filter(|other| other.on == Some(handle));
        if let Some(user) = users.max_by_key(|other| other.order) {
            return Err(RegistrationError::InUse(user.handle));
        }
        self.taken &= !(1 << place);
        let place = &mut self.places[place];
        place.generation = (place.generation + 1) % GENERATIONS;
        place.held.take().ok_or(RegistrationError::Stale(handle))
    }

    /// All records.
    pub fn all(&self) -> impl Iterator<Item = &Registration<M, T>> {
        let mut left = self.taken;
        core::iter::from_fn(move || {
            let place = self.places.get(left.trailing_zeros() as usize)?;
            left &= left - 1;
            place.held.as_ref()
        })
    }

    /// The records of a module.
    pub fn of(&self, owner: M) -> impl Iterator<Item = &Registration<M, T>> {
        self.all().filter(move |held| held.owner == owner)
    }

    /// The records of a module, from the newest to the oldest.
    #[must_use]
    pub fn newest_first(&self, owner: M) -> Vec<Handle, PER_OWNER_MAX> {
        let mut all: Vec<(u64, Handle), PER_OWNER_MAX> = Vec::new();
        for held in self.of(owner) {
            all.push((held.order, held.handle)).expect("no module has more");
        }
        all.sort_unstable_by(|one, other| other.cmp(one));
        all.into_iter().map(|(_, handle)| handle).collect()
    }

    /// Sets the time of a record; 0 is none.
    ///
    /// # Errors
    /// [`RegistrationError::Stale`].
    pub fn set_due(&mut self, handle: Handle, at: u64) -> Result<(), RegistrationError> {
        self.get_mut(handle)?.due = at;
        Ok(())
    }

    /// The earliest time of all, 0 for none.
    #[must_use]
    pub fn earliest(&self) -> u64 {
        self.all().map(|held| held.due).filter(|due| *due != 0).min().unwrap_or(0)
    }

    /// A record whose time has come at `now`, the earliest first; each is given once.
    pub fn pass(&mut self, now: u64) -> Option<Handle> {
        let come = self.all().filter(|held| held.due != 0 && held.due <= now);
        let handle = come.min_by_key(|held| (held.due, held.order)).map(|held| held.handle)?;
        self.set_due(handle, 0).ok()?;
        Some(handle)
    }
}

impl<M: Copy + PartialEq, T> Default for Registrations<M, T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
