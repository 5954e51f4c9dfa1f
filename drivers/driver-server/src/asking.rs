//! What a thread of the link domain may ask the linker server.
//!
//! The thread calls the endpoint that its faults go to. Everything is in registers, so that it may be done in the middle of
//! a request: neither the IPC buffer nor the capability to reply to the client is touched.

use kmod_api::thread;
use sel4_sys::seL4_MessageInfo;
use strata_protocol::domain::slot::fault_endpoint;
use strata_protocol::linker::thread_request::UNLOAD;

/// The export `strata_unload`.
pub extern "C" fn unload(name0: u64, name1: u64, name2: u64, name3: u64) -> i32 {
    let endpoint = fault_endpoint(thread::id());
    let tag = seL4_MessageInfo::new(UNLOAD, 0, 0, 4);
    let (answer, _) = sel4_sys::seL4_CallWithMRsWithoutIPCBuffer(endpoint, tag, [name0, name1, name2, name3]);
    i32::try_from(answer.get_label()).unwrap_or(i32::MAX)
}
