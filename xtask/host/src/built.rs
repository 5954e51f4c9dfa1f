//! Images as the build makes them, with their unwind tables, as the unwinder sees them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use kmod::base::Permission;
use kmod::{BaseObject, Object, SectionKind};
use linker_core::{Va, Window, layout, relocate_tables, tables_size};
use linker_unwind::tables::Entry;
use linker_unwind::{Code, Place, Tables};

/// Text with its tables, at its address.
#[derive(Debug)]
pub struct Built {
    /// The image's name.
    pub name: String,
    /// Where its text begins.
    pub text_at: u64,
    text: Vec<u8>,
    frames_at: u64,
    frames: Vec<u8>,
    index: Vec<Entry>,
    functions: Vec<(u64, String)>,
    relocated: BTreeSet<u64>,
}

impl Built {
    /// Reads a `.kmod`, or a base image, which lies where it was linked; `at` is for a module.
    pub fn read(path: &Path, at: u64) -> Result<Self> {
        let file = std::fs::read(path).with_context(|| path.display().to_string())?;
        let is_module = path.extension().is_some_and(|extension| extension == "kmod");
        let built = if is_module { Self::module(&file, at) } else { Self::base(&file) };
        built.with_context(|| path.display().to_string())
    }

    /// A module at an address.
    pub fn module(file: &[u8], at: u64) -> Result<Self> {
        let object = Object::parse(file).map_err(|error| anyhow!("{error:?}"))?;
        let window = Window { start: Va(at), size: 1 << 24, log_index: 0 };
        let layout = layout(&object, window).map_err(|error| anyhow!("{error:?}"))?;
        let frames_at = at + layout.size();
        let mut bytes = vec![0; usize::try_from(tables_size(&object))?];
        let (size, count) = relocate_tables(&object, &layout, Va(frames_at), &mut bytes)
            .map_err(|error| anyhow!("{error:?}"))?;
        let (frames, rest) = bytes.split_at(size.next_multiple_of(8));
        let (index, _) = rest.as_chunks();
        let text_at = layout.section(SectionKind::Text).0;
        let text = object.section(SectionKind::Text).map_or(&[][..], |section| section.bytes);
        let functions = (0..text.len() as u64).step_by(4).filter_map(|offset| {
            let (name, into) = object.function_at(offset)?;
            (into == 0).then(|| (text_at + offset, name.to_owned()))
        });
        Ok(Self {
            name: object.info().name.to_owned(),
            text_at,
            text: text.to_vec(),
            frames_at,
            frames: frames[..size].to_vec(),
            index: index[..count].to_vec(),
            functions: functions.collect(),
            relocated: object
                .relocations(SectionKind::Text)
                .flatten()
                .map(|relocation| relocation.offset & !3)
                .collect(),
        })
    }

    fn base(file: &[u8]) -> Result<Self> {
        let base = BaseObject::parse(file).map_err(|error| anyhow!("{error:?}"))?;
        let text = base.segments().find(|segment| segment.permission == Permission::ReadExecute);
        let text = text.context("no text")?;
        let (frames_at, frames) = base.section(".eh_frame").context("no .eh_frame")?;
        let header = base.section(".eh_frame_hdr").context("no .eh_frame_hdr")?;
        // The index that the linker of the base image has made must be the one that we would make.
        let mut index = vec![[0; 8]; Tables::count(frames)];
        index.truncate(Tables::index(frames_at, frames, &mut index.clone()));
        Tables::index(frames_at, frames, &mut index);
        let starts =
            |tables: Tables<'_>| tables.functions().map(|function| function.start).collect::<Vec<_>>();
        let theirs = Tables::with_header((frames_at, frames), header).context("another form of header")?;
        let ours = Tables::with_index(frames_at, frames, &index);
        ensure!(starts(ours) == starts(theirs), "the index is not the linker's");
        let functions = (0..text.bytes.len() as u64).step_by(4).filter_map(|offset| {
            let (name, into) = base.function_at(text.address + offset)?;
            (into == 0).then(|| (text.address + offset, name.to_owned()))
        });
        Ok(Self {
            name: base.base().name.to_owned(),
            text_at: text.address,
            text: text.bytes.to_vec(),
            frames_at,
            frames: frames.to_vec(),
            functions: functions.collect(),
            index,
            relocated: BTreeSet::new(),
        })
    }

    /// Its unwind tables.
    #[must_use]
    pub fn tables(&self) -> Tables<'_> {
        Tables::with_index(self.frames_at, &self.frames, &self.index)
    }

    /// Bytes of its text.
    #[must_use]
    pub fn text_size(&self) -> u64 {
        self.text.len() as u64
    }

    /// Whether an address is in its text.
    #[must_use]
    pub fn contains(&self, at: u64) -> bool {
        at >= self.text_at && at - self.text_at < self.text_size()
    }

    /// The instruction at an offset of its text, if it does not depend on where the image lies.
    #[must_use]
    pub fn fixed(&self, offset: u64) -> Option<u32> {
        if self.relocated.contains(&offset) { None } else { self.instruction(self.text_at + offset) }
    }

    /// The name of the function that an address lies in.
    #[must_use]
    pub fn function_name(&self, at: u64) -> &str {
        let after = self.functions.partition_point(|(start, _)| *start <= at);
        after.checked_sub(1).map_or("?", |index| &self.functions[index].1)
    }

    /// Every function that the symbol table names, by address.
    pub fn functions(&self) -> impl Iterator<Item = (u64, &str)> {
        self.functions.iter().map(|(at, name)| (*at, name.as_str()))
    }
}

impl Code for Built {
    fn place(&self, at: u64) -> Place<'_> {
        if self.contains(at) { Place::Tabled(self.tables()) } else { Place::Nowhere }
    }

    fn instruction(&self, at: u64) -> Option<u32> {
        let offset = usize::try_from(at.checked_sub(self.text_at)?).ok()?;
        Some(u32::from_le_bytes(self.text.get(offset..offset + 4)?.try_into().ok()?))
    }
}
