//! The state of the linker server, and how one event after the other changes it.
//!
//! **Invariant:** nothing here waits. A request is answered at once, or its reply capability is saved and
//! it waits for its turn in a bounded queue; what a transaction waits for comes as a signal.

use crate::budget::Watch;
use crate::caps::Presented;
use crate::deadlines::Deadlines;
use crate::load::Planned;
use crate::registered::Record;
use crate::replies::{Owed, Replies};
use crate::store::Store;
use crate::trust::Authentic;
use heapless::Vec;
use kmod::BaseObject;
use kmod_trust::{Authority, Versions};
use linker_books::log_indices::LogIndices;
use linker_books::queue::Queue;
use linker_books::registrations::Registrations;
use linker_core::capability::Usage;
use linker_core::{CapRights, Capabilities, CapabilityId};
use linker_core::{LinkDomain, LinkPlan, MODULES_MAX, ModuleId, Transaction};
use linker_space::domain::DomainSpace;
use linker_space::mirror::View;
use linker_space::module::ModuleSpace;
use linker_space::objects::Objects;
use linker_space::shared::{REGIONS_MAX, Region};
use linker_space::text::{TextOf, Texts};
use linker_space::thread::THREADS_MAX;
use linker_unwind::{Scratch, Tables};
use sel4_sys::{seL4_MessageInfo, seL4_UserContext};
use strata_protocol::linker::{Reply, thread_request};
use strata_protocol::start::StartInfo;
use strata_protocol::store::{Area, ImageRef};
use strata_protocol::{DetailText, ModuleName, Refusal, SymbolName, caps};

/// One behind the last index of a log string.
pub const LOG_INDEX_LIMIT: u32 = 65_534;
const _: () = assert!(LOG_INDEX_LIMIT as u64 == linker_core::layout::LOG_INDEX_END);
/// Aliases of one module whose functions are shown by name.
pub const NAMED_ALIASES_MAX: usize = 64;

/// What the linker server keeps of a module beside what the core knows.
pub struct Loaded {
    /// Its memory.
    pub space: ModuleSpace,
    /// Where it came from.
    pub source: Area,
    /// Its place in the order of loads.
    pub order: u32,
    /// What its log strings' indices were raised by.
    pub index_base: u32,
    /// How many log indices it has.
    pub index_count: u32,
    /// The capability that it was loaded by, or what is left of that one's line.
    pub owner: CapabilityId,
    /// What it counts for in that capability's quota.
    pub usage: Usage,
}

/// The names of the functions behind a module's aliases, in the order of its records, by module.
pub type Functions = [Vec<SymbolName, NAMED_ALIASES_MAX>; MODULES_MAX];

/// A request that waits for its turn or is under way.
#[derive(Debug)]
pub struct Pending {
    /// What is asked.
    pub work: Work,
    /// Whom it is owed to.
    pub owed: Owed,
}

/// What takes a turn: only one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Load an image.
    Load {
        /// The name that it must carry.
        name: ModuleName,
        /// Where it lies.
        image: ImageRef,
        /// By whose leave.
        caller: CapabilityId,
        /// And what else was presented.
        presented: Presented,
    },
    /// Unload a module.
    Unload {
        /// Its name.
        name: ModuleName,
        /// How long to drain.
        drain_ms: u32,
        /// The link-domain thread that asks, if it is one.
        thread: Option<u32>,
        /// By whose leave.
        caller: CapabilityId,
    },
    /// A command outside of any transaction.
    Command {
        /// The module.
        name: ModuleName,
        /// Its number.
        command: u32,
        /// Argument words.
        words: [u64; 4],
        /// By whose leave.
        caller: CapabilityId,
    },
    /// Stop a driver server.
    Stop {
        /// Its name.
        name: ModuleName,
        /// How long to wait for whom it serves.
        drain_ms: u32,
        /// Start it again at once.
        again: bool,
        /// By whose leave.
        caller: CapabilityId,
    },
    /// Take rights away from a capability.
    Revoke {
        /// By whose leave.
        caller: CapabilityId,
        /// From which.
        capability: CapabilityId,
        /// Which.
        rights: CapRights,
    },
    /// Pop a module whose text has faulted.
    Pop {
        /// Which.
        module: ModuleId,
    },
}

/// The turn under way.
pub struct Turn {
    /// What is done.
    pub work: Work,
    /// Whom the answer is owed to; nobody for a pop.
    pub owed: Option<Owed>,
    /// By whose leave; none for what nobody asked for.
    pub caller: Option<CapabilityId>,
    /// The module, once it is known.
    pub module: Option<ModuleId>,
    /// Its addresses, from planning until its memory is there.
    pub addresses: Option<u64>,
    /// What a step said when it refused.
    pub refusal: Option<Refusal>,
    /// The registration that was refused last because somebody has what it asks for, and who.
    pub denied: Option<Refusal>,
    /// The worker that is busy, with the ticket of the command.
    pub worker: Option<(u32, u32)>,
    /// When each thread was first seen inside.
    pub since: [u64; THREADS_MAX],
    /// What the signature of the image in hand says.
    pub authentic: Option<Authentic>,
    /// What was planned for a load.
    pub planned: Option<Planned>,
    /// The module that is out of all stacks and whose memory is given back next.
    pub gone: Option<ModuleId>,
    /// An unload that has become a pop, because the module's text faulted.
    pub popping: bool,
    /// What the module had left registered.
    pub left: Option<DetailText>,
}

/// A thread that stands at a fault.
#[derive(Clone, Copy, Debug)]
pub struct Parked {
    /// Its number.
    pub thread: u32,
    /// With what it goes on; from its entry if that is not known.
    pub registers: Option<seL4_UserContext>,
}

/// What to do with a request.
pub enum Answer {
    /// Reply at once.
    Now(Reply),
    /// Reply at once with a capability, and delete the linker server's copy of it afterwards if it was
    /// made for this answer.
    Capability {
        /// The reply.
        reply: Reply,
        /// The capability.
        cap: u64,
        /// Whether to delete it.
        temporary: bool,
    },
    /// No reply now.
    Later,
}

/// The linker server.
pub struct Linker<'a> {
    /// Kernel objects.
    pub objects: &'a mut Objects,
    /// Stacks, modules, call sites.
    pub link: &'static mut LinkDomain,
    /// The plan of the turn under way.
    pub plan: &'static mut LinkPlan,
    /// Names of functions.
    pub functions: &'static mut Functions,
    /// The link domain's kernel objects.
    pub space: DomainSpace,
    /// The base image.
    pub base: BaseObject<'static>,
    /// Its unwind tables.
    pub base_tables: Option<Tables<'static>>,
    /// Room for looking at a function.
    pub scratch: &'static mut Scratch,
    /// Images.
    pub store: Store,
    /// Who may do what.
    pub capabilities: Capabilities,
    /// Whose signatures count.
    pub authority: Authority,
    /// Which versions have been in service.
    pub versions: Versions,
    /// Ticks that checking signatures has taken.
    pub trust_ticks: u64,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// Saved reply capabilities.
    pub replies: Replies,
    /// Modules, by the index that the core gives them.
    pub modules: [Option<Loaded>; MODULES_MAX],
    /// Shared regions.
    pub regions: Vec<Region, REGIONS_MAX>,
    /// What modules have registered.
    pub registrations: Registrations<ModuleId, Record>,
    /// A signal has come where a message was looked for.
    pub unheard: bool,
    /// The start page.
    pub start: &'static StartInfo,
    /// Requests that wait.
    pub queue: Queue<Pending>,
    /// Modules to pop before anything else.
    pub pops: Vec<ModuleId, MODULES_MAX>,
    /// Threads that go on once the module they faulted in is popped.
    pub parked: Vec<Parked, THREADS_MAX>,
    /// Who has been running, and for how long.
    pub watch: Watch,
    /// The steps of the turn under way.
    pub transaction: Transaction,
    /// The turn under way.
    pub turn: Option<Turn>,
    /// Loads that succeeded.
    pub loads: u32,
    /// Unloads that succeeded.
    pub unloads: u32,
    /// Loads that got as far as memory: the order of modules.
    pub loads_begun: u32,
    /// Indices of modules' log strings.
    pub log_indices: LogIndices,
}

impl Linker<'_> {
    /// Serves for ever.
    pub fn serve(&mut self) -> ! {
        loop {
            let (tag, badge) = self.objects.ipc.seL4_Recv(caps::slot::SERVICE, ());
            self.event(badge, tag);
        }
    }

    /// Takes one message, fault or signal.
    fn event(&mut self, badge: u64, tag: seL4_MessageInfo) {
        if caps::signal::is_signal(badge) {
            self.signalled();
        } else if badge & caps::linker_badge::FAULT != 0 {
            match tag.get_label() {
                thread_request::UNLOAD => self.asked_by_thread(badge, tag),
                label if crate::registrations::is_about(label) => self.asked_about_registrations(badge, tag),
                _ => self.faulted(badge, tag),
            }
        } else {
            // By reference: an answer is large, and is written from where it was made.
            match &self.request(badge, tag) {
                Answer::Now(reply) => {
                    let tag = crate::replies::tag_of(self.objects, reply, 0);
                    self.objects.ipc.seL4_Reply(tag);
                }
                Answer::Capability { reply, cap, temporary } => {
                    let tag = crate::replies::tag_of(self.objects, reply, 1);
                    self.objects.ipc.set_cap(0, *cap);
                    self.objects.ipc.seL4_Reply(tag);
                    if *temporary && self.objects.delete(*cap, linker_books::ledger::Account::LINKER).is_err()
                    {
                        defmt::error!("a lent capability could not be deleted");
                    }
                }
                Answer::Later => {}
            }
        }
        if core::mem::take(&mut self.unheard) {
            self.signalled();
        }
        self.begin_turns();
    }

    /// A signal says only that something may have happened.
    fn signalled(&mut self) {
        self.poll_worker();
        while let Some((purpose, ticket)) = self.deadlines.passed() {
            self.deadline(purpose, ticket);
        }
        self.exited();
        self.beat();
    }

    /// Starts what waits for its turn, as long as nothing is under way.
    fn begin_turns(&mut self) {
        while self.turn.is_none() {
            if let Some(module) = self.pops.pop() {
                self.begin(Work::Pop { module }, None);
            } else if let Some((_, pending)) = self.queue.pop() {
                self.begin(pending.work, Some(pending.owed));
            } else {
                return;
            }
        }
    }

    /// The module of that name.
    pub fn module_named(&self, name: &str) -> Option<ModuleId> {
        self.link
            .find_module(name.as_bytes())
            .map(linker_core::Module::id)
            .filter(|module| *module != ModuleId::BASE)
    }

    /// The name of a module, or of the base image.
    pub fn name_of(&self, module: ModuleId) -> ModuleName {
        self.link
            .module(module)
            .map_or_else(|_| ModuleName::default(), |module| cut(module.facts.name.text()))
    }

    /// The region of a module that is there.
    pub fn region_of(&self, module: ModuleId) -> Option<&Region> {
        self.regions.iter().find(|region| !region.orphan && region.module == module)
    }
}

/// All text of the link domain, by address.
#[derive(Clone, Copy)]
pub struct Mapped<'a> {
    /// The base image's, linker-owned text, and which module an address belongs to.
    pub space: &'a DomainSpace,
    /// The base image's unwind tables.
    pub base_tables: Option<Tables<'a>>,
    /// The modules', by their index.
    pub modules: &'a [Option<Loaded>],
}

impl<'a> Mapped<'a> {
    fn loaded(&self, at: u64) -> Option<(&'a ModuleSpace, View)> {
        let owner = self.space.window.owner(at)?;
        let space = &self.modules.get(usize::from(owner))?.as_ref()?.space;
        space.text().filter(|text| text.contains(at, 4)).map(|text| (space, text))
    }
}

impl Texts for Mapped<'_> {
    fn owned(&self, at: u64) -> Option<TextOf<'_>> {
        if let Some((space, text)) = self.loaded(at) {
            return Some(TextOf { text, tables: space.tables() });
        }
        let text = self.space.base_texts().iter().copied().find(|text| text.contains(at, 4))?;
        Some(TextOf { text, tables: self.base_tables })
    }

    fn patched(&self, at: u64) -> Option<View> {
        let fixed = || self.space.texts.iter().copied().find(|text| text.contains(at, 4));
        self.loaded(at).map(|(_, text)| text).or_else(fixed)
    }
}

/// [`Mapped`], of the fields of a linker that it needs, so that the others stay free.
macro_rules! mapped {
    ($linker:expr) => {
        $crate::linker::Mapped {
            space: &$linker.space,
            base_tables: $linker.base_tables,
            modules: &$linker.modules,
        }
    };
}
pub(crate) use mapped;

/// The link domain for [`linker_space::look`].
macro_rules! sight {
    ($linker:expr) => {
        linker_space::look::Sight { link: &*$linker.link, texts: $crate::linker::mapped!($linker) }
    };
}
pub(crate) use sight;

/// The text that may be patched.
macro_rules! text {
    ($linker:expr) => {
        linker_space::text::Text::new(
            $linker.objects,
            $linker.space.spaces,
            $crate::linker::mapped!($linker),
            &$linker.space.threads,
        )
    };
}
pub(crate) use text;

/// A name in the protocol's size.
pub fn cut(name: &str) -> ModuleName {
    ModuleName::cut(name)
}
