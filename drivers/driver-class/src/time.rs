//! Clocks of microseconds that tell when a time has come.

use strata_protocol::Errno;
use strata_protocol::driver::time::{ALARM, ALARMS_MAX, NOW};

use crate::{Answer, Words};

/// As many alarms are set as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A clock of microseconds.
pub trait TimeSource {
    /// Microseconds since some moment before now. Never less than the last time.
    fn now(&self) -> u64;

    /// The client is told once the clock has come to `at`.
    fn alarm(&mut self, at: u64) -> Result<(), Full>;
}

/// The times that a clock's client waits for, each once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alarms {
    times: [Option<u64>; ALARMS_MAX],
}

impl Alarms {
    /// Adds a time, unless it is there already.
    pub fn add(&mut self, at: u64) -> Result<(), Full> {
        if self.times.contains(&Some(at)) {
            return Ok(());
        }
        let place = self.times.iter_mut().find(|time| time.is_none()).ok_or(Full)?;
        *place = Some(at);
        Ok(())
    }

    /// Takes out the times that have come; whether there was one.
    pub fn take_due(&mut self, now: u64) -> bool {
        let mut due = false;
        for time in &mut self.times {
            due |= time.take_if(|at| *at <= now).is_some();
        }
        due
    }

    /// The first time that has not come.
    #[must_use]
    pub fn earliest(&self) -> Option<u64> {
        self.times.iter().flatten().min().copied()
    }
}

/// Answers a request of the class.
pub fn request(clock: &mut impl TimeSource, label: u64, words: &mut Words, length: usize) -> Answer {
    let now = clock.now();
    match label {
        NOW => {}
        ALARM if length == 0 => return Err(Errno::EINVAL),
        ALARM if now < words[0] => clock.alarm(words[0]).map_err(|Full| Errno::EBUSY)?,
        ALARM => {}
        _ => return Err(Errno::ENOSYS),
    }
    words[0] = now;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use strata_protocol::message::WORDS_MAX;

    /// A clock that is moved by hand.
    #[derive(Default)]
    struct Still {
        now: u64,
        alarms: Alarms,
    }

    impl TimeSource for Still {
        fn now(&self) -> u64 {
            self.now
        }
        fn alarm(&mut self, at: u64) -> Result<(), Full> {
            self.alarms.add(at)
        }
    }

    #[test]
    fn alarms_come_in_the_order_of_their_times_and_each_once() {
        let mut clock = Still { now: 10, ..Still::default() };
        let mut ask = |label, at, length| {
            let mut words = [0; WORDS_MAX];
            words[0] = at;
            (request(&mut clock, label, &mut words, length), words[0])
        };
        assert_eq!(ask(NOW, 7, 0), (Ok(1), 10));
        for at in [30, 20, 30, 10, 9] {
            assert_eq!(ask(ALARM, at, 1), (Ok(1), 10));
        }
        assert_eq!((ask(ALARM, 20, 0).0, ask(12345, 20, 1).0), (Err(Errno::EINVAL), Err(Errno::ENOSYS)));
        // What has come already is no alarm.
        assert_eq!(clock.alarms.times.iter().flatten().count(), 2);
        assert_eq!((clock.alarms.take_due(19), clock.alarms.earliest()), (false, Some(20)));
        assert_eq!((clock.alarms.take_due(20), clock.alarms.earliest()), (true, Some(30)));
        assert_eq!((clock.alarms.take_due(u64::MAX), clock.alarms.earliest()), (true, None));
        assert!(!clock.alarms.take_due(u64::MAX));
    }

    #[test]
    fn one_alarm_too_many_is_refused_until_one_has_come() {
        let mut clock = Still::default();
        let mut words = [0; WORDS_MAX];
        let mut ask = |clock: &mut Still, at| {
            words[0] = at;
            request(clock, ALARM, &mut words, 1)
        };
        for at in 1..=ALARMS_MAX as u64 {
            assert_eq!(ask(&mut clock, at), Ok(1));
        }
        assert_eq!((ask(&mut clock, 100), ask(&mut clock, 5)), (Err(Errno::EBUSY), Ok(1)));
        assert!(clock.alarms.take_due(1));
        assert_eq!(ask(&mut clock, 100), Ok(1));
    }
}
