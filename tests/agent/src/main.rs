//! On-target cases that run as a client of the servers.
//!
//! The start page names one case; it runs, its verdict goes to the host, and the machine ends. Nothing is shared
//! between two cases: each has a boot of its own.
//!
//! Reading order: [`case`] (what a case is), [`agent`] (what it works with), then `cases`, one file for each subject.
#![no_std]
#![no_main]
#![expect(
    clippy::result_large_err,
    reason = "without a heap a failure carries its text, and a case has one at most"
)]

mod agent;
mod case;
mod cases;
mod device;
mod image;
mod ledger;
mod names;
mod region;
mod report;
mod sections;
mod snapshot;
mod soak;
mod threads;
mod trace;

use sel4_sys::seL4_CPtr;
use strata_protocol::caps::slot;
use strata_protocol::root::Request;
use strata_protocol::start::StartInfo;
use strata_protocol::wire::Frame;
use strata_runtime::ipc::call;
use strata_runtime::{Ipc, entry};

use crate::agent::Agent;
use crate::case::find;

entry!(main);

/// The status of a machine whose case failed.
const FAILED_STATUS: i32 = 1;
/// The status of a machine that was asked for a case that does not exist.
const NO_CASE_STATUS: i32 = 2;
/// The root task's service.
const ROOT: seL4_CPtr = slot::ROOT;

fn main(start: &'static StartInfo, ipc: &'static mut Ipc) -> ! {
    let name = start.case();
    report::frame(&Frame::CaseBegin { name });
    let Some(case) = find(name) else {
        report::frame(&Frame::CaseEnd { name, passed: false, message: "no such case in this agent" });
        power_off(ipc, NO_CASE_STATUS);
    };
    let mut agent = Agent::new(start, ipc);
    let outcome = (case.run)(&mut agent);
    let (passed, message) = match &outcome {
        Ok(()) => (true, ""),
        Err(failure) => (false, failure.as_str()),
    };
    report::frame(&Frame::CaseEnd { name, passed, message });
    power_off(agent.ipc, if passed { 0 } else { FAILED_STATUS });
}

/// Ends the machine. There is no answer, so the call never comes back where somebody ends machines.
fn power_off(ipc: &mut Ipc, status: i32) -> ! {
    loop {
        let _ = call::<_, ()>(ipc, ROOT, &Request::PowerOff { status });
    }
}
