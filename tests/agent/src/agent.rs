//! What a case works with: typed calls to the servers, each with the failure that it means when it does not work.

use core::cell::RefCell;
use core::fmt;

use heapless::Vec;
use sel4_sys::seL4_CPtr;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strata_protocol::archive::Archive;
use strata_protocol::caps::slot;
use strata_protocol::fault::FaultRow;
use strata_protocol::linker::{AliasRow, BLOCKERS_MAX, Blocker, ModuleRow, Reply, Request, ThreadRow};
use strata_protocol::start::{StartInfo, region};
use strata_protocol::store::{self, ImageRef};
use strata_protocol::{DetailText, Errno, ModuleName, SymbolName, timer};
use strata_runtime::ipc::{call, call_for_capability};
use strata_runtime::slots::Slots;
use strata_runtime::{Ipc, clock};

use crate::case::{Failure, Outcome, ensure, ensure_eq, fail};

/// Aliases of one stack that a case looks at.
pub(crate) const STACK_MAX: usize = 24;
/// Rows of other lists.
pub(crate) const ROWS_MAX: usize = 40;
/// A deadline that no unload in a case needs.
pub(crate) const DRAIN_MS: u32 = 2_000;

/// A module that is refused: the reason and who is inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The reason.
    pub(crate) errno: Errno,
    /// What it is about.
    pub(crate) name: SymbolName,
    /// Why, in one line.
    pub(crate) why: DetailText,
    /// Who keeps the module, for an unload.
    pub(crate) blockers: [Option<Blocker>; BLOCKERS_MAX],
}

/// What a load or unload came to.
pub(crate) type Decision = Result<(), Refused>;

/// A case's means.
pub(crate) struct Agent {
    /// The IPC buffer of the first thread.
    pub(crate) ipc: &'static mut Ipc,
    /// Free slots of the CSpace.
    pub(crate) slots: Slots,
    /// The run's seed.
    pub(crate) seed: u64,
    /// How many cycles are asked for; 0: the case's own number.
    pub(crate) cycles: u32,
    /// How many cores there are.
    pub(crate) cores: u32,
    /// The images in the boot archive.
    pub(crate) archive: Archive<'static>,
    /// The upload area.
    pub(crate) upload: u64,
    /// Where the next mapping of this process goes.
    pub(crate) free: u64,
}

impl Agent {
    /// Takes what the start page describes.
    pub(crate) fn new(start: &'static StartInfo, ipc: &'static mut Ipc) -> Self {
        let place = |kind| start.region(kind).expect("the description names the regions of the agent");
        let store = place(region::STORE);
        let size = usize::try_from(store.size).expect("addresses have 64 bits");
        // SAFETY: the root task maps the boot archive read-only for the life of the process.
        let bytes = unsafe { core::slice::from_raw_parts(store.address as *const u8, size) };
        Self {
            ipc,
            slots: Slots::new(start),
            seed: u64::from(start.seed),
            cycles: start.cycles,
            cores: start.cores,
            archive: Archive::new(bytes).expect("the root task has checked the same bytes"),
            upload: place(region::UPLOAD).address,
            free: place(region::FREE).address,
        }
    }

    /// Lends the IPC buffer to clients that share it.
    pub(crate) fn lend_ipc<T>(&mut self, part: impl for<'b> FnOnce(&'b RefCell<&'b mut Ipc>) -> T) -> T {
        part(&RefCell::new(&mut *self.ipc))
    }

    /// An empty slot.
    pub(crate) fn slot(&mut self) -> Outcome<seL4_CPtr> {
        self.slots.take().ok_or_else(|| Failure::new(format_args!("the agent's CSpace is full")))
    }

    /// Asks a service; a message that does not come back as it should fails the case.
    #[inline(always)]
    fn ask<Q: Serialize + fmt::Debug, A: DeserializeOwned>(
        &mut self,
        service: seL4_CPtr,
        request: &Q,
    ) -> Outcome<A> {
        call(self.ipc, service, request).map_err(|error| Failure::new(format_args!("{request:?}: {error:?}")))
    }

    /// Asks the linker server.
    #[inline]
    pub(crate) fn linker(&mut self, request: &Request) -> Outcome<Reply> {
        self.ask(slot::LINKER, request)
    }

    /// Asks the linker server for a capability, into a new slot; also the size that the answer tells.
    pub(crate) fn capability(&mut self, request: &Request) -> Outcome<(seL4_CPtr, u64)> {
        let at = self.slot()?;
        match call_for_capability(self.ipc, slot::LINKER, request, at) {
            Ok((Reply::Capability { size, .. }, true)) => Ok((at, size)),
            other => {
                self.slots.give_back(at);
                fail!("{request:?}: {other:?}")
            }
        }
    }

    /// Where an image lies.
    pub(crate) fn find(&mut self, module: &str) -> Outcome<ImageRef> {
        match self.ask(slot::STORE, &store::Request::Find { name: name(module)? })? {
            store::Reply::Image { image, .. } => Ok(image),
            other => fail!("the store has no {module}: {other:?}"),
        }
    }

    /// Asks for a load.
    pub(crate) fn try_load(&mut self, module: &str) -> Outcome<Decision> {
        let image = self.find(module)?;
        self.try_load_image(module, image)
    }

    /// Asks for a load of an image that the store may not know.
    pub(crate) fn try_load_image(&mut self, module: &str, image: ImageRef) -> Outcome<Decision> {
        let request = Request::Load { name: name(module)?, domain: ModuleName::default(), image };
        decision(&self.linker(&request)?)
    }

    /// Loads a module, which must succeed.
    pub(crate) fn load(&mut self, module: &str) -> Outcome {
        match self.try_load(module)? {
            Ok(()) => Ok(()),
            Err(refused) => fail!("load of {module}: {refused:?}"),
        }
    }

    /// A load that must be refused with this reason.
    pub(crate) fn load_refused(&mut self, module: &str, errno: Errno) -> Outcome<Refused> {
        match self.try_load(module)? {
            Err(refused) if refused.errno == errno => Ok(refused),
            decision => fail!("load of {module}: {decision:?}, not {errno}"),
        }
    }

    /// Asks for an unload.
    pub(crate) fn try_unload(&mut self, module: &str, drain_ms: u32) -> Outcome<Decision> {
        decision(&self.linker(&Request::Unload { name: name(module)?, drain_ms })?)
    }

    /// Unloads a module, which must succeed.
    pub(crate) fn unload(&mut self, module: &str) -> Outcome {
        match self.try_unload(module, DRAIN_MS)? {
            Ok(()) => Ok(()),
            Err(refused) => fail!("unload of {module}: {refused:?}"),
        }
    }

    /// An unload that must be refused with this reason.
    pub(crate) fn unload_refused(&mut self, module: &str, drain_ms: u32, errno: Errno) -> Outcome<Refused> {
        match self.try_unload(module, drain_ms)? {
            Err(refused) if refused.errno == errno => Ok(refused),
            other => fail!("unload of {module}: {other:?}, not {errno}"),
        }
    }

    /// A module's STAT words.
    pub(crate) fn stat(&mut self, module: &str) -> Outcome<[u64; 8]> {
        match self.linker(&Request::Stat { name: name(module)? })? {
            Reply::Words(words) => Ok(words),
            other => fail!("STAT of {module}: {other:?}"),
        }
    }

    /// A module's CONTROL.
    pub(crate) fn control(&mut self, module: &str, words: [u64; 4]) -> Outcome<[u64; 8]> {
        match self.try_control(module, words)? {
            Ok(words) => Ok(words),
            Err(errno) => fail!("CONTROL {words:?} of {module}: {errno}"),
        }
    }

    /// A module's CONTROL, which may be refused.
    pub(crate) fn try_control(&mut self, module: &str, words: [u64; 4]) -> Outcome<Result<[u64; 8], Errno>> {
        match self.linker(&Request::Control { name: name(module)?, words })? {
            Reply::Words(words) => Ok(Ok(words)),
            Reply::Done => Ok(Ok([0; 8])),
            Reply::Refused(refusal) => Ok(Err(refusal.errno)),
            other => fail!("CONTROL {words:?} of {module}: {other:?}"),
        }
    }

    /// A symbol's stack, top first.
    pub(crate) fn stack(&mut self, symbol: &str) -> Outcome<Vec<AliasRow, STACK_MAX>> {
        let Some(symbol) = SymbolName::new(symbol) else { fail!("{symbol} is too long for a symbol") };
        let mut rows = Vec::new();
        loop {
            let index = rows.len().try_into().unwrap_or(u32::MAX);
            match self.linker(&Request::Alias { symbol: symbol.clone(), index })? {
                Reply::Alias(row) => {
                    ensure!(rows.push(row).is_ok(), "the stack of {symbol} is higher than expected")
                }
                Reply::End => return Ok(rows),
                other => fail!("alias {symbol}: {other:?}"),
            }
        }
    }

    /// Fails unless the modules in a symbol's stack are these, top first.
    pub(crate) fn expect_stack(&mut self, symbol: &str, modules: &[&str]) -> Outcome {
        let rows = self.stack(symbol)?;
        let same = rows.len() == modules.len()
            && rows.iter().zip(modules).all(|(row, name)| row.module.as_str() == *name);
        if !same {
            let names: Vec<&str, STACK_MAX> = rows.iter().map(|row| row.module.as_str()).collect();
            fail!("the stack of {symbol} is {names:?}, not {modules:?}");
        }
        Ok(())
    }

    /// All modules, in load order.
    pub(crate) fn modules(&mut self) -> Outcome<Vec<ModuleRow, ROWS_MAX>> {
        let mut rows = Vec::new();
        loop {
            let index = rows.len().try_into().unwrap_or(u32::MAX);
            match self.linker(&Request::Module { index })? {
                Reply::Module(row) => ensure!(rows.push(row).is_ok(), "more modules than expected"),
                Reply::End => return Ok(rows),
                other => fail!("modstat: {other:?}"),
            }
        }
    }

    /// The row of one module, if it is there.
    pub(crate) fn module(&mut self, module: &str) -> Outcome<Option<ModuleRow>> {
        Ok(self.modules()?.into_iter().find(|row| row.name.as_str() == module))
    }

    /// Timer ticks that the linker server has spent on signatures.
    pub(crate) fn trust_ticks(&mut self) -> Outcome<u64> {
        match self.linker(&Request::Status)? {
            Reply::Status { trust_ticks, .. } => Ok(trust_ticks),
            other => fail!("status: {other:?}"),
        }
    }

    /// All threads of the link domain.
    pub(crate) fn threads(&mut self) -> Outcome<Vec<ThreadRow, ROWS_MAX>> {
        let mut rows = Vec::new();
        loop {
            let index = rows.len().try_into().unwrap_or(u32::MAX);
            match self.linker(&Request::Thread { index })? {
                Reply::Thread(row) => ensure!(rows.push(row).is_ok(), "more threads than expected"),
                Reply::End => return Ok(rows),
                other => fail!("threads: {other:?}"),
            }
        }
    }

    /// The last fault of a thread.
    pub(crate) fn fault_of(&mut self, thread: &str) -> Outcome<FaultRow> {
        match self.threads()?.into_iter().find(|row| row.name.as_str() == thread) {
            Some(ThreadRow { fault: Some(fault), .. }) => Ok(fault),
            row => fail!("no fault of {thread}: {row:?}"),
        }
    }

    /// Lets others run for so long.
    pub(crate) fn sleep_us(&mut self, microseconds: u64) -> Outcome {
        match self.ask(slot::TIMER, &timer::Request::Sleep { microseconds })? {
            timer::Reply::Time { .. } => Ok(()),
            refused => fail!("sleep: {refused:?}"),
        }
    }

    /// Fails unless `what` took between `low` and `high` milliseconds since `from_us`.
    pub(crate) fn took_ms(&self, from_us: u64, low: u64, high: u64, what: &str) -> Outcome {
        let took = (clock::microseconds() - from_us) / 1_000;
        ensure!((low..=high).contains(&took), "{what} took {took} ms, not {low} to {high}");
        Ok(())
    }

    /// Fails unless no module is loaded and the linker server serves.
    pub(crate) fn expect_empty(&mut self) -> Outcome {
        ensure_eq!(self.modules()?.len(), 0, "modules left");
        Ok(())
    }
}

/// A module's name in a message.
pub(crate) fn name(module: &str) -> Outcome<ModuleName> {
    ModuleName::new(module).ok_or_else(|| Failure::new(format_args!("{module} is too long for a module")))
}

/// What an answer to a load or unload decides.
pub(crate) fn decision(reply: &Reply) -> Outcome<Decision> {
    match reply {
        Reply::Done | Reply::DoneWith { .. } => Ok(Ok(())),
        Reply::Refused(refusal) => Ok(Err(Refused {
            errno: refusal.errno,
            name: refusal.name.clone(),
            why: refusal.why.clone(),
            blockers: [const { None }; BLOCKERS_MAX],
        })),
        Reply::Blocked { refusal, blockers } => Ok(Err(Refused {
            errno: refusal.errno,
            name: refusal.name.clone(),
            why: refusal.why.clone(),
            blockers: blockers.clone(),
        })),
        other => fail!("no answer to a load or unload: {other:?}"),
    }
}
