//! From a server's line in the table to a running process.

use board::Board;
use boot_plan::addresses;
use boot_plan::bootargs::{BootArgs, Sink};
use boot_plan::description::{Capability, OWNERS, Owner, SERVERS, Server, Shared, commander, extent};
use boot_plan::executable::{Executable, PAGE_SIZE};
use boot_plan::placement::{PLACES, places};
use sel4_sys::{seL4_BootInfo, seL4_CPtr, seL4_CapIRQControl, seL4_CapInitThreadASIDPool, seL4_CapRights};
use strata_process::MakeError;
use strata_process::memory::{Memory, Object};
use strata_process::process::{Maker, Process};
use strata_protocol::archive::Archive;
use strata_protocol::caps::slot;
use strata_protocol::domain::ThreadBlock;
use strata_protocol::start::{
    GRANTS_MAX, Grant, MAGIC, REGIONS_MAX, Region, StartInfo, VERSION, grant, padding, region,
};
use strata_protocol::store::UPLOAD_SIZE;
use strata_runtime::Ipc;
use strata_runtime::kernel::check;
use strata_runtime::mapping::Access;

use crate::image;

/// Badge of a fault: this, and the owner's index below.
pub(crate) const FAULT_BADGE: u64 = 1 << 32;

/// What several servers hold a part of.
pub(crate) struct Commons {
    /// Everybody's endpoint.
    pub(crate) endpoints: [seL4_CPtr; OWNERS],
    /// Everybody's notification.
    pub(crate) notifications: [seL4_CPtr; OWNERS],
    /// The first frame of each log ring, by owner.
    rings: [seL4_CPtr; OWNERS],
    upload: seL4_CPtr,
    deadlines: seL4_CPtr,
}

impl Commons {
    /// Makes all of it. The frames of the upload area lie in adjacent slots.
    pub(crate) fn new(
        ipc: &mut Ipc,
        memory: &mut Memory,
        boot_info: &seL4_BootInfo,
    ) -> Result<Self, MakeError> {
        let mut endpoints = [0; OWNERS];
        let mut notifications = [0; OWNERS];
        let mut rings = [0; OWNERS];
        for index in 0..OWNERS {
            endpoints[index] = memory.make(ipc, Object::Endpoint)?;
            notifications[index] = memory.make(ipc, Object::Notification)?;
            rings[index] = if index == Owner::Root.index() {
                image::frame_of(boot_info, image::log_ring())
            } else {
                memory.make(ipc, Object::Page)?
            };
        }
        let deadlines = memory.make(ipc, Object::Page)?;
        let upload = memory.make(ipc, Object::Page)?;
        for _ in 1..UPLOAD_SIZE / PAGE_SIZE {
            memory.make(ipc, Object::Page)?;
        }
        Ok(Self { endpoints, notifications, rings, upload, deadlines })
    }
}

/// Makes and starts servers.
pub(crate) struct Wiring<'a> {
    pub(crate) maker: Maker<'a>,
    pub(crate) boot_info: &'static seL4_BootInfo,
    pub(crate) archive: Archive<'static>,
    pub(crate) commons: &'a Commons,
    pub(crate) args: &'a BootArgs,
    pub(crate) board: &'a Board,
}

impl Wiring<'_> {
    /// Starts one server.
    pub(crate) fn start(&mut self, server: &Server) -> Result<Process, MakeError> {
        let file = self.archive.find(server.file).ok_or(MakeError::NoFile)?;
        let executable = Executable::parse(file.bytes)?;
        let process = Process::new(&mut self.maker, server.cnode_bits)?;
        process.load(&mut self.maker, &executable)?;
        let stack = addresses::STACK_TOP - server.stack_pages * PAGE_SIZE;
        process.map_zeros(&mut self.maker, stack, server.stack_pages)?;
        let ring = self.commons.rings[server.owner.index()];
        process.share(&mut self.maker, ring, addresses::LOG_RING, Access::ReadWrite)?;

        let mut info = self.start_page(server);
        self.capabilities(server, &process, &mut info)?;
        self.regions(server, &process, &mut info)?;
        process.map_value(&mut self.maker, info, addresses::START, Access::Read)?;
        process.map_value(&mut self.maker, thread_block(server), addresses::THREAD, Access::ReadWrite)?;
        if server.bound {
            let notification = self.commons.notifications[server.owner.index()];
            check(self.maker.ipc.seL4_TCB_BindNotification(process.tcb, notification))?;
        }
        process.start(&mut self.maker, executable.entry(), server.mcp, server.priority)?;
        Ok(process)
    }

    fn start_page(&self, server: &Server) -> StartInfo {
        // A kernel has some cores only: the number fits.
        let cores = u32::try_from(self.boot_info.numNodes).unwrap_or(1);
        StartInfo {
            magic: MAGIC,
            version: VERSION,
            stream: server.stream.into(),
            name: padding(server.file),
            slots_start: slot::FIRST_FREE,
            slots_end: 1 << server.cnode_bits,
            host: self.args.host.into(),
            // The start page has 32 bits for it; the high ones of a longer seed are not used.
            seed: u32::try_from(self.args.seed & 0xffff_ffff).unwrap_or(0),
            log_sink: match self.args.log {
                Sink::Uart => 0,
                Sink::Debug => 1,
            },
            cores,
            cycles: self.args.cycles,
            servers: self.args.servers,
            unserved: padding(self.args.unserved.as_deref().unwrap_or("")),
            case: padding(self.args.case.as_deref().unwrap_or("")),
            regions: [Region::default(); REGIONS_MAX],
            grants: [Grant::default(); GRANTS_MAX],
            places: places(cores),
        }
    }

    fn capabilities(
        &mut self,
        server: &Server,
        process: &Process,
        info: &mut StartInfo,
    ) -> Result<(), MakeError> {
        let all = seL4_CapRights::all();
        // A client may call, and thereby hand out the right to be answered, but grants nothing.
        let calling = seL4_CapRights::new(1, 0, 0, 1);
        // To the linker server a client presents capabilities of that very endpoint; the linker server receives no other.
        let presenting = seL4_CapRights::new(1, 1, 0, 1);
        let signalling = seL4_CapRights::write_only();
        let faulting = seL4_CapRights::new(1, 1, 0, 1);
        let root = self.commons.endpoints[Owner::Root.index()];
        let fault = FAULT_BADGE | server.owner.index() as u64;
        let Maker { ipc, memory, .. } = &mut self.maker;
        process.grant(ipc, root, slot::FAULT, faulting, fault)?;
        for capability in server.capabilities {
            let at = capability.slot();
            let own = server.owner.index();
            match *capability {
                Capability::Service => process.grant(ipc, self.commons.endpoints[own], at, all, 0)?,
                Capability::Notification => {
                    process.grant(ipc, self.commons.notifications[own], at, all, 0)?
                }
                Capability::CNode => process.grant(ipc, process.cnode, at, all, process.guard())?,
                Capability::Tcb => process.grant(ipc, process.tcb, at, all, 0)?,
                Capability::VSpace => process.grant(ipc, process.vspace, at, all, 0)?,
                Capability::AsidPool => process.grant(ipc, seL4_CapInitThreadASIDPool, at, all, 0)?,
                Capability::Call { owner, badge, .. } => {
                    let calling = if owner == Owner::Linker { presenting } else { calling };
                    process.grant(ipc, self.commons.endpoints[owner.index()], at, calling, badge)?;
                }
                Capability::Signal { owner, badge, .. } => {
                    process.grant(ipc, self.commons.notifications[owner.index()], at, signalling, badge)?;
                }
                Capability::Untyped { bits, .. } => {
                    memory.make_at(ipc, Object::Untyped(bits), process.cnode, at)?;
                    note(info, Grant { kind: grant::UNTYPED, bits: bits.into(), slot: at, address: 0 })?;
                }
                Capability::Devices { .. } => {
                    for (at, (name, _)) in (at..).step_by(2).zip(PLACES) {
                        // The table names the devices of all boards, and servers without one.
                        let Some(device) = self.board.device(name) else { continue };
                        let (bits, address) = (PAGE_SIZE.trailing_zeros(), device.registers.start);
                        memory.device_at(ipc, address, process.cnode, at)?;
                        note(info, Grant { kind: grant::DEVICE, bits, slot: at, address })?;
                        if let Some(number) = device.irq {
                            interrupt(ipc, process, number, at + 1, info)?;
                        }
                    }
                }
                Capability::Irq { number, .. } => interrupt(ipc, process, number, at, info)?,
            }
        }
        Ok(())
    }

    fn regions(&mut self, server: &Server, process: &Process, info: &mut StartInfo) -> Result<(), MakeError> {
        let mut place = info.regions.iter_mut();
        for shared in server.shared {
            let (address, size) = extent(*shared, self.archive.size() as u64);
            let region = Region { kind: shared.kind(), data: 0, address, size };
            if *shared == Shared::LogRings {
                self.log_rings(process, &mut place)?;
                continue;
            }
            *place.next().ok_or(MakeError::StartPage)? = region;
            let (first, access) = match *shared {
                Shared::Store => {
                    (image::frame_of(self.boot_info, image::archive().as_ptr() as u64), Access::Read)
                }
                Shared::Upload { write: true } => (self.commons.upload, Access::ReadWrite),
                Shared::Upload { write: false } => (self.commons.upload, Access::Read),
                Shared::Deadlines => (self.commons.deadlines, Access::ReadWrite),
                Shared::LogRings | Shared::Free => continue,
            };
            for page in 0..size.div_ceil(PAGE_SIZE) {
                process.share(&mut self.maker, first + page, address + page * PAGE_SIZE, access)?;
            }
        }
        Ok(())
    }

    fn log_rings<'r>(
        &mut self,
        process: &Process,
        place: &mut impl Iterator<Item = &'r mut Region>,
    ) -> Result<(), MakeError> {
        let commander = commander(self.args.case.is_some());
        let writers = SERVERS.iter().chain([commander]).map(|server| (server.owner, server.stream));
        let root = (Owner::Root, strata_protocol::streams::ROOT_TASK);
        for (owner, stream) in writers.chain([root]) {
            let address = addresses::LOG_RINGS + owner.index() as u64 * addresses::LOG_RING_STRIDE;
            process.share(&mut self.maker, self.commons.rings[owner.index()], address, Access::ReadWrite)?;
            let (kind, data) = (region::LOG_RING, stream.into());
            *place.next().ok_or(MakeError::StartPage)? = Region { kind, data, address, size: PAGE_SIZE };
        }
        Ok(())
    }
}

fn interrupt(
    ipc: &mut Ipc,
    process: &Process,
    number: u32,
    at: u64,
    info: &mut StartInfo,
) -> Result<(), MakeError> {
    let (control, depth) = (seL4_CapIRQControl, process.cnode_bits);
    check(ipc.seL4_IRQControl_Get(control, number.into(), process.cnode, at, depth))?;
    note(info, Grant { kind: grant::IRQ, bits: number, slot: at, address: 0 })
}

/// Tells the process of a capability that has a number of its own.
fn note(info: &mut StartInfo, grant: Grant) -> Result<(), MakeError> {
    let place = info.grants.iter_mut().find(|place| place.kind == 0);
    *place.ok_or(MakeError::StartPage)? = grant;
    Ok(())
}

fn thread_block(server: &Server) -> ThreadBlock {
    let name: [u8; 16] = padding(server.file);
    let word = |at: usize| u64::from_le_bytes(name[at..at + 8].try_into().expect("eight bytes")).into();
    ThreadBlock {
        ipc_buffer: addresses::IPC_BUFFER.into(),
        log_ring: addresses::LOG_RING.into(),
        log_signal: slot::LOG_SIGNAL.into(),
        stream: u32::from(server.stream).into(),
        name: [word(0), word(8)],
        ..Default::default()
    }
}
