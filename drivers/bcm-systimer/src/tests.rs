//! Goal: no alarm comes too early, is lost or comes twice, whenever the counter moves; the firmware's comparators are left
//! alone.
//!
//! Method: a model of the registers whose counter moves at each access, by as much as the test says. The last tests put
//! clients of `embedded-hal` and `embedded-hal-async` on top.

use std::cell::RefCell;
use std::pin::pin;

use driver_class::time::TimeSource;
use driver_class::{Driver, NotThis};
use hal_clients::executor;
use hal_clients::time::Clock;
use register_model::{Model as _, Served, Shared};
use strata_protocol::driver::Call;
use strata_protocol::driver::time::{ALARM, ALARMS_MAX};
use strata_protocol::message::WORDS_MAX;

use super::{LEAD_US, SystemTimer, register};

/// Comparator 1's place in the model.
const OURS: usize = 1;
/// Where comparator 0 is (BCM2835 ARM Peripherals, chapter 12); the others follow.
const COMPARE_0: u64 = 0x0c;

struct Model {
    counter: u64,
    /// How far the counter moves at each access.
    stride: u64,
    compare: [u32; 4],
    status: u32,
}

type Board = Shared<Model>;
type Server<'m> = Served<'m, Model, SystemTimer<&'m Board>>;

impl Model {
    fn at(counter: u64, stride: u64) -> Board {
        Board::new(Self { counter, stride, compare: [0; 4], status: 0 })
    }

    /// Moves the counter; a comparator matches when the low half passes its value.
    fn pass(&mut self, microseconds: u64) {
        let before = self.counter;
        self.counter += microseconds;
        for (at, compare) in self.compare.iter().enumerate() {
            let ahead = u64::from(compare.wrapping_sub(u32::try_from(before & 0xffff_ffff).unwrap()));
            if (1..=microseconds).contains(&ahead) {
                self.status |= 1 << at;
            }
        }
    }
}

impl register_model::Model for Model {
    fn read(&mut self, offset: u64) -> u32 {
        self.pass(self.stride);
        let half = |shift: u32| u32::try_from(self.counter >> shift & 0xffff_ffff).unwrap();
        match offset {
            register::STATUS => self.status,
            register::COUNTER_LOW => half(0),
            register::COUNTER_HIGH => half(32),
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        match offset {
            register::STATUS => {
                assert_eq!(value, 1 << OURS, "the firmware's matches are its own");
                self.status &= !value;
            }
            offset if offset == COMPARE_0 + 4 * OURS as u64 => self.compare[OURS] = value,
            _ => panic!("write of {offset:#x}"),
        }
        self.pass(self.stride);
    }

    fn step(&mut self) {
        self.pass(1);
    }

    fn raises(&self) -> bool {
        self.status >> OURS & 1 != 0
    }
}

#[test]
fn the_counter_is_read_whole_at_every_moment() {
    for start in (1_u64 << 32) - 8..(1 << 32) + 2 {
        for stride in 1..4 {
            let model = Model::at(start, stride);
            let timer = SystemTimer::probe(&model, 0).unwrap();
            let before = model.get().counter;
            let now = timer.now();
            assert!((before..=model.get().counter).contains(&now), "{start:#x} by {stride}: {now:#x}");
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
            assert!(model.posted() == 0);
            let mut told = 0;
            // Long enough for an alarm that is a little late, by far too short for the comparator to come round.
            for _ in 0..1_500 {
                model.get().pass(1);
                if model.get().raises() && timer.interrupt() {
                    told += 1;
                    assert!(model.get().counter >= at);
                }
            }
            assert_eq!(told, 1, "{ahead} ahead of a counter that moves by {stride}");
        }
    }
}

/// Nobody asks in between: the interrupt of the one sets the comparator to the other.
#[test]
fn of_two_alarms_the_second_comes_without_being_asked_for_again() {
    let model = Model::at(0, 1);
    let mut timer = SystemTimer::probe(&model, 0).unwrap();
    let start = timer.now();
    for ahead in [900, 300] {
        timer.alarm(start + ahead).unwrap();
    }
    for ahead in [300, 900] {
        for _ in 0..1_000 {
            if model.get().raises() {
                break;
            }
            model.get().pass(1);
        }
        assert!(model.get().raises() && timer.interrupt() && model.get().counter >= start + ahead);
    }
}

#[test]
fn an_alarm_that_is_hours_ahead_takes_several_steps() {
    let model = Model::at(0, 1);
    let mut timer = SystemTimer::probe(&model, 0).unwrap();
    let at = 5 << 31;
    timer.alarm(at).unwrap();
    let mut interrupts = 0;
    while !timer.interrupt() {
        interrupts += 1;
        assert!(interrupts < 20, "{} of {at}", model.get().counter);
        while !model.get().raises() {
            model.get().pass(1 << 20);
        }
    }
    assert!((at..at + (1 << 21)).contains(&model.get().counter));
    // Nobody waits any more: what matches now is nobody's.
    model.get().pass(1 << 33);
    assert!(model.get().raises() && !timer.interrupt() && !model.get().raises());
}

/// A layer that goes may have kept the write that sets the comparator.
#[test]
fn a_lost_write_is_repeated_when_layers_have_changed() {
    let model = Model::at(0, 1);
    let mut timer = SystemTimer::probe(&model, 0).unwrap();
    timer.alarm(1_000).unwrap();
    model.get().compare[OURS] = 0;
    timer.layers_changed();
    model.get().pass(2_000);
    assert!(model.get().raises() && timer.interrupt());
    assert!(model.posted() == 0);
}

#[test]
fn a_counter_that_stands_still_is_no_system_timer() {
    let model = Model::at(77, 0);
    assert_eq!(SystemTimer::probe(&model, 0).err(), Some(NotThis(77)));
}

fn server(model: &Board) -> Server<'_> {
    Served::new(model, 0).unwrap()
}

#[test]
fn delays_of_embedded_hal_are_long_enough_and_outlast_a_restart() {
    use embedded_hal::delay::DelayNs as _;
    let model = Model::at(100, 1);
    let server = server(&model);
    let mut clock = Clock::new(&server, server.listener()).unwrap();
    // From here on time passes for whoever waits only.
    model.get().stride = 0;
    for (ns, us) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (250_000, 250)] {
        for refusals in [0, 3] {
            server.refusals.set(refusals);
            let before = model.get().counter;
            clock.delay_ns(ns);
            let took = model.get().counter - before;
            // The microsecond that ran at the start is not counted: nearly nothing of it may have been left. The comparator is
            // set a little ahead at least.
            assert_eq!(took, (us + 1).max(LEAD_US), "{ns} ns");
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
    let server = server(&model);
    let ends = RefCell::new(std::vec::Vec::new());
    let sleeper = |name: &'static str, us: u32, times: u32| {
        let mut clock = Clock::new(&server, server.listener()).unwrap();
        let (ends, model) = (&ends, &model);
        async move {
            for _ in 0..times {
                let before = model.get().counter;
                clock.delay_us(us).await;
                assert!(model.get().counter - before > us.into());
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
    let server = server(&model);
    let mut clock = Clock::new(&server, server.listener()).unwrap();
    for at in 0..ALARMS_MAX as u64 {
        let mut words = [0; WORDS_MAX];
        words[0] = 10_000 + at;
        assert_eq!((&server).call(ALARM, &mut words, 1), Ok(1));
    }
    clock.delay_us(11_000);
    assert!(model.get().counter > 11_000);
}
