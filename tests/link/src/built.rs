//! Images as the build makes them, with their unwind tables, as the unwinder sees them.

use kmod::base::Permission;
use kmod::{BaseObject, Object, SectionKind};
use linker_core::{Va, Window, layout, relocate_tables, tables_size};
use linker_unwind::tables::Entry;
use linker_unwind::{Code, Place, Tables};
use std::path::{Path, PathBuf};

/// The folder of built images; none where nobody has named it.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("STRATA_MODULES").map(PathBuf::from);
    if folder.is_none() {
        println!("STRATA_MODULES is not set: no built images to look at");
    }
    folder
}

/// Text with its tables, at its address.
pub struct Built {
    /// The image's name.
    pub name: String,
    /// Where its text begins.
    pub text_at: u64,
    text: Vec<u8>,
    frames_at: u64,
    frames: Vec<u8>,
    index: Vec<Entry>,
    functions: Vec<(u64, u64, String)>,
}

impl Built {
    /// Reads a `.kmod`, or a base image, which lies where it was linked; `at` is for a module.
    #[must_use]
    pub fn read(path: &Path, at: u64) -> Self {
        let file = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if path.extension().is_some_and(|extension| extension == "kmod") {
            Self::module(&file, at)
        } else {
            Self::base(&file)
        }
    }

    fn module(file: &[u8], at: u64) -> Self {
        let object = Object::parse(file).unwrap();
        let window = Window { start: Va(at), size: 1 << 24, log_index: 0 };
        let layout = layout(&object, window).unwrap();
        let frames_at = at + layout.size();
        let mut bytes = vec![0; usize::try_from(tables_size(&object)).unwrap()];
        let (size, count) = relocate_tables(&object, &layout, Va(frames_at), &mut bytes).unwrap();
        let (index, _) = bytes[size.next_multiple_of(8)..].as_chunks();
        let text_at = layout.section(SectionKind::Text).0;
        let text = object.section(SectionKind::Text).map_or(&[][..], |section| section.bytes);
        let name = |offset| object.function_at(offset).map_or("?", |(name, _)| name).to_owned();
        let functions = (0..text.len() as u64).step_by(4).filter_map(|offset| {
            let (_, into) = object.function_at(offset)?;
            (into == 0).then(|| (text_at + offset, 0, name(offset)))
        });
        Self {
            name: object.info().name.to_owned(),
            text_at,
            text: text.to_vec(),
            frames_at,
            frames: bytes[..size].to_vec(),
            index: index[..count].to_vec(),
            functions: functions.collect(),
        }
    }

    fn base(file: &[u8]) -> Self {
        let base = BaseObject::parse(file).unwrap();
        let segment = base.segments().find(|segment| segment.permission == Permission::ReadExecute).unwrap();
        let (frames_at, frames) = base.section(".eh_frame").unwrap();
        let header = base.section(".eh_frame_hdr").unwrap();
        // The index that the linker of the base image has made must be the one that we would make.
        let mut index = vec![[0; 8]; Tables::count(frames)];
        let count = Tables::index(frames_at, frames, &mut index);
        index.truncate(count);
        let ours: Vec<u64> = Tables::with_index(frames_at, frames, &index)
            .functions()
            .map(|function| function.start)
            .collect();
        let theirs = Tables::with_header((frames_at, frames), header).unwrap();
        assert_eq!(ours, theirs.functions().map(|function| function.start).collect::<Vec<_>>());
        let starts = (0..segment.bytes.len() as u64).step_by(4).map(|offset| segment.address + offset);
        let functions = starts.filter_map(|at| {
            let (name, into) = base.function_at(at)?;
            (into == 0).then(|| (at, 0, name.to_owned()))
        });
        Self {
            name: base.base().name.to_owned(),
            text_at: segment.address,
            text: segment.bytes.to_vec(),
            frames_at,
            frames: frames.to_vec(),
            index,
            functions: functions.collect(),
        }
    }

    /// Its unwind tables.
    #[must_use]
    pub fn tables(&self) -> Tables<'_> {
        Tables::with_index(self.frames_at, &self.frames, &self.index)
    }

    /// Whether an address is in its text.
    #[must_use]
    pub fn contains(&self, at: u64) -> bool {
        at >= self.text_at && at - self.text_at < self.text.len() as u64
    }

    /// The name of the function that an address lies in.
    #[must_use]
    pub fn function_name(&self, at: u64) -> &str {
        let after = self.functions.partition_point(|(start, ..)| *start <= at);
        after.checked_sub(1).map_or("?", |index| &self.functions[index].2)
    }

    /// Every function that the symbol table names, by address.
    pub fn functions(&self) -> impl Iterator<Item = (u64, &str)> {
        self.functions.iter().map(|(at, _, name)| (*at, name.as_str()))
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
