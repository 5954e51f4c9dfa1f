//! Relocation: the bytes of an image as they stand in memory before anything is linked.
//!
//! A call of an import goes to whoever answers now, a `super_` call to the alias below, and an address is that of a
//! permanent slot. So INIT runs on the system as it is, and linking changes branches only.
//!
//! Each relocation is read, checked and applied once, in one walk over the image: what it refers to in the module has
//! its address from the layout, what it refers to outside is planned on the way.

use aarch64_reloc::RelocError;
use kmod::{Object, Relocation, SectionKind, Target};
use zerocopy::{FromBytes, IntoBytes};

use crate::branch::Va;
use crate::layout::Layout;
use crate::load::{Reference, Referent};
use crate::plan::PlanError;

/// Copies the sections of an image into `bytes`, which lies on a multiple of four, and applies their relocations.
///
/// `bytes` begins with the byte at the layout's start and reaches to the end of the last section that has bytes in the
/// file ([`linked_size`]); what lies between sections becomes zeros. `each` is asked for the address of everything
/// that lies outside of the module. Sections that are not mapped are checked and nothing else.
///
/// # Errors
/// Whatever `each` refuses; [`PlanError::Image`], [`PlanError::Field`]. Then the bytes are of no use.
pub fn relocate(
    object: &Object<'_>,
    layout: &Layout,
    bytes: &mut [u8],
    each: &mut dyn FnMut(Reference) -> Result<Va, PlanError>,
) -> Result<(), PlanError> {
    bytes.fill(0);
    for kind in SectionKind::ALL {
        let mut place = Place::new(kind, copy_section(object, layout, kind, bytes)?);
        let start = layout.section(kind);
        for relocation in object.relocations(kind) {
            let relocation = relocation.map_err(PlanError::Image)?;
            if !kind.is_mapped() {
                continue;
            }
            let at = start.plus(relocation.offset);
            let outside = |referent| Reference { at, referent, kind: relocation.kind.into() };
            let value = match relocation.target {
                Target::Section(of, offset) => layout.section(of).plus(offset),
                Target::Super(index) => each(outside(Referent::Super(index)))?,
                Target::Import(index) => each(outside(Referent::Import(index)))?,
            };
            place.put(&relocation, at, value).map_err(|error| PlanError::Field(at, error))?;
        }
    }
    Ok(())
}

/// How many bytes [`relocate()`] fills, the gaps between sections included.
#[must_use]
pub fn linked_size(object: &Object<'_>, layout: &Layout) -> u64 {
    let with_bytes =
        object.sections().filter(|section| section.kind.is_mapped() && !section.bytes.is_empty());
    let ends = with_bytes.map(|section| layout.section(section.kind).plus(section.bytes.len() as u64));
    ends.max().map_or(0, |end| end.0 - layout.text.start.0)
}

/// Copies what a section has in the file to its place; gives that place, which is empty for what is not mapped.
fn copy_section<'b>(
    object: &Object<'_>,
    layout: &Layout,
    kind: SectionKind,
    bytes: &'b mut [u8],
) -> Result<&'b mut [u8], PlanError> {
    let Some(section) = object.section(kind).filter(|section| kind.is_mapped() && !section.bytes.is_empty())
    else {
        return Ok(&mut []);
    };
    let at = layout.section(kind);
    let first = usize::try_from(at.0 - layout.text.start.0).ok();
    let place = first.and_then(|first| bytes.get_mut(first..)?.get_mut(..section.bytes.len()));
    let place = place.ok_or(PlanError::NoRoom(at))?;
    place.copy_from_slice(section.bytes);
    Ok(place)
}

/// The bytes of one section at their place.
enum Place<'b> {
    /// `.text`, on a multiple of four.
    Instructions(&'b mut [u32]),
    /// Any other.
    Bytes(&'b mut [u8]),
}

impl<'b> Place<'b> {
    fn new(kind: SectionKind, bytes: &'b mut [u8]) -> Self {
        let words = bytes.as_ptr().addr().is_multiple_of(4) && bytes.len().is_multiple_of(4);
        if kind == SectionKind::Text && words {
            Self::Instructions(<[u32]>::mut_from_bytes(bytes).unwrap_or_default())
        } else {
            Self::Bytes(bytes)
        }
    }

    /// Writes one field.
    #[inline(always)]
    fn put(&mut self, relocation: &Relocation, at: Va, value: Va) -> Result<(), RelocError> {
        let Relocation { offset, kind, instruction, .. } = *relocation;
        let truncated = RelocError::Truncated(kind, at.0);
        let new = kind.insert(at.0, value.0, instruction.into())?.to_le_bytes();
        let [a, b, c, d, ..] = new;
        let bytes = match self {
            Self::Instructions(words) if kind.is_instruction() => {
                let word = usize::try_from(offset / 4).ok().and_then(|index| words.get_mut(index));
                *word.ok_or(truncated)? = u32::from_le_bytes([a, b, c, d]).to_le();
                return Ok(());
            }
            _ if kind.is_instruction() => return Err(RelocError::MisalignedPlace(kind, at.0)),
            Self::Instructions(words) => words.as_mut_bytes(),
            Self::Bytes(bytes) => bytes,
        };
        let field =
            usize::try_from(offset).ok().and_then(|offset| bytes.get_mut(offset..)).ok_or(truncated)?;
        if kind.width() == 8 {
            *field.first_chunk_mut().ok_or(truncated)? = new;
        } else {
            *field.first_chunk_mut().ok_or(truncated)? = [a, b, c, d];
        }
        Ok(())
    }
}
