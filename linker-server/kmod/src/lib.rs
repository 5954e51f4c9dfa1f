//! The .kmod format: the records and the parser.
//!
//! ```text
//!  bytes ─ Object::open ──────► Object<'_>       a module: sections, aliases, imports, symbols       ParseError
//!  Object ─ relocations ──────► Relocation …     each checked as it is read                          ParseError
//!  bytes ─ BaseObject::parse ─► BaseObject<'_>   a base image: segments, aliases, call sites         BaseError
//! ```
//!
//! Reading order: [`records`] (what modules emit), [`object`] (what a module offers), `error` (the rules, one error
//! each), `check`, `sections`, `symbols` and `relocations` (how they are enforced), [`base`] (the same for base
//! images), `elf` (bytes to headers).
//!
//! **Parsing is total**: any bytes give a value or an error; nothing is copied, nothing is allocated, the work is
//! bounded by the constants below. An object proves that every rule of `docs/kmod-format.md` holds for these bytes,
//! so what it hands out afterwards cannot fail; only relocations, of which there are many, are checked as they are
//! read. Signatures are checked elsewhere, before anything is parsed.
#![no_std]
#![forbid(unsafe_code)]

pub mod base;
mod base_error;
mod by_hash;
mod check;
mod elf;
mod error;
pub mod object;
pub mod records;
mod relocations;
mod sections;
mod symbols;

pub use base::BaseObject;
pub use base_error::BaseError;
pub use elf::ElfError;
pub use error::ParseError;
pub use object::{Alias, AliasKind, Import, Info, ModuleClass, Object, Section, SectionKind};
pub use relocations::{Relocation, Target};

/// Bytes of an image file.
pub const FILE_SIZE_MAX: usize = 8 << 20;

/// Sections of an image file, the null section included.
pub const SECTIONS_MAX: usize = 64;

/// Entries of a symbol table, the null symbol included.
pub const SYMBOLS_MAX: usize = 8 << 10;

/// Bytes of the name of a section or symbol. Log strings are names of symbols, so this is more than records allow.
pub const NAME_SIZE_MAX: usize = 4 << 10;

/// Relocations of one section.
pub const RELOCATIONS_MAX: usize = 32 << 10;

/// Alias records of one module or base image.
pub const ALIASES_MAX: usize = 128;

/// Import records of one module.
pub const IMPORTS_MAX: usize = 128;

/// Size of one section in memory.
pub const SECTION_SIZE_MAX: u64 = 4 << 20;

/// Alignment of a section: one page.
pub const ALIGNMENT_MAX: u64 = 4096;

/// Shared pages of one module.
pub const SHARED_PAGES_MAX: u16 = 256;

/// Loadable segments of a base image.
pub const SEGMENTS_MAX: usize = 8;

/// Driver servers of a base image.
pub const SERVERS_MAX: usize = 16;

/// Fix-up records of a base image.
pub const FIXUPS_MAX: usize = 512;
