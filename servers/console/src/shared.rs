//! Pages that a module shares, mapped read-only in this process: nothing the console does can stall whoever writes them.

use console_shell::Failure;
use heapless::Vec;
use strata_protocol::linker::Request;
use strata_protocol::start::region;
use strata_protocol::{Errno, ModuleName};
use strata_runtime::mapping::{Access, map_own};

use crate::session::Session;

const PAGE_SIZE: usize = 4096;

/// The `N` pages of a module, while they are mapped.
pub(crate) struct SharedPages<const N: usize> {
    module: &'static str,
    /// Where they go, from the start of the free address space.
    offset: u64,
    frames: Vec<u64, N>,
}

impl<const N: usize> SharedPages<N> {
    /// Nothing is mapped. No other module's pages have room from `offset` on.
    pub(crate) const fn of(module: &'static str, offset: u64) -> Self {
        Self { module, offset, frames: Vec::new() }
    }

    /// Maps all of them, which must not be mapped; their address. They stay until [`Self::release`].
    pub(crate) fn map(&mut self, session: &mut Session, what: &'static str) -> Result<u64, Failure> {
        let result = self.try_map(session, what);
        if result.is_err() {
            self.release(session);
        }
        result
    }

    fn try_map(&mut self, session: &mut Session, what: &'static str) -> Result<u64, Failure> {
        let no_space = || Failure::new(what, self.module, Errno::ENOMEM, "no address space is left");
        let base = session.start.region(region::FREE).ok_or_else(no_space)?.address + self.offset;
        for (page, at) in (0..).zip((base..).step_by(PAGE_SIZE)).take(N) {
            let name = ModuleName::cut(self.module);
            let frame = session.ask_for(what, &Request::MapShared { name, page })?;
            // There are as many places as pages.
            let _ = self.frames.push(frame);
            map_own(session.ipc, &mut session.slots, frame, at, Access::Read).map_err(|error| {
                let why = format_args!("its pages cannot be mapped: {error:?}");
                Failure::format(what, self.module, Errno::EIO, why)
            })?;
        }
        Ok(base)
    }

    /// Gives them back; whoever reads there has ended.
    pub(crate) fn release(&mut self, session: &mut Session) {
        if self.frames.is_empty() {
            return;
        }
        while let Some(frame) = self.frames.pop() {
            // Deleting a frame's capability also unmaps it.
            if let Err(error) = session.slots.delete(session.ipc, frame) {
                defmt::warn!("slot {=u64}: {}", frame, error);
            }
        }
        let name = ModuleName::cut(self.module);
        if session.ask("shared pages", &Request::ReleaseShared { name }).is_err() {
            defmt::warn!("the pages of {=str} were not released", self.module);
        }
    }
}
