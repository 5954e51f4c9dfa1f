//! What the root task does for the rest of its life: ends the machine on request, and reports who has died.

use boot_plan::description::OWNERS;
use sel4_sys::{seL4_CPtr, seL4_Fault_CapFault, seL4_Fault_UserException, seL4_Fault_VMFault};
use selected_board::BOARD;
use strata_protocol::DetailText;
use strata_protocol::root::Request;
use strata_protocol::wire::{FRAME_MAX, Frame, encode};
use strata_runtime::debug::DebugOut;
use strata_runtime::ipc::{Received, get, receive};
use strata_runtime::{Ipc, debug_println, semihosting};

use crate::wiring::FAULT_BADGE;

/// The status with which the machine ends when a server dies while a host tool listens.
const DEAD_SERVER_STATUS: i32 = 70;

/// The servers by owner: their names, and who is still alive.
pub(crate) struct Servers {
    pub(crate) names: [Option<&'static str>; OWNERS],
    pub(crate) end: End,
}

/// How the machine ends.
#[derive(Clone, Copy)]
pub(crate) struct End {
    /// A host tool listens, and is told.
    pub(crate) host: bool,
    /// It starts again: the kernel has read the boot arguments, too.
    pub(crate) resets: bool,
}

/// Serves for ever.
pub(crate) fn serve(ipc: &mut Ipc, endpoint: seL4_CPtr, mut servers: Servers) -> ! {
    loop {
        let received = receive(ipc, endpoint);
        if received.badge & FAULT_BADGE != 0 {
            // No answer: the thread stays where it is.
            servers.died(ipc, received);
        } else if let Ok(Request::PowerOff { status }) = get(ipc, received.tag) {
            power_off(status, servers.end);
        }
    }
}

/// Ends the machine: an emulator by itself, hardware by telling the host tool that nothing more comes.
pub(crate) fn power_off(status: i32, end: End) {
    if BOARD.semihosting && !end.resets {
        semihosting::exit(status);
    }
    if end.host {
        send(&Frame::PoweredOff { status });
    } else {
        debug_println!("root-task: powered off with status {status}");
    }
    sel4_sys::seL4_DebugHalt();
}

impl Servers {
    fn died(&mut self, ipc: &Ipc, received: Received) {
        let index = usize::try_from(received.badge & !FAULT_BADGE).unwrap_or(OWNERS);
        let name = self.names.get_mut(index).and_then(Option::take).unwrap_or("unknown server");
        let why = describe(received.tag.get_label(), &ipc.msg);
        defmt::error!("{=str} is dead: {=str}", name, why.as_str());
        debug_println!("\r\nroot-task: {name} is dead: {why}");
        if self.end.host {
            send(&Frame::Panic { image: name, message: &why });
            power_off(DEAD_SERVER_STATUS, self.end);
        }
    }
}

/// Writes a frame through the kernel: whoever else writes may be dead.
fn send(frame: &Frame<'_>) {
    let mut buffer = [0; FRAME_MAX];
    if let Ok(bytes) = encode(frame, &mut buffer) {
        DebugOut.write(bytes);
    }
}

/// One line about a fault message.
#[expect(non_upper_case_globals, reason = "the ABI's names")]
fn describe(label: u64, words: &[u64]) -> DetailText {
    let (pc, second) = (words[0], words[1]);
    match label {
        seL4_Fault_VMFault => {
            let (fetch, status) = (words[2], words[3]);
            let kind = if fetch == 0 { "access" } else { "fetch" };
            DetailText::format(format_args!("{kind} fault at {second:#x}, pc {pc:#x}, status {status:#x}"))
        }
        seL4_Fault_UserException => {
            DetailText::format(format_args!("exception, pc {pc:#x}, sp {second:#x}, code {:#x}", words[4]))
        }
        seL4_Fault_CapFault => DetailText::format(format_args!("no capability at {second:#x}, pc {pc:#x}")),
        other => DetailText::format(format_args!("fault {other}, pc {pc:#x}")),
    }
}
