//! Threads of a link domain: making them, starting them again, looking at them.
//!
//! The addresses of a thread, from its stride on: guard, thread page (ThreadBlock and shadow stack),
//! guard, IPC buffer, log ring, command page (workers), guard, stack. All of it is made once from the
//! link domain's untyped memory and stays until the link domain goes.

use crate::domain::LANDING_PAD_AT;
use crate::error::{ObjectError, Operation, check};
use crate::look::Return;
use crate::mirror::View;
use crate::objects::{Objects, PAGE_SIZE, Untyped};
use crate::vspace::{Access, Pages, VSpaces, make_pages};
use core::sync::atomic::Ordering;
use heapless::Vec;
use linker_books::ledger::Account;
use linker_unwind::Registers;
use sel4_sys::abi::SMP;
use sel4_sys::api_object::seL4_TCBObject;
use sel4_sys::{seL4_CNode_CapData, seL4_CPtr, seL4_TCBBits, seL4_UserContext, seL4_Word};
use strata_protocol::domain::{SHADOW_RECORD_SIZE, ServerStart, THREAD_BLOCK_SIZE, serving};
use strata_protocol::fault::FaultRow;
use strata_protocol::start::CONTROL_CORE;
use strata_protocol::{ModuleName, caps};

/// The most threads of one link domain.
pub const THREADS_MAX: usize = 20;
/// Restarts of a server thread after faults; one more fault, and it stays down until somebody starts it.
pub const RESTARTS_MAX: u32 = 16;
/// Where threads start in the window.
pub const THREADS_AT: u64 = 0x1700_0000;
/// Address space of one thread.
pub const THREAD_STRIDE: u64 = 0x1_0000;
/// Pages of a stack.
const STACK_PAGES: u32 = 4;
/// Runs of pages of one thread: thread page, IPC buffer, stack, log ring, command page.
pub const PIECES_MAX: usize = 5;
/// Pages of a guest: it has neither a log ring nor a command page.
pub const GUEST_PAGES: u32 = 2 + STACK_PAGES;
/// Size in bits of a link domain's CNode.
pub const DOMAIN_CNODE_BITS: u8 = 8;
const _: () = assert!(STACK_PAGES as u64 * PAGE_SIZE <= THREAD_STRIDE - 0x8000);

/// All registers of a thread, in the order of `seL4_UserContext`.
pub type RegisterWords = [u64; size_of::<seL4_UserContext>() / 8];

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A driver server, by its place in the base image's table.
    Server(u32),
    /// A worker, by its place in the reserve.
    Worker(u32),
    /// A thread that a module has registered.
    Guest,
}

/// The kernel objects of a thread, as far as they exist.
#[derive(Debug, Default)]
pub struct Made {
    /// Its pages.
    pub pages: Vec<Pages, PIECES_MAX>,
    /// Its TCB, 0 for none.
    pub tcb: seL4_CPtr,
}

/// A thread of a link domain.
#[derive(Debug)]
pub struct Thread {
    /// Its name.
    pub name: ModuleName,
    /// Its number in the link domain.
    pub number: u32,
    /// What it is for.
    pub role: Role,
    /// Its TCB.
    pub tcb: seL4_CPtr,
    /// The frame of its log ring.
    pub ring: seL4_CPtr,
    /// The notification that wakes a worker or a guest; 0 for a server.
    pub request: seL4_CPtr,
    /// Its thread page.
    pub page: View,
    /// Its command page.
    pub command: View,
    stack: View,
    entry: u64,
    start: ServerStart,
    /// Restarts after faults since somebody last started it.
    pub restarts: u32,
    /// Times that it was started at its entry after a fault.
    runs: u32,
    /// Its last fault that took no fix-up.
    pub fault: Option<FaultRow>,
    /// Whether it is stopped for good.
    pub dead: bool,
    /// The core that it runs on.
    pub core: u32,
}

/// What a new thread needs.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number in the link domain.
    pub number: u32,
    /// What it is for.
    pub role: Role,
    /// Where it starts.
    pub entry: u64,
    /// Its priority.
    pub priority: seL4_Word,
    /// The core that it runs on.
    pub core: u32,
    /// The fault endpoint, by its slot in the link domain's CNode.
    pub fault_endpoint: seL4_Word,
    /// Its log stream.
    pub stream: u16,
    /// The log server's notification, by its slot in the link domain's CNode.
    pub log_signal: seL4_Word,
}

/// Where the pieces of thread `number` are.
const fn base_of(number: u32) -> u64 {
    THREADS_AT + number as u64 * THREAD_STRIDE
}

/// The address of a worker's command page.
#[must_use]
pub const fn command_page_of(number: u32) -> u64 {
    base_of(number) + 0x6000
}

/// Makes a thread; it does not run before [`Thread::start`].
///
/// # Errors
/// [`ObjectError`]; what exists by then stands in `made`.
#[expect(clippy::too_many_arguments, reason = "where, out of what, at whose cost, and what of it")]
pub fn make_thread(
    objects: &mut Objects,
    spaces: VSpaces,
    cnode: seL4_CPtr,
    authority: seL4_CPtr,
    untyped: Untyped,
    account: Account,
    recipe: Recipe<'_>,
    made: &mut Made,
) -> Result<Thread, ObjectError> {
    let base = base_of(recipe.number);
    let mut pages = |at: u64, count: u32| -> Result<Pages, ObjectError> {
        let pages = make_pages(objects, spaces, untyped, at, count, Access::Data, account)?;
        made.pages.push(pages).expect("a thread has no more pieces");
        Ok(pages)
    };
    let page = pages(base + 0x1000, 1)?;
    let buffer = pages(base + 0x3000, 1)?;
    let stack = pages(base + THREAD_STRIDE - u64::from(STACK_PAGES) * PAGE_SIZE, STACK_PAGES)?;
    let (ring, command) = if recipe.role == Role::Guest {
        (None, None)
    } else {
        (Some(pages(base + 0x5000, 1)?), Some(pages(command_page_of(recipe.number), 1)?))
    };

    let tcb = objects.carve(untyped, seL4_TCBObject, bits_of(seL4_TCBBits), 1, account)?;
    made.tcb = tcb;
    let guard = seL4_CNode_CapData::new(0, 64 - u64::from(DOMAIN_CNODE_BITS)).into_word();
    let error = objects.ipc.seL4_TCB_Configure(
        tcb,
        recipe.fault_endpoint,
        cnode,
        guard,
        spaces.domain,
        0,
        buffer.at,
        buffer.frames,
    );
    check(Operation::Configure, error)?;
    // Its maximum controlled priority stays 0: it holds no TCB capability that could use it.
    let error = objects.ipc.seL4_TCB_SetPriority(tcb, authority, recipe.priority);
    check(Operation::Priority, error)?;

    if SMP && recipe.core != CONTROL_CORE {
        check(Operation::Affinity, objects.ipc.seL4_TCB_SetAffinity(tcb, recipe.core.into()))?;
    }

    // SAFETY: the pages of a thread stay mapped for as long as the thread is there: until its link domain goes, or the
    // guest is destroyed, which takes it by value.
    let view = |pages: Pages| unsafe { View::of(pages) };
    let page = view(page);
    let block = page.thread_block();
    let shadow = page.at() + THREAD_BLOCK_SIZE as u64;
    block.shadow_top.store(shadow, Ordering::Relaxed);
    block.shadow_base.store(shadow, Ordering::Relaxed);
    block.shadow_limit.store(page.at() + PAGE_SIZE, Ordering::Relaxed);
    block.ipc_buffer.store(buffer.at, Ordering::Relaxed);
    block.log_ring.store(ring.map_or(0, |ring| ring.at), Ordering::Relaxed);
    block.thread_id.store(recipe.number, Ordering::Relaxed);
    block.log_signal.store(recipe.log_signal, Ordering::Relaxed);
    block.stream.store(recipe.stream.into(), Ordering::Relaxed);
    for (word, bytes) in block.name.iter().zip(recipe.name.as_bytes().chunks(8)) {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_le_bytes(eight), Ordering::Relaxed);
    }
    Ok(Thread {
        name: ModuleName::cut(recipe.name),
        number: recipe.number,
        role: recipe.role,
        tcb,
        ring: ring.map_or(0, |ring| ring.frames),
        request: 0,
        page,
        command: command.map_or(View::NOTHING, view),
        stack: view(stack),
        entry: recipe.entry,
        start: ServerStart::default(),
        restarts: 0,
        runs: 0,
        fault: None,
        dead: false,
        core: recipe.core,
    })
}

impl Thread {
    /// Starts the thread at its entry with `start` at x0.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn start(&mut self, objects: &mut Objects, start: ServerStart) -> Result<(), ObjectError> {
        self.start = start;
        self.enter(objects)
    }

    /// Starts the thread again at its entry with a fresh stack and shadow stack. The reply
    /// capability of the client that it was serving is still in its TCB.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn restart(&mut self, objects: &mut Objects) -> Result<(), ObjectError> {
        let block = self.page.thread_block();
        self.runs += 1;
        block.run.store(self.runs, Ordering::Relaxed);
        if block.serving.load(Ordering::Relaxed) != serving::GIVEN_UP {
            self.restarts += 1;
        }
        self.start_again(objects)
    }

    /// Notes that the server has faulted too often: started again, it only answers that. `false` if it has faulted even so.
    pub fn give_up(&mut self) -> bool {
        self.page.thread_block().serving.swap(serving::GIVEN_UP, Ordering::Relaxed) != serving::GIVEN_UP
    }

    fn enter(&mut self, objects: &mut Objects) -> Result<(), ObjectError> {
        let words = start_words(&self.start);
        // The argument lies at the top of the stack; the stack starts below it, 16-byte aligned.
        let size = (words.len() as u64 * 8).next_multiple_of(16);
        let argument = self.stack.at() + self.stack.size() - size;
        self.stack.store(argument, &words);
        let registers = seL4_UserContext {
            pc: self.entry,
            sp: argument,
            x0: argument,
            tpidr_el0: self.page.at(),
            ..seL4_UserContext::default()
        };
        self.write_registers(objects, &registers, true)
    }

    /// Starts the thread anew after it was stopped on request: as [`Thread::restart`], but no fault is counted.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn start_again(&mut self, objects: &mut Objects) -> Result<(), ObjectError> {
        let block = self.page.thread_block();
        block.shadow_top.store(block.shadow_base.load(Ordering::Relaxed), Ordering::Relaxed);
        self.enter(objects)
    }

    /// Its program counter: the system call's, for a thread that is blocked or on its way into the kernel.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn pc(&self, objects: &mut Objects) -> Result<u64, ObjectError> {
        let mut registers = seL4_UserContext::default();
        let error = objects.ipc.seL4_TCB_ReadRegisters(self.tcb, 0, 0, 1, &mut registers);
        check(Operation::Registers, error)?;
        Ok(registers.pc)
    }

    /// Keeps the thread from running until its registers are written. A thread that is not blocked loses nothing by it.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn suspend(&self, objects: &mut Objects) -> Result<(), ObjectError> {
        check(Operation::Configure, objects.ipc.seL4_TCB_Suspend(self.tcb))
    }

    /// Lets a thread that was suspended go on; a system call that it stood at begins anew.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn resume(&self, objects: &mut Objects) -> Result<(), ObjectError> {
        check(Operation::Configure, objects.ipc.seL4_TCB_Resume(self.tcb))
    }

    /// The thread's registers, without stopping it.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn registers(&self, objects: &mut Objects) -> Result<seL4_UserContext, ObjectError> {
        let mut registers = seL4_UserContext::default();
        let count = registers.to_words().len() as seL4_Word;
        let error = objects.ipc.seL4_TCB_ReadRegisters(self.tcb, 0, 0, count, &mut registers);
        check(Operation::Registers, error)?;
        Ok(registers)
    }

    /// The thread's registers, without stopping it, where the kernel has put them.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    #[inline]
    pub fn register_words<'a>(&self, objects: &'a mut Objects) -> Result<&'a RegisterWords, ObjectError> {
        let read = objects.ipc.seL4_TCB_ReadRegisters_in_place(self.tcb, 0, 0);
        read.map_err(|error| ObjectError::Kernel(Operation::Registers, error))
    }

    /// Whether the thread runs on another core than the linker server.
    #[must_use]
    pub const fn is_elsewhere(&self) -> bool {
        SMP && self.core != CONTROL_CORE
    }

    /// Keeps the thread from running for as long as `see` takes; the linker server is raised above it, or the thread
    /// waits for the answer to its fault.
    ///
    /// A thread of another core is brought to this one and sent back: `TCB_SetAffinity` stalls it where it runs, and here
    /// it is less urgent. A thread that is blocked comes, too: somebody on another core could wake it.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`], or what `see` returns.
    pub fn held<T>(
        &self,
        objects: &mut Objects,
        see: impl FnOnce(&mut Objects) -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        if !self.is_elsewhere() {
            return see(objects);
        }
        self.move_to(objects, CONTROL_CORE)?;
        let seen = see(objects);
        self.move_to(objects, self.core)?;
        seen
    }

    fn move_to(&self, objects: &mut Objects, core: u32) -> Result<(), ObjectError> {
        check(Operation::Affinity, objects.ipc.seL4_TCB_SetAffinity(self.tcb, core.into()))
    }

    /// Returns once the thread, should it run on another core, has passed an exception return there, or will have before
    /// its next instruction.
    ///
    /// Every invocation of a TCB stalls its thread where it runs: that core enters the kernel and leaves it again, and
    /// an exception return is a context synchronisation event (Arm ARM D1.3, `SCTLR_EL1.EOS`). A thread that does not
    /// run at that moment comes back through one.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn synchronise(&self, objects: &mut Objects) -> Result<(), ObjectError> {
        if !self.is_elsewhere() || self.dead {
            return Ok(());
        }
        let mut program_counter = seL4_UserContext::default();
        let error = objects.ipc.seL4_TCB_ReadRegisters(self.tcb, 0, 0, 1, &mut program_counter);
        check(Operation::Registers, error)
    }

    /// Writes the registers of a thread that waits for the answer to its fault or has not started, and
    /// lets it run.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn write_registers(
        &self,
        objects: &mut Objects,
        registers: &seL4_UserContext,
        resume: bool,
    ) -> Result<(), ObjectError> {
        let count = registers.to_words().len() as seL4_Word;
        let error = objects.ipc.seL4_TCB_WriteRegisters(self.tcb, resume.into(), 0, count, registers);
        check(Operation::Registers, error)
    }

    /// The registers with which a thread that has faulted in a call goes on where the call returns, with the declared value
    /// as its result. `None` where its stack has no room for what the landing pad loads.
    #[must_use]
    pub fn returning(&self, way: &Return) -> Option<seL4_UserContext> {
        let caller = &way.exit.caller;
        let x = &caller.x;
        let mut context = seL4_UserContext {
            pc: caller.pc,
            sp: caller.sp,
            x0: way.value,
            x19: x[19],
            x20: x[20],
            x21: x[21],
            x22: x[22],
            x23: x[23],
            x24: x[24],
            x25: x[25],
            x26: x[26],
            x27: x[27],
            x28: x[28],
            x29: x[29],
            x30: caller.pc,
            ..way.registers
        };
        let mut saved = [0; 8];
        for (register, (place, value)) in caller.d.iter().zip(&mut saved).enumerate() {
            let Some(at) = place else { continue };
            *value = self.stack.word64(*at)?.load(Ordering::Relaxed);
            context.x17 = if context.pc == LANDING_PAD_AT { context.x17 } else { 0 } | 1 << register;
            context.pc = LANDING_PAD_AT;
        }
        if context.pc == LANDING_PAD_AT {
            // The frames of the module lay below; nobody uses them any more.
            let room = caller.sp.checked_sub(size_of_val(&saved) as u64)?;
            if !self.stack.contains(room, size_of_val(&saved) as u64) {
                return None;
            }
            self.stack.store(room, &saved);
            context.x16 = room;
        }
        Some(context)
    }

    /// Starts a guest, or starts it again, with `argument` in x0; it returns to `exit`.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn enter_guest(&self, objects: &mut Objects, argument: u64, exit: u64) -> Result<(), ObjectError> {
        let block = self.page.thread_block();
        block.shadow_top.store(block.shadow_base.load(Ordering::Relaxed), Ordering::Relaxed);
        let registers = seL4_UserContext {
            pc: self.entry,
            sp: self.stack.at() + self.stack.size(),
            x0: argument,
            x30: exit,
            tpidr_el0: self.page.at(),
            ..seL4_UserContext::default()
        };
        self.write_registers(objects, &registers, true)
    }

    /// Has the thread go on at `to`, whatever it does now.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn go_to(&self, objects: &mut Objects, to: u64) -> Result<(), ObjectError> {
        let registers = seL4_UserContext { pc: to, x30: to, ..self.registers(objects)? };
        self.write_registers(objects, &registers, true)
    }

    /// Stops the thread for good.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn stop(&mut self, objects: &mut Objects) -> Result<(), ObjectError> {
        self.dead = true;
        self.suspend(objects)
    }

    /// Its stack.
    #[must_use]
    pub const fn stack(&self) -> View {
        self.stack
    }

    /// The records of the shadow stack, the oldest first: {return address, gate address}.
    ///
    /// The link domain can write anything into its own page: the top is an allegation, and at most
    /// the records of one page are read.
    pub fn records(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let page = self.page;
        let base = page.at() + THREAD_BLOCK_SIZE as u64;
        let limit = page.at() + PAGE_SIZE;
        let top = page.thread_block().shadow_top.load(Ordering::Acquire).clamp(base, limit);
        let record = move |index: u64| {
            let at = base + index * SHADOW_RECORD_SIZE as u64;
            let word = |at| page.word64(at).map_or(0, |word| word.load(Ordering::Relaxed));
            (word(at), word(at + 8))
        };
        (0..(top - base) / SHADOW_RECORD_SIZE as u64).map(record)
    }
}

/// The general registers in a thread's registers.
#[must_use]
pub fn general(context: &seL4_UserContext) -> Registers {
    let c = context;
    Registers {
        pc: c.pc,
        sp: c.sp,
        x: [
            c.x0, c.x1, c.x2, c.x3, c.x4, c.x5, c.x6, c.x7, c.x8, c.x9, c.x10, c.x11, c.x12, c.x13, c.x14,
            c.x15, c.x16, c.x17, c.x18, c.x19, c.x20, c.x21, c.x22, c.x23, c.x24, c.x25, c.x26, c.x27, c.x28,
            c.x29, c.x30,
        ],
    }
}

/// [`ServerStart`] as the words that it consists of.
const fn start_words(start: &ServerStart) -> [u64; 11] {
    [
        start.endpoint,
        start.notification,
        start.irq_handler,
        start.signal,
        start.hold,
        start.address,
        start.physical,
        start.size,
        start.index,
        start.memory,
        start.memory_physical,
    ]
}
const _: () = assert!(size_of::<ServerStart>() == 11 * 8);

/// Raises the linker server above every link-domain thread for as long as `look` takes: nobody that is
/// looked at runs meanwhile.
///
/// # Errors
/// [`ObjectError::Kernel`], or what `look` returns.
pub fn raised<T>(
    objects: &mut Objects,
    look: impl FnOnce(&mut Objects) -> Result<T, ObjectError>,
) -> Result<T, ObjectError> {
    let rest = objects.resting_priority();
    objects.rest_at(caps::priority::RAISED)?;
    let result = look(objects);
    objects.rest_at(rest)?;
    result
}

const fn bits_of(bits: seL4_Word) -> u8 {
    bits.to_le_bytes()[0]
}
