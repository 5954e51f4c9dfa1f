//! A link domain's kernel objects: its address space, CNode, base image, threads, endpoints.
//!
//! ```text
//! 0x1000_0000  base image            0x1300_0000  modules
//! 0x1200_0000  linker-owned text     0x1700_0000  threads      0x2000_0000  devices
//! ```
//! Link-domain threads share one CNode that holds endpoints, notifications and interrupt handlers, and
//! nothing by which an address space or a thread could be changed.

use crate::error::{ObjectError, Operation, check};
use crate::guest::{PERMANENT_MAX, Threads};
use crate::mirror::View;
use crate::objects::{Objects, PAGE_BITS, PAGE_SIZE, Untyped};
use crate::thread::{
    DOMAIN_CNODE_BITS, Made, Recipe, Role, THREAD_STRIDE, THREADS_AT, THREADS_MAX, Thread, command_page_of,
    make_thread,
};
use crate::vspace::{Access, Pages, VSpaces, make_pages, make_tables, map, mirror, publish};
use crate::watchdog;
use core::sync::atomic::Ordering;
use heapless::Vec;
use linker_books::WINDOW_PAGES_MAX;
use linker_books::ledger::Account;
use linker_books::window::Window;
use linker_core::LINKER_TEXT_SIZE_MAX;
use linker_core::text::{EXIT_TAIL_SIZE, LANDING_PAD_SIZE, THREAD_EXIT_SIZE};
use sel4_sys::api_object::{
    seL4_ARM_SmallPageObject, seL4_ARM_VSpaceObject, seL4_CapTableObject, seL4_EndpointObject,
    seL4_NotificationObject,
};
use sel4_sys::{
    seL4_ARM_VMAttributes, seL4_CPtr, seL4_CapRights, seL4_EndpointBits, seL4_NotificationBits, seL4_Word,
};
use strata_protocol::domain::{ServerStart, server_signal, serving, slot};
use strata_protocol::start::CONTROL_CORE;
use strata_protocol::{ModuleName, caps, streams};

/// First address of a link domain's window.
pub const WINDOW_AT: u64 = 0x1000_0000;
/// One behind its last: a `BL` reaches from everywhere in the window to everywhere in it.
pub const WINDOW_END: u64 = 0x1800_0000;
/// Where linker-owned text starts.
pub const LINKER_TEXT_AT: u64 = 0x1200_0000;
/// Where modules start.
pub const MODULES_AT: u64 = 0x1300_0000;
/// One behind where modules end.
pub const MODULES_END: u64 = 0x1700_0000;
/// Where the watchdog's pages start: behind those of the threads, and mapped in the linker server only.
pub const WATCHDOG_AT: u64 = THREADS_AT + THREADS_MAX as u64 * THREAD_STRIDE;
/// Where devices start.
pub const DEVICES_AT: u64 = 0x2000_0000;
/// Address space of one device.
pub const DEVICE_STRIDE: u64 = 0x1_0000;
/// Where the memory of a device's own is, behind its registers.
const MEMORY_AT: u64 = DEVICE_STRIDE / 2;
/// The most devices of one link domain.
pub const DEVICES_MAX: usize = 12;
/// Workers of one link domain: one that works and the reserve for those that fault or overrun.
pub const WORKERS_MAX: u32 = 4;
/// The most servers of one link domain.
pub const SERVERS_MAX: usize = 12;
/// Segments of a base image.
pub const SEGMENTS_MAX: usize = 8;

/// The badge of a device's interrupts on its server's notification.
pub const IRQ_BADGE: u64 = server_signal::INTERRUPT;
/// The badge of "something has arrived" on a driver server's signal to its client.
pub const ARRIVED_BADGE: u64 = caps::signal::FIRST << 8;

/// Where the landing pad stands: at the end of linker-owned text, in front of which modules get theirs.
pub const LANDING_PAD_AT: u64 = LINKER_TEXT_AT + LINKER_TEXT_SIZE_MAX as u64 - LANDING_PAD_SIZE;

/// Where the exit tail stands: in front of it.
pub const EXIT_TAIL_AT: u64 = LANDING_PAD_AT - EXIT_TAIL_SIZE;
/// Where the thread exit stands: in front of that.
pub const THREAD_EXIT_AT: u64 = EXIT_TAIL_AT - THREAD_EXIT_SIZE;
/// One behind the linker-owned text that modules get.
pub const LINKER_TEXT_END: u64 = THREAD_EXIT_AT;

/// Whether an address is in the landing pad, the exit tail or the thread exit: whoever is in the first two returns to x30
/// with SP as it is, and who is in the last is gone soon.
#[must_use]
pub const fn is_way_out(at: u64) -> bool {
    at >= LINKER_TEXT_END && at < LINKER_TEXT_AT + LINKER_TEXT_SIZE_MAX as u64
}

/// Untyped memory for the objects of one link domain other than its base image.
const STRUCTURES_SIZE: u64 = 2 << 20;
/// Where in a server's slots the signal to its client is.
const SIGNAL_AT: u64 = 4;
/// Slots of one thread in the link domain's CNode.
const SLOTS_PER_THREAD: u64 = slot::PER_THREAD;
const _: () = assert!(
    slot::FIRST_DYNAMIC + SLOTS_PER_THREAD * THREADS_MAX as u64 == slot::FIRST_REGISTERED,
    "every thread has its slots"
);
const _: () = assert!(slot::FIRST_REGISTERED + slot::REGISTERED <= 1 << DOMAIN_CNODE_BITS);
const _: () = assert!(SERVERS_MAX + WORKERS_MAX as usize <= PERMANENT_MAX);
const _: () = assert!(WINDOW_END - WINDOW_AT == 128 << 20);
const _: () = assert!(MODULES_END - MODULES_AT <= WINDOW_PAGES_MAX as u64 * PAGE_SIZE);

/// A piece of the base image.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Its address.
    pub at: u64,
    /// Its bytes; the rest of `size` is zeros.
    pub bytes: &'a [u8],
    /// Its size in memory.
    pub size: u64,
    /// What the link domain may do with it.
    pub access: Access,
}

/// A driver server of the base image.
#[derive(Clone, Copy, Debug)]
pub struct ServerPlan<'a> {
    /// Its name, which is the device's name for clients.
    pub name: &'a str,
    /// Where its thread starts.
    pub entry: u64,
    /// Physical address of its device, 0 for none.
    pub physical: u64,
    /// Size of its device in bytes.
    pub size: u64,
    /// Interrupt number of its device, 0 for none.
    pub irq: u32,
    /// Whether its device reads and writes memory by itself, of which it is given a page.
    pub memory: bool,
    /// The core that it runs on.
    pub core: u32,
}

/// What the linker server may hand on: device frames and interrupt handlers, by their numbers.
pub trait Grants {
    /// The frame of the device at a physical address.
    fn device(&self, physical: u64) -> Option<seL4_CPtr>;
    /// The handler of an interrupt.
    fn irq(&self, number: u32) -> Option<seL4_CPtr>;
}

/// Why a link domain cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainError {
    /// No objects.
    Object(ObjectError),
    /// The base image has more segments, servers or threads than there is room for.
    TooMany,
    /// A segment lies outside the base image's part of the window, or is larger in the file than in memory.
    Segment(u64),
    /// The server's device was not given to the linker server.
    NoDevice(u64),
    /// The server's interrupt was not given to the linker server.
    NoInterrupt(u32),
}

impl From<ObjectError> for DomainError {
    fn from(error: ObjectError) -> Self {
        Self::Object(error)
    }
}

/// A driver server: where clients reach it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name.
    pub name: ModuleName,
    /// Its endpoint.
    pub endpoint: seL4_CPtr,
    /// The notification that it signals when something has arrived for its client.
    pub signal: seL4_CPtr,
    /// Its thread.
    pub thread: u32,
    /// Signals it that layers have come or gone; none where it has no device.
    pub layers: Option<seL4_CPtr>,
    /// Its interrupt's handler, and what that signals.
    pub interrupt: Option<(seL4_CPtr, seL4_CPtr)>,
}

/// The kernel objects of a link domain.
pub struct DomainSpace {
    /// Its number.
    pub number: u16,
    /// What it is charged to.
    pub account: Account,
    /// Its address space and the linker server's.
    pub spaces: VSpaces,
    /// Free addresses for modules.
    pub window: &'static mut Window,
    /// Its threads, by number.
    pub threads: Threads,
    /// Its driver servers.
    pub servers: Vec<Server, SERVERS_MAX>,
    /// Text that may be patched: base image and linker-owned text.
    pub texts: Vec<View, SEGMENTS_MAX>,
    base: Vec<View, SEGMENTS_MAX>,
    pub(crate) cnode: seL4_CPtr,
    untyped: Untyped,
    hold: seL4_CPtr,
    next_device: u64,
}

impl DomainSpace {
    /// Makes a link domain with its base image; no thread of it exists yet.
    ///
    /// # Errors
    /// [`DomainError`]. The linker server does not go on without its first link domain, so nothing is
    /// undone.
    pub fn make(
        objects: &mut Objects,
        window: &'static mut Window,
        number: u16,
        name: &str,
        segments: &[Segment<'_>],
        linker_text_size: u64,
    ) -> Result<Self, DomainError> {
        let account = objects.open_account(name)?;
        let untyped = objects.take_untyped(STRUCTURES_SIZE, account)?;
        let vspace = objects.carve(untyped, seL4_ARM_VSpaceObject, PAGE_BITS, 1, account)?;
        let error = objects.ipc.seL4_ARM_ASIDPool_Assign(caps::slot::ASID_POOL, vspace);
        check(Operation::Map, error)?;
        let cnode = objects.carve(untyped, seL4_CapTableObject, DOMAIN_CNODE_BITS, 1, account)?;
        let spaces = VSpaces { domain: vspace, own: caps::slot::VSPACE };
        let devices_end = DEVICES_AT + DEVICES_MAX as u64 * DEVICE_STRIDE;
        make_tables(objects, untyped, spaces.domain, WINDOW_AT, WINDOW_END, account)?;
        make_tables(objects, untyped, spaces.domain, DEVICES_AT, devices_end, account)?;
        make_tables(objects, untyped, spaces.own, mirror(WINDOW_AT), mirror(WINDOW_END), account)?;

        let hold = notification(objects, untyped, account)?;
        let all = seL4_CapRights::all();
        objects.copy_into(cnode, slot::HOLD, DOMAIN_CNODE_BITS, hold, all)?;
        for event in 0..slot::EVENTS {
            let notification = notification(objects, untyped, account)?;
            objects.copy_into(cnode, slot::EVENT_FIRST + event, DOMAIN_CNODE_BITS, notification, all)?;
        }
        let write = seL4_CapRights::write_only();
        let exit = caps::linker_signal::EXIT;
        objects.mint_into(
            cnode,
            slot::EXIT_SIGNAL,
            DOMAIN_CNODE_BITS,
            caps::slot::NOTIFICATION,
            write,
            exit,
        )?;
        let log = caps::slot::LOG_SIGNAL;
        objects.copy_into(cnode, slot::LOG_SIGNAL, DOMAIN_CNODE_BITS, log, write)?;

        window.open(MODULES_AT, MODULES_END);
        let mut domain = Self {
            number,
            account,
            spaces,
            window,
            threads: Threads::default(),
            servers: Vec::new(),
            texts: Vec::new(),
            base: Vec::new(),
            cnode,
            untyped,
            hold,
            next_device: DEVICES_AT,
        };
        let count = u32::try_from(linker_text_size / PAGE_SIZE).map_err(|_| DomainError::TooMany)?;
        let pages = make_pages(objects, spaces, untyped, LINKER_TEXT_AT, count, Access::Text, account)?;
        domain.add_text(pages)?;
        domain.map_base(objects, segments)?;
        Ok(domain)
    }

    /// The text of the base image.
    #[must_use]
    pub fn base_texts(&self) -> &[View] {
        // Linker-owned text comes first.
        self.texts.get(1..).unwrap_or_default()
    }

    fn add_text(&mut self, pages: Pages) -> Result<(), DomainError> {
        // SAFETY: base image and linker-owned text stay mapped until the link domain goes, and this
        // view is part of the link domain.
        let view = unsafe { View::of(pages) };
        self.texts.push(view).map_err(|_| DomainError::TooMany)
    }

    /// Copies the base image into frames of its own.
    fn map_base(&mut self, objects: &mut Objects, segments: &[Segment<'_>]) -> Result<(), DomainError> {
        let pages_of = |segment: &Segment<'_>| -> Result<(u64, u32), DomainError> {
            let end = segment.at.checked_add(segment.size).ok_or(DomainError::Segment(segment.at))?;
            let fits = segment.at >= WINDOW_AT && end <= LINKER_TEXT_AT;
            if !fits || segment.bytes.len() as u64 > segment.size {
                return Err(DomainError::Segment(segment.at));
            }
            let first = segment.at & !(PAGE_SIZE - 1);
            let count = (end - first).div_ceil(PAGE_SIZE);
            Ok((first, u32::try_from(count).map_err(|_| DomainError::Segment(segment.at))?))
        };
        let mut total = 0;
        for segment in segments {
            total += u64::from(pages_of(segment)?.1) * PAGE_SIZE;
        }
        let untyped = objects.take_untyped(total, self.account)?;
        for segment in segments {
            let (first, count) = pages_of(segment)?;
            let pages =
                make_pages(objects, self.spaces, untyped, first, count, segment.access, self.account)?;
            // SAFETY: the base image's pages stay mapped until the link domain goes, and this view is part
            // of the link domain.
            let view = unsafe { View::of(pages) };
            // SAFETY: the link domain has no thread yet, and `view` is used for nothing else.
            let bytes = unsafe { view.bytes() };
            let offset = usize::try_from(segment.at - first).map_err(|_| DomainError::Segment(segment.at))?;
            bytes[offset..offset + segment.bytes.len()].copy_from_slice(segment.bytes);
            self.base.push(view).map_err(|_| DomainError::TooMany)?;
            if segment.access == Access::Text {
                self.add_text(pages)?;
            }
        }
        Ok(())
    }

    /// Bytes of the base image, to be relocated.
    ///
    /// # Safety
    /// The link domain has no thread yet, and the bytes of an earlier call are not used any more.
    #[must_use]
    pub unsafe fn base_field(&mut self, at: u64, size: u64) -> Option<&mut [u8]> {
        let view = self.base.iter().copied().find(|view| view.contains(at, size))?;
        let first = usize::try_from(at - view.at()).ok()?;
        let size = usize::try_from(size).ok()?;
        // SAFETY: nobody runs in the link domain (contract), and `self` is borrowed for as long as the
        // bytes are used.
        let bytes = unsafe { view.bytes() };
        bytes.get_mut(first..first + size)
    }

    /// Makes the base image's text visible to instruction fetch.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn publish_base(&self, objects: &mut Objects) -> Result<(), ObjectError> {
        for text in &self.texts {
            publish(objects, self.spaces, text.at(), text.at() + text.size())?;
        }
        Ok(())
    }

    /// Makes and starts the thread of a driver server.
    ///
    /// # Errors
    /// [`DomainError`].
    pub fn add_server(
        &mut self,
        objects: &mut Objects,
        plan: &ServerPlan<'_>,
        grants: &impl Grants,
    ) -> Result<(), DomainError> {
        let number = self.next_number()?;
        let index = u32::try_from(self.servers.len()).map_err(|_| DomainError::TooMany)?;
        let first = first_slot(number);
        let account = self.account;
        let bits = endpoint_bits(seL4_EndpointBits);
        let endpoint = objects.carve(self.untyped, seL4_EndpointObject, bits, 1, account)?;
        let own = notification(objects, self.untyped, account)?;
        let signal = notification(objects, self.untyped, account)?;
        let all = seL4_CapRights::all();
        objects.copy_into(self.cnode, first + 1, DOMAIN_CNODE_BITS, endpoint, all)?;
        objects.copy_into(self.cnode, first + 2, DOMAIN_CNODE_BITS, own, all)?;
        let write = seL4_CapRights::write_only();
        objects.mint_into(self.cnode, first + SIGNAL_AT, DOMAIN_CNODE_BITS, signal, write, ARRIVED_BADGE)?;
        let mut start = ServerStart {
            endpoint: first + 1,
            notification: first + 2,
            signal: first + SIGNAL_AT,
            hold: slot::HOLD,
            index: index.into(),
            ..ServerStart::default()
        };
        let mut thread =
            self.make_thread(objects, number, plan.name, Role::Server(index), plan.entry, plan.core)?;
        check(Operation::Configure, objects.ipc.seL4_TCB_BindNotification(thread.tcb, own))?;
        if plan.physical != 0 {
            let frame = grants.device(plan.physical).ok_or(DomainError::NoDevice(plan.physical))?;
            start.address = self.map_device(objects, frame)?;
            start.physical = plan.physical;
            start.size = plan.size;
            if plan.memory {
                start.memory = start.address + MEMORY_AT;
                start.memory_physical = self.make_memory(objects, start.memory)?;
            }
        }
        let layers = match plan.physical {
            0 => None,
            _ => Some(objects.mint(own, write, server_signal::LAYERS, account)?),
        };
        let mut interrupt = None;
        if plan.irq != 0 {
            let handler = grants.irq(plan.irq).ok_or(DomainError::NoInterrupt(plan.irq))?;
            objects.copy_into(self.cnode, first + 3, DOMAIN_CNODE_BITS, handler, all)?;
            start.irq_handler = first + 3;
            let badged = objects.mint(own, write, IRQ_BADGE, account)?;
            let error = objects.ipc.seL4_IRQHandler_SetNotification(handler, badged);
            check(Operation::Interrupt, error)?;
            interrupt = Some((handler, badged));
        }
        thread.start(objects, start)?;
        let name = ModuleName::cut(plan.name);
        let server = Server { name, endpoint, signal, thread: number, layers, interrupt };
        self.servers.push(server).map_err(|_| DomainError::TooMany)?;
        self.threads.push(thread).map_err(|_| DomainError::TooMany)
    }

    /// Leads a driver server's signal to the notification behind `client`, badge and all, or back to its own for `None`.
    /// What it signals while that is done, on another core, is lost: a client looks once it is told that it is.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn signal_to(
        &self,
        objects: &mut Objects,
        name: &str,
        client: Option<seL4_CPtr>,
    ) -> Result<(), ObjectError> {
        let Some(server) = self.servers.iter().find(|server| server.name.as_str() == name) else {
            return Ok(());
        };
        let (at, write) = (first_slot(server.thread) + SIGNAL_AT, seL4_CapRights::write_only());
        objects.delete_from(self.cnode, at, DOMAIN_CNODE_BITS)?;
        match client {
            Some(client) => objects.copy_into(self.cnode, at, DOMAIN_CNODE_BITS, client, write),
            None => objects.mint_into(self.cnode, at, DOMAIN_CNODE_BITS, server.signal, write, ARRIVED_BADGE),
        }
    }

    /// Gives a driver server its interrupt, or takes it away: the kernel masks it when it comes next, and tells nobody.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn set_interrupt(&self, objects: &mut Objects, name: &str, on: bool) -> Result<(), ObjectError> {
        let server = self.servers.iter().find(|server| server.name.as_str() == name);
        let Some((handler, signal)) = server.and_then(|server| server.interrupt) else { return Ok(()) };
        if !on {
            return check(Operation::Interrupt, objects.ipc.seL4_IRQHandler_Clear(handler));
        }
        check(Operation::Interrupt, objects.ipc.seL4_IRQHandler_SetNotification(handler, signal))?;
        // What came meanwhile comes again.
        check(Operation::Interrupt, objects.ipc.seL4_IRQHandler_Ack(handler))
    }

    /// Starts a driver server that was stopped or given up, with its interrupt, its endpoint and its notifications as they were.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn start_again(&mut self, objects: &mut Objects, name: &str) -> Result<(), ObjectError> {
        self.set_interrupt(objects, name, true)?;
        let server = self.servers.iter().find(|server| server.name.as_str() == name);
        let Some(thread) = server.and_then(|server| self.threads.get_mut(server.thread as usize)) else {
            return Ok(());
        };
        thread.page.thread_block().serving.store(serving::STARTING, Ordering::Release);
        thread.restarts = 0;
        thread.start_again(objects)
    }

    /// Makes the linker server's watchdog and starts it.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn start_watchdog(&self, objects: &mut Objects) -> Result<(), ObjectError> {
        watchdog::start(objects, self.spaces, self.untyped, self.account)
    }

    /// Makes and starts a worker. It runs on the linker server's core, which drivers leave alone.
    ///
    /// # Errors
    /// [`DomainError`].
    pub fn add_worker(&mut self, objects: &mut Objects, index: u32, entry: u64) -> Result<(), DomainError> {
        let number = self.next_number()?;
        let first = first_slot(number);
        let own = notification(objects, self.untyped, self.account)?;
        objects.copy_into(self.cnode, first + 2, DOMAIN_CNODE_BITS, own, seL4_CapRights::all())?;
        let write = seL4_CapRights::write_only();
        let done = caps::linker_signal::WORKER_DONE;
        objects.mint_into(self.cnode, first + 4, DOMAIN_CNODE_BITS, caps::slot::NOTIFICATION, write, done)?;
        const NAMES: [&str; WORKERS_MAX as usize] = ["worker0", "worker1", "worker2", "worker3"];
        let name = NAMES.get(index as usize).ok_or(DomainError::TooMany)?;
        let mut thread = self.make_thread(objects, number, name, Role::Worker(index), entry, CONTROL_CORE)?;
        thread.request = own;
        let start = ServerStart {
            notification: first + 2,
            signal: first + 4,
            hold: slot::HOLD,
            address: command_page_of(number),
            size: PAGE_SIZE,
            index: index.into(),
            ..ServerStart::default()
        };
        thread.start(objects, start)?;
        self.threads.push(thread).map_err(|_| DomainError::TooMany)
    }

    fn next_number(&self) -> Result<u32, DomainError> {
        u32::try_from(self.threads.len())
            .ok()
            .filter(|number| (*number as usize) < PERMANENT_MAX)
            .ok_or(DomainError::TooMany)
    }

    fn make_thread(
        &self,
        objects: &mut Objects,
        number: u32,
        name: &str,
        role: Role,
        entry: u64,
        core: u32,
    ) -> Result<Thread, DomainError> {
        let first = first_slot(number);
        // The kernel sends faults through a capability in the faulter's own CSpace; it needs the right
        // to grant the reply.
        let rights = seL4_CapRights::new(1, 0, 0, 1);
        let badge = caps::linker_badge::FAULT | u64::from(number);
        objects.mint_into(self.cnode, first, DOMAIN_CNODE_BITS, caps::slot::SERVICE, rights, badge)?;
        let recipe = Recipe {
            name,
            number,
            role,
            entry,
            priority: match role {
                Role::Server(_) => caps::priority::DRIVER,
                Role::Worker(_) => caps::priority::WORKER,
                Role::Guest => caps::priority::GUEST,
            },
            core,
            fault_endpoint: first,
            stream: streams::LINK_DOMAIN + self.number,
            log_signal: slot::LOG_SIGNAL,
        };
        let (spaces, cnode, own) = (self.spaces, self.cnode, caps::slot::TCB);
        // The link domain's own are never given back.
        let mut made = Made::default();
        Ok(make_thread(objects, spaces, cnode, own, self.untyped, self.account, recipe, &mut made)?)
    }

    /// Makes a page that a device reads and writes past the caches, maps it at `at` so that the link domain does, too, and
    /// returns its physical address.
    ///
    /// The kernel has cleared it through the caches and cleaned them. Before it is used with other attributes its lines
    /// are taken out of them (Arm ARM B2.8, mismatched memory attributes); afterwards nobody accesses it through a mapping
    /// that is cached, so that none of its lines is ever dirty.
    fn make_memory(&self, objects: &mut Objects, at: u64) -> Result<u64, DomainError> {
        let frame = objects.carve(self.untyped, seL4_ARM_SmallPageObject, PAGE_BITS, 1, self.account)?;
        let (domain, rights) = (self.spaces.domain, seL4_CapRights::read_write());
        map(objects, frame, domain, at, rights, seL4_ARM_VMAttributes::data())?;
        let flushed = objects.ipc.seL4_ARM_VSpace_CleanInvalidate_Data(domain, at, at + PAGE_SIZE);
        check(Operation::Unify, flushed)?;
        check(Operation::Unmap, objects.ipc.seL4_ARM_Page_Unmap(frame))?;
        map(objects, frame, domain, at, rights, seL4_ARM_VMAttributes::device())?;
        let found = objects.ipc.seL4_ARM_Page_GetAddress(frame);
        check(Operation::Map, found.error)?;
        Ok(found.paddr)
    }

    /// Maps a device's frame in the link domain and returns its address there.
    fn map_device(&mut self, objects: &mut Objects, frame: seL4_CPtr) -> Result<u64, DomainError> {
        let at = self.next_device;
        if at >= DEVICES_AT + DEVICES_MAX as u64 * DEVICE_STRIDE {
            return Err(DomainError::TooMany);
        }
        let rights = seL4_CapRights::read_write();
        let copy = objects.copy(frame, rights, self.account)?;
        map(objects, copy, self.spaces.domain, at, rights, seL4_ARM_VMAttributes::device())?;
        self.next_device += DEVICE_STRIDE;
        Ok(at)
    }

    /// Wakes whoever waits in the demo module (for tests: the demo server does the same on request).
    pub fn release_hold(&self) {
        sel4_sys::seL4_Signal(self.hold);
    }
}

/// The first slot of a thread in the link domain's CNode: fault endpoint, endpoint, notification,
/// interrupt handler, signal.
pub(crate) const fn first_slot(number: u32) -> u64 {
    slot::fault_endpoint(number)
}
const _: () = assert!(slot::EVENT_FIRST + slot::EVENTS <= slot::FIRST_DYNAMIC);

pub(crate) fn notification(
    objects: &mut Objects,
    untyped: Untyped,
    account: Account,
) -> Result<seL4_CPtr, ObjectError> {
    objects.carve(untyped, seL4_NotificationObject, endpoint_bits(seL4_NotificationBits), 1, account)
}

pub(crate) const fn endpoint_bits(bits: seL4_Word) -> u8 {
    bits.to_le_bytes()[0]
}
