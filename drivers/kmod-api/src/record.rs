//! Makers of the records that the macros emit.
//!
//! The layouts are `kmod::records`'; addresses are typed function pointers here, and in the object file each becomes an
//! `ABS64` relocation. A name that is too long stops the build.

use kmod::records::{
    ALIAS_EXPORT, ALIAS_MAY_BLOCK, ALIAS_REFINE, ALIAS_STRONG, ALIAS_WEAK, API_VERSION, AliasRecord,
    FORMAT_VERSION, ImportRecord, MODULE_MAGIC, ModuleInfo, fnv1a, padded,
};

use crate::{CommandSet, ModuleClass};

/// What a record says of its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AliasKind {
    /// The default, slot 0 of the stack.
    Weak = ALIAS_WEAK,
    /// A full replacement of a stub, slot 1.
    Strong = ALIAS_STRONG,
    /// A layer above what it refines.
    Refine = ALIAS_REFINE,
    /// Bound at link time and not overridable.
    Export = ALIAS_EXPORT,
}

/// Calls through the symbol may block.
pub const MAY_BLOCK: u8 = ALIAS_MAY_BLOCK;

/// One alias: `implementation` answers to `name`.
#[must_use]
pub const fn alias<F: Copy>(
    kind: AliasKind,
    flags: u8,
    name: &str,
    fingerprint: u64,
    fault_value: u64,
    implementation: F,
) -> AliasRecord<F> {
    AliasRecord {
        kind: kind as u8,
        flags,
        reserved: 0,
        position: 0,
        name_hash: fnv1a(name.as_bytes()),
        fingerprint,
        fault_value,
        implementation,
        name: padded(name),
    }
}

/// One symbol that the module calls and does not refine.
#[must_use]
pub const fn import(name: &str, fingerprint: u64) -> ImportRecord {
    ImportRecord { name_hash: fnv1a(name.as_bytes()), fingerprint, name: padded(name) }
}

/// What [`info`] takes.
#[derive(Clone, Copy, Debug)]
pub struct ModuleDescription<F> {
    /// The name as `modload` knows it.
    pub name: &'static str,
    /// What `modstat` shows as class.
    pub class: ModuleClass,
    /// The module's own version.
    pub version: u32,
    /// `MODULE_FIXUP_POLICY` or nothing.
    pub flags: u8,
    /// Frames of shared memory that the module asks for.
    pub shared_pages: u16,
    /// The commands that the module answers.
    pub commands: CommandSet,
    /// The command entry.
    pub entry: F,
}

/// The one record that says what the module is. Its build id stays zero until the post step hashes the file.
#[must_use]
pub const fn info<F: Copy>(description: ModuleDescription<F>) -> ModuleInfo<F> {
    ModuleInfo {
        magic: MODULE_MAGIC,
        format: FORMAT_VERSION,
        api: API_VERSION,
        class: description.class as u8,
        flags: description.flags,
        shared_pages: description.shared_pages,
        version: description.version,
        commands: description.commands.bits(),
        entry: description.entry,
        reserved: 0,
        build_id: 0,
        name: padded(description.name),
        reserved_tail: [0; 16],
    }
}
