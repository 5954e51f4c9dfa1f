//! Call sites, and the table that finds them by symbol and by caller.
//!
//! An address slot is a call site too: a `b target` in linker-owned text whose caller is the module that holds it.

use crate::SITES_MAX;
use crate::branch::Va;
use crate::domain::{ModuleId, SymbolId};

/// What a call site names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Callee {
    /// The symbol: whoever answers to it.
    Symbol(SymbolId),
    /// "What my own alias of this symbol refined."
    Super(SymbolId),
}

impl Callee {
    /// The symbol that is meant either way.
    #[must_use]
    pub const fn symbol(self) -> SymbolId {
        match self {
            Self::Symbol(symbol) | Self::Super(symbol) => symbol,
        }
    }
}

/// A branch that follows the alias stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallSite {
    /// The module whose text holds it, or that holds the address slot.
    pub caller: ModuleId,
    /// Where the branch stands.
    pub at: Va,
    /// What it names.
    pub callee: Callee,
    /// `BL`, or `B` for a tail call and for an address slot.
    pub link: bool,
    /// An address slot: it stands in linker-owned text.
    pub slot: bool,
}

/// A list of sites: the first one's number plus one, and how many there are. Nothing but zeros is the empty list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SiteList {
    first: u16,
    pub(crate) count: u16,
}

impl SiteList {
    /// The list of nothing.
    pub(crate) const EMPTY: Self = Self { first: 0, count: 0 };
}

// Free is nothing but zeros, so that a link domain that is a static takes no room in the server's image.
#[derive(Clone, Copy)]
struct Entry {
    site: CallSite,
    // Neighbours in the symbol's list and the next one of the same caller; numbers plus one, 0 is none.
    previous: u16,
    next: u16,
    next_of_caller: u16,
}

impl Entry {
    const FREE: Self = Self {
        site: CallSite {
            caller: ModuleId::BASE,
            at: Va(0),
            callee: Callee::Symbol(SymbolId(0)),
            link: false,
            slot: false,
        },
        previous: 0,
        next: 0,
        next_of_caller: 0,
    };
}

/// All call sites of a link domain.
///
/// Each site is in two lists: its symbol's, which a relink walks, and its caller's, which a reclaim walks. So the
/// cost of either does not depend on what else is loaded.
pub(crate) struct SiteTable {
    entries: [Entry; SITES_MAX],
    free: u16,
    // Entries from here on have never been used.
    fresh: u16,
    count: u16,
}

impl SiteTable {
    pub(crate) const EMPTY: Self = Self { entries: [Entry::FREE; SITES_MAX], free: 0, fresh: 0, count: 0 };

    /// Sites in use.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Adds a site to both lists.
    ///
    /// The caller has counted: a plan that needs more sites than there are is refused.
    pub(crate) fn add(&mut self, site: CallSite, of_symbol: &mut SiteList, of_caller: &mut SiteList) {
        let number = if self.free != 0 {
            let number = self.free;
            self.free = self.entries[usize::from(number - 1)].next;
            number
        } else {
            assert!(usize::from(self.fresh) < SITES_MAX, "a plan counts the sites it needs");
            self.fresh += 1;
            self.fresh
        };
        self.entries[usize::from(number - 1)] =
            Entry { site, previous: 0, next: of_symbol.first, next_of_caller: of_caller.first };
        if of_symbol.first != 0 {
            self.entries[usize::from(of_symbol.first - 1)].previous = number;
        }
        of_symbol.first = number;
        of_symbol.count += 1;
        of_caller.first = number;
        of_caller.count += 1;
        self.count += 1;
    }

    /// Takes the first site of a caller's list out of it and returns it with its number; [`Self::unlink`] must
    /// follow, with the list of its symbol.
    pub(crate) fn take_of_caller(&mut self, of_caller: &mut SiteList) -> Option<(u16, CallSite)> {
        let number = of_caller.first;
        let entry = self.entries[usize::from(number.checked_sub(1)?)];
        of_caller.first = entry.next_of_caller;
        of_caller.count -= 1;
        Some((number, entry.site))
    }

    /// Takes a site out of its symbol's list and frees its entry.
    pub(crate) fn unlink(&mut self, number: u16, of_symbol: &mut SiteList) {
        let entry = self.entries[usize::from(number - 1)];
        if entry.previous == 0 {
            of_symbol.first = entry.next;
        } else {
            self.entries[usize::from(entry.previous - 1)].next = entry.next;
        }
        if entry.next != 0 {
            self.entries[usize::from(entry.next - 1)].previous = entry.previous;
        }
        of_symbol.count -= 1;
        self.entries[usize::from(number - 1)] = Entry { next: self.free, ..Entry::FREE };
        self.free = number;
        self.count -= 1;
    }

    /// The sites that name a symbol, the latest first.
    pub(crate) fn of_symbol(&self, list: SiteList) -> impl Iterator<Item = &CallSite> {
        self.walk(list.first, |entry| entry.next)
    }

    /// The sites of one caller, the latest first.
    pub(crate) fn of_caller(&self, list: SiteList) -> impl Iterator<Item = &CallSite> {
        self.walk(list.first, |entry| entry.next_of_caller)
    }

    #[inline]
    fn walk<'a>(
        &'a self,
        first: u16,
        next: impl Fn(&Entry) -> u16 + 'a,
    ) -> impl Iterator<Item = &'a CallSite> {
        let mut number = first;
        core::iter::from_fn(move || {
            // None of the entries is that of number 0: the list has ended.
            let entry = self.entries.get(usize::from(number).wrapping_sub(1))?;
            number = next(entry);
            Some(&entry.site)
        })
    }
}
