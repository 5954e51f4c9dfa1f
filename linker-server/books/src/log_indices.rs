//! Which indices of log strings are free: next fit, so that the strings of a module that has left can be decoded for as
//! long as possible.

/// The book of indices. It knows the gap that it takes from; who else has indices is asked only when that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIndices {
    first: u32,
    end: u32,
    /// The rest of the gap.
    next: u32,
    until: u32,
}

impl LogIndices {
    /// The indices from `first` up to `end`, all free.
    #[must_use]
    pub const fn new(first: u32, end: u32) -> Self {
        Self { first, end, next: first, until: end }
    }

    /// Takes `count` neighbouring indices and returns the first; none where no gap is wide enough. `taken` are the ranges
    /// that others have, each as its first index and the one behind its last.
    pub fn take(&mut self, count: u32, taken: impl Iterator<Item = (u32, u32)> + Clone) -> Option<u32> {
        if count > self.until.saturating_sub(self.next) {
            let gap = |from| self.gap(from, count, taken.clone());
            (self.next, self.until) = gap(self.next).or_else(|| gap(self.first))?;
        }
        let at = self.next;
        self.next = at + count;
        Some(at)
    }

    /// The first gap of this width that begins at `from` or behind a taken range above it.
    fn gap(
        &self,
        from: u32,
        count: u32,
        taken: impl Iterator<Item = (u32, u32)> + Clone,
    ) -> Option<(u32, u32)> {
        let mut at = from;
        loop {
            // Whoever ends above the place and begins below what it would take.
            let in_the_way = taken
                .clone()
                .filter(|(low, high)| *high > at && *low < at.saturating_add(count))
                .map(|(_, high)| high);
            match in_the_way.min() {
                Some(high) => at = high,
                None => break,
            }
        }
        let until = taken.map(|(low, _)| low).filter(|low| *low >= at).fold(self.end, u32::min);
        (at.checked_add(count)? <= until).then_some((at, until))
    }
}

#[cfg(test)]
mod tests {
    //! Goal: nobody gets an index that another has, and none is refused while a gap is wide enough. Method: loads and
    //! unloads at random, beside a list.
    use super::LogIndices;
    use std::vec::Vec;

    #[test]
    fn indices_are_used_again_only_when_they_have_run_out() {
        let mut indices = LogIndices::new(10, 40);
        let mut taken = Vec::new();
        for expected in [10, 20] {
            let at = indices.take(10, taken.iter().copied()).unwrap();
            assert_eq!(at, expected);
            taken.push((at, at + 10));
        }
        taken.remove(0);
        assert_eq!(indices.take(10, taken.iter().copied()), Some(30), "not those that were just given back");
        taken.push((30, 40));
        assert_eq!(indices.take(4, taken.iter().copied()), Some(10));
        taken.push((10, 14));
        assert_eq!(indices.take(7, taken.iter().copied()), None);
        assert_eq!(indices.take(6, taken.iter().copied()), Some(14));
        assert_eq!(indices.take(0, taken.iter().copied()), Some(20), "who needs none gets none");
    }

    #[test]
    fn no_index_is_taken_twice() {
        let (first, end) = (100, 200);
        let mut indices = LogIndices::new(first, end);
        let mut taken: Vec<(u32, u32)> = Vec::new();
        let mut state = 1_u32;
        for _ in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let draw = state >> 16;
            if draw.is_multiple_of(3) && !taken.is_empty() {
                taken.swap_remove(draw as usize / 3 % taken.len());
                continue;
            }
            let count = draw % 17;
            match indices.take(count, taken.iter().copied()) {
                Some(at) => {
                    assert!(at >= first && at + count <= end);
                    assert!(taken.iter().all(|(low, high)| count == 0 || at + count <= *low || at >= *high));
                    if count > 0 {
                        taken.push((at, at + count));
                    }
                }
                None => {
                    taken.sort_unstable();
                    let ends = [first].into_iter().chain(taken.iter().map(|(_, high)| *high));
                    let starts = taken.iter().map(|(low, _)| *low).chain([end]);
                    assert!(ends.zip(starts).all(|(low, high)| high - low < count), "a gap was overlooked");
                }
            }
        }
    }
}
