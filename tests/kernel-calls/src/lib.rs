//! Random system calls, well and ill formed, reproducible by a seed.
//!
//! One generator for two worlds: the fuzz of `microkernel-core` on the host and the stress of the whole kernel on the
//! target draw from it. It knows names, not objects: whether a call makes sense is for the kernel to say.
//!
//! [`Random`] draws, [`Names`] says what there is to name, [`Call`] is one system call, [`Coverage`] counts answers.
#![no_std]
#![forbid(unsafe_code)]

mod call;
mod coverage;

pub use call::{Call, Names, WORDS_MAX};
pub use coverage::{ANSWERS, Coverage, LABELS, answer_name, label_name};

/// A small generator, the same everywhere for the same seed.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Goes on where another one stopped.
    #[must_use]
    pub const fn resume(state: u64) -> Self {
        Self(state)
    }

    /// Where it is, for [`Random::resume`].
    #[must_use]
    pub const fn state(self) -> u64 {
        self.0
    }

    /// The next word of it.
    pub const fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `n`, which is not 0.
    pub const fn below(&mut self, n: u64) -> u64 {
        (self.word() >> 20) % n
    }

    /// One of a list that is not empty.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let place = self.below(from.len() as u64);
        from[usize::try_from(place).unwrap_or(0)]
    }

    /// Once in `n` times.
    pub const fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence() {
        let draw = |seed| {
            core::array::from_fn::<u64, 8, _>({
                let mut random = Random::new(seed);
                move |_| random.word()
            })
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn every_label_and_every_system_call_occurs() {
        let names = Names {
            cnode: 2,
            first: 100,
            count: 100,
            untyped: 3,
            vspace: 4,
            tcb: 5,
            asid_pool: 6,
            asid_control: 7,
            irq_control: 8,
            domain: 9,
            base: 1 << 39,
        };
        let mut random = Random::new(1);
        let mut labels = [0_u32; LABELS];
        let mut numbers = [0_u32; 9];
        for _ in 0..100_000 {
            let call = Call::draw(&mut random, &names, |slot| slot % 20);
            if let Some(count) = usize::try_from(call.label).ok().and_then(|label| labels.get_mut(label)) {
                *count += 1;
            }
            if let Some(count) =
                usize::try_from(call.number.wrapping_neg()).ok().and_then(|n| numbers.get_mut(n))
            {
                *count += 1;
            }
        }
        assert!(labels.iter().all(|&count| count > 100), "{labels:?}");
        assert!(numbers[1..].iter().all(|&count| count > 100), "{numbers:?}");
    }
}
