//! Guests: threads of a link domain that modules have registered.
//!
//! ```text
//!  made ─ start ─► runs in the module's function ─ returns to the thread exit ─► has left ─ destroy ─► gone
//!                     └─ led out: goes on at the thread exit, whatever it does ─┘  │
//!                                                    start ◄──────────────────────┘
//! ```
//! A guest is inside of its module until it has left. Its objects come out of an untyped object of its own, so that nothing
//! of them outlives it; it has a number, addresses and slots as other threads have, and no log ring, because the log server
//! would be left with a page that is gone.

use crate::domain::{DomainError, DomainSpace, THREAD_EXIT_AT, first_slot, notification};
use crate::error::ObjectError;
use crate::objects::{Objects, PAGE_SIZE, Untyped};
use crate::thread::{DOMAIN_CNODE_BITS, GUEST_PAGES, Made, Recipe, Role, THREADS_MAX, Thread, make_thread};
use core::ops::{Deref, Index, IndexMut};
use heapless::Vec;
use linker_books::ledger::Account;
use sel4_sys::{seL4_CPtr, seL4_CapRights};
use strata_protocol::caps;
use strata_protocol::domain::slot;
use strata_protocol::start::CONTROL_CORE;
use strata_protocol::streams;

/// Guests of one link domain.
pub const GUESTS_MAX: usize = 4;
/// Threads of a link domain that stay: workers and servers.
pub const PERMANENT_MAX: usize = THREADS_MAX - GUESTS_MAX;
/// The badge with which a guest is woken by the slot that its module has for it.
pub const WAKE_BADGE: u64 = caps::signal::FIRST;

/// A thread that a module has registered.
#[derive(Debug)]
pub struct Guest {
    thread: Thread,
    argument: u64,
    /// Whether it runs in its module: from its start until it has left.
    pub inside: bool,
    made: Made,
    untyped: Untyped,
    account: Account,
}

/// The threads of a link domain. As a slice they are those that stay, by number; a number may also be a guest's.
#[derive(Debug, Default)]
pub struct Threads {
    permanent: Vec<Thread, PERMANENT_MAX>,
    guests: [Option<Guest>; GUESTS_MAX],
}

impl Deref for Threads {
    type Target = [Thread];

    fn deref(&self) -> &[Thread] {
        &self.permanent
    }
}

impl Index<usize> for Threads {
    type Output = Thread;

    fn index(&self, number: usize) -> &Thread {
        self.get(number).expect("a thread of that number is there")
    }
}

impl IndexMut<usize> for Threads {
    fn index_mut(&mut self, number: usize) -> &mut Thread {
        self.get_mut(number).expect("a thread of that number is there")
    }
}

impl Threads {
    /// Adds a thread that stays; its number is its place.
    ///
    /// # Errors
    /// The thread, where there are [`PERMANENT_MAX`].
    #[expect(clippy::result_large_err, reason = "the caller does not go on without its threads")]
    pub fn push(&mut self, thread: Thread) -> Result<(), Thread> {
        self.permanent.push(thread)
    }

    /// The guest of a number.
    #[must_use]
    pub fn guest(&self, number: u32) -> Option<&Guest> {
        self.guests.get(place_of(number)?)?.as_ref()
    }

    /// The guest of a number, to be changed.
    pub fn guest_mut(&mut self, number: u32) -> Option<&mut Guest> {
        self.guests.get_mut(place_of(number)?)?.as_mut()
    }

    /// The thread of a number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Thread> {
        let guest = || self.guest(u32::try_from(number).ok()?).map(|guest| &guest.thread);
        self.permanent.get(number).or_else(guest)
    }

    /// The thread of a number, to be changed.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut Thread> {
        if number < self.permanent.len() {
            return self.permanent.get_mut(number);
        }
        self.guest_mut(u32::try_from(number).ok()?).map(|guest| &mut guest.thread)
    }

    /// The guests.
    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.iter().flatten()
    }

    /// Every thread that may be inside of a module: those that stay, and the guests that have not left.
    pub fn all(&self) -> impl Iterator<Item = &Thread> {
        let guests = self.guests().filter(|guest| guest.inside).map(|guest| &guest.thread);
        self.permanent.iter().chain(guests)
    }

    /// Every thread, in the order of `threads`.
    #[must_use]
    pub fn nth(&self, index: usize) -> Option<&Thread> {
        self.permanent.iter().chain(self.guests().map(|guest| &guest.thread)).nth(index)
    }
}

/// The place of a guest by its number: they come behind all threads that stay.
fn place_of(number: u32) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(PERMANENT_MAX)
}

impl Guest {
    /// The thread.
    #[must_use]
    pub const fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Its notification.
    #[must_use]
    pub const fn notification(&self) -> seL4_CPtr {
        self.thread.request
    }

    /// Starts it in its module's function.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn start(&mut self, objects: &mut Objects) -> Result<(), ObjectError> {
        self.thread.enter_guest(objects, self.argument, THREAD_EXIT_AT)?;
        self.inside = true;
        Ok(())
    }

    /// Has it leave its module at once, whatever it does there. It has left when it says so.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn lead_out(&self, objects: &mut Objects) -> Result<(), ObjectError> {
        self.thread.go_to(objects, THREAD_EXIT_AT)
    }
}

/// Frames that a guest is charged for.
pub const GUEST_FRAMES: u32 = GUEST_PAGES;

impl DomainSpace {
    /// Makes a guest that will run `entry`; returns its number.
    ///
    /// # Errors
    /// [`DomainError`]; then nothing is left of it.
    pub fn make_guest(
        &mut self,
        objects: &mut Objects,
        account: Account,
        name: &str,
        entry: u64,
        argument: u64,
    ) -> Result<u32, DomainError> {
        let free = self.threads.guests.iter().position(Option::is_none).ok_or(DomainError::TooMany)?;
        let number = u32::try_from(PERMANENT_MAX + free).map_err(|_| DomainError::TooMany)?;
        // A TCB and a notification fit the page that is left of the next power of two.
        let untyped = objects.take_untyped((u64::from(GUEST_PAGES) + 1) * PAGE_SIZE, account)?;
        let mut made = Made::default();
        let mut own = 0;
        match self.try_make_guest(objects, account, untyped, (number, name, entry), &mut made, &mut own) {
            Ok(thread) => {
                let guest = Guest { thread, argument, inside: false, made, untyped, account };
                self.threads.guests[free] = Some(guest);
                Ok(number)
            }
            Err(error) => {
                self.give_back_guest(objects, number, untyped, account, &made, own)?;
                Err(error.into())
            }
        }
    }

    fn try_make_guest(
        &self,
        objects: &mut Objects,
        account: Account,
        untyped: Untyped,
        (number, name, entry): (u32, &str, u64),
        made: &mut Made,
        own: &mut seL4_CPtr,
    ) -> Result<Thread, ObjectError> {
        let (depth, first) = (DOMAIN_CNODE_BITS, first_slot(number));
        *own = notification(objects, untyped, account)?;
        let fault = caps::linker_badge::FAULT | u64::from(number);
        // The kernel sends faults through it, and the thread calls it to say that it has left.
        let rights = seL4_CapRights::new(1, 0, 0, 1);
        objects.mint_into(self.cnode, first, depth, caps::slot::SERVICE, rights, fault)?;
        objects.copy_into(self.cnode, slot::notification(number), depth, *own, seL4_CapRights::all())?;
        let write = seL4_CapRights::write_only();
        objects.mint_into(self.cnode, slot::wake(number), depth, *own, write, WAKE_BADGE)?;
        let recipe = Recipe {
            name,
            number,
            role: Role::Guest,
            entry,
            priority: caps::priority::GUEST,
            core: CONTROL_CORE,
            fault_endpoint: first,
            stream: streams::LINK_DOMAIN,
            log_signal: 0,
        };
        let (spaces, cnode, authority) = (self.spaces, self.cnode, caps::slot::TCB);
        let mut thread = make_thread(objects, spaces, cnode, authority, untyped, account, recipe, made)?;
        thread.request = *own;
        let bound = objects.ipc.seL4_TCB_BindNotification(thread.tcb, *own);
        crate::error::check(crate::error::Operation::Configure, bound)?;
        Ok(thread)
    }

    fn give_back_guest(
        &self,
        objects: &mut Objects,
        number: u32,
        untyped: Untyped,
        account: Account,
        made: &Made,
        own: seL4_CPtr,
    ) -> Result<(), ObjectError> {
        // The copies of its notification go with the untyped object; this one is not made out of it.
        objects.delete_from(self.cnode, first_slot(number), DOMAIN_CNODE_BITS)?;
        objects.give_back_untyped(untyped)?;
        for pages in &made.pages {
            objects.forget(pages.mirrors, pages.count, 0, account)?;
            objects.forget(pages.frames, pages.count, pages.count, account)?;
        }
        for single in [made.tcb, own].into_iter().filter(|cap| *cap != 0) {
            objects.forget(single, 1, 0, account)?;
        }
        Ok(())
    }

    /// Destroys a guest.
    ///
    /// # Errors
    /// [`ObjectError`]: something was left, and stays on the account.
    pub fn destroy_guest(&mut self, objects: &mut Objects, number: u32) -> Result<(), ObjectError> {
        let taken = place_of(number).and_then(|place| self.threads.guests.get_mut(place)?.take());
        let Some(guest) = taken else { return Ok(()) };
        let Guest { thread, made, untyped, account, .. } = guest;
        self.give_back_guest(objects, number, untyped, account, &made, thread.request)
    }
}
