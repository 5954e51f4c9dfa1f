//! Cores: what each has for itself, and how one reaches into another.
//!
//! The kernel runs on one core at a time (the machine holds one lock around each entry), so that everything here
//! is plain data. An entry begins with [`Kernel::enter`], which says on which core it is; from there on "this core"
//! is that one. With one core all of this is constant and costs nothing.
//!
//! What another core does meanwhile: it runs its current thread, sleeps, or waits at the kernel's door. Three things
//! reach it there without the lock, by [`Machine::remote`]: see [`Remote`]. The most important is *stalling*:
//!
//! ```text
//!  T runs on B ─ SGI ─► B enters the kernel: T's registers are in its TCB ─► B waits for the lock, answers
//!      A, inside: waits for the answer; T is B's current thread no longer, and ready; B's entry is *void*
//!  B gets the lock: a void entry does nothing but choose a thread
//! ```
//! Whatever T had begun (a system call, a fault) starts over when T runs again: nothing of it was done.
use crate::handle::Tcb;
use crate::interrupt::PRIVATE;
use crate::kernel::Kernel;
use crate::machine::{Machine, Remote};
use crate::sched::{Action, ReadyQueues};
use crate::tcb::{AFFINITY, FPU_AREA, State};
use crate::vspace::Space;
use microkernel_abi::{NODES_MAX, SMP};

/// Cores that the kernel uses at most.
pub const CORES_MAX: usize = NODES_MAX;
const _: () = assert!(CORES_MAX.is_power_of_two(), "`CoreId::index` masks");

/// A core: its place among those that the kernel uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreId(usize);

impl CoreId {
    /// The core that boots.
    pub const BOOT: Self = Self(0);

    /// Core number `index`; `None` beyond [`CORES_MAX`].
    pub const fn new(index: usize) -> Option<Self> {
        if index < CORES_MAX { Some(Self(index)) } else { None }
    }

    /// Its number, below [`CORES_MAX`].
    #[inline(always)]
    pub const fn index(self) -> usize {
        // Never beyond: the mask tells the compiler.
        if SMP { self.0 & (CORES_MAX - 1) } else { 0 }
    }
}

/// A set of cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct CoreSet(u32);

impl CoreSet {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn add(&mut self, core: CoreId) {
        self.0 |= 1 << core.index();
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = CoreId> {
        (0..CORES_MAX).filter(move |&i| self.0 >> i & 1 != 0).map(CoreId)
    }
}

/// What a core has for itself. In this order, so that what every entry looks at is near the beginning, within reach of
/// one instruction.
#[derive(Clone)]
#[repr(C)]
pub(crate) struct Core {
    /// The thread whose registers are the processor's; `None` while idle.
    pub(crate) current: Option<Tcb>,
    pub(crate) action: Action,
    /// The address space in the translation registers.
    pub(crate) active_root: Space,
    /// Whose values the floating-point registers hold. Such a thread has this core as its affinity.
    pub(crate) fpu_owner: Option<Tcb>,
    pub(crate) fpu_open: bool,
    pub(crate) timer_open: bool,
    /// Private interrupts to be masked and unmasked when the core enters the kernel next: a bit for each.
    to_mask: u32,
    to_unmask: u32,
    /// The entry that waits at the door (or will, when the core wakes) has lost its thread.
    pub(crate) void: bool,
    pub(crate) ready: ReadyQueues,
}

impl Core {
    pub(crate) const fn new() -> Self {
        Self {
            current: None,
            action: Action::ChooseNew,
            ready: ReadyQueues::new(),
            active_root: Space::NONE,
            fpu_owner: None,
            fpu_open: false,
            timer_open: false,
            to_mask: 0,
            to_unmask: 0,
            void: false,
        }
    }
}

impl<M: Machine> Kernel<M> {
    /// The beginning of every entry: which core it is. Does the cause still hold? If not, the thread that caused it
    /// was taken away meanwhile; then nothing is to be done but [`Kernel::leave`].
    #[inline(always)]
    #[must_use]
    pub fn enter(&mut self, core: CoreId) -> bool {
        if !SMP {
            return true;
        }
        self.here = core;
        if self.core().to_mask | self.core().to_unmask != 0 {
            self.mask_late();
        }
        !core::mem::take(&mut self.core_mut().void)
    }

    /// Masks or unmasks a private interrupt of another core, when that core enters the kernel. Late is soon enough:
    /// an interrupt that comes before a mask finds no handler and masks itself, one that waits is not lost.
    pub(crate) fn mask_remote(&mut self, core: CoreId, irq: u64, masked: bool) {
        let other = self.core_of_mut(core);
        let bit = 1 << (irq % PRIVATE);
        let (set, clear) = if masked {
            (&mut other.to_mask, &mut other.to_unmask)
        } else {
            (&mut other.to_unmask, &mut other.to_mask)
        };
        *set |= bit;
        *clear &= !bit;
        self.to_interrupt.add(core);
    }

    fn mask_late(&mut self) {
        let (mask, unmask) = (self.core().to_mask, self.core().to_unmask);
        self.core_mut().to_mask = 0;
        self.core_mut().to_unmask = 0;
        for irq in 0..PRIVATE {
            if (mask | unmask) >> irq & 1 != 0 {
                self.m.irq_mask(irq, mask >> irq & 1 != 0);
            }
        }
    }

    /// The core that is in the kernel.
    #[inline(always)]
    pub fn here(&self) -> CoreId {
        if SMP { self.here } else { CoreId::BOOT }
    }

    /// Cores that run threads.
    pub(crate) fn cores_online(&self) -> usize {
        if SMP { self.online } else { 1 }
    }

    #[inline(always)]
    pub(crate) fn core(&self) -> &Core {
        &self.cores[self.here().index()]
    }

    #[inline(always)]
    pub(crate) fn core_mut(&mut self) -> &mut Core {
        &mut self.cores[self.here().index()]
    }

    #[inline(always)]
    pub(crate) fn core_of(&self, core: CoreId) -> &Core {
        &self.cores[core.index()]
    }

    #[inline(always)]
    pub(crate) fn core_of_mut(&mut self, core: CoreId) -> &mut Core {
        &mut self.cores[core.index()]
    }

    /// The core that a thread runs on when it runs.
    #[inline(always)]
    pub(crate) fn affinity(&self, tcb: Tcb) -> CoreId {
        if !SMP {
            return CoreId::BOOT;
        }
        // `set_affinity` stores nothing above.
        CoreId((self.get(tcb, AFFINITY) & 0xff) as usize)
    }

    /// Is it another core than this one?
    #[inline(always)]
    pub(crate) fn is_remote(&self, core: CoreId) -> bool {
        SMP && core.index() != self.here().index()
    }

    /// A thread was put into another core's ready queue: that core chooses again, if it must.
    pub(crate) fn notify_core(&mut self, core: CoreId, tcb: Tcb) {
        if self.core_of(core).void {
            // It is at the door, and chooses as soon as it gets in.
            return;
        }
        let urgent = match self.core_of(core).current {
            None => true,
            Some(running) => self.priority(tcb) > self.priority(running),
        };
        if urgent {
            self.core_of_mut(core).action = Action::ChooseNew;
            self.to_interrupt.add(core);
        }
    }

    /// Interrupts the cores that must choose again.
    #[inline(always)]
    pub(crate) fn interrupt_cores(&mut self) {
        if !SMP || self.to_interrupt.is_empty() {
            return;
        }
        let cores = core::mem::take(&mut self.to_interrupt);
        for core in cores.iter() {
            self.m.interrupt_core(core);
        }
    }

    /// Takes a thread off the processor if it runs on another core: from here on its registers are in its TCB, it
    /// is ready, and does not run before this entry ends.
    #[inline(always)]
    pub(crate) fn stall(&mut self, tcb: Tcb) {
        if SMP && self.is_remote(self.affinity(tcb)) {
            self.stall_remote(tcb);
        }
    }

    fn stall_remote(&mut self, tcb: Tcb) {
        let core = self.affinity(tcb);
        if self.core_of(core).current != Some(tcb) {
            return;
        }
        self.m.remote(core, Remote::Stall);
        let other = self.core_of_mut(core);
        other.current = None;
        other.void = true;
        other.action = Action::ChooseNew;
        // A current thread between two entries is ready. Its instruction starts over: the svc, the one that
        // faulted, or the one that the interrupt came before.
        self.set_state(tcb, State::Restart);
        self.enqueue(tcb, true);
    }

    /// No core translates with these tables any more. Only then may they be forgotten: a core that still has the
    /// root could walk it again right after (Arm ARM D8.17: walks are speculative).
    pub(crate) fn leave_vspace(&mut self, asid: u64) {
        for core in (0..self.cores_online()).map(CoreId) {
            if self.core_of(core).active_root.asid() != asid {
                continue;
            }
            self.core_of_mut(core).active_root = Space::NONE;
            if self.is_remote(core) {
                self.m.remote(core, Remote::DropUserRoot);
            } else {
                self.m.set_user_root(0, 0);
            }
        }
    }

    /// A thread's floating-point values are in its TCB, if they were in a core's registers.
    pub(crate) fn fpu_flush(&mut self, tcb: Tcb) {
        let core = self.affinity(tcb);
        if self.core_of(core).fpu_owner != Some(tcb) {
            return;
        }
        self.core_of_mut(core).fpu_owner = None;
        let area = tcb.addr() + FPU_AREA;
        if self.is_remote(core) {
            self.m.remote(core, Remote::SaveFpu { area });
            return;
        }
        self.m.fpu_access(true);
        self.m.fpu_save(area);
        self.m.fpu_access(false);
        self.core_mut().fpu_open = false;
    }

    /// Moves a thread to another core.
    pub(crate) fn set_affinity(&mut self, tcb: Tcb, core: CoreId) {
        self.stall(tcb);
        self.dequeue(tcb);
        self.fpu_flush(tcb);
        self.set(tcb, AFFINITY, core.index() as u64);
        if self.state(tcb).is_runnable() {
            self.enqueue(tcb, false);
        }
        if !self.is_remote(core) || self.core().current == Some(tcb) {
            // It came to this core, where it may be the most urgent, or leaves it at the end of the entry.
            self.reschedule();
        }
    }
}
