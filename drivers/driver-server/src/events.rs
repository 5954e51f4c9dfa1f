//! Events: what modules may wait on and signal.
//!
//! Each is a kernel notification in the link domain's CNode. Waiting does without the IPC buffer and does not touch the
//! capability to reply to a client, so a driver server may wait in the middle of a request.

use strata_protocol::Errno;
use strata_protocol::domain::slot;

/// Where event number `event` stands in the CNode.
const fn slot_of(event: u32) -> Option<u64> {
    match event {
        0 => Some(slot::HOLD),
        n if n as u64 <= slot::EVENTS => Some(slot::EVENT_FIRST + n as u64 - 1),
        _ => None,
    }
}

/// The export `strata_event_wait`: of this name, because the base image's own locks wait, too.
#[unsafe(export_name = "strata_event_wait")]
pub extern "C" fn wait(event: u32) -> i32 {
    let Some(slot) = slot_of(event) else { return Errno::EINVAL.number() };
    let _ = sel4_sys::seL4_RecvWithMRsWithoutIPCBuffer(slot);
    0
}

/// The export `strata_event_signal`.
#[unsafe(export_name = "strata_event_signal")]
pub extern "C" fn signal(event: u32) -> i32 {
    let Some(slot) = slot_of(event) else { return Errno::EINVAL.number() };
    sel4_sys::seL4_Signal(slot);
    0
}
