//! Every field truncated, flipped and enlarged.

/// Which mutations of a file, and which share of them.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// This share …
    pub index: usize,
    /// … of so many.
    pub count: usize,
}

/// Values that a field of 16, 32 or 64 bits is set to, besides arithmetic on the old value.
const EXTREMES: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Calls `try_it` with every single-place mutation of the share; returns how many there were.
///
/// Every prefix of the file; every byte with every other value (all bit flips among them); every 16-, 32- and 64-bit
/// field on its own boundary with extreme values and a little more, less, half and twice of what it was; bytes
/// inserted and removed at every eighth place.
pub fn singles(file: &[u8], share: Share, mut try_it: impl FnMut(&[u8])) -> u64 {
    let mut count = 0;
    let mut mutant = file.to_vec();
    let mut give = |bytes: &[u8]| {
        count += 1;
        try_it(bytes);
    };
    for at in (share.index..file.len()).step_by(share.count) {
        give(&file[..at]);
        for flip in 1..=255 {
            mutant[at] = file[at] ^ flip;
            give(&mutant);
        }
        mutant[at] = file[at];
        for width in [2, 4, 8] {
            if at % width != 0 || at + width > file.len() {
                continue;
            }
            let mut old = [0; 8];
            old[..width].copy_from_slice(&file[at..at + width]);
            let old = u64::from_le_bytes(old);
            let size = file.len() as u64;
            let near = [old.wrapping_add(1), old.wrapping_sub(1), old / 2, old.wrapping_mul(2)];
            let further = [old.wrapping_add(8), old.wrapping_sub(8), size, size - 1, size + 1, !old];
            for value in EXTREMES.into_iter().chain(near).chain(further) {
                mutant[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
                give(&mutant);
            }
            mutant[at..at + width].copy_from_slice(&file[at..at + width]);
        }
        if at % 8 == 0 {
            for size in [1, 8, 24, 64, 4096] {
                let mut longer = file[..at].to_vec();
                longer.resize(at + size, 0);
                longer.extend_from_slice(&file[at..]);
                give(&longer);
                let mut shorter = file[..at].to_vec();
                shorter.extend_from_slice(file.get(at + size..).unwrap_or_default());
                give(&shorter);
            }
        }
    }
    count
}

/// Calls `try_it` with `rounds` files in each of which two to five places have changed, chosen by the seed.
pub fn several(file: &[u8], seed: u64, rounds: u64, mut try_it: impl FnMut(&[u8])) {
    let mut random = Random(seed);
    let mut mutant = file.to_vec();
    for _ in 0..rounds {
        mutant.clone_from_slice(file);
        for _ in 0..2 + random.below(4) {
            let width = 1 << random.below(4);
            let at = random.below(file.len() / width) * width;
            let value = match random.below(4) {
                0 => EXTREMES[random.below(EXTREMES.len())],
                1 => random.next(),
                2 => random.next() & 0xff,
                _ => {
                    // A piece of another place: offsets and indices that mean something.
                    let from = random.below(file.len() - 8);
                    u64::from_le_bytes(std::array::from_fn(|byte| file[from + byte]))
                }
            };
            mutant[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        try_it(&mutant);
    }
}

/// A seeded generator (`SplitMix64`): the same seed gives the same mutants.
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// Where `bound` is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}
