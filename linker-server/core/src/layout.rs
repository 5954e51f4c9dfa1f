//! Layout: which section of a module goes to which address.
//!
//! ```text
//!  window ─► text (RX) │ rodata (R) │ data, bss (RW XN)      each part begins on a page
//! ```

use kmod::{Object, SectionKind};

use crate::branch::Va;
use crate::errno::Errno;

/// The granule of permissions.
pub const PAGE_SIZE: u64 = 4096;

/// One more than the greatest log index that a module may use: the base image's log format keeps the last ones.
pub const LOG_INDEX_END: u64 = 65_534;

/// Where a module may be laid out.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The first address; on a page.
    pub start: Va,
    /// Bytes.
    pub size: u64,
    /// The first log index: the "address" of the section of log strings, which is not loaded.
    pub log_index: u64,
}

/// Pages of one permission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The first page.
    pub start: Va,
    /// Bytes: whole pages, or 0.
    pub size: u64,
}

/// Where everything of a module goes.
///
/// Holding one proves that the parts lie in the window, in order, without overlap, each on pages of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    sections: [Va; SectionKind::COUNT],
    /// Mapped read-execute.
    pub text: Extent,
    /// Mapped read-only, execute-never.
    pub rodata: Extent,
    /// Data and zeros, mapped read-write, execute-never.
    pub data: Extent,
    /// Bytes of the text section itself.
    pub text_bytes: u64,
    /// Log indices in use from the window's first.
    pub log_indices: u64,
}

/// Why a module was not laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The window does not begin on a page, or wraps.
    Window(Va),
    /// The module needs this many bytes and the window has fewer.
    TooLarge(u64),
    /// There are not enough log indices left.
    LogIndices(u64),
}

impl LayoutError {
    /// The errno-like word of the error.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::Window(_) => Errno::EINVAL,
            Self::TooLarge(_) => Errno::ENOMEM,
            Self::LogIndices(_) => Errno::ENOSPC,
        }
    }
}

impl Layout {
    /// The address of a section; for log strings, the first index.
    #[must_use]
    pub const fn section(&self, kind: SectionKind) -> Va {
        self.sections[kind.index()]
    }

    /// Bytes of all pages.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.text.size + self.rodata.size + self.data.size
    }
}

/// Bytes of all pages that a module takes, before it is known where.
#[must_use]
pub fn extent(object: &Object<'_>) -> u64 {
    let anywhere = Window { start: Va(0), size: u64::MAX, log_index: 0 };
    // Section sizes are bounded by the parser, so that this window is large enough for any object.
    layout(object, anywhere).map_or(u64::MAX, |layout| layout.size())
}

/// Lays a module out at the start of a window.
pub fn layout(object: &Object<'_>, window: Window) -> Result<Layout, LayoutError> {
    if !window.start.0.is_multiple_of(PAGE_SIZE) || window.start.0.checked_add(window.size).is_none() {
        return Err(LayoutError::Window(window.start));
    }
    let mut sections = [Va(0); SectionKind::COUNT];
    let mut next = window.start.0;
    let mut place = |kinds: &[SectionKind]| {
        let start = next;
        for kind in kinds {
            let Some(section) = object.section(*kind) else { continue };
            let at = next.next_multiple_of(section.align.max(1));
            sections[kind.index()] = Va(at);
            next = at + section.size;
        }
        next = next.next_multiple_of(PAGE_SIZE);
        Extent { start: Va(start), size: next - start }
    };
    let text = place(&[SectionKind::Text]);
    let rodata = place(&[SectionKind::Rodata]);
    let data = place(&[SectionKind::Data, SectionKind::Bss]);
    let size = next - window.start.0;
    if size > window.size {
        return Err(LayoutError::TooLarge(size));
    }
    let log_indices = object.section(SectionKind::Defmt).map_or(0, |section| section.size);
    sections[SectionKind::Defmt.index()] = Va(window.log_index);
    let log_end = window.log_index.checked_add(log_indices).filter(|end| *end <= LOG_INDEX_END);
    if log_indices != 0 && log_end.is_none() {
        return Err(LayoutError::LogIndices(log_indices));
    }
    let text_bytes = object.section(SectionKind::Text).map_or(0, |section| section.size);
    Ok(Layout { sections, text, rodata, data, text_bytes, log_indices })
}
