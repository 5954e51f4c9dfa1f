//! The rows of the lists: what `modstat`, `alias`, `domains`, `threads` and `ledger` show.

use crate::linker::{Linker, cut, mapped, sight, text};
use core::sync::atomic::Ordering;
use linker_core::{AliasKind, Binding, Module, ModuleId, ModuleState, Name, SymbolId, Va};
use linker_space::look::{look, methods_agree};
use linker_space::text::Texts;
use linker_space::thread::Role;
use linker_space::worker::is_busy;
use strata_protocol::domain::serving;
use strata_protocol::linker::{self as protocol, Reply};
use strata_protocol::store::Area;
use strata_protocol::{Errno, ModuleName, Refusal, SymbolName};

impl Linker<'_> {
    /// The module at a position in load order.
    pub fn module_row(&self, index: u32) -> Reply {
        let mut loaded: heapless::Vec<(u32, &Module), { linker_core::MODULES_MAX }> = self
            .link
            .modules()
            .filter(|module| module.id() != ModuleId::BASE)
            .map(|module| (self.order_of(module), module))
            .collect();
        loaded.sort_unstable_by_key(|(order, _)| *order);
        let Some((_, module)) = loaded.get(index as usize) else { return Reply::End };
        let kept = self.modules[usize::from(module.id().index)].as_ref();
        Reply::Module(protocol::ModuleRow {
            name: cut(module.facts.name.text()),
            class: module.facts.class,
            source: kept.map_or(Area::Archive, |kept| kept.source),
            state: self.state_of(module),
            size: module.facts.size,
            references: self.users_of(module),
            requires: self.requires(module),
            address: module.facts.text_start.0,
            generation: self.order_of(module),
            index_base: kept.map_or(0, |kept| kept.index_base),
            build_id: module.facts.build_id,
        })
    }

    fn order_of(&self, module: &Module) -> u32 {
        self.modules[usize::from(module.id().index)].as_ref().map_or(u32::MAX, |kept| kept.order)
    }

    fn state_of(&self, module: &Module) -> protocol::ModuleState {
        let in_turn = self.turn.as_ref().is_some_and(|turn| turn.module == Some(module.id()));
        match module.state() {
            ModuleState::Wedged => protocol::ModuleState::Wedged,
            ModuleState::Affixed => protocol::ModuleState::Loading,
            ModuleState::Leaving => protocol::ModuleState::Unloading,
            ModuleState::Live if in_turn && self.transaction.current().is_some() => {
                match self.turn.as_ref().map(|turn| &turn.work) {
                    Some(crate::linker::Work::Unload { .. }) => protocol::ModuleState::Unloading,
                    Some(crate::linker::Work::Load { .. }) => protocol::ModuleState::Loading,
                    _ => protocol::ModuleState::Live,
                }
            }
            ModuleState::Live => protocol::ModuleState::Live,
        }
    }

    /// The modules whose symbols a module imports or refines, the base image left out.
    fn required_by(&self, module: &Module) -> heapless::Vec<ModuleId, { protocol::REQUIRES_MAX }> {
        let mut required = heapless::Vec::new();
        for symbol in module.imports().iter().chain(module.aliases()) {
            let owner = self.link.symbol(*symbol).and_then(|symbol| symbol.stack().aliases().first());
            let Some(owner) = owner.map(|alias| alias.module) else { continue };
            if owner != ModuleId::BASE && owner != module.id() && !required.contains(&owner) {
                let _ = required.push(owner);
            }
        }
        required
    }

    fn requires(&self, module: &Module) -> [Option<ModuleName>; protocol::REQUIRES_MAX] {
        let mut names = [const { None }; protocol::REQUIRES_MAX];
        for (name, id) in names.iter_mut().zip(self.required_by(module)) {
            *name = Some(self.name_of(id));
        }
        names
    }

    fn users_of(&self, module: &Module) -> u32 {
        let users =
            self.link.modules().filter(|other| self.required_by(other).contains(&module.id())).count();
        u32::try_from(users).unwrap_or(u32::MAX)
    }

    /// The alias at a position of a symbol's stack, top first. Unlinked entries are not shown.
    pub fn alias_row(&self, symbol: &SymbolName, index: u32) -> Reply {
        let unknown = || Reply::Refused(Refusal::new(Errno::ENOENT, symbol, "no such symbol"));
        let Some(name) = Name::new(symbol.as_bytes()) else { return unknown() };
        let Some(id) = self.link.find_symbol(&name) else { return unknown() };
        let Some(stack) = self.link.symbol(id).map(linker_core::Symbol::stack) else { return unknown() };
        let shown = |alias: &&linker_core::Alias| alias.linked || alias.module == ModuleId::BASE;
        let Some(alias) = stack.aliases().iter().rev().filter(shown).nth(index as usize) else {
            return Reply::End;
        };
        Reply::Alias(protocol::AliasRow {
            kind: match alias.kind {
                AliasKind::Weak | AliasKind::Export => protocol::AliasKind::Weak,
                AliasKind::Strong => protocol::AliasKind::Strong,
                AliasKind::Refine => protocol::AliasKind::Refine,
            },
            module: self.name_of(alias.module),
            implementation: self.implementation_of(alias.module, id, alias.target),
            address: alias.target.0,
            binding: match alias.binding {
                Binding::Direct => protocol::Binding::Direct,
                Binding::Counted => protocol::Binding::Counted,
                Binding::Isolated => protocol::Binding::Isolated,
            },
            sites: self.sites_bound_to(id, alias),
            entry: alias.entry.0,
        })
    }

    /// The function behind an alias, by name where its image still has one.
    fn implementation_of(&self, module: ModuleId, symbol: SymbolId, target: Va) -> SymbolName {
        if module == ModuleId::BASE {
            return self
                .base
                .function_at(target.0)
                .map_or_else(SymbolName::default, |(name, _)| SymbolName::cut(name));
        }
        let at = self
            .link
            .module(module)
            .ok()
            .and_then(|module| module.aliases().iter().position(|own| *own == symbol));
        at.and_then(|at| self.functions[usize::from(module.index)].get(at)).cloned().unwrap_or_default()
    }

    /// How many call sites branch to an alias now, read from the sites themselves.
    fn sites_bound_to(&self, symbol: SymbolId, alias: &linker_core::Alias) -> u32 {
        let texts = mapped!(self);
        let target = |at: Va| {
            let word = texts.patched(at.0)?.instruction(at.0)?;
            Some(linker_core::Branch::decode(word)?.target(at))
        };
        let reaches = |at: Va| target(at).is_some_and(|to| to == alias.entry || Some(to) == alias.veneer);
        let count = self.link.sites_of_symbol(symbol).filter(|site| reaches(site.at)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The symbol at a position.
    pub fn symbol_row(&self, index: u32) -> Reply {
        self.link
            .symbols()
            .nth(index as usize)
            .map_or(Reply::End, |(_, symbol)| Reply::Symbol(SymbolName::cut(symbol.name.text())))
    }

    /// The link domain at a position: there is one.
    pub fn domain_row(&self, index: u32) -> Reply {
        if index != 0 {
            return Reply::End;
        }
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Reply::Domain(protocol::DomainRow {
            name: cut(DOMAIN_NAME),
            base: cut(self.base.base().name),
            modules: number(self.link.modules().filter(|module| module.id() != ModuleId::BASE).count()),
            threads: number(self.space.threads.len()),
            symbols: number(self.link.symbols().count()),
            sites: number(self.link.site_count()),
            window: linker_space::domain::WINDOW_AT,
        })
    }

    /// The thread at a position, with who it is inside of.
    pub fn thread_row(&mut self, index: u32) -> Reply {
        let Some(thread) = self.space.threads.nth(index as usize) else { return Reply::End };
        let one = core::iter::once(thread);
        let mut seen = None;
        let _ = look(self.objects, one, &sight!(self), None, self.scratch, |one| seen = Some(one));
        let (inside, entry) = seen.and_then(|seen| seen.inside).unzip();
        let entry = entry.flatten().and_then(|symbol| self.link.symbol(symbol));
        let block = thread.page.thread_block();
        Reply::Thread(protocol::ThreadRow {
            name: thread.name.clone(),
            thread: thread.number,
            state: match thread.role {
                _ if thread.dead => protocol::ThreadState::Dead,
                Role::Server(_) => match block.serving.load(Ordering::Relaxed) {
                    serving::STOPPED => protocol::ThreadState::Stopped,
                    serving::GIVEN_UP => protocol::ThreadState::Down,
                    _ => protocol::ThreadState::Running,
                },
                Role::Worker(_) if !is_busy(thread) => protocol::ThreadState::Idle,
                Role::Guest if !self.space.threads.guest(thread.number).is_some_and(|guest| guest.inside) => {
                    protocol::ThreadState::Stopped
                }
                Role::Worker(_) | Role::Guest => protocol::ThreadState::Running,
            },
            core: thread.core,
            pc: seen.map_or(0, |seen| seen.pc),
            inside: inside.map_or_else(ModuleName::default, |module| self.name_of(module)),
            entry: entry.map_or_else(SymbolName::default, |symbol| SymbolName::cut(symbol.name.text())),
            restarts: thread.restarts,
            bus_errors: block.bus_error_count.load(Ordering::Relaxed),
            layers_told: block.layers_told.load(Ordering::Relaxed),
            fault: thread.fault,
        })
    }

    /// The ledger's row at a position; the last row is the total.
    pub fn ledger_row(&self, index: u32) -> Reply {
        let ledger = self.objects.ledger();
        let place = index as usize;
        let (owner, charge) = match ledger.nth(place) {
            Some((owner, charge)) => (cut(owner), charge),
            None if place > 0 && ledger.nth(place - 1).is_some() => (cut("total"), ledger.total()),
            None => return Reply::End,
        };
        Reply::Ledger(protocol::LedgerRow {
            owner,
            frames: charge.frames.into(),
            capabilities: charge.capabilities.into(),
            slots: charge.slots.into(),
            untyped_bytes: charge.untyped_bytes,
        })
    }

    /// Asks the kernel slot by slot and compares with the ledger; then checks that every call site holds the
    /// branch that the stacks name.
    pub fn audit(&mut self) -> Reply {
        let walk = self.objects.walk();
        let ledger = self.objects.ledger();
        if !ledger.balances() {
            let refusal = Refusal::new(Errno::EIO, "ledger", "the total is not the sum of the accounts");
            return Reply::Refused(refusal);
        }
        if walk.unknown != 0 {
            let why = format_args!("{} slots hold a capability that the book calls free", walk.unknown);
            return Reply::Refused(Refusal::format(Errno::EIO, "ledger", why));
        }
        if let Err(violation) = self.link.check() {
            let why = format_args!("the link domain's invariant: {violation:?}");
            return Reply::Refused(Refusal::format(Errno::EIO, "link domain", why));
        }
        let agree = methods_agree(self.objects, self.space.threads.all(), &sight!(self), self.scratch);
        if !matches!(agree, Ok(true)) {
            let refusal = Refusal::new(
                Errno::EIO,
                "link domain",
                "the walk sees a thread inside that the scan does not see",
            );
            return Reply::Refused(refusal);
        }
        let text = text!(self);
        if let Err(violation) = self.link.check_text(&text) {
            let why = format_args!("text and stacks differ: {violation:?}");
            return Reply::Refused(Refusal::format(Errno::EIO, "link domain", why));
        }
        // Replies that are owed are capabilities in slots that the ledger counts as reserved only.
        let owed = self.replies.in_use(self.objects);
        Reply::Audit {
            ledger: u64::from(ledger_capabilities(self)) + u64::from(owed),
            found: walk.managed.into(),
        }
    }
}

fn ledger_capabilities(linker: &Linker) -> u32 {
    linker.objects.ledger().total().capabilities
}

/// The name of the first link domain.
pub const DOMAIN_NAME: &str = "drivers";
