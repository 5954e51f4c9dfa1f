//! What tests of drivers share: a model of a device's registers as [`Registers`], and a driver with its server and its client
//! in one thread, without a kernel between them.
//!
//! A test writes the model: what its registers read, what a write does, and what happens while time passes. Then
//! `Served::new(&model)` is a server for the clients of `hal-clients`, blocking and waiting ones.
#![no_std]
#![forbid(unsafe_code)]

use core::cell::{Cell, RefCell, RefMut};

use bus_space::{BarrierFlags, Registers};
use driver_class::lease::{Asker, Lease};
use driver_class::{Driver, NotThis, Words};
use strata_protocol::Errno;
use strata_protocol::driver::{Arrivals, Call};

/// How often a client that waits lets time pass before the test is taken to hang.
pub const WAITS_MAX: u32 = 2_000_000;

/// A device as its registers show it.
pub trait Model {
    /// What a register reads. An offset that the driver has no business at panics.
    fn read(&mut self, offset: u64) -> u32;

    /// What a write does.
    fn write(&mut self, offset: u64, value: u32);

    /// A moment passes.
    fn step(&mut self) {}

    /// Whether the device raises its interrupt now.
    fn raises(&self) -> bool {
        false
    }
}

/// A model that driver and test share.
#[derive(Debug, Default)]
pub struct Shared<M> {
    model: RefCell<M>,
    /// Writes that no read has followed: they may be under way.
    posted: Cell<u32>,
}

impl<M> Shared<M> {
    /// Shares a model.
    pub const fn new(model: M) -> Self {
        Self { model: RefCell::new(model), posted: Cell::new(0) }
    }

    /// The model, for the test.
    pub fn get(&self) -> RefMut<'_, M> {
        self.model.borrow_mut()
    }

    /// Writes that no read has followed.
    pub fn posted(&self) -> u32 {
        self.posted.get()
    }
}

impl<M: Model> Registers for &Shared<M> {
    fn read_4(&self, offset: u64) -> u32 {
        self.posted.set(0);
        self.get().read(offset)
    }

    fn write_4(&self, offset: u64, value: u32) {
        self.posted.set(self.posted.get() + 1);
        self.get().write(offset, value);
    }

    fn barrier(&self, _flags: BarrierFlags) {}
}

/// A driver and its server: `&Served` carries a client's requests.
#[derive(Debug)]
pub struct Served<'m, M, D> {
    /// The device.
    pub model: &'m Shared<M>,
    /// Its driver.
    pub driver: RefCell<D>,
    lease: RefCell<Lease>,
    /// Microseconds that have passed: one at each moment, and as many as a test likes.
    pub now_us: Cell<u64>,
    /// How often the client has been signalled.
    signals: Cell<u64>,
    /// How often the device has interrupted.
    interrupts: Cell<u32>,
    /// Requests that are answered with EAGAIN first, as by a server that is started again; then the client is signalled.
    pub refusals: Cell<u32>,
}

impl<'m, M: Model, D: Driver<&'m Shared<M>>> Served<'m, M, D> {
    /// Has the driver find the device.
    ///
    /// # Errors
    /// As [`Driver::probe`].
    pub fn new(model: &'m Shared<M>, clock_hz: u32) -> Result<Self, NotThis> {
        let driver = RefCell::new(D::probe(model, clock_hz)?);
        Ok(Self {
            model,
            driver,
            lease: RefCell::default(),
            now_us: Cell::new(0),
            signals: Cell::new(0),
            interrupts: Cell::new(0),
            refusals: Cell::new(0),
        })
    }

    /// Lets a moment pass; an interrupt that is raised then goes to the driver.
    pub fn step(&self) {
        self.now_us.update(|now_us| now_us + 1);
        self.model.get().step();
        if self.model.get().raises() {
            self.interrupts.set(self.interrupts.get() + 1);
            if self.driver.borrow_mut().interrupt() {
                self.signal();
            }
        }
    }

    /// The interrupts since the last time that somebody asked.
    pub fn take_interrupts(&self) -> u32 {
        self.interrupts.take()
    }

    /// Signals the client.
    pub fn signal(&self) {
        self.signals.set(self.signals.get() + 1);
    }

    /// The server as the client with this badge reaches it. `&Served` is that of the first client, whose badge is 1.
    pub const fn client(&self, badge: u64) -> Client<'_, 'm, M, D> {
        Client { served: self, badge }
    }

    fn answer(&self, client: u64, label: u64, words: &mut Words, length: usize) -> Result<usize, Errno> {
        if self.refusals.get() > 0 {
            self.refusals.set(self.refusals.get() - 1);
            self.signal();
            return Err(Errno::EAGAIN);
        }
        let asker = Asker { client, now_us: self.now_us.get() };
        let mut driver = self.driver.borrow_mut();
        let answer = self.lease.borrow_mut().request(&mut *driver, asker, label, words, length);
        assert_eq!(self.model.posted(), 0, "a write may be under way when the request is answered");
        answer
    }

    /// A client that waits for the server's signals; it has heard those of before.
    pub fn listener(&self) -> Listener<'_, 'm, M, D> {
        Listener { served: self, heard: self.signals.get() }
    }
}

impl<'m, M: Model, D: Driver<&'m Shared<M>>> Call for &Served<'m, M, D> {
    fn call(&mut self, label: u64, words: &mut Words, length: usize) -> Result<usize, Errno> {
        self.client(1).call(label, words, length)
    }
}

/// One of several clients.
#[derive(Debug)]
pub struct Client<'s, 'm, M, D> {
    served: &'s Served<'m, M, D>,
    badge: u64,
}

impl<'m, M: Model, D: Driver<&'m Shared<M>>> Call for Client<'_, 'm, M, D> {
    fn call(&mut self, label: u64, words: &mut Words, length: usize) -> Result<usize, Errno> {
        self.served.answer(self.badge, label, words, length)
    }
}

/// A client's ear: while it waits, time passes.
#[derive(Debug)]
pub struct Listener<'s, 'm, M, D> {
    served: &'s Served<'m, M, D>,
    heard: u64,
}

impl<'m, M: Model, D: Driver<&'m Shared<M>>> Arrivals for Listener<'_, 'm, M, D> {
    fn take_arrival(&mut self) -> bool {
        let count = self.served.signals.get();
        core::mem::replace(&mut self.heard, count) != count
    }

    fn wait(&mut self) {
        for _ in 0..WAITS_MAX {
            if self.take_arrival() {
                return;
            }
            self.served.step();
        }
        panic!("a client waits for a signal that does not come");
    }

    fn stir(&mut self) {
        self.served.signal();
    }
}
