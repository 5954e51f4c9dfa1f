//! The thread control block: 2 KiB of retyped memory, word by word.
//!
//! Slots first (a dying thread is a zombie of five slots), then fields, then the registers in the
//! order in which the exception entry stores them, then the floating-point area.
use crate::cap::Cap;
use crate::handle::{Slot, Tcb, word};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::slot::SLOT_SIZE;

/// The thread's slots.
pub(crate) const SLOT_CSPACE: u64 = 0;
pub(crate) const SLOT_VSPACE: u64 = 1;
/// The reply master.
pub(crate) const SLOT_REPLY: u64 = 2;
/// The reply capability of the thread that this one serves.
pub(crate) const SLOT_CALLER: u64 = 3;
pub(crate) const SLOT_BUFFER: u64 = 4;
/// Slots of a thread.
pub(crate) const SLOTS: u64 = 5;

/// A word of a TCB.
#[derive(Clone, Copy)]
pub(crate) struct Field(u64);

pub(crate) const STATE: Field = Field(0xa0);
/// The endpoint or notification that a blocked thread waits at.
pub(crate) const BLOCKED_ON: Field = Field(0xa8);
/// Badge of the message that a blocked sender sends.
pub(crate) const SEND_BADGE: Field = Field(0xb0);
/// `SEND_*` bits of a blocked sender; of a blocked receiver, whether its capability had grant.
pub(crate) const SEND_FLAGS: Field = Field(0xb8);
/// 0, or the label of the fault that the thread waits to have handled.
pub(crate) const FAULT: Field = Field(0xc0);
/// Three words of the fault.
pub(crate) const FAULT_0: Field = Field(0xc8);
pub(crate) const FAULT_1: Field = Field(0xd0);
pub(crate) const FAULT_2: Field = Field(0xd8);
/// Four words of a lookup failure.
pub(crate) const LOOKUP_0: Field = Field(0xe0);
pub(crate) const LOOKUP_1: Field = Field(0xe8);
pub(crate) const LOOKUP_2: Field = Field(0xf0);
pub(crate) const LOOKUP_3: Field = Field(0xf8);
pub(crate) const PRIORITY: Field = Field(0x100);
pub(crate) const MCP: Field = Field(0x108);
pub(crate) const TIME_SLICE: Field = Field(0x110);
pub(crate) const FAULT_HANDLER: Field = Field(0x118);
pub(crate) const IPC_BUFFER: Field = Field(0x120);
pub(crate) const BOUND: Field = Field(0x128);
pub(crate) const FLAGS: Field = Field(0x130);
pub(crate) const SCHED_NEXT: Field = Field(0x138);
pub(crate) const SCHED_PREV: Field = Field(0x140);
/// 1 while in a ready queue.
pub(crate) const QUEUED: Field = Field(0x148);
pub(crate) const EP_NEXT: Field = Field(0x150);
pub(crate) const EP_PREV: Field = Field(0x158);
pub(crate) const DEBUG_NEXT: Field = Field(0x160);
pub(crate) const DEBUG_PREV: Field = Field(0x168);
/// The core that the thread runs on.
pub(crate) const AFFINITY: Field = Field(0x170);

/// Where the registers are.
pub const CONTEXT: u64 = 0x180;
/// Where the floating-point registers are: q0–q31, then FPSR and FPCR.
pub const FPU_AREA: u64 = 0x300;
/// Where the debug name is.
pub(crate) const NAME: u64 = 0x520;
/// Bytes of the debug name.
pub(crate) const NAME_MAX: usize = 64;

const _: () = assert!(SLOTS * 32 <= 0xa0);
const _: () = assert!(CONTEXT + REGISTERS * 8 <= FPU_AREA);
const _: () = assert!(FPU_AREA + 32 * 16 + 16 <= NAME);
const _: () = assert!(NAME + (NAME_MAX as u64) <= 1 << microkernel_abi::object::TCB_BITS);

/// Words of the register block.
pub const REGISTERS: u64 = 38;

/// A register's place in the block. x0 to x30 are 0 to 30.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reg(u64);

impl Reg {
    /// Capability in, badge out.
    pub const X0: Self = Self(0);
    /// Message tag.
    pub const X1: Self = Self(1);
    /// The first message word.
    pub const X2: Self = Self(2);
    /// The system call number.
    pub const X7: Self = Self(7);
    /// The link register.
    pub const LR: Self = Self(30);
    /// The user's stack pointer.
    pub const SP: Self = Self(31);
    /// Where the thread goes on.
    pub const PC: Self = Self(32);
    /// Flags.
    pub const SPSR: Self = Self(33);
    /// The thread's own thread pointer.
    pub const TPIDR: Self = Self(34);
    /// The thread pointer that it can only read.
    pub const TPIDRRO: Self = Self(35);
    /// The instruction that entered the kernel: the `svc`, or the one that faulted or was interrupted.
    pub const FAULT_PC: Self = Self(36);

    /// General register n.
    pub const fn x(n: u64) -> Self {
        assert!(n < 31);
        Self(n)
    }

    /// Byte offset in the register block.
    pub const fn offset(self) -> u64 {
        self.0 * 8
    }
}

/// The registers in the order of `UserContext`.
pub(crate) const USER_CONTEXT: [Reg; 36] = [
    Reg::FAULT_PC,
    Reg::SP,
    Reg::SPSR,
    Reg(0),
    Reg(1),
    Reg(2),
    Reg(3),
    Reg(4),
    Reg(5),
    Reg(6),
    Reg(7),
    Reg(8),
    Reg(16),
    Reg(17),
    Reg(18),
    Reg(29),
    Reg(30),
    Reg(9),
    Reg(10),
    Reg(11),
    Reg(12),
    Reg(13),
    Reg(14),
    Reg(15),
    Reg(19),
    Reg(20),
    Reg(21),
    Reg(22),
    Reg(23),
    Reg(24),
    Reg(25),
    Reg(26),
    Reg(27),
    Reg(28),
    Reg::TPIDR,
    Reg::TPIDRRO,
];

/// SPSR of user mode: EL0, AArch64, FIQ masked (nothing uses it), IRQ and SError open.
pub(crate) const SPSR_USER: u64 = 0x40;
const SPSR_FLAGS: u64 = 0xf000_0000;

/// What a user may put into SPSR: the condition flags.
pub(crate) const fn sanitised_spsr(value: u64) -> u64 {
    value & SPSR_FLAGS | SPSR_USER
}

/// What a thread is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Suspended, or never started.
    Inactive,
    /// Running or ready.
    Running,
    /// Ready, and its system call or faulting instruction runs again.
    Restart,
    /// Waits for a message.
    BlockedOnReceive,
    /// Waits for a receiver.
    BlockedOnSend,
    /// Waits for the answer to a call or for its fault to be handled.
    BlockedOnReply,
    /// Waits for a signal.
    BlockedOnNotification,
}

impl State {
    const fn from_word(word: u64) -> Self {
        match word {
            1 => Self::Running,
            2 => Self::Restart,
            3 => Self::BlockedOnReceive,
            4 => Self::BlockedOnSend,
            5 => Self::BlockedOnReply,
            6 => Self::BlockedOnNotification,
            _ => Self::Inactive,
        }
    }

    /// What the debug console calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Running => "running",
            Self::Restart => "restart",
            Self::BlockedOnReceive => "blocked on receive",
            Self::BlockedOnSend => "blocked on send",
            Self::BlockedOnReply => "blocked on reply",
            Self::BlockedOnNotification => "blocked on notification",
        }
    }

    /// May the scheduler pick it?
    pub const fn is_runnable(self) -> bool {
        matches!(self, Self::Running | Self::Restart)
    }
}

impl Tcb {
    pub(crate) const fn slot(self, index: u64) -> Slot {
        Slot::at(self.addr()).offset(index)
    }

    /// Kernel address of a slot.
    #[inline(always)]
    pub(crate) const fn slot_address(self, index: u64) -> u64 {
        self.addr() + index * SLOT_SIZE
    }

    /// Kernel address of the register block.
    pub const fn context(self) -> u64 {
        self.addr() + CONTEXT
    }
}

impl<M: Machine> Kernel<M> {
    /// The capability in a slot of a thread.
    #[inline(always)]
    pub(crate) fn cap_of(&self, tcb: Tcb, index: u64) -> Cap {
        let at = tcb.slot_address(index);
        Cap { w0: self.m.load(at), w1: self.m.load(at + 8) }
    }

    #[inline]
    pub(crate) fn get(&self, tcb: Tcb, field: Field) -> u64 {
        self.m.load(tcb.addr() + field.0)
    }

    #[inline]
    pub(crate) fn set(&mut self, tcb: Tcb, field: Field, value: u64) {
        self.m.store(tcb.addr() + field.0, value);
    }

    #[inline]
    pub(crate) fn thread_link(&self, tcb: Tcb, field: Field) -> Option<Tcb> {
        Tcb::link(self.get(tcb, field))
    }

    #[inline]
    pub(crate) fn set_thread_link(&mut self, tcb: Tcb, field: Field, to: Option<Tcb>) {
        self.set(tcb, field, word!(to));
    }

    /// A register of a thread that is not running at this moment (or is in the kernel).
    #[inline]
    pub fn reg(&self, tcb: Tcb, reg: Reg) -> u64 {
        self.m.load(tcb.context() + reg.offset())
    }

    /// Sets a register.
    #[inline]
    pub(crate) fn set_reg(&mut self, tcb: Tcb, reg: Reg, value: u64) {
        self.m.store(tcb.context() + reg.offset(), value);
    }

    /// What a thread is doing.
    #[inline]
    pub fn state(&self, tcb: Tcb) -> State {
        State::from_word(self.get(tcb, STATE))
    }

    /// Makes zeroed memory a thread.
    pub(crate) fn init_thread(&mut self, tcb: Tcb) {
        self.set_reg(tcb, Reg::SPSR, SPSR_USER);
        self.set(tcb, TIME_SLICE, crate::TIME_SLICE_TICKS);
        self.debug_add(tcb);
    }

    fn debug_add(&mut self, tcb: Tcb) {
        let first = self.threads;
        self.set_thread_link(tcb, DEBUG_NEXT, first);
        self.set_thread_link(tcb, DEBUG_PREV, None);
        if let Some(first) = first {
            self.set_thread_link(first, DEBUG_PREV, Some(tcb));
        }
        self.threads = Some(tcb);
    }

    pub(crate) fn debug_remove(&mut self, tcb: Tcb) {
        let (prev, next) = (self.thread_link(tcb, DEBUG_PREV), self.thread_link(tcb, DEBUG_NEXT));
        match prev {
            Some(prev) => self.set_thread_link(prev, DEBUG_NEXT, next),
            None => self.threads = next,
        }
        if let Some(next) = next {
            self.set_thread_link(next, DEBUG_PREV, prev);
        }
        self.set_thread_link(tcb, DEBUG_NEXT, None);
        self.set_thread_link(tcb, DEBUG_PREV, None);
    }
}
