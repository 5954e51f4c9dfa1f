//! Keeps module images by name: those of the boot archive, and those that somebody has uploaded.
//!
//! What it answers is `store-catalog`'s.
#![no_std]
#![no_main]

use store_catalog::Catalog;
use strata_protocol::archive::Archive;
use strata_protocol::caps::slot;
use strata_protocol::start::{StartInfo, region};
use strata_protocol::store::Reply;
use strata_protocol::{Errno, Refusal};
use strata_runtime::ipc::{get, put, receive, reply_receive};
use strata_runtime::{Ipc, entry};

entry!(main);

fn main(start: &'static StartInfo, ipc: &'static mut Ipc) -> ! {
    let region = start.region(region::STORE).expect("the description names the boot archive");
    let size = usize::try_from(region.size).expect("addresses have 64 bits");
    // SAFETY: the root task maps the boot archive read-only for the life of the process.
    let bytes = unsafe { core::slice::from_raw_parts(region.address as *const u8, size) };
    let archive = Archive::new(bytes).expect("the root task has checked the same bytes");
    let mut catalog = Catalog::new(archive);
    defmt::info!("{=usize} files", archive.files().count());

    let mut received = receive(ipc, slot::SERVICE);
    loop {
        let reply = match get(ipc, received.tag) {
            Ok(request) => catalog.answer(request),
            Err(_) => Reply::Refused(Refusal::new(Errno::EINVAL, "store", "not a request of this version")),
        };
        let tag = put(ipc, &reply, 0).expect("an answer fits a message");
        received = reply_receive(ipc, slot::SERVICE, tag);
    }
}
