//! Relocation: the bytes of an image as they stand in memory before anything is linked.
//!
//! A call of an import goes to whoever answers now, a `super_` call to the alias below, and an address is that of a
//! permanent slot. So INIT runs on the system as it is, and linking changes branches only.

use aarch64_reloc::{RelocError, RelocKind, apply};
use kmod::{BaseObject, Object, SectionKind, Target};

use crate::branch::{Branch, Va};
use crate::errno::Errno;
use crate::layout::Layout;
use crate::plan::LinkPlan;

/// Why an image was not relocated. Its bytes are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocateError {
    /// The section has another size than the bytes given for it.
    Size(SectionKind),
    /// A value does not fit its field.
    Field(Va, RelocError),
    /// The plan was not made for this image: it has no branch, or no slot, for this place.
    NotPlanned(Va),
}

impl RelocateError {
    /// The errno-like word of the error.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::Field(..) => Errno::ENOEXEC,
            Self::Size(_) | Self::NotPlanned(_) => Errno::EINVAL,
        }
    }
}

/// Fills the bytes of one section: copies it from the image and applies its relocations.
///
/// `bytes` is as long as the section. `.bss` is filled with zeros. Sections that are not mapped are refused.
pub fn relocate(
    object: &Object<'_>,
    layout: &Layout,
    plan: &LinkPlan,
    kind: SectionKind,
    bytes: &mut [u8],
) -> Result<(), RelocateError> {
    let section =
        object.section(kind).filter(|section| kind.is_mapped() && section.size == bytes.len() as u64);
    let section = section.ok_or(RelocateError::Size(kind))?;
    let (head, tail) = bytes.split_at_mut_checked(section.bytes.len()).ok_or(RelocateError::Size(kind))?;
    head.copy_from_slice(section.bytes);
    tail.fill(0);
    let start = layout.section(kind);
    for relocation in object.relocations(kind) {
        let at = start.plus(relocation.offset);
        let value = match relocation.target {
            Target::Section(of, offset) => Some(layout.section(of).plus(offset)),
            _ if relocation.kind.is_call() => plan.branch_at(at).map(|branch| branch.target(at)),
            Target::Import(index) => plan.imports.get(index).and_then(|import| import.slot),
            Target::Super(index) => plan.aliases.get(index).and_then(|own| own.slot),
        };
        let value = value.ok_or(RelocateError::NotPlanned(at))?;
        let offset = usize::try_from(relocation.offset).map_err(|_| RelocateError::Size(kind))?;
        let field = bytes.get_mut(offset..).ok_or(RelocateError::Size(kind))?;
        apply(relocation.kind, at.0, value.0, field).map_err(|error| RelocateError::Field(at, error))?;
    }
    Ok(())
}

/// Re-points the address-taken uses of a base image to their permanent slots.
///
/// Calls `write` with the address of each field, its relocation and the slot; `write` applies it
/// ([`aarch64_reloc::apply`]) to the bytes that will be mapped there.
pub fn relocate_base(
    object: &BaseObject<'_>,
    plan: &LinkPlan,
    mut write: impl FnMut(Va, RelocKind, Va) -> Result<(), RelocError>,
) -> Result<(), RelocateError> {
    for site in object.sites().filter(|site| !site.kind.is_call()) {
        let at = Va(site.at);
        let slot = plan.aliases.get(site.alias).and_then(|own| own.slot);
        let slot = slot.ok_or(RelocateError::NotPlanned(at))?;
        write(at, site.kind, slot).map_err(|error| RelocateError::Field(at, error))?;
    }
    Ok(())
}

impl LinkPlan {
    /// The branch that the image gets at a call site.
    #[must_use]
    pub fn branch_at(&self, at: Va) -> Option<Branch> {
        let index = self.sites.binary_search_by_key(&at, |new| new.site.at).ok()?;
        Some(self.sites[index].branch)
    }
}
