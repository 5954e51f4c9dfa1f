//! Goal: no alarm comes too early, is lost or comes twice, whenever the counter moves; the firmware's comparators are left
//! alone.
//!
//! Method: a model of the registers whose counter moves at each access, by as much as the test says. The last tests put
//! clients of `embedded-hal` and `embedded-hal-async` on top.

use std::cell::{Cell, RefCell};
use std::pin::pin;

use bus_space::{BarrierFlags, Registers};
use driver_class::time::TimeSource;
use driver_class::{Driver, NotThis, Words};
use hal_clients::executor;
use hal_clients::time::Clock;
use strata_protocol::Errno;
use strata_protocol::driver::time::{ALARM, ALARMS_MAX};
use strata_protocol::driver::{Arrivals, Call};
use strata_protocol::message::WORDS_MAX;

use super::{AHEAD_MAX_US, SystemTimer, register};

/// Comparator 1's place in the model.
const OURS: usize = 1;

struct Model {
    counter: Cell<u64>,
    /// How far the counter moves at each access.
    stride: Cell<u64>,
    compare: [Cell<u32>; 4],
    status: Cell<u32>,
    /// Whether the last access was a write, which may still be under way.
    posted: Cell<bool>,
}

impl Model {
    fn at(counter: u64, stride: u64) -> Self {
        Self {
            counter: Cell::new(counter),
            stride: Cell::new(stride),
            compare: Default::default(),
            status: Cell::new(0),
            posted: Cell::new(false),
        }
    }

    /// Moves the counter; a comparator matches when the low half passes its value.
    fn pass(&self, microseconds: u64) {
        let before = self.counter.get();
        self.counter.set(before + microseconds);
        for (at, compare) in self.compare.iter().enumerate() {
            let ahead = u64::from(compare.get().wrapping_sub(u32::try_from(before & 0xffff_ffff).unwrap()));
            if (1..=microseconds).contains(&ahead) {
                self.status.set(self.status.get() | 1 << at);
            }
        }
    }

    fn raises(&self) -> bool {
        self.status.get() & register::STATUS_MATCH_1 != 0
    }
}

impl Registers for &Model {
    fn read_4(&self, offset: u64) -> u32 {
        self.posted.set(false);
        self.pass(self.stride.get());
        let half = |shift: u32| u32::try_from(self.counter.get() >> shift & 0xffff_ffff).unwrap();
        match offset {
            register::STATUS => self.status.get(),
            register::COUNTER_LOW => half(0),
            register::COUNTER_HIGH => half(32),
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn write_4(&self, offset: u64, value: u32) {
        self.posted.set(true);
        match offset {
            register::STATUS => {
                assert_eq!(value, register::STATUS_MATCH_1, "the firmware's matches are its own");
                self.status.set(self.status.get() & !value);
            }
            register::COMPARE_1 => self.compare[OURS].set(value),
            _ => panic!("write of {offset:#x}"),
        }
        self.pass(self.stride.get());
    }

    fn barrier(&self, _flags: BarrierFlags) {}
}

#[test]
fn the_counter_is_read_whole_at_every_moment() {
    for start in (1_u64 << 32) - 8..(1 << 32) + 2 {
        for stride in 1..4 {
            let model = Model::at(start, stride);
            let timer = SystemTimer::probe(&model, 0).unwrap();
            let before = model.counter.get();
            let now = timer.now();
            assert!((before..=model.counter.get()).contains(&now), "{start:#x} by {stride}: {now:#x}");
        }
    }
}

#[test]
fn an_alarm_comes_once_and_not_before_its_time_however_fast_the_counter_is() {
    for stride in 1..60 {
        for ahead in 0..200 {
            let model = Model::at(5, stride);
            let mut timer = SystemTimer::probe(&model, 0).unwrap();
            let at = timer.now() + ahead;
            timer.alarm(at).unwrap();
            assert!(!model.posted.get());
            let mut told = 0;
            // Long enough for an alarm that is a little late, by far too short for the comparator to come round.
            for _ in 0..1_500 {
                model.pass(1);
                if model.raises() && timer.interrupt() {
                    told += 1;
                    assert!(model.counter.get() >= at);
                }
            }
            assert_eq!(told, 1, "{ahead} ahead of a counter that moves by {stride}");
        }
    }
}

#[test]
fn an_alarm_that_is_hours_ahead_takes_several_steps() {
    let model = Model::at(0, 1);
    let mut timer = SystemTimer::probe(&model, 0).unwrap();
    let at = 5 * AHEAD_MAX_US;
    timer.alarm(at).unwrap();
    let mut interrupts = 0;
    while !timer.interrupt() {
        interrupts += 1;
        assert!(interrupts < 20, "{} of {at}", model.counter.get());
        while !model.raises() {
            model.pass(1 << 20);
        }
    }
    assert!((at..at + (1 << 21)).contains(&model.counter.get()));
    // Nobody waits any more: what matches now is nobody's.
    model.pass(1 << 33);
    assert!(model.raises() && !timer.interrupt() && !model.raises());
}

/// A layer that goes may have kept the write that sets the comparator.
#[test]
fn a_lost_write_is_repeated_when_layers_have_changed() {
    let model = Model::at(0, 1);
    let mut timer = SystemTimer::probe(&model, 0).unwrap();
    timer.alarm(1_000).unwrap();
    model.compare[OURS].set(0);
    timer.layers_changed();
    model.pass(2_000);
    assert!(timer.interrupt());
    assert!(!model.posted.get());
}

#[test]
fn a_counter_that_stands_still_is_no_system_timer() {
    let model = Model::at(77, 0);
    assert_eq!(SystemTimer::probe(&model, 0).err(), Some(NotThis(77)));
}

/// The server's thread and its client's, in turns: time passes while the client waits.
struct Server<'a> {
    model: &'a Model,
    timer: RefCell<SystemTimer<&'a Model>>,
    signals: Cell<u64>,
    /// Requests that are refused at first, as while the server is restarted.
    refusals: Cell<u32>,
}

impl<'a> Server<'a> {
    fn new(model: &'a Model) -> Self {
        let timer = RefCell::new(SystemTimer::probe(model, 0).unwrap());
        Self { model, timer, signals: Cell::new(0), refusals: Cell::new(0) }
    }

    fn listener(&self) -> Listener<'_, 'a> {
        Listener { server: self, heard: self.signals.get() }
    }
}

impl Call for &Server<'_> {
    fn call(&mut self, label: u64, words: &mut Words, length: usize) -> Result<usize, Errno> {
        if self.refusals.get() > 0 {
            self.refusals.update(|left| left - 1);
            self.signals.update(|count| count + 1);
            return Err(Errno::EAGAIN);
        }
        self.timer.borrow_mut().request(label, words, length)
    }
}

struct Listener<'l, 'm> {
    server: &'l Server<'m>,
    heard: u64,
}

impl Arrivals for Listener<'_, '_> {
    fn take_arrival(&mut self) -> bool {
        let count = self.server.signals.get();
        std::mem::replace(&mut self.heard, count) != count
    }

    fn wait(&mut self) {
        let mut waited = 0;
        while !self.take_arrival() {
            waited += 1;
            assert!(waited < 1_000_000, "waits for a signal that does not come");
            self.server.model.pass(1);
            if self.server.model.raises() && self.server.timer.borrow_mut().interrupt() {
                self.server.signals.update(|count| count + 1);
            }
        }
    }
}

#[test]
fn delays_of_embedded_hal_are_long_enough_and_outlast_a_restart() {
    use embedded_hal::delay::DelayNs as _;
    let model = Model::at(100, 1);
    let server = Server::new(&model);
    let mut clock = Clock::new(&server, server.listener()).unwrap();
    for (ns, us) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (250_000, 250)] {
        for refusals in [0, 3] {
            server.refusals.set(refusals);
            let before = model.counter.get();
            clock.delay_ns(ns);
            let took = model.counter.get() - before;
            // The part of the microsecond that ran at the start is not counted.
            assert!((us + 1..us + 150).contains(&took), "{ns} ns took {took} us");
        }
    }
    clock.delay_us(700);
    clock.delay_ms(2);
    server.refusals.set(1);
    assert!(Clock::new(&server, server.listener()).is_err());
}

#[test]
fn delays_of_embedded_hal_async_go_on_beside_each_other() {
    use embedded_hal_async::delay::DelayNs as _;
    let model = Model::at(0, 1);
    let server = Server::new(&model);
    let ends = RefCell::new(std::vec::Vec::new());
    let sleeper = |name: &'static str, us: u32, times: u32| {
        let mut clock = Clock::new(&server, server.listener()).unwrap();
        let (ends, model) = (&ends, &model);
        async move {
            for _ in 0..times {
                let before = model.counter.get();
                clock.delay_us(us).await;
                assert!(model.counter.get() - before > us.into());
                ends.borrow_mut().push(name);
            }
        }
    };
    let (slow, fast) = (pin!(sleeper("slow", 5_000, 2)), pin!(sleeper("fast", 1_500, 5)));
    executor::run(&mut [slow, fast], server.listener());
    let expected = ["fast", "fast", "fast", "slow", "fast", "fast", "slow"];
    assert_eq!(*ends.borrow(), expected);
}

#[test]
fn alarms_that_leave_no_room_are_waited_for() {
    use embedded_hal::delay::DelayNs as _;
    let model = Model::at(0, 1);
    let server = Server::new(&model);
    let mut clock = Clock::new(&server, server.listener()).unwrap();
    for at in 0..ALARMS_MAX as u64 {
        let mut words = [0; WORDS_MAX];
        words[0] = 10_000 + at;
        assert_eq!((&server).call(ALARM, &mut words, 1), Ok(1));
    }
    clock.delay_us(11_000);
    assert!(model.counter.get() > 11_000);
}
