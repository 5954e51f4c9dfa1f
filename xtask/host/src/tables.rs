//! Log tables: from a stream's raw defmt frame to a line of text.
//!
//! Each image has its own string table, starting at index 1; the stream number says which. A module writes on the
//! stream of its link domain with indices raised by a base that the linker server chose, so the table of such a
//! stream is rebuilt from the symbols of the base image and of each loaded module at its base.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use defmt_decoder::{DecodeError, Table};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use strata_protocol::streams;

/// What a line contains whose string no table has.
pub const NOT_DECODED: &str = "(not decoded: ";

/// The tables of all streams of a run.
pub struct Tables {
    directories: Vec<PathBuf>,
    streams: BTreeMap<u16, Stream>,
}

struct Stream {
    /// Table symbols of the stream's own image: name and index.
    own: Vec<(String, u64)>,
    /// Those of each loaded module, by index base.
    modules: BTreeMap<u32, Module>,
    table: Option<Table>,
}

/// A loaded module's name and table symbols; indices count from the module's base.
struct Module {
    name: String,
    symbols: Vec<(String, u64)>,
}

impl Tables {
    /// Tables of the images in `directory`: `NAME` for a server or base image, `NAME.kmod` for a module, unstripped of
    /// their `.defmt` symbols.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self::search(vec![directory.to_owned()])
    }

    /// The same with several folders; the first that has a file wins.
    #[must_use]
    pub fn search(directories: Vec<PathBuf>) -> Self {
        Self { directories, streams: BTreeMap::new() }
    }

    fn find(&self, file: &str) -> PathBuf {
        let mut paths = self.directories.iter().map(|directory| directory.join(file));
        paths.find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(file))
    }

    /// The line that a frame stands for. A frame that cannot be decoded becomes a line that says so.
    pub fn line(&mut self, stream: u16, bytes: &[u8]) -> String {
        let text = match self.decode(stream, bytes) {
            Ok(text) => text,
            Err(why) => format!("{NOT_DECODED}{why}) {bytes:02x?}"),
        };
        format!("[{}] {text}", self.writer(stream, bytes))
    }

    /// Whose string a frame begins with: the module's that has the index, or the image's of the stream.
    fn writer(&self, stream: u16, bytes: &[u8]) -> &str {
        let module = bytes.first_chunk().and_then(|index| {
            let index = u32::from(u16::from_le_bytes(*index));
            let (base, module) = self.streams.get(&stream)?.modules.range(..=index).next_back()?;
            let has = module.symbols.iter().any(|(_, own)| *own == u64::from(index - base));
            has.then_some(module.name.as_str())
        });
        module.or_else(|| streams::image_of(stream)).unwrap_or("?")
    }

    /// A module's strings are in use from now on.
    pub fn module_loaded(&mut self, stream: u16, name: &str, index_base: u32) -> Result<()> {
        let symbols = read_symbols(&self.find(&format!("{name}.kmod")))?;
        let entry = self.stream(stream)?;
        entry.modules.insert(index_base, Module { name: name.to_owned(), symbols });
        entry.table = None;
        Ok(())
    }

    /// A module's strings are no longer written. They stay known until the index base is used again, because a ring
    /// may still hold frames.
    pub fn module_unloaded(&mut self, _stream: u16, _index_base: u32) {}

    fn decode(&mut self, stream: u16, bytes: &[u8]) -> Result<String> {
        let entry = self.stream(stream)?;
        if entry.table.is_none() {
            entry.table = Some(merged(&entry.own, &entry.modules)?);
        }
        let table = entry.table.as_ref().context("no table")?;
        match table.decode(bytes) {
            Ok((frame, _)) => Ok(frame.display(false).to_string()),
            Err(DecodeError::UnexpectedEof) => anyhow::bail!("the frame is cut off"),
            Err(DecodeError::Malformed) => anyhow::bail!("no such string in the table"),
        }
    }

    fn stream(&mut self, stream: u16) -> Result<&mut Stream> {
        if !self.streams.contains_key(&stream) {
            let name = streams::image_of(stream).with_context(|| format!("stream {stream} has no image"))?;
            let own = read_symbols(&self.find(name))?;
            self.streams.insert(stream, Stream { own, modules: BTreeMap::new(), table: None });
        }
        self.streams.get_mut(&stream).context("just inserted")
    }
}

/// The symbols of an image's `.defmt` section: format strings and their indices.
fn read_symbols(path: &Path) -> Result<Vec<(String, u64)>> {
    let bytes =
        std::fs::read(path).with_context(|| format!("cannot read the log table of {}", path.display()))?;
    let file = object::File::parse(&*bytes)?;
    let sections: Vec<_> = file
        .sections()
        .filter(|section| section.name().is_ok_and(|name| name == ".defmt" || name.starts_with(".defmt.")))
        .map(|section| section.index())
        .collect();
    let symbols =
        file.symbols().filter(|symbol| symbol.section_index().is_some_and(|index| sections.contains(&index)));
    Ok(symbols
        .filter_map(|symbol| symbol.name().ok().map(|name| (name.to_owned(), symbol.address())))
        .filter(|(name, _)| name.starts_with('{'))
        .collect())
}

/// A table of an image's own symbols and each module's, raised by its base.
///
/// The decoder reads ELF files only, so an object file with these symbols is written in memory.
fn merged(own: &[(String, u64)], modules: &BTreeMap<u32, Module>) -> Result<Table> {
    let mut object = object::write::Object::new(
        object::BinaryFormat::Elf,
        object::Architecture::Aarch64,
        object::Endianness::Little,
    );
    let section = object.add_section(Vec::new(), b".defmt".to_vec(), SectionKind::Data);
    object.append_section_data(section, &[0; 1 << 16], 1);
    let mut add = |name: &str, value: u64, section| {
        object.add_symbol(object::write::Symbol {
            name: name.as_bytes().to_vec(),
            value,
            size: 1,
            kind: SymbolKind::Data,
            scope: SymbolScope::Linkage,
            weak: false,
            section,
            flags: SymbolFlags::None,
        });
    };
    let in_section = object::write::SymbolSection::Section(section);
    let raised = modules.iter().flat_map(|(base, module)| {
        module.symbols.iter().map(move |(name, index)| (name, index + u64::from(*base)))
    });
    for (name, index) in own.iter().map(|(name, index)| (name, *index)).chain(raised) {
        add(name, index, in_section);
    }
    add(
        &format!("_defmt_version_ = {}", defmt_decoder::DEFMT_VERSIONS.last().context("no version")?),
        0,
        object::write::SymbolSection::Absolute,
    );
    add("_defmt_encoding_ = raw", 0, object::write::SymbolSection::Absolute);
    Table::parse(&object.write()?)?.context("an image without log strings")
}
