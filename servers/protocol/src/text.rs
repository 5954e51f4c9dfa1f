//! Short text in messages: bounded, UTF-8, with a size that is known at compile time.

use core::fmt;
use core::ops::Deref;

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// Text of at most `N` bytes.
///
/// Holding one proves that it fits the message it is part of.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text<const N: usize>(heapless::String<N>);

/// The name of a module, server or device: at most 31 bytes, as in the module's information record.
pub type ModuleName = Text<31>;
/// The name of a symbol: at most 47 bytes, as in an alias record.
pub type SymbolName = Text<47>;
/// One line of explanation in a refusal.
pub type DetailText = Text<120>;

impl<const N: usize> Text<N> {
    /// The text itself, or nothing when it is longer than `N` bytes.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        heapless::String::try_from(text).ok().map(Self)
    }

    /// As much of `text` as fits, cut at a character boundary: for explanations, never for names.
    #[must_use]
    pub fn cut(text: &str) -> Self {
        let mut out = heapless::String::new();
        for character in text.chars() {
            if out.push(character).is_err() {
                break;
            }
        }
        Self(out)
    }

    /// Formats into a text, cut at `N` bytes.
    #[must_use]
    pub fn format(arguments: fmt::Arguments<'_>) -> Self {
        let mut out = Self::default();
        // A cut explanation is still an explanation: the error of a full buffer is expected here.
        let _ = fmt::write(&mut Cutting(&mut out.0), arguments);
        out
    }

    /// The text as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Writes what fits and drops the rest.
struct Cutting<'a, const N: usize>(&'a mut heapless::String<N>);

impl<const N: usize> fmt::Write for Cutting<'_, N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.0.push(character).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl<const N: usize> MaxSize for Text<N> {
    // postcard writes the length as a varint (7 bits a byte), then the bytes.
    const POSTCARD_MAX_SIZE: usize = N + if N < 128 { 1 } else { 2 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_refused_and_a_cut_one_stays_valid() {
        assert!(Text::<4>::new("abcd").is_some());
        assert!(Text::<4>::new("abcde").is_none());
        assert_eq!(Text::<4>::cut("abéé").as_str(), "abé");
        assert_eq!(Text::<5>::format(format_args!("{}-{}", 123, 456)).as_str(), "123-4");
    }
}
