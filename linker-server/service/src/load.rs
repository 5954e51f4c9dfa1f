//! The steps of a load that touch bytes: copy, plan, map.
//!
//! The image is copied once and parsed once. Planning reads each relocation once and leaves the linked bytes in the
//! linker server's own memory; mapping has only to copy them.

use crate::explain;
use crate::linker::{LOG_INDEX_LIMIT, Linker, Loaded, NAMED_ALIASES_MAX, Work, text};
use kmod::{Object, SectionKind};
use linker_core::capability::Usage;
use linker_core::image::ObjectSource;
use linker_core::layout::{Layout, Window, extent, layout};
use linker_core::{
    CapabilityId, LoadOptions, ModuleId, Rights, Va, affix, linked_size, plan_load, relocate_tables,
    tables_size,
};
use linker_space::module::{ModuleSpace, PageCounts};
use linker_space::objects::PAGE_SIZE;
use linker_space::shared::Region;
use linker_unwind::tables::ENTRY_SIZE;
use strata_protocol::store::{Area, ImageRef};
use strata_protocol::wire::Frame;
use strata_protocol::{Errno, Refusal, SymbolName, streams};
use strata_runtime::log::{leave_frame, put_frame};

/// What a load has in hand between planning and mapping.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// Where everything goes.
    pub layout: Layout,
    /// How many linked bytes there are.
    pub linked: usize,
    /// Its log indices begin here.
    pub log_index: u32,
    /// The build that it comes from.
    pub build_id: u64,
    /// Pages of its shared region.
    pub shared_pages: u32,
    /// Pages of its unwind tables.
    pub table_pages: u32,
    /// Bytes of its unwind tables, which lie behind the linked bytes, and entries of their index.
    pub tables: (usize, usize),
}

impl Linker<'_> {
    /// Copies the image once.
    ///
    /// # Errors
    /// The refusal for the caller.
    pub fn load_copy(&mut self, name: &str, image: ImageRef) -> Result<(), Refusal> {
        self.store.copy(image).map_err(|error| explain::store(name, error))
    }

    /// Parses the copy, lays it out at free addresses, plans the load and makes the linked bytes.
    ///
    /// # Errors
    /// The refusal for the caller; the addresses are free again then.
    pub fn load_plan(&mut self, name: &str, image: ImageRef) -> Result<(u64, Planned), Refusal> {
        let (file, linked) = self.store.image(image.size);
        let object = Object::open(file).map_err(|error| explain::parse(name, error))?;
        let info = object.info();
        if info.name != name {
            let why = format_args!("the image says that its name is {}", info.name);
            return Err(Refusal::format(Errno::ENOEXEC, name, why));
        }
        let signed = self.turn.as_ref().and_then(|turn| turn.authentic).map(|authentic| authentic.version);
        if signed != Some(info.version) {
            let why = format_args!("the image says that it is version {}, its signature not", info.version);
            return Err(Refusal::format(Errno::EAUTH, name, why));
        }
        let size = extent(&object) + u64::from(table_pages(&object)) * PAGE_SIZE;
        let at = self.space.window.take(size).map_err(|error| explain::window(name, error))?;
        let indices = object.section(SectionKind::Defmt).map_or(0, |section| section.size);
        let taken = self.modules.iter().flatten();
        let taken = taken.map(|loaded| (loaded.index_base, loaded.index_base + loaded.index_count));
        let log_index = self.log_indices.take(u32::try_from(indices).unwrap_or(u32::MAX), taken);
        // Where none are left, layout refuses it by the rule of its window.
        let log_index = log_index.unwrap_or(LOG_INDEX_LIMIT);
        let (caller, presented) = match self.turn.as_ref().map(|turn| &turn.work) {
            Some(Work::Load { caller, presented, .. }) => (*caller, presented.as_slice()),
            _ => (CapabilityId::ROOT, [].as_slice()),
        };
        let rights = Rights::presented(&self.capabilities, caller, presented);
        let window = Window { start: Va(at), size, log_index: log_index.into() };
        let planned =
            layout(&object, window).map_err(|error| explain::layout(name, error)).and_then(|layout| {
                let size = usize::try_from(linked_size(&object, &layout)).ok();
                let no_room = || Refusal::new(Errno::E2BIG, name, "there is no room for the linked bytes");
                let (linked, rest) =
                    size.and_then(|size| linked.split_at_mut_checked(size)).ok_or_else(no_room)?;
                let size = linked.len();
                let mut source = ObjectSource { object: &object, layout: &layout, bytes: linked };
                let options = LoadOptions { rights, ..LoadOptions::default() };
                plan_load(self.link, &mut source, &options, self.plan)
                    .map_err(|error| explain::plan(name, &error))?;
                // Behind the pages of the module, and behind its bytes in the linker server's own memory.
                let tables_at = Va(at + layout.size());
                let (size_of_tables, index_count) = relocate_tables(&object, &layout, tables_at, rest)
                    .map_err(|error| explain::plan(name, &error))?;
                Ok(Planned {
                    tables: (size_of_tables, index_count),
                    layout,
                    linked: size,
                    log_index,
                    build_id: info.build_id,
                    shared_pages: info.shared_pages.into(),
                    table_pages: table_pages(&object),
                })
            });
        match planned {
            Ok(planned) => {
                name_functions(&object, &mut self.functions[usize::from(self.plan.module().index)]);
                self.transaction.set_commands(info.commands);
                Ok((at, planned))
            }
            Err(refusal) => {
                self.space.window.give_back(at);
                Err(refusal)
            }
        }
    }

    /// Makes the module's memory, fills it, and puts the module into its stacks, unlinked.
    ///
    /// # Errors
    /// The refusal for the caller; everything is undone but the addresses.
    pub fn load_map(&mut self, name: &str, source: Area, at: u64, planned: &Planned) -> Result<(), Refusal> {
        let layout = &planned.layout;
        let counts = PageCounts {
            text: pages(layout.text.size),
            rodata: pages(layout.rodata.size),
            data: pages(layout.data.size),
            tables: planned.table_pages,
        };
        let usage = Usage {
            modules: 1,
            frames: counts.text + counts.rodata + counts.data + counts.tables + planned.shared_pages,
            symbols: u32::try_from(self.plan.symbol_count()).unwrap_or(u32::MAX),
        };
        let owner = self.turn.as_ref().and_then(|turn| turn.caller).unwrap_or(CapabilityId::ROOT);
        self.capabilities.charge(owner, usage).map_err(|error| crate::caps::refusal(name, error))?;
        let mapped = self.load_charged(name, source, at, planned, counts, (owner, usage));
        if mapped.is_err() {
            self.capabilities.credit(owner, usage);
        }
        mapped
    }

    /// The same, once it is known that the quota allows it.
    fn load_charged(
        &mut self,
        name: &str,
        source: Area,
        at: u64,
        planned: &Planned,
        counts: PageCounts,
        (owner, usage): (CapabilityId, Usage),
    ) -> Result<(), Refusal> {
        let layout = &planned.layout;
        let mut space = ModuleSpace::make(self.objects, self.space.spaces, name, at, counts)
            .map_err(|error| explain::module(name, error))?;
        let filled = self.fill(name, planned, &mut space);
        let mapped = filled.and_then(|()| match planned.shared_pages {
            0 => Ok(()),
            count => self.make_region(name, count),
        });
        if let Err(refusal) = mapped {
            self.destroy(space);
            return Err(refusal);
        }
        let id = self.plan.module();
        self.space.window.set_owner(at, id.index);
        self.loads_begun = self.loads_begun.wrapping_add(1);
        let (order, index_base) = (self.loads_begun, planned.log_index);
        let index_count = u32::try_from(layout.log_indices).unwrap_or(u32::MAX);
        self.modules[usize::from(id.index)] =
            Some(Loaded { space, source, order, index_base, index_count, owner, usage });
        self.tell_log_indices(name, planned);
        let mut text = text!(self);
        if let Err(error) = affix(self.plan, self.link, &mut text) {
            if let Some(loaded) = self.take_loaded(id) {
                self.destroy(loaded.space);
            }
            self.drop_region(id);
            return Err(explain::commit(name, &error));
        }
        Ok(())
    }

    /// Copies the linked bytes to the module's pages, which are zeros where nothing is linked.
    fn fill(&mut self, name: &str, planned: &Planned, space: &mut ModuleSpace) -> Result<(), Refusal> {
        let tables = space.tables_at().and_then(|at| usize::try_from(at - space.at).ok());
        // SAFETY: the module is in no stack yet, so that no thread has an address of it, and there is
        // no other view.
        let bytes = unsafe { space.bytes() };
        let linked = self.store.linked().get(..planned.linked);
        let Some((place, linked)) = bytes.get_mut(..planned.linked).zip(linked) else {
            return Err(Refusal::new(Errno::ENOEXEC, name, "a section lies outside of its pages"));
        };
        place.copy_from_slice(linked);
        if let Some(tables) = tables {
            let (size, count) = planned.tables;
            let room = size.next_multiple_of(ENTRY_SIZE) + count * ENTRY_SIZE;
            let from = self.store.linked().get(planned.linked..planned.linked + room);
            let Some((place, from)) = bytes.get_mut(tables..tables + room).zip(from) else {
                return Err(Refusal::new(
                    Errno::ENOEXEC,
                    name,
                    "the unwind tables lie outside of their pages",
                ));
            };
            place.copy_from_slice(from);
            space.set_tables(size, count);
        }
        space.publish(self.objects, planned.layout.text_bytes).map_err(|error| explain::object(name, error))
    }

    fn make_region(&mut self, name: &str, count: u32) -> Result<(), Refusal> {
        let full = || Refusal::new(Errno::ENOMEM, name, "too many shared regions");
        if self.regions.is_full() {
            return Err(full());
        }
        let size = u64::from(count) * PAGE_SIZE;
        let at = self.space.window.take(size).map_err(|error| explain::window(name, error))?;
        match Region::make(self.objects, self.space.spaces, self.plan.module(), name, at, count) {
            Ok(region) => self.regions.push(region).map_err(|_| full()),
            Err(error) => {
                self.space.window.give_back(at);
                Err(explain::object(name, error))
            }
        }
    }

    /// Leaves a region to its clients; without any it goes.
    pub fn drop_region(&mut self, module: ModuleId) {
        for region in &mut self.regions {
            if region.module == module {
                region.orphan = true;
            }
        }
        self.sweep_regions();
    }

    /// Gives a module's memory back.
    pub fn destroy(&mut self, space: ModuleSpace) {
        if let Err(error) = space.destroy(self.objects) {
            // What was left stays on the account, so that the ledger shows it.
            defmt::error!("a module's memory was not given back whole: {}", defmt::Debug2Format(&error));
        }
    }

    /// Tells host tools, through the log server, which strings stand behind a module's log indices. This comes before
    /// any code of the module can run. A full ring counts a drop; the module's lines then stay numbers.
    fn tell_log_indices(&self, name: &str, planned: &Planned) {
        put_frame(&Frame::ModuleLoaded {
            stream: self.log_stream(),
            name,
            build_id: planned.build_id,
            index_base: planned.log_index,
        });
    }

    /// What was kept of a module that leaves; host tools hear that its log indices are free before anybody is given them
    /// again, and nobody waits for it: the next load's [`Frame::ModuleLoaded`] is behind it in the same ring.
    pub fn take_loaded(&mut self, id: ModuleId) -> Option<Loaded> {
        let loaded = self.modules[usize::from(id.index)].take()?;
        leave_frame(&Frame::ModuleUnloaded { stream: self.log_stream(), index_base: loaded.index_base });
        Some(loaded)
    }

    /// The log stream of the link domain.
    pub fn log_stream(&self) -> u16 {
        streams::LINK_DOMAIN + self.space.number
    }
}

/// Notes the names of the functions behind a module's aliases, for people.
fn name_functions(object: &Object<'_>, functions: &mut heapless::Vec<SymbolName, NAMED_ALIASES_MAX>) {
    functions.clear();
    let mut starts: heapless::Vec<u64, NAMED_ALIASES_MAX> = heapless::Vec::new();
    for alias in object.aliases().take(NAMED_ALIASES_MAX) {
        let _ = starts.push(alias.implementation);
        let _ = functions.push(SymbolName::default());
    }
    // One walk over the symbols, which are many; aliases are few, and often there are none.
    if starts.is_empty() {
        return;
    }
    for (start, name) in object.functions() {
        for (function, _) in functions.iter_mut().zip(&starts).filter(|(_, other)| **other == start) {
            *function = SymbolName::cut(name);
        }
    }
}

/// Pages of a module's unwind tables.
fn table_pages(object: &Object<'_>) -> u32 {
    pages(tables_size(object).next_multiple_of(PAGE_SIZE))
}

/// Pages of an extent.
fn pages(size: u64) -> u32 {
    u32::try_from(size / PAGE_SIZE).unwrap_or(u32::MAX)
}
