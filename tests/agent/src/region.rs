//! A module's shared pages as a client sees them: mapped read-only.

use heapless::Vec;
use sel4_sys::seL4_CPtr;
use strata_protocol::linker::{Reply, Request};
use strata_runtime::mapping::{Access, map_own, unmap};

use crate::agent::{Agent, name};
use crate::case::{Outcome, ensure, fail};

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;
/// Pages of a region.
const PAGES_MAX: usize = 32;

/// A region, mapped.
///
/// Holding one proves that the frames are mapped read-only in this process, one behind the other; they stay when the module
/// goes.
pub(crate) struct Region {
    /// Where it begins.
    pub(crate) address: u64,
    module: &'static str,
    frames: Vec<seL4_CPtr, PAGES_MAX>,
}

impl Agent {
    /// Maps the shared pages of a module.
    pub(crate) fn map_region(&mut self, module: &'static str, pages: u16) -> Outcome<Region> {
        let address = self.free;
        self.free += u64::from(pages) * PAGE + 0x20_0000;
        let mut frames = Vec::new();
        for page in 0..u32::from(pages) {
            let (frame, _) = self.capability(&Request::MapShared { name: name(module)?, page })?;
            let at = address + u64::from(page) * PAGE;
            let mapped = map_own(self.ipc, &mut self.slots, frame, at, Access::Read);
            ensure!(mapped.is_ok(), "mapping page {page} of {module}: {mapped:?}");
            ensure!(frames.push(frame).is_ok(), "{module} has more pages than expected");
        }
        Ok(Region { address, module, frames })
    }

    /// Unmaps a region and gives its pages back. Nobody must use its memory any more.
    pub(crate) fn unmap_region(&mut self, region: Region) -> Outcome {
        for frame in region.frames {
            // A page whose module has been unloaded may have been revoked already.
            let _ = unmap(self.ipc, frame);
            let deleted = self.slots.delete(self.ipc, frame);
            ensure!(deleted.is_ok(), "deleting a page of {}: {deleted:?}", region.module);
        }
        match self.linker(&Request::ReleaseShared { name: name(region.module)? })? {
            Reply::Done => Ok(()),
            other => fail!("release of the pages of {}: {other:?}", region.module),
        }
    }
}
