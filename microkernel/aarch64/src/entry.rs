//! The kernel's one instance, and what exceptions do with it.
use crate::hardware::Hardware;
use crate::lock::{TicketLock, serve};
use crate::registers::{self, this_core};
use crate::restart;
use crate::uart::Uart;
use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use microkernel_core::handle::{Slot, Tcb};
use microkernel_core::text::{Piece, write};
use microkernel_core::{DEBUG, Kernel, Message, Short, UserFault};

/// Exception classes (ESR_EL1.EC).
const EC_FP_ACCESS: u64 = 0x07;
const EC_FETCH_ABORT: u64 = 0x20;
const EC_DATA_ABORT: u64 = 0x24;

struct Instance {
    lock: TicketLock,
    kernel: UnsafeCell<MaybeUninit<Kernel<Hardware>>>,
}

// SAFETY: `with_kernel` gives the kernel to the owner of the lock only (with one core: to the only one there is), and
// exceptions are masked in the kernel: never two users at a time.
unsafe impl Sync for Instance {}

static KERNEL: Instance =
    Instance { lock: TicketLock::new(), kernel: UnsafeCell::new(MaybeUninit::uninit()) };

/// Runs `work` on the kernel, while no other core does. `work` is told whether what made this core enter still holds:
/// see `Kernel::enter`. Not re-entrant: exceptions from EL1 go to `kernel_failed` and never come back.
#[inline(always)]
fn with_kernel<R>(work: impl FnOnce(&mut Kernel<Hardware>, bool) -> R) -> R {
    let core = this_core();
    KERNEL.lock.acquire(|| serve(core));
    // SAFETY: the lock is this core's until the end of this function, and this function is not re-entered on it: it
    // is called from the vectors, `run` and `leave` only, never within `work`.
    let kernel = unsafe { kernel() };
    let holds = kernel.enter(core);
    let result = work(kernel, holds);
    KERNEL.lock.release();
    result
}

/// Does another core wait to get in?
#[inline(always)]
pub(crate) fn is_wanted() -> bool {
    KERNEL.lock.is_wanted()
}

/// The kernel.
///
/// # Safety
/// `run` has put it there; this core has the lock, and has no other reference to it in use.
#[inline(always)]
unsafe fn kernel<'a>() -> &'a mut Kernel<Hardware> {
    let mut at = KERNEL.kernel.get();
    // SAFETY: nothing is done. That the compiler cannot know this makes it keep the address in a register, instead of
    // making up the address of each field anew.
    unsafe { asm!("/* {} */", inout(reg) at, options(readonly, nostack, preserves_flags)) };
    // SAFETY: the caller's promise: nobody else has a reference.
    let kernel = unsafe { &mut *at };
    // SAFETY: the caller's promise: there is a kernel.
    unsafe { kernel.assume_init_mut() }
}

/// One entry: does `work`, if its cause still holds, and decides who runs next. Waits for interrupts while nobody does;
/// others can enter meanwhile.
#[inline(always)]
fn entry(work: impl FnOnce(&mut Kernel<Hardware>, bool)) -> u64 {
    let next = with_kernel(|kernel, holds| {
        work(kernel, holds);
        kernel.leave()
    });
    next.map_or_else(idle, Tcb::context)
}

/// Nobody can run: waits for interrupts until somebody can.
#[cold]
fn idle() -> u64 {
    loop {
        // An interrupt that came since is pending, so this returns at once.
        registers::wfi();
        let next = with_kernel(|kernel, _| {
            take_interrupts(kernel);
            kernel.leave()
        });
        if let Some(tcb) = next {
            return Tcb::context(tcb);
        }
    }
}

fn take_interrupts(kernel: &mut Kernel<Hardware>) {
    if let Some((irq, word)) = kernel.m.interrupts.acknowledge() {
        kernel.interrupt(irq);
        kernel.m.interrupts.end(word);
    }
}

/// A system call; the arguments are the thread's registers x0 to x7. The short way first: it needs no stack, and what
/// it does not take is left to a function of its own, so that it does not pay for that one's either.
#[unsafe(no_mangle)]
extern "C" fn kernel_syscall(x0: u64, x1: u64, x2: u64, x3: u64, x4: u64, x5: u64, _: u64, x7: u64) -> u64 {
    let core = this_core();
    KERNEL.lock.acquire(|| serve(core));
    // SAFETY: the lock is this core's; the reference ends before `fast_with_access` or `general_syscall` makes its own.
    let kernel = unsafe { kernel() };
    let holds = kernel.enter(core);
    let message = Message { capability: x0, info: x1, words: [x2, x3, x4, x5] };
    if !holds {
        return general_syscall(false, None);
    }
    match kernel.fast_syscall(x7, message) {
        Short::Done(tcb) if kernel.access_differs(tcb) => fast_with_access(tcb),
        Short::Done(tcb) => {
            KERNEL.lock.release();
            Tcb::context(tcb)
        }
        Short::Invocation(tcb, slot) => general_syscall(true, Some((tcb, slot))),
        Short::Not => general_syscall(true, None),
    }
}

/// The end of the short way to a thread that has something lent, or from one. The lock is this core's already.
#[inline(never)]
fn fast_with_access(tcb: Tcb) -> u64 {
    // SAFETY: `kernel_syscall`, the only caller, has the lock and no reference any more.
    let kernel = unsafe { kernel() };
    kernel.switch_access(tcb);
    KERNEL.lock.release();
    Tcb::context(tcb)
}

/// A system call the general way, from what the short way has found on. The lock is this core's already.
#[inline(never)]
fn general_syscall(holds: bool, found: Option<(Tcb, Slot)>) -> u64 {
    // SAFETY: `kernel_syscall`, the only caller, has the lock and no reference any more.
    let kernel = unsafe { kernel() };
    if let Some((tcb, slot)) = found {
        kernel.invocation(tcb, slot);
    } else if holds {
        kernel.syscall();
    }
    let next = kernel.leave();
    KERNEL.lock.release();
    next.map_or_else(idle, Tcb::context)
}

#[unsafe(no_mangle)]
extern "C" fn kernel_interrupt() -> u64 {
    // Interrupts are not the thread's: they are served whoever runs.
    entry(|kernel, _| take_interrupts(kernel))
}

#[unsafe(no_mangle)]
extern "C" fn kernel_fault(syndrome: u64, address: u64) -> u64 {
    entry(|kernel, holds| {
        let fault = match syndrome >> 26 & 0x3f {
            EC_DATA_ABORT => UserFault::Memory { address, syndrome, fetch: false },
            EC_FETCH_ABORT => UserFault::Memory { address, syndrome, fetch: true },
            EC_FP_ACCESS => UserFault::FloatingPoint { syndrome },
            _ => UserFault::Exception { syndrome },
        };
        if holds {
            kernel.user_fault(fault);
        }
    })
}

/// An asynchronous abort: some store since the last barrier met nothing. The running thread is told; on real
/// machines it may have been another one's.
#[unsafe(no_mangle)]
extern "C" fn kernel_serror(syndrome: u64) -> u64 {
    entry(|kernel, holds| {
        if holds {
            kernel.user_fault(UserFault::Exception { syndrome });
        }
    })
}

/// An exception in the kernel itself: a defect. A debug build says what is known; it stops.
#[unsafe(no_mangle)]
extern "C" fn kernel_failed(syndrome: u64, address: u64, pc: u64, flags: u64) -> ! {
    if !DEBUG {
        stop();
    }
    fatal(&[
        Piece::Text("exception at EL1: esr "),
        Piece::Hex(syndrome),
        Piece::Text(" far "),
        Piece::Hex(address),
        Piece::Text(" pc "),
        Piece::Hex(pc),
        Piece::Text(" spsr "),
        Piece::Hex(flags),
    ])
}

struct Console(UnsafeCell<Option<Uart>>);

// SAFETY: set once during boot on one core, read afterwards.
unsafe impl Sync for Console {}

/// The console, from when it is mapped; for messages before there is a kernel.
static CONSOLE: Console = Console(UnsafeCell::new(None));

/// Lets [`fatal`] be heard from now on.
///
/// # Safety
/// Called once, during boot.
pub unsafe fn set_console(uart: Uart) {
    // SAFETY: boot, one core: nobody reads it meanwhile.
    unsafe { *CONSOLE.0.get() = Some(uart) };
}

/// Prints and stops.
pub fn fatal(message: &[Piece<'_>]) -> ! {
    // SAFETY: nothing else runs any more.
    if let Some(mut uart) = unsafe { *CONSOLE.0.get() } {
        for part in [&[Piece::Text("\nkernel panic: ")], message, &[Piece::Text("\n")]] {
            write(part, &mut |byte| uart.put(byte));
        }
    }
    stop()
}

/// Waits until the console has sent what it was given.
pub(crate) fn finish_saying() {
    // SAFETY: set during boot, read since.
    if let Some(uart) = unsafe { *CONSOLE.0.get() } {
        uart.drain();
    }
}

/// The end: of this core, or of all there is until the machine starts again.
pub fn stop() -> ! {
    restart::if_asked();
    loop {
        registers::wfi();
    }
}

/// What the checker of invariants writes on.
#[cfg(feature = "check")]
struct Notes(UnsafeCell<microkernel_core::check::Notes>);

#[cfg(feature = "check")]
// SAFETY: `run` gives it to the kernel, once; nobody else names it.
unsafe impl Sync for Notes {}

#[cfg(feature = "check")]
static NOTES: Notes = Notes(UnsafeCell::new(microkernel_core::check::Notes::new()));

/// Runs the first thread. The kernel lives from here on in the vectors.
pub fn run(
    #[cfg_attr(not(feature = "check"), expect(unused_mut, reason = "for the checker"))] mut kernel: Kernel<
        Hardware,
    >,
) -> ! {
    #[cfg(feature = "check")]
    // SAFETY: `run` is called once (it never returns), and nothing else names the static.
    kernel.set_notes(unsafe { &mut *NOTES.0.get() });
    // SAFETY: boot, one core, exceptions masked: nobody uses the instance yet.
    let place = unsafe { &mut *KERNEL.kernel.get() };
    place.write(kernel);
    #[cfg(feature = "smp")]
    crate::secondary::open();
    go(entry(|_, _| {}))
}

/// A core beyond the first takes part from here on; there is a kernel.
#[cfg(feature = "smp")]
pub(crate) fn join() -> ! {
    let core = this_core();
    KERNEL.lock.acquire(|| serve(core));
    // SAFETY: the lock is this core's; the reference ends with the statement.
    let joined = unsafe { kernel() }.m.join();
    KERNEL.lock.release();
    assert!(joined, "the interrupt controller has nothing for this core");
    // What others have asked of this core's interrupts so far is done at this entry: after they were all masked.
    go(entry(|_, _| {}))
}

/// Runs a thread.
fn go(context: u64) -> ! {
    // SAFETY: `leave` expects a register block of a thread in x0 and never returns; the kernel's stack has nothing
    // that is needed again, and its top is in TPIDR_EL1.
    unsafe { asm!("b leave", in("x0") context, options(noreturn)) }
}
