//! The device tree that the loader left: here only the boot arguments are of interest.

use dtoolkit::fdt::Fdt;
use dtoolkit::{Node, Property};
use heapless::String;

/// Bytes of boot arguments that are read.
/// Firmware adds words of its own to ours.
pub const BOOTARGS_MAX: usize = 1024;

/// The text of `/chosen/bootargs`; nothing when the blob is damaged, or the text is absent or too long.
#[must_use]
pub fn bootargs(blob: &[u8]) -> Option<String<BOOTARGS_MAX>> {
    // Whoever hands it over may round its length up; the reader insists on the size in the header.
    let size = u32::from_be_bytes(blob.get(4..8)?.try_into().ok()?);
    let tree = Fdt::new(blob.get(..usize::try_from(size).ok()?)?).ok()?;
    let chosen = tree.find_node("/chosen")?;
    let property = chosen.property("bootargs")?;
    let text = property.value().strip_suffix(&[0]).and_then(|bytes| core::str::from_utf8(bytes).ok())?;
    String::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// A blob with one node `chosen` and one property.
    fn blob(name: &str, value: &[u8]) -> Vec<u8> {
        let mut structure = Vec::new();
        let word = |out: &mut Vec<u8>, word: u32| out.extend(word.to_be_bytes());
        word(&mut structure, 1);
        word(&mut structure, 0);
        word(&mut structure, 1);
        structure.extend(b"chosen\0\0");
        word(&mut structure, 3);
        word(&mut structure, u32::try_from(value.len()).unwrap());
        word(&mut structure, 0);
        structure.extend(value);
        structure.resize(structure.len().next_multiple_of(4), 0);
        [2, 2, 9].into_iter().for_each(|token| word(&mut structure, token));
        let mut strings = Vec::from(name.as_bytes());
        strings.push(0);
        let (at_structure, lengths) = (56, (strings.len(), structure.len()));
        let at_strings = at_structure + lengths.1;
        let mut out = Vec::new();
        for field in [
            0xd00d_feed,
            at_strings + lengths.0,
            at_structure,
            at_strings,
            40,
            17,
            16,
            0,
            lengths.0,
            lengths.1,
        ] {
            word(&mut out, u32::try_from(field).unwrap());
        }
        out.resize(56, 0);
        out.extend(structure);
        out.extend(strings);
        out
    }

    #[test]
    fn the_text_is_found() {
        let bytes = blob("bootargs", b"host=1 log=debug\0");
        assert_eq!(bootargs(&bytes).as_deref(), Some("host=1 log=debug"));
        let mut padded = bytes.clone();
        padded.extend([0; 5]);
        assert_eq!(bootargs(&padded).as_deref(), Some("host=1 log=debug"));
        assert_eq!(bootargs(&blob("stdout-path", b"uart\0")), None);
        assert_eq!(bootargs(&blob("bootargs", b"unterminated")), None);
        assert_eq!(bootargs(&bytes[..bytes.len() / 2]), None);
        assert_eq!(bootargs(&[]), None);
    }
}
