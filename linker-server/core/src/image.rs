//! What planning wants to know, read from parsed images.

use aarch64_reloc::{RelocError, RelocKind};
use kmod::base::Permission;
use kmod::{BaseObject, ModuleClass, Object, SectionKind};

use crate::alias::AliasKind;
use crate::branch::Va;
use crate::layout::Layout;
use crate::load::{AliasFacts, ImportFacts, ModuleFacts, Reference, ReferenceKind, Referent, Source};
use crate::name::Name;
use crate::plan::PlanError;
use crate::relocate::relocate;

const FITS: &str = "the parser bounds names";

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect(FITS)
}

impl From<RelocKind> for ReferenceKind {
    fn from(kind: RelocKind) -> Self {
        match kind {
            RelocKind::Call26 => Self::Call,
            RelocKind::Jump26 => Self::Jump,
            _ => Self::Address,
        }
    }
}

fn alias_facts(alias: &kmod::Alias<'_>, target: Va) -> AliasFacts {
    AliasFacts {
        symbol: name(alias.name),
        kind: match alias.kind {
            kmod::AliasKind::Weak => AliasKind::Weak,
            kmod::AliasKind::Strong => AliasKind::Strong,
            kmod::AliasKind::Refine => AliasKind::Refine,
            kmod::AliasKind::Export => AliasKind::Export,
        },
        may_block: alias.may_block,
        // The format keeps the field at 0 so far: load order.
        position: 0,
        fingerprint: alias.fingerprint,
        fault_value: alias.fault_value,
        target,
    }
}

/// A module that has been laid out.
pub struct ObjectSource<'a, 'b> {
    /// The module.
    pub object: &'b Object<'a>,
    /// Where it goes.
    pub layout: &'b Layout,
    /// Its linked bytes: see [`relocate()`].
    pub bytes: &'b mut [u8],
}

impl Source for ObjectSource<'_, '_> {
    fn facts(&self) -> ModuleFacts {
        let info = self.object.info();
        ModuleFacts {
            name: name(info.name),
            class: match info.class {
                ModuleClass::Misc => 1,
                ModuleClass::Bus => 2,
                ModuleClass::Driver => 3,
            },
            flags: info.flags,
            shared_pages: info.shared_pages,
            version: info.version,
            commands: info.commands,
            build_id: info.build_id,
            entry: self.layout.section(SectionKind::Text).plus(info.entry),
            start: self.layout.text.start,
            size: self.layout.size(),
            text_start: self.layout.section(SectionKind::Text),
            text_size: self.layout.text_bytes,
            unwind_tables: self.object.section(SectionKind::EhFrame).is_some_and(|section| section.size > 0),
        }
    }

    fn alias(&self, index: usize) -> Option<AliasFacts> {
        let alias = self.object.alias(index)?;
        Some(alias_facts(&alias, self.layout.section(SectionKind::Text).plus(alias.implementation)))
    }

    fn import(&self, index: usize) -> Option<ImportFacts> {
        let import = self.object.import(index)?;
        Some(ImportFacts { symbol: name(import.name), fingerprint: import.fingerprint })
    }

    fn link(&mut self, each: &mut dyn FnMut(Reference) -> Result<Va, PlanError>) -> Result<(), PlanError> {
        relocate(self.object, self.layout, self.bytes, each)
    }
}

/// A base image: it lies where it was linked.
pub struct BaseSource<'a, 'b, W> {
    /// The base image.
    pub object: &'b BaseObject<'a>,
    /// Applies a relocation to the bytes that will be mapped at an address ([`aarch64_reloc::apply`]): where the image
    /// takes the address of a symbol, it gets that of the permanent slot.
    pub write: W,
}

impl<W: FnMut(Va, RelocKind, Va) -> Result<(), RelocError>> Source for BaseSource<'_, '_, W> {
    fn facts(&self) -> ModuleFacts {
        let base = self.object.base();
        let start = self.object.segments().map(|segment| segment.address).min().unwrap_or(0);
        let end = self.object.segments().map(|segment| segment.address + segment.size).max().unwrap_or(0);
        let text = || self.object.segments().filter(|segment| segment.permission == Permission::ReadExecute);
        let text_start = text().map(|segment| segment.address).min().unwrap_or(0);
        let text_end = text().map(|segment| segment.address + segment.size).max().unwrap_or(0);
        ModuleFacts {
            name: name(base.name),
            class: 1,
            version: base.version,
            build_id: base.build_id,
            start: Va(start),
            size: end - start,
            text_start: Va(text_start),
            text_size: text_end - text_start,
            unwind_tables: true,
            ..ModuleFacts::EMPTY
        }
    }

    fn alias(&self, index: usize) -> Option<AliasFacts> {
        let alias = self.object.alias(index)?;
        Some(alias_facts(&alias, Va(alias.implementation)))
    }

    fn import(&self, _index: usize) -> Option<ImportFacts> {
        None
    }

    fn link(&mut self, each: &mut dyn FnMut(Reference) -> Result<Va, PlanError>) -> Result<(), PlanError> {
        for site in self.object.sites() {
            let at = Va(site.at);
            let value = each(Reference { at, referent: Referent::Own(site.alias), kind: site.kind.into() })?;
            // Calls go to the defaults already: the format says so.
            if !site.kind.is_call() {
                (self.write)(at, site.kind, value).map_err(|error| PlanError::Field(at, error))?;
            }
        }
        Ok(())
    }
}
