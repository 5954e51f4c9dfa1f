//! Callbacks: addresses of a module's functions that others keep.
//!
//! ```text
//! slot:  b function ◄─ while the module is linked ─► b stub     stub: store EIO as the bus status, return the answer
//! ```
//! Nobody can say who has copied the address of a function, so a module gives away the address of a slot instead: one
//! branch in linker-owned text, which leads to the function while the module is linked, and to an error stub of its own
//! before, behind and ever after. So a relink closes this entry together with all others, and an address that is called
//! when the module has gone is answered.
//!
//! A slot that was given back is *retired*: it stays, leads to its stub, and belongs to the base image. It is used again
//! only when no fresh one is left, the oldest first, and only with the same answer: then nothing in it changes but the
//! branch, which may be stored over another while it is executed (Arm ARM B2.2.5).

use crate::branch::{Branch, OutOfRange, Va};
use crate::commit::{Refused, TextSpace};
use crate::domain::{LinkDomain, ModuleId};
use crate::errno::Errno;
use crate::text::{STUB_UNITS, UNIT_SIZE, failing, slot};

/// Callbacks of one link domain at one time, the retired ones included.
pub const CALLBACKS_MAX: usize = 32;
/// Units of a callback: its slot, then its stub.
pub(crate) const CALLBACK_UNITS: usize = 1 + STUB_UNITS;

/// A callback, as it stands in linker-owned text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The address that was given away.
    pub at: Va,
    /// Whose function it stands for; the base image's when it is retired.
    pub owner: ModuleId,
    /// The function.
    pub function: Va,
    /// What a call returns while the module is not linked, and when it faults.
    pub answer: u64,
    /// Grows with each one that is retired.
    retired: u32,
}

impl Callback {
    const NONE: Self = Self { at: Va(0), owner: ModuleId::BASE, function: Va(0), answer: 0, retired: 0 };

    const fn stub(&self) -> Va {
        self.at.plus(UNIT_SIZE)
    }
}

/// Why there is no callback. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackError {
    /// No such module, or it is the base image.
    NoModule,
    /// The function does not begin in the module's text.
    NotItsFunction(Va),
    /// [`CALLBACKS_MAX`], and no retired one has the same answer; or no linker-owned text is left.
    Full,
    /// A write was refused.
    Refused(Va),
    /// The slot does not reach the function.
    OutOfRange(OutOfRange),
}

impl CallbackError {
    /// The errno-like word of the error.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::NoModule | Self::NotItsFunction(_) => Errno::EINVAL,
            Self::Full => Errno::ENOSPC,
            Self::Refused(_) => Errno::EIO,
            Self::OutOfRange(_) => Errno::ERANGE,
        }
    }
}

/// The callbacks of a link domain. Nothing but zeros when empty.
pub(crate) struct Callbacks {
    entries: [Callback; CALLBACKS_MAX],
    retired: u32,
}

impl Callbacks {
    pub(crate) const EMPTY: Self = Self { entries: [Callback::NONE; CALLBACKS_MAX], retired: 0 };

    fn index_of(&self, at: Va) -> Option<usize> {
        self.entries.iter().position(|callback| callback.at == at && at != Va(0))
    }
}

impl LinkDomain {
    /// All callbacks, the retired ones included. Entries are filled from the front and never emptied.
    pub fn callbacks(&self) -> impl Iterator<Item = &Callback> {
        self.callbacks.entries.iter().take_while(|callback| callback.at != Va(0))
    }

    /// Issues the address by which others may call a function of a module. Until the module is linked, a call returns
    /// `answer`.
    ///
    /// # Errors
    /// [`CallbackError`].
    pub fn issue_callback(
        &mut self,
        owner: ModuleId,
        function: Va,
        answer: u64,
        text: &mut impl TextSpace,
    ) -> Result<Va, CallbackError> {
        let module = self.module(owner).map_err(|_| CallbackError::NoModule)?;
        if owner == ModuleId::BASE {
            return Err(CallbackError::NoModule);
        }
        if !module.facts.text_contains(function) || !function.0.is_multiple_of(4) {
            return Err(CallbackError::NotItsFunction(function));
        }
        let (index, at) = self.place_for(answer).ok_or(CallbackError::Full)?;
        let issued = Callback { at, owner, function, answer, retired: 0 };
        Branch::encode(at, function, false).map_err(CallbackError::OutOfRange)?;
        let fresh = self.callbacks.entries[index].at == Va(0);
        if fresh {
            write_fresh(&issued, text)?;
        }
        self.point(&issued, text).map_err(|Refused| CallbackError::Refused(at))?;
        text.publish();
        text.synchronise();
        if !fresh {
            self.text.release(at, CALLBACK_UNITS, ModuleId::BASE.index);
        }
        self.text.take(at, CALLBACK_UNITS, owner.index);
        self.callbacks.entries[index] = issued;
        Ok(at)
    }

    /// A free entry with free units, or else the oldest one that is retired with this answer.
    fn place_for(&self, answer: u64) -> Option<(usize, Va)> {
        let entries = &self.callbacks.entries;
        if let Some(free) = entries.iter().position(|callback| callback.at == Va(0))
            && let Some(unit) = self.text.find(0, CALLBACK_UNITS)
        {
            return Some((free, self.text.address(unit)));
        }
        let retired = (0..).zip(entries).filter(|(_, callback)| {
            callback.at != Va(0) && callback.owner == ModuleId::BASE && callback.answer == answer
        });
        retired.min_by_key(|(_, callback)| callback.retired).map(|(index, callback)| (index, callback.at))
    }

    /// Takes back an address: whoever calls it is answered by its stub. False if there is no such callback of that module.
    pub fn retire_callback(&mut self, owner: ModuleId, at: Va, text: &mut impl TextSpace) -> bool {
        let Some(index) = self.callbacks.index_of(at) else { return false };
        let callback = &mut self.callbacks.entries[index];
        if callback.owner != owner || owner == ModuleId::BASE {
            return false;
        }
        callback.owner = ModuleId::BASE;
        self.callbacks.retired += 1;
        callback.retired = self.callbacks.retired;
        self.text.release(at, CALLBACK_UNITS, owner.index);
        self.text.take(at, CALLBACK_UNITS, ModuleId::BASE.index);
        // A word that was written once can be written again.
        let _ = self.point(&self.callbacks.entries[index], text);
        text.publish();
        true
    }

    /// Points the callbacks of a module to where they belong now: behind each change of whether it is linked, and before
    /// the grace. Whether every word was written, which one that was written once always is.
    pub fn point_callbacks(&self, owner: ModuleId, text: &mut impl TextSpace) -> bool {
        let mut all = true;
        for callback in self.callbacks().filter(|callback| callback.owner == owner) {
            all &= self.point(callback, text).is_ok();
        }
        text.publish();
        all
    }

    fn point(&self, callback: &Callback, text: &mut impl TextSpace) -> Result<(), Refused> {
        let branch = self.callback_branch(callback).ok_or(Refused)?;
        if text.read(callback.at) == Some(branch.bits()) {
            Ok(())
        } else {
            text.write(callback.at, branch.bits())
        }
    }

    /// The branch that a callback's slot holds: to the function while its module is linked.
    pub(crate) fn callback_branch(&self, callback: &Callback) -> Option<Branch> {
        let linked =
            callback.owner != ModuleId::BASE && self.module(callback.owner).is_ok_and(|module| module.linked);
        let target = if linked { callback.function } else { callback.stub() };
        Branch::encode(callback.at, target, false).ok()
    }
}

/// Writes a slot that leads to its stub, and the stub.
fn write_fresh(callback: &Callback, text: &mut impl TextSpace) -> Result<(), CallbackError> {
    let to_stub = Branch::encode(callback.at, callback.stub(), false).map_err(CallbackError::OutOfRange)?;
    let words = slot(to_stub).into_iter().chain(failing(callback.answer));
    for (at, word) in (callback.at.0..).step_by(4).zip(words) {
        text.write(Va(at), word).map_err(|Refused| CallbackError::Refused(Va(at)))?;
    }
    // Complete before a branch leads there from outside.
    text.publish();
    text.synchronise();
    Ok(())
}
