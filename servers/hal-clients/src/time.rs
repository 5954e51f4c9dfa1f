//! Clocks: `embedded_hal::delay::DelayNs`, and the same of `embedded-hal-async`.

use strata_protocol::driver::time::{ALARM, NOW};
use strata_protocol::driver::{Arrivals, Call};
use strata_protocol::message::WORDS_MAX;

use crate::Error;
use crate::executor::arrival;

/// A clock behind a server of the time class, and who says that an alarm has come. Whatever else that is told only makes
/// it look.
///
/// Delays cannot fail, so one whose server is being restarted lasts until it serves again.
#[derive(Debug)]
pub struct Clock<C, A> {
    server: C,
    arrivals: A,
}

impl<C: Call, A: Arrivals> Clock<C, A> {
    /// The clock of this server.
    ///
    /// # Errors
    /// The server does not tell the time.
    pub fn new(server: C, arrivals: A) -> Result<Self, Error> {
        let mut clock = Self { server, arrivals };
        clock.now()?;
        Ok(clock)
    }

    /// Microseconds since some moment before now.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::Garbled`].
    pub fn now(&mut self) -> Result<u64, Error> {
        self.ask(NOW, 0)
    }

    /// Whether the clock has come to `at`; if not, an alarm is set for that.
    fn has_come(&mut self, at: u64) -> Result<bool, Error> {
        self.ask(ALARM, at).map(|now| now >= at)
    }

    fn ask(&mut self, label: u64, at: u64) -> Result<u64, Error> {
        let mut words = [0; WORDS_MAX];
        words[0] = at;
        match self.server.call(label, &mut words, 1)? {
            1 => Ok(words[0]),
            _ => Err(Error::Garbled),
        }
    }

    /// The time at which so many nanoseconds have passed for certain: the microsecond that runs now does not count.
    fn after(&mut self, ns: u64) -> Result<u64, Error> {
        Ok(self.now()?.saturating_add(ns.div_ceil(1000) + 1))
    }

    /// Waits until what is asked for is known. A server that refuses now signals when it serves again, or when one of the
    /// alarms that leave no room has come.
    fn wait_for<T>(&mut self, mut what: impl FnMut(&mut Self) -> Option<T>) -> T {
        loop {
            match what(self) {
                Some(known) => return known,
                None => self.arrivals.wait(),
            }
        }
    }

    async fn until_known<T>(&mut self, mut what: impl FnMut(&mut Self) -> Option<T>) -> T {
        loop {
            match what(self) {
                Some(known) => return known,
                None => arrival(&mut self.arrivals).await,
            }
        }
    }

    fn delay(&mut self, ns: u64) {
        let end = self.wait_for(|clock| clock.after(ns).ok());
        self.wait_for(|clock| clock.has_come(end).ok().filter(|come| *come));
    }

    async fn delay_async(&mut self, ns: u64) {
        let end = self.until_known(|clock| clock.after(ns).ok()).await;
        self.until_known(|clock| clock.has_come(end).ok().filter(|come| *come)).await;
    }
}

impl<C: Call, A: Arrivals> embedded_hal::delay::DelayNs for Clock<C, A> {
    fn delay_ns(&mut self, ns: u32) {
        self.delay(ns.into());
    }

    fn delay_us(&mut self, us: u32) {
        self.delay(u64::from(us) * 1000);
    }

    fn delay_ms(&mut self, ms: u32) {
        self.delay(u64::from(ms) * 1_000_000);
    }
}

impl<C: Call, A: Arrivals> embedded_hal_async::delay::DelayNs for Clock<C, A> {
    async fn delay_ns(&mut self, ns: u32) {
        self.delay_async(ns.into()).await;
    }

    async fn delay_us(&mut self, us: u32) {
        self.delay_async(u64::from(us) * 1000).await;
    }

    async fn delay_ms(&mut self, ms: u32) {
        self.delay_async(u64::from(ms) * 1_000_000).await;
    }
}
