//! Who pays: frames, capabilities, slots and untyped bytes, by account and in total.
//!
//! Each module, each link domain and the linker itself has an account. Nothing is taken without an
//! account, and an account can be closed only when everything on it has been given back; the total
//! is kept apart from the accounts, so that a lost charge shows as a difference.

use crate::ACCOUNTS_MAX;

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Frames of 4 KiB that exist.
    pub frames: u32,
    /// Capabilities that the linker server holds.
    pub capabilities: u32,
    /// Slots that are set aside, filled or not.
    pub slots: u32,
    /// Bytes of untyped memory that are set aside.
    pub untyped_bytes: u64,
}

impl Charge {
    /// A number of frames.
    #[must_use]
    pub const fn frames(count: u32) -> Self {
        Self { frames: count, capabilities: 0, slots: 0, untyped_bytes: 0 }
    }

    /// A number of capabilities, each in a slot.
    #[must_use]
    pub const fn capabilities(count: u32) -> Self {
        Self { frames: 0, capabilities: count, slots: count, untyped_bytes: 0 }
    }

    /// A number of slots that may be empty.
    #[must_use]
    pub const fn slots(count: u32) -> Self {
        Self { frames: 0, capabilities: 0, slots: count, untyped_bytes: 0 }
    }

    /// Bytes of untyped memory.
    #[must_use]
    pub const fn untyped(bytes: u64) -> Self {
        Self { frames: 0, capabilities: 0, slots: 0, untyped_bytes: bytes }
    }

    /// The sum of two charges.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            capabilities: self.capabilities + other.capabilities,
            slots: self.slots + other.slots,
            untyped_bytes: self.untyped_bytes + other.untyped_bytes,
        }
    }

    const fn minus(self, other: Self) -> Option<Self> {
        let (Some(frames), Some(capabilities), Some(slots), Some(untyped_bytes)) = (
            self.frames.checked_sub(other.frames),
            self.capabilities.checked_sub(other.capabilities),
            self.slots.checked_sub(other.slots),
            self.untyped_bytes.checked_sub(other.untyped_bytes),
        ) else {
            return None;
        };
        Some(Self { frames, capabilities, slots, untyped_bytes })
    }
}

/// An account, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account(u8);

impl Account {
    /// The linker server's own account; always open.
    pub const LINKER: Self = Self(0);

    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why the ledger refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerError {
    /// All accounts are open.
    TooManyAccounts,
    /// More is given back than was taken: our own mistake, reported rather than wrapped.
    Overdrawn(Account),
    /// The account still holds something.
    NotEmpty(Account),
}

/// The longest name of an account.
pub const NAME_MAX: usize = 32;

#[derive(Clone, Copy)]
struct Entry {
    name: [u8; NAME_MAX],
    charge: Charge,
}

const _: () = assert!(ACCOUNTS_MAX <= u64::BITS as usize, "`open` has one bit for each account");

/// The ledger.
pub struct Ledger {
    entries: [Entry; ACCOUNTS_MAX],
    /// One bit for each account that is open.
    open: u64,
    total: Charge,
}

impl Ledger {
    /// A ledger with the linker's own account.
    #[must_use]
    pub const fn new() -> Self {
        const EMPTY: Charge = Charge { frames: 0, capabilities: 0, slots: 0, untyped_bytes: 0 };
        let mut entries = [Entry { name: [0; NAME_MAX], charge: EMPTY }; ACCOUNTS_MAX];
        entries[0].name = name_of("linker");
        Self { entries, open: 1, total: EMPTY }
    }

    /// Opens an account; a longer name is cut at [`NAME_MAX`] bytes.
    ///
    /// # Errors
    /// [`LedgerError::TooManyAccounts`].
    pub fn open(&mut self, name: &str) -> Result<Account, LedgerError> {
        let at = u8::try_from(self.open.trailing_ones()).map_err(|_| LedgerError::TooManyAccounts)?;
        let entry = self.entries.get_mut(usize::from(at)).ok_or(LedgerError::TooManyAccounts)?;
        *entry = Entry { name: name_of(name), charge: Charge::default() };
        self.open |= 1 << at;
        Ok(Account(at))
    }

    /// Closes an account on which nothing is left.
    ///
    /// # Errors
    /// [`LedgerError::NotEmpty`] when something was not given back; the account stays open, so
    /// that the leak can be seen.
    pub fn close(&mut self, account: Account) -> Result<(), LedgerError> {
        if self.entries[account.index()].charge != Charge::default() {
            return Err(LedgerError::NotEmpty(account));
        }
        self.open &= !(1 << account.0);
        Ok(())
    }

    /// Adds to an account.
    pub fn charge(&mut self, account: Account, charge: Charge) {
        let entry = &mut self.entries[account.index()];
        entry.charge = entry.charge.plus(charge);
        self.total = self.total.plus(charge);
    }

    /// Takes off an account.
    ///
    /// # Errors
    /// [`LedgerError::Overdrawn`] when the account holds less; nothing has changed.
    pub fn release(&mut self, account: Account, charge: Charge) -> Result<(), LedgerError> {
        let entry = &mut self.entries[account.index()];
        let left = entry.charge.minus(charge).ok_or(LedgerError::Overdrawn(account))?;
        let total = self.total.minus(charge).ok_or(LedgerError::Overdrawn(account))?;
        entry.charge = left;
        self.total = total;
        Ok(())
    }

    /// Moves what is on one account to another.
    ///
    /// # Errors
    /// [`LedgerError::Overdrawn`] as [`Ledger::release`].
    pub fn transfer(&mut self, from: Account, to: Account, charge: Charge) -> Result<(), LedgerError> {
        self.release(from, charge)?;
        self.charge(to, charge);
        Ok(())
    }

    /// What an account holds.
    #[must_use]
    pub const fn of(&self, account: Account) -> Charge {
        self.entries[account.index()].charge
    }

    /// What all accounts hold.
    #[must_use]
    pub const fn total(&self) -> Charge {
        self.total
    }

    /// Whether the total is the sum of the accounts.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.open_entries().fold(Charge::default(), |sum, entry| sum.plus(entry.charge)) == self.total
    }

    /// The open accounts.
    fn open_entries(&self) -> impl Iterator<Item = &Entry> {
        (0..).zip(&self.entries).filter(|(at, _)| self.open & 1 << *at != 0).map(|(_, entry)| entry)
    }

    /// The open account with this place in the list, with its name.
    #[must_use]
    pub fn nth(&self, place: usize) -> Option<(&str, Charge)> {
        let entry = self.open_entries().nth(place)?;
        let length = entry.name.iter().position(|byte| *byte == 0).unwrap_or(NAME_MAX);
        Some((core::str::from_utf8(&entry.name[..length]).unwrap_or("?"), entry.charge))
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

const fn name_of(name: &str) -> [u8; NAME_MAX] {
    let bytes = name.as_bytes();
    let mut out = [0; NAME_MAX];
    let mut at = 0;
    while at < bytes.len() && at < NAME_MAX {
        out[at] = bytes[at];
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    //! Goal: the total is always the sum, and nothing can be given back that was not taken.
    use super::*;

    #[test]
    fn a_module_comes_and_goes() {
        let mut ledger = Ledger::new();
        ledger.charge(Account::LINKER, Charge::capabilities(20));
        let before = ledger.total();
        let module = ledger.open("debug").unwrap();
        ledger.charge(module, Charge::untyped(1 << 16));
        ledger.charge(module, Charge::frames(9).plus(Charge::capabilities(18)));
        assert_eq!(ledger.nth(1).unwrap().0, "debug");
        assert_eq!(ledger.close(module), Err(LedgerError::NotEmpty(module)));
        assert_eq!(ledger.release(module, Charge::frames(10)), Err(LedgerError::Overdrawn(module)));
        assert!(ledger.balances());
        ledger.release(module, ledger.of(module)).unwrap();
        ledger.close(module).unwrap();
        assert_eq!(ledger.total(), before);
        assert!(ledger.balances() && ledger.nth(1).is_none());
    }

    #[test]
    fn accounts_are_bounded_and_reused() {
        let mut ledger = Ledger::new();
        for _ in 1..ACCOUNTS_MAX {
            ledger.open("m").unwrap();
        }
        assert_eq!(ledger.open("one more"), Err(LedgerError::TooManyAccounts));
        ledger.close(Account(5)).unwrap();
        assert_eq!(ledger.open("again"), Ok(Account(5)));
    }

    #[test]
    fn a_shared_region_outlives_its_module() {
        let mut ledger = Ledger::new();
        let module = ledger.open("debug").unwrap();
        ledger.charge(module, Charge::frames(4));
        let region = ledger.open("debug (shared)").unwrap();
        ledger.transfer(module, region, Charge::frames(4)).unwrap();
        ledger.close(module).unwrap();
        assert_eq!(ledger.of(region), Charge::frames(4));
        assert!(ledger.balances());
    }
}
