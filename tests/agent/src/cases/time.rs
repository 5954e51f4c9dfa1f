//! The class of clocks: the timer server's, on every board, and the Pis' system timer; with delays that go on beside each
//! other.

use core::cell::RefCell;
use core::pin::pin;

use embedded_hal::delay::DelayNs;
use embedded_hal_async::delay::DelayNs as AsyncDelay;
use hal_clients::executor;
use hal_clients::time::Clock;
use sel4_sys::seL4_CPtr;
use strata_protocol::caps::slot;
use strata_protocol::driver::Call;
use strata_protocol::driver::time::{ALARM, ALARMS_MAX};
use strata_protocol::linker::{Reply, Request};
use strata_protocol::message::WORDS_MAX;
use strata_protocol::{Errno, driver};
use strata_runtime::clock;
use strata_runtime::device::{Endpoint, Listener, Signal};

use crate::agent::{Agent, name};
use crate::case::{Failure, Outcome, SYSTEM_TIMER, VIDEOCORE_INTERRUPTS, case, ensure, ensure_eq};

/// The name of the system timer's driver server.
const SYSTEM_TIMER_SERVER: &str = "systimer";
/// How late a thread may go on, in microseconds, on a machine that is shared.
const LATE_MAX_US: u64 = 50_000;

fn failed(what: &'static str) -> impl FnOnce(hal_clients::Error) -> Failure {
    move |error| Failure::new(format_args!("{what}: {error}"))
}

fn microseconds() -> u64 {
    clock::to_microseconds(clock::ticks(), clock::frequency())
}

/// Delays of both traits by the clock at `endpoint`, whose signals come to this process's own notification.
fn delays_last(agent: &mut Agent, endpoint: seL4_CPtr) -> Outcome {
    let signal = Signal::new(slot::NOTIFICATION);
    agent.lend_ipc(|ipc| {
        let clock =
            || Clock::new(Endpoint::new(ipc, endpoint), signal.listener()).map_err(failed("the clock"));
        let mut one = clock()?;
        for us in [1, 10, 3_000, 40_000] {
            let start = microseconds();
            DelayNs::delay_us(&mut one, us);
            let took = microseconds() - start;
            ensure!(
                (u64::from(us)..u64::from(us) + LATE_MAX_US).contains(&took),
                "a delay of {us} us took {took} us"
            );
        }
        // Two go on beside each other: together they take as long as the longer one.
        let order = RefCell::new(heapless::Vec::<u32, 8>::new());
        let sleeper = async |mut clock: Clock<Endpoint<'_>, Listener<'_>>, ms: u32, times: u32| {
            for _ in 0..times {
                AsyncDelay::delay_ms(&mut clock, ms).await;
                // More than there is room for is seen below.
                let _ = order.borrow_mut().push(ms);
            }
        };
        let start = microseconds();
        let (slow, fast) = (pin!(sleeper(clock()?, 100, 2)), pin!(sleeper(clock()?, 30, 5)));
        executor::run(&mut [slow, fast], signal.listener());
        let took = microseconds() - start;
        ensure_eq!(order.borrow().as_slice(), [30, 30, 30, 100, 30, 30, 100], "the order of the ends");
        ensure!(
            (200_000..200_000 + LATE_MAX_US).contains(&took),
            "two delays of 200 and 150 ms took {took} us"
        );
        Ok(())
    })
}

case!(
    /// The timer server is a clock like others: delays of both traits are long enough, and go on beside each other.
    30, fn time_of_the_timer_server_serves_both_traits(agent) {
        delays_last(agent, slot::TIMER)?;
        let signal = Signal::new(slot::NOTIFICATION);
        agent.lend_ipc(|ipc| {
            let mut server = Endpoint::new(ipc, slot::TIMER);
            let mut clock = Clock::new(server, signal.listener()).map_err(failed("the clock"))?;
            let now = clock.now().map_err(failed("the time"))?;
            let mut ask = |label, at| {
                let mut words = [0; WORDS_MAX];
                words[0] = at;
                server.call(label, &mut words, 1)
            };
            for at in 0..ALARMS_MAX as u64 {
                ensure_eq!(ask(ALARM, now + 100_000 + at), Ok(1), "alarm {at}");
            }
            ensure_eq!(ask(ALARM, now + 200_000), Err(Errno::EBUSY), "an alarm too many");
            ensure_eq!(ask(driver::RTC_NOW, 0), Err(Errno::ENOSYS), "a request of another class");
            // It waits until there is room.
            let start = microseconds();
            DelayNs::delay_ms(&mut clock, 150);
            let took = microseconds() - start;
            ensure!((150_000..150_000 + LATE_MAX_US).contains(&took), "the delay took {took} us");
            Ok(())
        })
    }
);

case!(
    /// The system timer counts microseconds, as the architecture's counter does.
    30, SYSTEM_TIMER, fn time_of_the_system_timer_goes_on(agent) {
        let device = agent.open(SYSTEM_TIMER_SERVER)?;
        let signal = Signal::new(slot::NOTIFICATION);
        agent.lend_ipc(|ipc| {
            let mut clock = Clock::new(Endpoint::new(ipc, device.endpoint()), signal.listener())
                .map_err(failed("the clock"))?;
            let mut apart = || -> Outcome<u64> {
                let before = microseconds();
                let now = clock.now().map_err(failed("the time"))?;
                let after = microseconds();
                // How far the two clocks are apart, as exactly as can be seen from here.
                ensure!(after - before < LATE_MAX_US, "a request took {} us", after - before);
                Ok(now.wrapping_sub(before))
            };
            let first = apart()?;
            let start = microseconds();
            while microseconds() - start < 20_000 {}
            let later = apart()?;
            ensure!(later.abs_diff(first) < LATE_MAX_US / 10, "the clocks were {first} us apart, and are {later}");
            Ok(())
        })?;
        agent.close(device)?;
        agent.expect_devices_well()
    }
);

case!(
    /// The system timer's alarms come by its interrupt: delays of both traits are long enough, and go on beside each other,
    /// also when its server is started anew.
    30, VIDEOCORE_INTERRUPTS, fn time_of_the_system_timer_serves_both_traits(agent) {
        let device = agent.open(SYSTEM_TIMER_SERVER)?;
        let request = Request::SignalMe { name: name(SYSTEM_TIMER_SERVER)? };
        ensure_eq!(agent.linker(&request)?, Reply::Done, "leading the signal here");
        delays_last(agent, device.endpoint())?;
        let stop = Request::StopDriver { name: name(SYSTEM_TIMER_SERVER)?, drain_ms: 1_000, again: true };
        ensure_eq!(agent.linker(&stop)?, Reply::Done, "a restart");
        delays_last(agent, device.endpoint())?;
        agent.close(device)?;
        agent.expect_devices_well()
    }
);
