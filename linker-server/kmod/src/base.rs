//! A base image as its reader sees it: segments, aliases, and every place that uses an aliasable symbol.
//!
//! A base image is an ordinary executable (ET_EXEC), linked with `--emit-relocs` and stripped of debug data, but not
//! of symbols. Its records stand in sections of their own and hold addresses, not relocations. The relocations that
//! the linker kept are the list of call sites: `CALL26` and `JUMP26` against the name of a weak alias is a site that
//! is patched, any other type means that the symbol's address is taken there.

use aarch64_reloc::{Branch, RelocKind};
use core::mem::offset_of;

use crate::base_error::BaseError;
use crate::elf::{
    ET_EXEC, Elf, ElfError, Fields, RelaEntry, SHF_ALLOC, SHT_NOBITS, SHT_PROGBITS, STT_FUNC, SectionHeader,
    SegmentHeader,
};
use crate::object::{Alias, AliasKind, decode_alias, word};
use crate::records::{
    ALIAS_MAY_BLOCK, ALIAS_SECTION, ALIAS_SIZE, API_VERSION, AliasRecord, BASE_MAGIC, BASE_SECTION,
    BASE_SIZE, BaseInfo, FIXUP_SIZE, FORMAT_VERSION, FixupRecord, MODULE_NAME_SIZE, SERVER_MEMORY,
    SERVER_NAME_SIZE, SERVER_SECTION, SERVER_SIZE, SUPER_PREFIX, SYMBOL_NAME_SIZE, ServerRecord, fnv1a,
    unpadded,
};
use crate::{ALIASES_MAX, FIXUPS_MAX, RELOCATIONS_MAX, SECTION_SIZE_MAX, SEGMENTS_MAX, SERVERS_MAX};

/// What the pages of a segment may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Text.
    ReadExecute,
    /// Constants.
    ReadOnly,
    /// Data, execute-never.
    ReadWrite,
}

/// A loadable segment of a base image.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Where it is mapped; not necessarily at the start of a page.
    pub address: u64,
    /// Its size in memory: the bytes, then zeros.
    pub size: u64,
    /// Its bytes in the file.
    pub bytes: &'a [u8],
    /// How it is mapped.
    pub permission: Permission,
}

impl Segment<'_> {
    /// Whether an address lies in the segment.
    #[must_use]
    pub const fn contains(&self, address: u64) -> bool {
        address >= self.address && address - self.address < self.size
    }
}

/// The base image's own record, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base<'a> {
    /// The base image's name.
    pub name: &'a str,
    /// Its own version.
    pub version: u32,
    /// Identifies the build.
    pub build_id: u64,
    /// Where worker threads start.
    pub worker_entry: u64,
}

/// A driver server of the base image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where its thread starts.
    pub entry: u64,
    /// Physical address and size of its device's region, where it has one.
    pub device: Option<(u64, u64)>,
    /// Interrupt number of its device, where it has one.
    pub irq: Option<u32>,
    /// Whether it is given memory that its device reads and writes by itself.
    pub memory: bool,
}

/// A place that uses an aliasable symbol.
///
/// Where `kind` is a call, the word there is the `B` or `BL` that the kind names and goes to the alias's own function;
/// otherwise the address of the symbol is taken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Address of the word.
    pub at: u64,
    /// Index of the weak alias.
    pub alias: usize,
    /// How the symbol is used.
    pub kind: RelocKind,
}

/// A base image that obeys every rule of the format.
#[derive(Clone, Copy, Debug)]
pub struct BaseObject<'a> {
    elf: Elf<'a>,
    base: Base<'a>,
    aliases: &'a [[u8; ALIAS_SIZE]],
    servers: &'a [[u8; SERVER_SIZE]],
    fixups: &'a [[u8; FIXUP_SIZE]],
}

/// `BaseObject::parse` has refused every file in which a lookup could fail.
const CHECKED: &str = "parse has checked every record and relocation";

const PT_LOAD: u32 = 1;
const PT_TLS: u32 = 7;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;
const PAGE_SIZE: u64 = 4096;

impl<'a> BaseObject<'a> {
    /// Checks a base image.
    ///
    /// # Errors
    /// [`BaseError`]: the first rule that does not hold, and where.
    pub fn parse(file: &'a [u8]) -> Result<Self, BaseError> {
        let elf = Elf::parse(file, ET_EXEC)?;
        check_segments(&elf)?;
        let base = Base { name: "", version: 0, build_id: 0, worker_entry: 0 };
        let mut object = Self { elf, base, aliases: &[], servers: &[], fixups: &[] };
        object.aliases = object.records(ALIAS_SECTION)?;
        object.servers = object.records(SERVER_SECTION)?;
        object.read_info()?;
        object.check_aliases()?;
        object.check_servers()?;
        object.check_sites()?;
        Ok(object)
    }

    /// The base image's own record.
    #[must_use]
    pub const fn base(&self) -> Base<'a> {
        self.base
    }

    /// The loadable segments, by ascending address; no two share a page.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> {
        let elf = self.elf;
        elf.segments().filter(|header| header.kind == PT_LOAD).map(move |header| Segment {
            address: header.address,
            size: header.memory_size,
            bytes: elf.segment_contents(header).expect(CHECKED),
            permission: permission(header).expect(CHECKED),
        })
    }

    /// How many alias records there are.
    #[must_use]
    pub const fn alias_count(&self) -> usize {
        self.aliases.len()
    }

    /// The alias record with this index; its implementation is an address.
    #[must_use]
    pub fn alias(&self, index: usize) -> Option<Alias<'a>> {
        let bytes = self.aliases.get(index)?;
        Some(self.read_alias(index, bytes).expect(CHECKED))
    }

    /// The alias records, weak and export, in the order of the file.
    pub fn aliases(&self) -> impl ExactSizeIterator<Item = Alias<'a>> {
        (0..self.aliases.len()).map(|index| self.alias(index).expect(CHECKED))
    }

    /// The driver servers, in the order of the file.
    pub fn servers(&self) -> impl ExactSizeIterator<Item = Server<'a>> {
        self.servers.iter().map(|bytes| self.read_server(0, bytes).expect(CHECKED))
    }

    /// The fix-up records, in the order of the file.
    pub fn fixups(&self) -> impl ExactSizeIterator<Item = FixupRecord> {
        self.fixups.iter().map(decode_fixup)
    }

    /// Where to go on when the access at `pc` faults.
    #[must_use]
    pub fn fixup(&self, pc: u64) -> Option<u64> {
        self.fixups().find(|record| record.pc == pc).map(|record| record.fixup)
    }

    /// Every place that uses the symbol of a weak alias, section by section.
    pub fn sites(&self) -> impl Iterator<Item = Site> {
        (1..self.elf.section_count())
            .flat_map(|section| self.sites_of(section))
            .filter_map(|site| site.expect(CHECKED))
    }

    /// Whether an address is that of an instruction of the base image.
    #[must_use]
    pub fn is_text(&self, address: u64) -> bool {
        let inside =
            |segment: Segment<'_>| segment.permission == Permission::ReadExecute && segment.contains(address);
        address.is_multiple_of(4) && self.segments().any(inside)
    }

    /// Bytes of the image at an address, before anything is patched; `None` where they are not all in the file's part
    /// of one segment.
    #[must_use]
    pub fn bytes(&self, address: u64, size: usize) -> Option<&'a [u8]> {
        self.segments().find_map(|segment| {
            let start = usize::try_from(address.checked_sub(segment.address)?).ok()?;
            segment.bytes.get(start..start.checked_add(size)?)
        })
    }

    /// Address and bytes of a loaded section: `.eh_frame`, `.eh_frame_hdr`.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<(u64, &'a [u8])> {
        let (_, header) = self.find(name).ok()??;
        Some((header.address, self.elf.contents(header)?))
    }

    /// One more than the highest log index of the base image: the end of `.defmt`, which is laid out from 0, is not
    /// loaded, and has one byte for each string. 0 without such a section.
    #[must_use]
    pub fn log_index_end(&self) -> u64 {
        let sections = (1..self.elf.section_count()).filter_map(|index| self.elf.section(index));
        let defmt = sections.filter(|header| self.elf.section_name(*header) == Some(b".defmt"));
        defmt.map(|header| header.address.saturating_add(header.size)).max().unwrap_or(0)
    }

    /// The function that holds an address, and how far into it the address lies, where the symbol table has it. For
    /// people; the linker decides nothing by it.
    #[must_use]
    pub fn function_at(&self, address: u64) -> Option<(&'a str, u64)> {
        (1..self.elf.symbol_count()).filter_map(|index| self.elf.symbol(index)).find_map(|symbol| {
            let into = address.checked_sub(symbol.value)?;
            let name =
                self.elf.symbol_name(symbol).filter(|_| symbol.kind() == STT_FUNC && into < symbol.size)?;
            Some((core::str::from_utf8(name).ok()?, into))
        })
    }

    /// The loaded section of this name and its index; an error where there are two.
    fn find(&self, name: &str) -> Result<Option<(usize, SectionHeader)>, BaseError> {
        let mut found = None;
        for index in 1..self.elf.section_count() {
            let header = self.elf.section(index).ok_or(ElfError::SectionTable)?;
            if self.elf.section_name(header) != Some(name.as_bytes()) {
                continue;
            }
            if found.is_some() {
                return Err(BaseError::DuplicateSection(index));
            }
            if header.kind != SHT_PROGBITS || header.flags & SHF_ALLOC == 0 {
                return Err(BaseError::RecordSection(index));
            }
            found = Some((index, header));
        }
        Ok(found)
    }

    fn records<const SIZE: usize>(&self, name: &str) -> Result<&'a [[u8; SIZE]], BaseError> {
        let Some((index, header)) = self.find(name)? else {
            return Ok(&[]);
        };
        let (records, rest) = self.elf.contents(header).unwrap_or_default().as_chunks();
        if rest.is_empty() { Ok(records) } else { Err(BaseError::RecordSection(index)) }
    }

    fn read_info(&mut self) -> Result<(), BaseError> {
        let [bytes] = self.records::<BASE_SIZE>(BASE_SECTION)? else {
            return Err(BaseError::Info);
        };
        let record = decode_info(bytes);
        if record.magic != BASE_MAGIC {
            return Err(BaseError::InfoMagic);
        }
        if record.format != FORMAT_VERSION {
            return Err(BaseError::InfoFormat(record.format));
        }
        if record.api != API_VERSION {
            return Err(BaseError::InfoApi(record.api));
        }
        if record.flags != 0 || record.reserved != 0 || record.reserved_tail != [0; 8] {
            return Err(BaseError::InfoReserved);
        }
        let field = bytes.get(offset_of!(BaseInfo, name)..).and_then(|tail| tail.get(..MODULE_NAME_SIZE));
        let name = field.and_then(unpadded).ok_or(BaseError::InfoName)?;
        if !self.is_text(record.worker_entry) {
            return Err(BaseError::WorkerEntry(record.worker_entry));
        }
        self.fixups = self.read_fixups(record.fixup_begin, record.fixup_end)?;
        let (version, build_id, worker_entry) = (record.version, record.build_id, record.worker_entry);
        self.base = Base { name, version, build_id, worker_entry };
        Ok(())
    }

    fn read_fixups(&self, begin: u64, end: u64) -> Result<&'a [[u8; FIXUP_SIZE]], BaseError> {
        let size = end.checked_sub(begin).and_then(|size| usize::try_from(size).ok());
        let size = size.ok_or(BaseError::FixupTable)?;
        if size == 0 {
            return Ok(&[]);
        }
        let bytes = self.bytes(begin, size).ok_or(BaseError::FixupTable)?;
        let (fixups, rest) = bytes.as_chunks();
        if !rest.is_empty() || fixups.len() > FIXUPS_MAX {
            return Err(BaseError::FixupTable);
        }
        for (index, bytes) in fixups.iter().enumerate() {
            let record = decode_fixup(bytes);
            if !self.is_text(record.pc) || !self.is_text(record.fixup) {
                return Err(BaseError::Fixup(index));
            }
        }
        Ok(fixups)
    }

    fn check_aliases(&self) -> Result<(), BaseError> {
        if self.aliases.len() > ALIASES_MAX {
            return Err(BaseError::TooManyAliases);
        }
        for (index, bytes) in self.aliases.iter().enumerate() {
            let alias = self.read_alias(index, bytes)?;
            let same = |other: &[u8; ALIAS_SIZE]| unpadded(&decode_alias(other).name) == Some(alias.name);
            if self.aliases.iter().take(index).any(same) {
                return Err(BaseError::DuplicateAlias(index));
            }
        }
        Ok(())
    }

    fn read_alias(&self, index: usize, bytes: &'a [u8; ALIAS_SIZE]) -> Result<Alias<'a>, BaseError> {
        let record = decode_alias(bytes);
        let kind = AliasKind::from_record(record.kind)
            .filter(|kind| matches!(kind, AliasKind::Weak | AliasKind::Export))
            .ok_or(BaseError::AliasKind(index))?;
        if record.flags & !ALIAS_MAY_BLOCK != 0 {
            return Err(BaseError::AliasFlags(index));
        }
        if record.reserved != 0 || record.position != 0 {
            return Err(BaseError::AliasReserved(index));
        }
        let name = bytes
            .last_chunk::<SYMBOL_NAME_SIZE>()
            .and_then(|field| unpadded(field))
            .filter(|name| !name.starts_with(SUPER_PREFIX))
            .ok_or(BaseError::AliasName(index))?;
        if fnv1a(name.as_bytes()) != record.name_hash {
            return Err(BaseError::AliasHash(index));
        }
        if !self.is_text(record.implementation) {
            return Err(BaseError::AliasImplementation(index));
        }
        Ok(Alias {
            name,
            name_hash: record.name_hash,
            kind,
            may_block: record.flags & ALIAS_MAY_BLOCK != 0,
            fingerprint: record.fingerprint,
            fault_value: record.fault_value,
            implementation: record.implementation,
        })
    }

    fn check_servers(&self) -> Result<(), BaseError> {
        if self.servers.len() > SERVERS_MAX {
            return Err(BaseError::TooManyServers);
        }
        for (index, bytes) in self.servers.iter().enumerate() {
            let server = self.read_server(index, bytes)?;
            let same = |other: &[u8; SERVER_SIZE]| unpadded(&decode_server(other).name) == Some(server.name);
            if self.servers.iter().take(index).any(same) {
                return Err(BaseError::DuplicateServer(index));
            }
        }
        Ok(())
    }

    fn read_server(&self, index: usize, bytes: &'a [u8; SERVER_SIZE]) -> Result<Server<'a>, BaseError> {
        let record = decode_server(bytes);
        let field = bytes.first_chunk::<SERVER_NAME_SIZE>();
        let name = field.and_then(|field| unpadded(field)).ok_or(BaseError::ServerName(index))?;
        if !self.is_text(record.entry) {
            return Err(BaseError::ServerEntry(index));
        }
        let (paddr, size) = (record.device_paddr, record.device_size);
        let fits = paddr.checked_add(size).is_some();
        if !paddr.is_multiple_of(PAGE_SIZE) || !size.is_multiple_of(PAGE_SIZE) || !fits {
            return Err(BaseError::ServerDevice(index));
        }
        if record.flags & !SERVER_MEMORY != 0 || record.reserved != [0; 16] {
            return Err(BaseError::ServerReserved(index));
        }
        let device = if size == 0 { None } else { Some((paddr, size)) };
        let irq = if record.irq == 0 { None } else { Some(record.irq) };
        let memory = record.flags & SERVER_MEMORY != 0;
        Ok(Server { name, entry: record.entry, device, irq, memory })
    }

    fn check_sites(&self) -> Result<(), BaseError> {
        for section in 1..self.elf.section_count() {
            let header = self.elf.section(section).ok_or(ElfError::SectionTable)?;
            if self.elf.relocations(header).len() > RELOCATIONS_MAX {
                return Err(BaseError::TooManyRelocations(section));
            }
            for site in self.sites_of(section) {
                site?;
            }
        }
        Ok(())
    }

    /// The relocations of a section with index `section`: a site, or nothing where the symbol is not aliasable.
    fn sites_of(&self, section: usize) -> impl Iterator<Item = Result<Option<Site>, BaseError>> {
        let header = self.elf.section(section);
        let target = header
            .and_then(|header| self.elf.section(usize::try_from(header.info).ok()?))
            .filter(|target| target.flags & SHF_ALLOC != 0 && target.kind != SHT_NOBITS);
        let relocations = match (header, target) {
            (Some(header), Some(_)) => self.elf.relocations(header),
            _ => &[],
        };
        relocations.iter().enumerate().map(move |(index, bytes)| {
            let entry = RelaEntry::decode(bytes);
            let Some(alias) = self.aliasable(entry).ok_or(BaseError::RelocationSymbol(section, index))?
            else {
                return Ok(None);
            };
            let place = target.ok_or(BaseError::Site(section, index))?;
            self.read_site(place, entry, alias, BaseError::Site(section, index))
                .and_then(|site| self.check_call(site, BaseError::SiteTarget(section, index)))
                .map(Some)
        })
    }

    /// The weak alias whose symbol a relocation names; the outer `None` where it names no symbol at all.
    fn aliasable(&self, entry: RelaEntry) -> Option<Option<usize>> {
        let name = self.elf.symbol_name(self.elf.symbol(usize::try_from(entry.symbol).ok()?)?)?;
        if name.is_empty() || name.len() >= SYMBOL_NAME_SIZE {
            return Some(None);
        }
        let hash = fnv1a(name);
        Some(self.aliases.iter().position(|bytes| {
            let alias =
                (word(bytes, offset_of!(AliasRecord, name_hash)) == hash).then(|| decode_alias(bytes));
            alias.is_some_and(|alias| {
                AliasKind::from_record(alias.kind) == Some(AliasKind::Weak)
                    && unpadded(&alias.name).is_some_and(|held| held.as_bytes() == name)
            })
        }))
    }

    fn read_site(
        &self,
        place: SectionHeader,
        entry: RelaEntry,
        alias: usize,
        error: BaseError,
    ) -> Result<Site, BaseError> {
        let kind = RelocKind::from_elf(entry.kind).ok_or(error)?;
        let into = entry.offset.checked_sub(place.address).ok_or(error)?;
        let inside = into.checked_add(kind.width()).is_some_and(|end| end <= place.size);
        // The section's header says where it is, but what is mapped are the segments.
        let mapped =
            usize::try_from(kind.width()).is_ok_and(|width| self.bytes(entry.offset, width).is_some());
        if !inside || !mapped || entry.addend != 0 {
            return Err(error);
        }
        if kind.is_instruction() {
            let fits =
                self.is_text(entry.offset) && self.word(entry.offset).is_some_and(|word| kind.accepts(word));
            if !fits {
                return Err(error);
            }
        }
        Ok(Site { at: entry.offset, alias, kind })
    }

    fn check_call(&self, site: Site, error: BaseError) -> Result<Site, BaseError> {
        if !site.kind.is_call() {
            return Ok(site);
        }
        let word = self.word(site.at).and_then(Branch::decode).ok_or(error)?;
        let default = self.aliases.get(site.alias).map(|bytes| decode_alias(bytes).implementation);
        if default == Some(word.target(site.at)) { Ok(site) } else { Err(error) }
    }

    fn word(&self, address: u64) -> Option<u32> {
        self.bytes(address, 4)?.first_chunk().copied().map(u32::from_le_bytes)
    }
}

fn permission(header: SegmentHeader) -> Option<Permission> {
    match header.flags & (PF_R | PF_W | PF_X) {
        flags if flags == PF_R | PF_X => Some(Permission::ReadExecute),
        flags if flags == PF_R | PF_W => Some(Permission::ReadWrite),
        PF_R => Some(Permission::ReadOnly),
        _ => None,
    }
}

fn check_segments(elf: &Elf<'_>) -> Result<(), BaseError> {
    let mut count = 0;
    let mut free = 0;
    for (index, header) in elf.segments().enumerate() {
        if header.kind == PT_TLS {
            return Err(BaseError::ThreadLocalSegment(index));
        }
        if header.kind != PT_LOAD {
            continue;
        }
        count += 1;
        let end = header.address.checked_add(header.memory_size).and_then(|end| end.checked_add(PAGE_SIZE));
        let sound = header.memory_size != 0
            && header.file_size <= header.memory_size
            && header.memory_size <= SECTION_SIZE_MAX;
        let end = end.filter(|_| sound).ok_or(BaseError::SegmentSize(index))?;
        elf.segment_contents(header).ok_or(BaseError::SegmentOutOfFile(index))?;
        permission(header).ok_or(BaseError::SegmentPermission(index))?;
        if header.address < free {
            return Err(BaseError::SegmentOrder(index));
        }
        free = (end - 1) & !(PAGE_SIZE - 1);
    }
    if count == 0 || count > SEGMENTS_MAX { Err(BaseError::SegmentCount) } else { Ok(()) }
}

fn decode_info(bytes: &[u8; BASE_SIZE]) -> BaseInfo {
    let mut fields = Fields(bytes);
    BaseInfo {
        magic: fields.array(),
        format: fields.u16(),
        api: fields.u16(),
        flags: fields.u32(),
        version: fields.u32(),
        reserved: fields.u32(),
        build_id: fields.u64(),
        worker_entry: fields.u64(),
        fixup_begin: fields.u64(),
        fixup_end: fields.u64(),
        name: fields.array(),
        reserved_tail: fields.array(),
    }
}

fn decode_server(bytes: &[u8; SERVER_SIZE]) -> ServerRecord {
    let mut fields = Fields(bytes);
    ServerRecord {
        name: fields.array(),
        entry: fields.u64(),
        device_paddr: fields.u64(),
        device_size: fields.u64(),
        irq: fields.u32(),
        flags: fields.u32(),
        reserved: fields.array(),
    }
}

fn decode_fixup(bytes: &[u8; FIXUP_SIZE]) -> FixupRecord {
    let mut fields = Fields(bytes);
    FixupRecord { pc: fields.u64(), fixup: fields.u64() }
}
