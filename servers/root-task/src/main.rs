//! The initial task: takes what the kernel left, starts the servers from the boot archive, and then waits to end
//! the machine or to report a death.
//!
//! Reading order: here, then [`wiring`] (one server from its description), [`serve`], [`image`].
#![no_std]
#![no_main]

mod image;
mod serve;
mod wiring;

use core::sync::atomic::Ordering;

use boot_plan::bootargs::BootArgs;
use boot_plan::description::{OWNERS, Owner, SERVERS, commander};
use boot_plan::device_tree;
use sel4_sys::{
    SEL4_BOOTINFO_HEADER_FDT, seL4_BootInfo, seL4_CapInitThreadCNode, seL4_CapInitThreadTCB, seL4_CapRights,
};
use selected_board::BOARD;
use strata_process::MakeError;
use strata_process::memory::Memory;
use strata_process::process::Maker;
use strata_process::scratch::Scratch;
use strata_protocol::archive::Archive;
use strata_protocol::caps::{log_signal, priority};
use strata_protocol::streams;
use strata_runtime::ipc::DEPTH;
use strata_runtime::kernel::check;
use strata_runtime::{Ipc, debug_println, thread};

use crate::serve::{End, Servers, serve};
use crate::wiring::{Commons, Wiring};

/// The status with which the machine ends when a server cannot be started.
const NO_START_STATUS: i32 = 71;

/// The first Rust code of the user side; `start.s` calls it with what the kernel left in x0.
#[unsafe(no_mangle)]
extern "C" fn root_main(boot_info: *const seL4_BootInfo) -> ! {
    // SAFETY: the kernel maps BootInfo at the address in x0 for the root task's whole life, and never writes again.
    let boot_info = unsafe { &*boot_info };
    let block = thread::block();
    block.ipc_buffer.store(boot_info.ipcBuffer as u64, Ordering::Relaxed);
    block.log_ring.store(image::log_ring(), Ordering::Relaxed);
    block.stream.store(streams::ROOT_TASK.into(), Ordering::Relaxed);
    block.name[0].store(u64::from_le_bytes(*b"root-tas"), Ordering::Relaxed);
    block.name[1].store(u64::from(b'k'), Ordering::Relaxed);
    // SAFETY: the thread has just begun; nobody else holds the buffer.
    let ipc = unsafe { thread::take_ipc() };
    // SAFETY: this runs once, and nothing else in this image maps pages.
    let scratch = unsafe { Scratch::new() };

    let args = boot_args(boot_info);
    match bring_up(ipc, boot_info, scratch, &args) {
        Ok((endpoint, servers)) => serve(ipc, endpoint, servers),
        Err((who, error)) => {
            debug_println!("root-task: cannot start {who}: {error:?}");
            serve::power_off(NO_START_STATUS, end(&args));
            panic!("cannot start {who}")
        }
    }
}

fn end(args: &BootArgs) -> End {
    End { host: args.host, resets: args.reset }
}

fn boot_args(boot_info: &'static seL4_BootInfo) -> BootArgs {
    let text = image::extra(boot_info, SEL4_BOOTINFO_HEADER_FDT).and_then(device_tree::bootargs);
    BootArgs::parse(text.as_deref().unwrap_or(""), |error| {
        debug_println!("root-task: boot arguments: {error:?}")
    })
}

/// Starts everything; an error names who could not be started.
fn bring_up(
    ipc: &mut Ipc,
    boot_info: &'static seL4_BootInfo,
    mut scratch: Scratch,
    args: &BootArgs,
) -> Result<(u64, Servers), (&'static str, MakeError)> {
    let own = |error| ("root-task", error);
    let archive = Archive::new(image::archive()).map_err(|error| {
        debug_println!("root-task: boot archive: {error:?}");
        own(MakeError::NoFile)
    })?;
    let mut memory = Memory::new(boot_info).map_err(own)?;
    let commons = Commons::new(ipc, &mut memory, boot_info).map_err(own)?;
    let root = seL4_CapInitThreadCNode;
    let log = commons.notifications[Owner::Log.index()];
    let signal = memory.slot().map_err(own)?;
    let rights = seL4_CapRights::write_only();
    check(ipc.seL4_CNode_Mint(root, signal, DEPTH, root, log, DEPTH, rights, log_signal::RING))
        .map_err(|error| own(error.into()))?;
    thread::block().log_signal.store(signal, Ordering::Relaxed);
    let free = memory.free_bytes();
    defmt::info!("{=u64} KiB of memory, {=usize} bytes of boot archive", free >> 10, archive.size());

    let mut names = [None; OWNERS];
    for server in SERVERS.iter().chain([commander(args.case.is_some())]) {
        let maker = Maker { ipc: &mut *ipc, memory: &mut memory, scratch: &mut scratch };
        let mut wiring = Wiring { maker, boot_info, archive, commons: &commons, args, board: BOARD };
        wiring.start(server).map_err(|error| (server.file, error))?;
        names[server.owner.index()] = Some(server.file);
        defmt::debug!("started {=str}", server.file);
    }
    defmt::info!("all servers started, {=u64} KiB left", memory.free_bytes() >> 10);
    let tcb = seL4_CapInitThreadTCB;
    check(ipc.seL4_TCB_SetPriority(tcb, tcb, priority::ROOT)).map_err(|error| own(error.into()))?;
    Ok((commons.endpoints[Owner::Root.index()], Servers { names, end: end(args) }))
}
