//! What planning wants to know, read from parsed images.

use aarch64_reloc::RelocKind;
use kmod::base::Permission;
use kmod::{BaseObject, ModuleClass, Object, SectionKind, Target};

use crate::alias::AliasKind;
use crate::branch::Va;
use crate::layout::Layout;
use crate::load::{AliasFacts, ImportFacts, ModuleFacts, Reference, ReferenceKind, Referent, Source};
use crate::name::Name;
use crate::plan::PlanError;

const FITS: &str = "the parser bounds names";

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect(FITS)
}

/// How a relocation uses a symbol.
pub(crate) const fn reference_kind(kind: RelocKind) -> ReferenceKind {
    match kind {
        RelocKind::Call26 => ReferenceKind::Call,
        RelocKind::Jump26 => ReferenceKind::Jump,
        _ => ReferenceKind::Address,
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

    fn references(&self, each: &mut dyn FnMut(Reference) -> Result<(), PlanError>) -> Result<(), PlanError> {
        for kind in SectionKind::ALL.into_iter().filter(|kind| kind.is_mapped()) {
            for relocation in self.object.relocations(kind) {
                let referent = match relocation.target {
                    Target::Section(..) => continue,
                    Target::Super(index) => Referent::Super(index),
                    Target::Import(index) => Referent::Import(index),
                };
                let at = self.layout.section(kind).plus(relocation.offset);
                each(Reference { at, referent, kind: reference_kind(relocation.kind) })?;
            }
        }
        Ok(())
    }
}

/// A base image: it lies where it was linked.
pub struct BaseSource<'a, 'b> {
    /// The base image.
    pub object: &'b BaseObject<'a>,
}

impl Source for BaseSource<'_, '_> {
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

    fn references(&self, each: &mut dyn FnMut(Reference) -> Result<(), PlanError>) -> Result<(), PlanError> {
        for site in self.object.sites() {
            let kind = reference_kind(site.kind);
            each(Reference { at: Va(site.at), referent: Referent::Own(site.alias), kind })?;
        }
        Ok(())
    }
}
