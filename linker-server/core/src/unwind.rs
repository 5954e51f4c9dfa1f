//! A module's unwind tables: they stay in the linker server's memory, behind the module's pages, and are never mapped
//! into its link domain.

use aarch64_reloc::apply;
use kmod::{Object, SectionKind, Target};
use linker_unwind::Tables;
use linker_unwind::tables::ENTRY_SIZE;

use crate::branch::Va;
use crate::layout::Layout;
use crate::plan::PlanError;

/// Bytes that a module's unwind tables take with their index; 0 for a module without.
#[must_use]
pub fn tables_size(object: &Object<'_>) -> u64 {
    let Some(section) = object.section(SectionKind::EhFrame) else { return 0 };
    let index = Tables::count(section.bytes) * ENTRY_SIZE;
    section.size.next_multiple_of(ENTRY_SIZE as u64) + index as u64
}

/// Copies a module's unwind tables to `bytes`, relocates them as if they lay at `at` in its link domain, and puts
/// their index behind them. Returns how many bytes the tables themselves have and how many entries the index.
///
/// `bytes` has [`tables_size`] bytes at least.
pub fn relocate_tables(
    object: &Object<'_>,
    layout: &Layout,
    at: Va,
    bytes: &mut [u8],
) -> Result<(usize, usize), PlanError> {
    let kind = SectionKind::EhFrame;
    let Some(section) = object.section(kind) else { return Ok((0, 0)) };
    let size = section.bytes.len();
    let room = size.next_multiple_of(ENTRY_SIZE);
    let (frames, index) = bytes.split_at_mut_checked(room).ok_or(PlanError::NoRoom(at))?;
    let frames = frames.get_mut(..size).ok_or(PlanError::NoRoom(at))?;
    frames.copy_from_slice(section.bytes);
    object.try_each_relocation(kind, |relocation| {
        let field_at = at.plus(relocation.offset);
        // The format lets tables name the module's own sections only.
        let Target::Section(of, offset) = relocation.target else {
            return Err(PlanError::UnknownReference(field_at));
        };
        let value = layout.section(of).plus(offset);
        let offset = usize::try_from(relocation.offset).map_err(|_| PlanError::NoRoom(at))?;
        let field = frames.get_mut(offset..).ok_or(PlanError::NoRoom(at))?;
        apply(relocation.kind, field_at.0, value.0, field).map_err(|error| PlanError::Field(field_at, error))
    })?;
    let (index, _) = index.as_chunks_mut();
    Ok((size, Tables::index(at.0, frames, index)))
}
