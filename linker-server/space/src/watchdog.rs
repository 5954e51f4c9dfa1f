//! The watchdog: a second thread of the linker server, above the driver servers.
//!
//! The linker server runs below the driver servers, so one that loops would keep it from ever noticing. The watchdog
//! sleeps, wakes the linker server for a look at who has been running, and raises it if it has not had its turn since the
//! last time, or watches somebody. It does nothing else, and holds no reference to anything of the linker server's.

use crate::domain::WATCHDOG_AT;
use crate::error::{ObjectError, Operation, check};
use crate::mirror::View;
use crate::objects::{Objects, PAGE_SIZE, Untyped};
use crate::vspace::{Access, VSpaces, make_pages, mirror};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use linker_books::ledger::Account;
use sel4_sys::api_object::seL4_TCBObject;
use sel4_sys::{seL4_CNode_CapData, seL4_CPtr, seL4_IPCBuffer, seL4_TCBBits, seL4_UserContext};
use strata_protocol::caps;
use strata_protocol::timer;
use strata_runtime::ipc::call;

/// How long the watchdog sleeps, in milliseconds.
pub const BEAT_MS: u32 = 40;
/// Pages of its stack.
const STACK_PAGES: u32 = 4;

/// Times that it has woken the linker server.
static BEATS: AtomicU32 = AtomicU32::new(0);
/// The last of them that the linker server has noticed.
static NOTICED: AtomicU32 = AtomicU32::new(0);
/// The linker server watches a thread: it wants its turn at every beat.
static WATCHING: AtomicBool = AtomicBool::new(false);

/// Whether the linker server has been woken since this was asked last.
#[must_use]
pub fn beaten() -> bool {
    let beats = BEATS.load(Ordering::Acquire);
    NOTICED.swap(beats, Ordering::Relaxed) != beats
}

/// Says whether the linker server wants its turn at every beat.
pub fn watch(watching: bool) {
    WATCHING.store(watching, Ordering::Relaxed);
}

/// Makes the watchdog and starts it.
///
/// # Errors
/// [`ObjectError`]. The linker server does not start without it, so nothing is undone.
pub fn start(
    objects: &mut Objects,
    spaces: VSpaces,
    untyped: Untyped,
    account: Account,
) -> Result<(), ObjectError> {
    let pages = make_pages(objects, spaces, untyped, WATCHDOG_AT, 1 + STACK_PAGES, Access::None, account)?;
    // SAFETY: the pages stay mapped in the mirror for ever: the watchdog is never given back.
    let view = unsafe { View::of(pages) };
    let beat = objects.mint(
        caps::slot::NOTIFICATION,
        sel4_sys::seL4_CapRights::write_only(),
        caps::linker_signal::BEAT,
        account,
    )?;
    let tcb = objects.carve(untyped, seL4_TCBObject, seL4_TCBBits.to_le_bytes()[0], 1, account)?;
    let guard = seL4_CNode_CapData::new(0, 64 - u64::from(caps::LINKER_CNODE_BITS)).into_word();
    let (buffer, own) = (mirror(view.at()), caps::slot::TCB);
    let (cnode, vspace, fault) = (caps::slot::CNODE, caps::slot::VSPACE, caps::slot::FAULT);
    let error = objects.ipc.seL4_TCB_Configure(tcb, fault, cnode, guard, vspace, 0, buffer, pages.mirrors);
    check(Operation::Configure, error)?;
    let error = objects.ipc.seL4_TCB_SetPriority(tcb, own, caps::priority::WATCHDOG);
    check(Operation::Priority, error)?;
    let registers = seL4_UserContext {
        pc: run as *const () as u64,
        sp: mirror(view.at() + (1 + u64::from(STACK_PAGES)) * PAGE_SIZE),
        x0: buffer,
        x1: beat,
        ..seL4_UserContext::default()
    };
    let count = registers.to_words().len() as u64;
    check(Operation::Registers, objects.ipc.seL4_TCB_WriteRegisters(tcb, 1, 0, count, &registers))
}

/// The thread.
extern "C" fn run(buffer: *mut seL4_IPCBuffer, beat: seL4_CPtr) -> ! {
    // SAFETY: `start` has mapped the page, aligned and zeroed, as this thread's IPC buffer and nothing else.
    let ipc = unsafe { &mut *buffer };
    let sleep = timer::Request::Sleep { microseconds: u64::from(BEAT_MS) * 1_000 };
    loop {
        // Whatever the timer server answers, time has passed; should it not serve, this waits for ever and the linker
        // server has no deadlines either.
        let _ = call::<_, timer::Reply>(ipc, caps::slot::TIMER, &sleep);
        let beats = BEATS.load(Ordering::Relaxed);
        if WATCHING.load(Ordering::Relaxed) || NOTICED.load(Ordering::Relaxed) != beats {
            let own = caps::slot::TCB;
            let _ = ipc.seL4_TCB_SetPriority(own, own, caps::priority::RAISED);
        }
        BEATS.store(beats.wrapping_add(1), Ordering::Release);
        sel4_sys::seL4_Signal(beat);
    }
}
