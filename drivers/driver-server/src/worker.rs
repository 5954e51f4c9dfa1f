//! Workers: threads on which module commands run.
//!
//! A worker belongs to nobody's service, so a command that never ends or faults costs only its worker. The linker
//! server fills the command page and signals; the worker runs the command and signals back.

use core::sync::atomic::Ordering;

use strata_protocol::domain::{CommandArgs, CommandPage, ServerStart, command_state};

/// A module's command entry.
type Entry = unsafe extern "C" fn(u32, *mut CommandArgs) -> i32;

/// Entry of the thread.
///
/// # Safety
/// The linker server starts the thread here, with the address of its start record.
pub unsafe extern "C" fn entry(start: *const ServerStart) -> ! {
    // SAFETY: the linker server maps the start record for the life of the thread.
    let start = unsafe { *start };
    let page = core::ptr::with_exposed_provenance::<CommandPage>(usize::try_from(start.address).unwrap_or(0));
    // SAFETY: the start record of a worker names its command page, which stays mapped; all its fields are atomic.
    let page = unsafe { &*page };
    loop {
        let _ = sel4_sys::seL4_RecvWithMRsWithoutIPCBuffer(start.notification);
        if page.state.load(Ordering::Acquire) == command_state::REQUESTED {
            page.state.store(command_state::RUNNING, Ordering::Release);
            run(page);
            page.state.store(command_state::DONE, Ordering::Release);
            sel4_sys::seL4_Signal(start.signal);
        }
    }
}

fn run(page: &CommandPage) {
    let mut args = CommandArgs {
        words: core::array::from_fn(|i| page.words[i].load(Ordering::Relaxed)),
        shared_address: page.shared_address.load(Ordering::Relaxed),
        shared_size: page.shared_size.load(Ordering::Relaxed),
    };
    let address = usize::try_from(page.entry.load(Ordering::Relaxed)).unwrap_or(0);
    let entry = core::ptr::with_exposed_provenance::<()>(address);
    // SAFETY: the linker server puts the address of a loaded module's command entry here, and has checked when it
    // parsed the module that it lies in its text; pointers to functions and to data have one size on this machine.
    let entry = unsafe { core::mem::transmute::<*const (), Entry>(entry) };
    // SAFETY: the module is mapped, and the arguments are this frame's own.
    let result = unsafe { entry(page.command.load(Ordering::Relaxed), &raw mut args) };
    for (word, value) in page.words.iter().zip(args.words) {
        word.store(value, Ordering::Relaxed);
    }
    page.result.store(result, Ordering::Relaxed);
}
