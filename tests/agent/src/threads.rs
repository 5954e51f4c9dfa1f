//! More clients: threads of this process, less urgent than everything else, so they run when the first one waits, or on
//! another core.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use sel4_sys::abi::SMP;
use sel4_sys::{api_object, seL4_CNode_CapData, seL4_CPtr, seL4_UserContext};
use strata_protocol::caps::slot;
use strata_protocol::domain::ThreadBlock;
use strata_protocol::start::CONTROL_CORE;
use strata_runtime::Ipc;
use strata_runtime::kernel::check;
use strata_runtime::mapping::{Access, map_own, retype_own};

use crate::agent::Agent;
use crate::case::{Failure, Outcome, ensure};

/// More clients at once.
const THREADS_MAX: usize = 4;
const STACK_SIZE: usize = 64 << 10;
/// The agent's CNode has this many slots as a power of two.
const CNODE_BITS: u64 = 8;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_SIZE]>);
// SAFETY: each stack is given to one thread.
unsafe impl Sync for Stack {}

static STACKS: [Stack; THREADS_MAX] = [const { Stack(UnsafeCell::new([0; STACK_SIZE])) }; THREADS_MAX];

/// What the first thread and a client tell each other.
pub(crate) struct Shared {
    /// The client is asked to end.
    stop: AtomicBool,
    /// The client has ended.
    ended: AtomicBool,
    /// What it runs, a [`Body`].
    body: AtomicPtr<()>,
    /// Its TCB.
    tcb: AtomicU64,
    /// Words in and out, by the client's own meaning.
    pub(crate) words: [AtomicU64; 8],
}

/// The pages of all clients; [`Agent::spawn`] hands out the next one.
pub(crate) static SHARED: [Shared; THREADS_MAX] = [const {
    Shared {
        stop: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        body: AtomicPtr::new(core::ptr::null_mut()),
        tcb: AtomicU64::new(0),
        words: [const { AtomicU64::new(0) }; 8],
    }
}; THREADS_MAX];
static SPAWNED: AtomicU64 = AtomicU64::new(0);

/// What a client runs, with its own IPC buffer.
pub(crate) type Body = fn(&'static Shared, &mut Ipc);

impl Shared {
    /// Whether the client is asked to end.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A word.
    pub(crate) fn get(&self, at: usize) -> u64 {
        self.words[at].load(Ordering::Relaxed)
    }

    /// Sets a word.
    pub(crate) fn set(&self, at: usize, value: u64) {
        self.words[at].store(value, Ordering::Relaxed);
    }

    /// Counts in a word.
    pub(crate) fn count(&self, at: usize) {
        self.words[at].fetch_add(1, Ordering::Relaxed);
    }
}

extern "C" fn begin(index: usize, buffer: *mut Ipc) -> ! {
    // SAFETY: `make_thread` mapped the buffer for this thread alone.
    let ipc = unsafe { &mut *buffer };
    let shared = &SHARED[index];
    let body = shared.body.load(Ordering::Acquire);
    // SAFETY: `make_thread` stored a `Body` there before it started the thread; pointers to functions and to data have
    // one size on this machine.
    let body = unsafe { core::mem::transmute::<*mut (), Body>(body) };
    body(shared, ipc);
    shared.ended.store(true, Ordering::Release);
    // Nobody signals the agent's own CNode slot 0: wait for ever by yielding to the idle thread's peers.
    loop {
        sel4_sys::seL4_Yield();
    }
}

static BLOCKS: [ThreadBlock; THREADS_MAX] = [const { block() }; THREADS_MAX];

const fn block() -> ThreadBlock {
    use core::sync::atomic::{AtomicI32, AtomicU32};
    use strata_protocol::domain::FaultRecord;
    const fn word() -> AtomicU64 {
        AtomicU64::new(0)
    }
    ThreadBlock {
        reserved0: word(),
        shadow_top: word(),
        shadow_base: word(),
        shadow_limit: word(),
        ipc_buffer: word(),
        log_ring: word(),
        thread_id: AtomicU32::new(0),
        bus_status: AtomicI32::new(0),
        bus_fault_address: word(),
        bus_error_count: word(),
        fault: FaultRecord { kind: word(), pc: word(), address: word(), status: word() },
        name: [const { word() }; 2],
        log_signal: word(),
        stream: AtomicU32::new(0),
        run: AtomicU32::new(0),
        module_words: [const { word() }; 8],
        caller: word(),
        served: word(),
        layers_told: word(),
        serving: AtomicU32::new(0),
        bears_bus_errors: AtomicU32::new(0),
        reserved2: [const { word() }; 3],
    }
}

impl Agent {
    /// Starts a client. It has the lowest priority: it runs while this thread waits for an answer or sleeps.
    pub(crate) fn spawn(&mut self, body: Body, words: &[u64]) -> Outcome<&'static Shared> {
        self.spawn_on(CONTROL_CORE, body, words)
    }

    /// Starts a client on a core.
    pub(crate) fn spawn_on(&mut self, core: u32, body: Body, words: &[u64]) -> Outcome<&'static Shared> {
        let index = usize::try_from(SPAWNED.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
        ensure!(index < THREADS_MAX, "more clients than expected");
        let shared = &SHARED[index];
        for (at, word) in words.iter().enumerate() {
            shared.set(at, *word);
        }
        self.make_thread(index, core, body)
            .map_err(|error| Failure::new(format_args!("making a client: {error:?}")))?;
        Ok(shared)
    }

    fn make_thread(
        &mut self,
        index: usize,
        core: u32,
        body: Body,
    ) -> Result<(), strata_runtime::kernel::KernelError> {
        let none = strata_runtime::kernel::KernelError::DELETE_FIRST;
        let mut take = || self.slots.take().ok_or(none);
        let (tcb, frame): (seL4_CPtr, seL4_CPtr) = (take()?, take()?);
        retype_own(self.ipc, api_object::seL4_TCBObject, 0, tcb)?;
        retype_own(self.ipc, api_object::seL4_ARM_SmallPageObject, 0, frame)?;
        let buffer = self.free;
        self.free += 0x2000;
        map_own(self.ipc, &mut self.slots, frame, buffer, Access::ReadWrite)?;
        let guard = seL4_CNode_CapData::new(0, 64 - CNODE_BITS).into_word();
        check(self.ipc.seL4_TCB_Configure(
            tcb,
            slot::FAULT,
            slot::CNODE,
            guard,
            slot::VSPACE,
            0,
            buffer,
            frame,
        ))?;
        if SMP && core != CONTROL_CORE {
            check(self.ipc.seL4_TCB_SetAffinity(tcb, core.into()))?;
        }
        SHARED[index].tcb.store(tcb, Ordering::Relaxed);
        SHARED[index].body.store(body as *mut (), Ordering::Release);
        let block = &BLOCKS[index];
        block.ipc_buffer.store(buffer, Ordering::Relaxed);
        check(self.ipc.seL4_TCB_SetTLSBase(tcb, core::ptr::from_ref(block) as u64))?;
        let registers = seL4_UserContext {
            pc: begin as *const () as u64,
            sp: STACKS[index].0.get() as u64 + STACK_SIZE as u64,
            x0: index as u64,
            x1: buffer,
            ..seL4_UserContext::default()
        };
        check(self.ipc.seL4_TCB_WriteRegisters(tcb, 1, 0, 36, &registers))
    }

    /// Ends a client where it is, without asking it: its thread is destroyed.
    pub(crate) fn kill(&mut self, shared: &'static Shared) -> Outcome {
        let killed = self.slots.delete(self.ipc, shared.tcb.load(Ordering::Relaxed));
        ensure!(killed.is_ok(), "killing a client: {killed:?}");
        Ok(())
    }

    /// Asks a client to end and waits until it has.
    pub(crate) fn join(&mut self, shared: &'static Shared) -> Outcome {
        shared.stop.store(true, Ordering::Relaxed);
        for _ in 0..2_000 {
            if shared.ended.load(Ordering::Acquire) {
                return Ok(());
            }
            self.sleep_us(1_000)?;
        }
        ensure!(false, "a client did not end");
        Ok(())
    }
}
