//! Which deadline has passed: a few times with tickets, in any order.
//!
//! The clock is the caller's. A signal that "some deadline has passed" decides nothing: it may be late, doubled, or
//! for a deadline that was taken away meanwhile.

/// Up to `N` deadlines, by their purpose.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines<const N: usize> {
    due: [Option<(u64, u32)>; N],
}

impl<const N: usize> Deadlines<N> {
    /// None set.
    #[must_use]
    pub const fn new() -> Self {
        Self { due: [None; N] }
    }

    /// Sets the deadline of a purpose; it replaces the one before.
    pub fn set(&mut self, purpose: usize, at: u64, ticket: u32) {
        self.due[purpose] = Some((at, ticket));
    }

    /// Takes a deadline away.
    pub fn clear(&mut self, purpose: usize) {
        self.due[purpose] = None;
    }

    /// The purpose and ticket of the earliest deadline that has passed at `now`; each is given once.
    pub fn passed(&mut self, now: u64) -> Option<(usize, u32)> {
        let passed = |(purpose, due): (usize, &Option<(u64, u32)>)| {
            let (at, ticket) = (*due)?;
            (at <= now).then_some((at, purpose, ticket))
        };
        let (_, purpose, ticket) = self.due.iter().enumerate().filter_map(passed).min()?;
        self.due[purpose] = None;
        Some((purpose, ticket))
    }
}

impl<const N: usize> Default for Deadlines<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    //! Goal: each deadline passes once, the earliest first, and never after it was replaced or taken away.
    use super::*;

    #[test]
    fn each_passes_once_and_in_order() {
        let mut deadlines = Deadlines::<3>::new();
        deadlines.set(0, 50, 1);
        deadlines.set(1, 40, 2);
        deadlines.set(2, 90, 3);
        assert_eq!(deadlines.passed(39), None);
        assert_eq!(deadlines.passed(60), Some((1, 2)), "the earliest first");
        assert_eq!(deadlines.passed(60), Some((0, 1)));
        assert_eq!(deadlines.passed(60), None);
        deadlines.set(2, 100, 4);
        assert_eq!(deadlines.passed(95), None, "the new one has replaced the old one");
        assert_eq!(deadlines.passed(100), Some((2, 4)));
        deadlines.set(0, 1, 5);
        deadlines.clear(0);
        assert_eq!(deadlines.passed(u64::MAX), None);
    }
}
