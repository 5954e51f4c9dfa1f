//! Relocation: the bytes of an image as they stand in memory before anything is linked.
//!
//! A call of an import goes to whoever answers now, a `super_` call to the alias below, and an address is that of a
//! permanent slot. So INIT runs on the system as it is, and linking changes branches only.
//!
//! Each relocation is read, checked and applied once, in one walk over the image: what it refers to in the module has
//! its address from the layout, what it refers to outside is planned on the way.

use aarch64_reloc::{Field, RelocError};
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
        if kind.is_mapped() {
            let place = Place::new(copy_section(object, layout, kind, bytes)?);
            relocate_section(object, layout, kind, place, each)?;
        } else {
            object.try_each_relocation(kind, |_| Ok::<_, PlanError>(()))?;
        }
    }
    Ok(())
}

fn relocate_section(
    object: &Object<'_>,
    layout: &Layout,
    kind: SectionKind,
    mut place: Place<'_>,
    each: &mut dyn FnMut(Reference) -> Result<Va, PlanError>,
) -> Result<(), PlanError> {
    let start = layout.section(kind);
    object.try_each_relocation(kind, |relocation| {
        // A layout lies below the end of the address space, and with it what the relocation names in it.
        let at = Va(start.0 + relocation.offset);
        let value = match relocation.target {
            Target::Section(of, offset) => Va(layout.section(of).0 + offset),
            Target::Super(index) => outside(each, at, Referent::Super(index), &relocation)?,
            Target::Import(index) => outside(each, at, Referent::Import(index), &relocation)?,
        };
        place.put(&relocation, at, value).map_err(|error| PlanError::Field(at, error))
    })
}

/// The address of something that lies outside of the module. Most relocations name the module itself, so the loop keeps
/// nothing in memory for the sake of these.
#[cold]
fn outside(
    each: &mut dyn FnMut(Reference) -> Result<Va, PlanError>,
    at: Va,
    referent: Referent,
    relocation: &Relocation,
) -> Result<Va, PlanError> {
    each(Reference { at, referent, kind: relocation.kind.into() })
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
struct Place<'b> {
    /// The same as words, where they are whole words on a multiple of four; or none.
    words: &'b mut [u32],
    /// The bytes otherwise.
    odd: &'b mut [u8],
}

impl<'b> Place<'b> {
    fn new(bytes: &'b mut [u8]) -> Self {
        if bytes.as_ptr().addr().is_multiple_of(4) && bytes.len().is_multiple_of(4) {
            Self { words: <[u32]>::mut_from_bytes(bytes).unwrap_or_default(), odd: &mut [] }
        } else {
            Self { words: &mut [], odd: bytes }
        }
    }

    /// Writes one field.
    #[inline(always)]
    fn put(&mut self, relocation: &Relocation, at: Va, value: Va) -> Result<(), RelocError> {
        let Relocation { offset, kind, instruction, .. } = *relocation;
        let field = kind.insert(at.0, value.0, instruction)?;
        // Turned by two bits, what is no multiple of four is greater than any count.
        let index = usize::try_from(offset.rotate_right(2)).unwrap_or(usize::MAX);
        match (field, self.words.get_mut(index)) {
            (Field::Word(new), Some(word)) => *word = new.to_le(),
            _ => self.put_bytes(offset, field).ok_or(RelocError::Truncated(kind, at.0))?,
        }
        Ok(())
    }

    /// The same for what is no single word on a multiple of four.
    fn put_bytes(&mut self, offset: u64, field: Field) -> Option<()> {
        let bytes = if self.odd.is_empty() { self.words.as_mut_bytes() } else { &mut *self.odd };
        let place = bytes.get_mut(usize::try_from(offset).ok()?..)?;
        match field {
            Field::Word(new) => *place.first_chunk_mut()? = new.to_le_bytes(),
            Field::Double(new) => match <u64>::mut_from_prefix(place) {
                Ok((aligned, _)) => *aligned = new.to_le(),
                Err(_) => *place.first_chunk_mut()? = new.to_le_bytes(),
            },
        }
        Some(())
    }
}
