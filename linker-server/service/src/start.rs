//! From the start page to a link domain in service.

use crate::deadlines::Deadlines;
use crate::linker::{Functions, LOG_INDEX_LIMIT, Linker, Mapped};
use crate::replies::Replies;
use crate::rows::DOMAIN_NAME;
use crate::store::Store;
use aarch64_reloc::{RelocError, RelocKind};
use heapless::Vec;
use kmod::base::Permission;
use kmod::{BaseError, BaseObject};
use linker_books::log_indices::LogIndices;
use linker_books::queue::Queue;
use linker_books::registrations::Registrations;
use linker_books::window::Window;
use linker_core::image::BaseSource;
use linker_core::text::{exit_tail, landing_pad, thread_exit};
use linker_core::{CommitError, LINKER_TEXT_SIZE_MAX, LinkDomain, LinkPlan, PlanError, Transaction, Va};
use linker_core::{TextSpace, affix, commit, plan_base};
use linker_space::domain::{
    DomainError, DomainSpace, EXIT_TAIL_AT, Grants, LANDING_PAD_AT, LINKER_TEXT_AT, LINKER_TEXT_END,
    SEGMENTS_MAX, Segment, ServerPlan, THREAD_EXIT_AT, WORKERS_MAX,
};
use linker_space::error::ObjectError;
use linker_space::objects::Objects;
use linker_space::text::Text;
use linker_space::vspace::Access;
use linker_unwind::Scratch;
use sel4_sys::seL4_CPtr;
use strata_protocol::Errno;
use strata_protocol::archive::{Archive, ArchiveError, Kind};
use strata_protocol::domain::slot;
use strata_protocol::linker::thread_request;
use strata_protocol::start::{StartInfo, core_of, grant, region};
use strata_protocol::timer::DeadlinePage;

/// The slot that the exit tail signals, in the width of its instruction.
const EXIT_SIGNAL: u16 = 8;
const _: () = assert!(EXIT_SIGNAL as u64 == slot::EXIT_SIGNAL);
/// What the thread exit answers a client whom its thread has left waiting: ENODEV, in the width of its instruction.
const NO_DEVICE: u32 = Errno::ENODEV.number().unsigned_abs();
/// What it tells the linker server.
const LEFT: u32 = 48;
const _: () = assert!(LEFT as u64 == thread_request::LEFT);
/// Where the fault endpoint of a thread stands: this, and its number shifted.
const FAULT_ENDPOINTS: u32 = 16;
/// See [`FAULT_ENDPOINTS`].
const PER_THREAD_SHIFT: u32 = 3;
const _: () = assert!(slot::fault_endpoint(5) == FAULT_ENDPOINTS as u64 + (5 << PER_THREAD_SHIFT));

/// Why the linker server cannot start. It does not go on.
#[derive(Debug)]
pub enum StartError {
    /// The start page names no untyped memory.
    NoMemory,
    /// The start page names no deadline page.
    NoDeadlines,
    /// The boot archive is none.
    Archive(ArchiveError),
    /// The boot archive has no base image.
    NoBase,
    /// The base image breaks a rule of the format.
    Base(BaseError),
    /// No objects.
    Object(ObjectError),
    /// No link domain.
    Domain(DomainError),
    /// The base image's symbols are refused.
    Plan(PlanError),
    /// The base image's text cannot be patched.
    Commit(CommitError),
}

macro_rules! from {
    ($($error:ident => $variant:ident,)*) => {
        $(impl From<$error> for StartError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}
from! {
    ArchiveError => Archive,
    BaseError => Base,
    ObjectError => Object,
    DomainError => Domain,
    PlanError => Plan,
    CommitError => Commit,
}

/// Grants of the start page.
pub struct StartGrants<'a>(pub &'a StartInfo);

impl Grants for StartGrants<'_> {
    fn device(&self, physical: u64) -> Option<seL4_CPtr> {
        self.0.grants(grant::DEVICE).find(|grant| grant.address == physical).map(|grant| grant.slot)
    }

    fn irq(&self, number: u32) -> Option<seL4_CPtr> {
        self.0.grants(grant::IRQ).find(|grant| grant.bits == number).map(|grant| grant.slot)
    }
}

/// The linker's large tables.
pub struct Tables {
    /// The link domain.
    pub link: &'static mut LinkDomain,
    /// The plan.
    pub plan: &'static mut LinkPlan,
    /// Names of functions behind aliases.
    pub functions: &'static mut Functions,
    /// Addresses of modules.
    pub window: &'static mut Window,
    /// Room for looking at a function.
    pub scratch: &'static mut Scratch,
}

/// Makes the link domain of the base image, starts its threads, and gives the linker server its state.
///
/// # Errors
/// [`StartError`]; the linker server cannot go on then.
pub fn start<'a>(
    objects: &'a mut Objects,
    tables: Tables,
    start: &'static StartInfo,
) -> Result<Linker<'a>, StartError> {
    let memory = start.grants(grant::UNTYPED).next().ok_or(StartError::NoMemory)?;
    objects.adopt(memory.slot, u8::try_from(memory.bits).map_err(|_| StartError::NoMemory)?)?;
    let deadlines = Deadlines::new(deadline_page(start)?);
    let store = Store::new(objects, start)?;
    let replies = Replies::new(objects)?;

    let archive = Archive::new(Store::archive(start))?;
    let file = archive.files().find(|file| file.kind == Kind::Base).ok_or(StartError::NoBase)?;
    let tried = !start.case().is_empty();
    if tried {
        objects.allow_trials();
    }
    let authority = crate::trust::authority(&archive, tried);
    let base = BaseObject::parse(file.bytes)?;
    let segments: Vec<Segment<'_>, SEGMENTS_MAX> = base.segments().map(segment_of).collect();
    let size = LINKER_TEXT_SIZE_MAX as u64;
    let Tables { link, plan, functions, window, scratch } = tables;
    let mut space = DomainSpace::make(objects, window, 0, DOMAIN_NAME, &segments, size)?;
    link.open(Va(LINKER_TEXT_AT), usize::try_from(LINKER_TEXT_END - LINKER_TEXT_AT).unwrap_or(0));
    let write = |at: Va, kind: RelocKind, slot: Va| {
        // SAFETY: the link domain has no thread yet.
        let field = unsafe { space.base_field(at.0, kind.width()) };
        let field = field.ok_or(RelocError::Truncated(kind, at.0))?;
        aarch64_reloc::apply(kind, at.0, slot.0, field)
    };
    plan_base(link, &mut BaseSource { object: &base, write }, plan)?;
    space.publish_base(objects)?;
    {
        let texts = Mapped { space: &space, base_tables: None, modules: &[] };
        let mut text = Text::new(objects, space.spaces, texts, &[]);
        let (tail, exit) =
            (exit_tail(EXIT_SIGNAL), thread_exit(NO_DEVICE, LEFT, FAULT_ENDPOINTS, PER_THREAD_SHIFT));
        let ways =
            [(LANDING_PAD_AT, &landing_pad()[..]), (EXIT_TAIL_AT, &tail[..]), (THREAD_EXIT_AT, &exit[..])];
        for (at, word) in ways.into_iter().flat_map(|(at, words)| (at..).step_by(4).zip(words)) {
            text.write(Va(at), *word).map_err(|_| CommitError::Refused(Va(at)))?;
        }
        affix(plan, link, &mut text)?;
        commit(plan, link, &mut text)?;
    }
    for worker in 0..WORKERS_MAX {
        space.add_worker(objects, worker, base.base().worker_entry)?;
    }
    let grants = StartGrants(start);
    let most = usize::try_from(start.servers).ok().filter(|most| *most > 0).unwrap_or(usize::MAX);
    let wanted = base.servers().filter(|server| server.name != start.unserved());
    for server in wanted.take(most) {
        let (physical, size) = server.device.unwrap_or((0, 0));
        let irq = server.irq.unwrap_or(0);
        let core = core_of(&start.places, server.name);
        let (name, entry, memory) = (server.name, server.entry, server.memory);
        let plan = ServerPlan { name, entry, physical, size, irq, memory, core };
        space.add_server(objects, &plan, &grants)?;
    }
    space.start_watchdog(objects)?;
    let base_tables = base_tables(&base);
    if base_tables.is_none() {
        defmt::warn!("the base image has no unwind tables: stacks are scanned word by word");
    }
    let first_log_index = u32::try_from(base.log_index_end()).unwrap_or(u32::MAX);
    defmt::info!(
        "link domain in service: {=usize} symbols, {=usize} sites, {=usize} threads",
        link.symbols().count(),
        link.site_count(),
        space.threads.len()
    );
    Ok(Linker {
        objects,
        link,
        plan,
        functions,
        space,
        base,
        base_tables,
        scratch,
        store,
        capabilities: crate::caps::first(),
        authority,
        versions: kmod_trust::Versions::new(),
        trust_ticks: 0,
        deadlines,
        replies,
        modules: [const { None }; linker_core::MODULES_MAX],
        regions: Vec::new(),
        registrations: Registrations::new(),
        unheard: false,
        start,
        queue: Queue::new(),
        pops: Vec::new(),
        parked: Vec::new(),
        watch: crate::budget::Watch::NOBODY,
        transaction: Transaction::IDLE,
        turn: None,
        loads: 0,
        unloads: 0,
        loads_begun: 0,
        log_indices: LogIndices::new(first_log_index, LOG_INDEX_LIMIT),
    })
}

/// The base image's unwind tables, in the image as the boot archive has it.
fn base_tables(base: &BaseObject<'static>) -> Option<linker_unwind::Tables<'static>> {
    linker_unwind::Tables::with_header(base.section(".eh_frame")?, base.section(".eh_frame_hdr")?)
}

fn segment_of(segment: kmod::base::Segment<'static>) -> Segment<'static> {
    Segment {
        at: segment.address,
        bytes: segment.bytes,
        size: segment.size,
        access: match segment.permission {
            Permission::ReadExecute => Access::Text,
            Permission::ReadOnly => Access::ReadOnly,
            Permission::ReadWrite => Access::Data,
        },
    }
}

fn deadline_page(start: &StartInfo) -> Result<&'static DeadlinePage, StartError> {
    let page = start.region(region::DEADLINES).ok_or(StartError::NoDeadlines)?;
    // SAFETY: the root task maps the page read-write in this process for ever; all fields are atomics.
    Ok(unsafe { &*(page.address as *const DeadlinePage) })
}
