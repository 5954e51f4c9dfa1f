//! The kernel's lock, and what a core does for others while it waits for it.
//!
//! One core is in the kernel at a time: an entry takes the lock before it looks at anything but its own registers,
//! and gives it back when it has decided who runs next. A ticket lock: cores get in in the order in which they came,
//! so none waits for more than the others' one entry each. With one core there is nothing of it.
//!
//! The core inside can ask others to do something with their own registers ([`Remote`]): it puts a word into their
//! mailbox, interrupts them, and waits. Whatever they are doing they come to the lock, find it taken, and serve. This
//! cannot hang: user mode and sleep are left at an interrupt, and nobody waits for anything else with interrupts
//! masked.
use crate::registers;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use microkernel_abi::SMP;
use microkernel_core::cores::CORES_MAX;
use microkernel_core::{CoreId, Remote};

/// A fair lock.
pub(crate) struct TicketLock {
    next: AtomicU32,
    serving: AtomicU32,
}

impl TicketLock {
    pub(crate) const fn new() -> Self {
        Self { next: AtomicU32::new(0), serving: AtomicU32::new(0) }
    }

    /// Waits for this core's turn; `meanwhile` runs again and again.
    #[inline(always)]
    pub(crate) fn acquire(&self, mut meanwhile: impl FnMut()) {
        if !SMP {
            return;
        }
        // Relaxed: taking a number orders nothing, being served does.
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        // Acquire, with `release`: what the last owner wrote is seen from here on (Arm ARM B2.3: Load-Acquire).
        while self.serving.load(Ordering::Acquire) != ticket {
            meanwhile();
            registers::relax();
        }
    }

    /// Does another core wait? Only the owner asks.
    #[inline(always)]
    pub(crate) fn is_wanted(&self) -> bool {
        // Relaxed: a core that is seen at the next look is soon enough.
        SMP && self.next.load(Ordering::Relaxed) != self.serving.load(Ordering::Relaxed).wrapping_add(1)
    }

    /// Lets the next one in. Only the owner calls this.
    #[inline(always)]
    pub(crate) fn release(&self) {
        if SMP {
            // Only the owner writes this word, so reading and adding need not be one step.
            let next = self.serving.load(Ordering::Relaxed).wrapping_add(1);
            // Release: everything this core did inside is seen by the next owner (Arm ARM B2.3: Store-Release).
            self.serving.store(next, Ordering::Release);
        }
    }
}

/// What each core is asked for; 0 for nothing.
static MAILBOXES: [AtomicU64; CORES_MAX] = [const { AtomicU64::new(0) }; CORES_MAX];

const STALL: u64 = 1;
const DROP_USER_ROOT: u64 = 2;
const SAVE_FPU: u64 = 3;
const KIND: u64 = 0xf;

const fn encode(request: Remote) -> u64 {
    match request {
        Remote::Stall => STALL,
        Remote::DropUserRoot => DROP_USER_ROOT,
        // Areas are aligned to 16 bytes.
        Remote::SaveFpu { area } => area | SAVE_FPU,
    }
}

/// Asks a core for something and waits until it is done. `interrupt` makes it come to the lock, which the caller has.
pub(crate) fn ask(core: CoreId, request: Remote, interrupt: impl FnOnce()) {
    let mailbox = &MAILBOXES[core.index()];
    // Release: what the request is about has been written before.
    mailbox.store(encode(request), Ordering::Release);
    interrupt();
    // Acquire, with `serve`: what that core wrote (registers, floating point) is seen from here on.
    while mailbox.load(Ordering::Acquire) != 0 {
        registers::relax();
    }
}

/// Does what this core is asked for. Its thread's registers have been stored (the exception entry did), and it is in
/// the kernel: that is all that a stall wants.
pub(crate) fn serve(core: CoreId) {
    let mailbox = &MAILBOXES[core.index()];
    let request = mailbox.load(Ordering::Acquire);
    match request & KIND {
        0 => return,
        DROP_USER_ROOT => crate::hardware::set_user_root(0, 0),
        SAVE_FPU => crate::hardware::save_fpu(request & !KIND),
        _ => {}
    }
    // Release: the registers that the exception entry stored, and what was done just now, come before the answer.
    mailbox.store(0, Ordering::Release);
}
