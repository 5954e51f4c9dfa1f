//! The parser: images with a few damaged fields.
//!
//! Damage keeps to the structure: whole fields of headers, symbols, relocations and records are set to extremes, to
//! neighbours of what they were, or to what another place holds, so that most checks behind the first are reached.

use aarch64_reloc::RelocKind;
use kmod::{Object, ParseError};
use link_tests::judge;
use link_tests::module::{Module, Op, RET};
use link_tests::place;

use crate::Random;

/// Fields that are damaged in one image.
const DAMAGES_MAX: usize = 5;
/// Values that tend to break something.
const EXTREMES: [u64; 12] =
    [0, 1, 2, 7, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 1 << 63, u64::MAX];

/// A sound image to begin with.
fn sound(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => Module::kitchen_sink().write(),
        1 => crate::relocator::module(random).write(),
        2 => Module::new("layer").refine("bus_space_read_4").import("demo_note").write(),
        _ => Module::new("plain").weak("own").function("f", &[Op::Word(RET)]).write(),
    }
}

/// Makes a damaged image.
pub fn generate(random: &mut Random) -> Vec<u8> {
    let mut image = sound(random);
    for _ in 0..random.below(DAMAGES_MAX) {
        damage(&mut image, random);
    }
    image
}

fn read(image: &[u8], at: usize, width: usize) -> u64 {
    let bytes = image.get(at..at + width).unwrap_or_default();
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The sections' headers, as the file says now.
fn section_headers(image: &[u8]) -> Vec<usize> {
    let (table, count) = (read(image, 40, 8), read(image, 60, 2));
    let headers = (0..count).filter_map(|index| usize::try_from(table.checked_add(64 * index)?).ok());
    headers.filter(|header| header.checked_add(64).is_some_and(|end| end <= image.len())).collect()
}

fn damage(image: &mut Vec<u8>, random: &mut Random) {
    if image.len() < 128 {
        return;
    }
    let headers = section_headers(image);
    let (at, width) = match random.below(8) {
        // The ELF header.
        0 => (random.below(16) * 4, 4),
        // A section header's field.
        1 | 2 if !headers.is_empty() => {
            let field =
                [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8)];
            let (offset, width) = field[random.below(field.len())];
            (headers[random.below(headers.len())] + offset, width)
        }
        // An entry of a section: records, symbols, relocations and code alike.
        3..=6 if !headers.is_empty() => {
            let header = headers[random.below(headers.len())];
            let (start, size) = (read(image, header + 24, 8), read(image, header + 32, 8));
            let (Ok(start), Ok(size)) = (usize::try_from(start), usize::try_from(size)) else { return };
            let width = [1, 2, 4, 8][random.below(4)];
            if size < width || start > image.len() {
                return;
            }
            // A relocation's type is one of few numbers: any other is refused at once.
            if read(image, header + 4, 4) == 4 && random.below(2) == 0 && size >= 24 {
                let entry = start + random.below(size / 24) * 24;
                let kind = RelocKind::ALL[random.below(RelocKind::ALL.len())].elf();
                if let Some(field) = image.get_mut(entry + 8..entry + 12) {
                    field.copy_from_slice(&kind.to_le_bytes());
                }
                return;
            }
            (start + random.below(size / width) * width, width)
        }
        // The file is cut, or grows.
        7 if random.below(4) == 0 => {
            let size = random.below(image.len() + 64);
            image.resize(size, 0);
            return;
        }
        _ => (random.below(image.len() / 8) * 8, 8),
    };
    let old = read(image, at, width);
    let other = read(image, random.below(image.len() - 8), width);
    let value = match random.below(6) {
        0 => EXTREMES[random.below(EXTREMES.len())],
        1 => old.wrapping_add(1 << random.below(12)),
        2 => old.wrapping_sub(1 << random.below(12)),
        3 => old ^ 1 << random.below(8 * width),
        4 => random.next(),
        _ => other,
    };
    if let Some(field) = image.get_mut(at..at + width) {
        field.copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

/// The rule that an image breaks, without the place.
pub(crate) fn rule(error: &ParseError) -> String {
    let text = match error {
        ParseError::Elf(error) => format!("{error:?}"),
        other => format!("{other:?}"),
    };
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_string()
}

/// Parses an image. What is refused is refused both ways of reading; what is accepted goes to the judge.
///
/// # Errors
/// The oracle that does not hold.
pub fn judge(image: &[u8]) -> Result<String, String> {
    let module = match Object::parse(image) {
        Ok(module) => module,
        Err(error) => return Ok(format!("refused: {}", rule(&error))),
    };
    let rulings = judge::judge(image, &module)?;
    let fits = place::load(&module, &rulings)?;
    Ok(if fits { "accepted".into() } else { "accepted; a value does not fit".into() })
}
