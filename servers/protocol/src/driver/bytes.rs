//! Bytes in message words: eight a word, little endian.

/// Words that so many bytes take.
#[must_use]
pub const fn words_of(bytes: usize) -> usize {
    bytes.div_ceil(8)
}

/// Writes bytes into words; the rest of the last word is zero. Bytes without a word are left out.
pub fn put(bytes: &[u8], words: &mut [u64]) {
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_le_bytes(eight);
    }
}

/// Reads bytes out of words; a byte without a word stays as it was.
pub fn get(words: &[u64], bytes: &mut [u8]) {
    for (chunk, word) in bytes.chunks_mut(8).zip(words) {
        let length = chunk.len();
        chunk.copy_from_slice(&word.to_le_bytes()[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back() {
        let all: [u8; 20] = core::array::from_fn(|i| u8::try_from(i + 1).unwrap());
        for length in 0..=all.len() {
            let mut words = [u64::MAX; 4];
            put(&all[..length], &mut words);
            let mut back = [0; 20];
            get(&words, &mut back[..length]);
            assert_eq!(back[..length], all[..length]);
            assert!(words[words_of(length)..].iter().all(|word| *word == u64::MAX));
        }
    }
}
