//! Delays: `embedded_hal::delay::DelayNs`.

/// Who lets time pass.
pub trait Sleep {
    /// Returns after at least this many microseconds.
    fn sleep_us(&mut self, microseconds: u64);
}

/// Delays by whoever lets time pass; a part of a microsecond is a whole one.
#[derive(Debug)]
pub struct Delay<S>(pub S);

impl<S: Sleep> embedded_hal::delay::DelayNs for Delay<S> {
    fn delay_ns(&mut self, ns: u32) {
        self.0.sleep_us(u64::from(ns.div_ceil(1000)));
    }

    fn delay_us(&mut self, us: u32) {
        self.0.sleep_us(us.into());
    }

    fn delay_ms(&mut self, ms: u32) {
        self.0.sleep_us(u64::from(ms) * 1000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::delay::DelayNs as _;

    struct Sum(u64);
    impl Sleep for &mut Sum {
        fn sleep_us(&mut self, microseconds: u64) {
            self.0 += microseconds;
        }
    }

    #[test]
    fn a_delay_is_never_too_short() {
        let mut sum = Sum(0);
        let mut delay = Delay(&mut sum);
        delay.delay_ns(1);
        delay.delay_ns(1001);
        delay.delay_us(10);
        delay.delay_ms(u32::MAX);
        assert_eq!(sum.0, 1 + 2 + 10 + u64::from(u32::MAX) * 1000);
    }
}
