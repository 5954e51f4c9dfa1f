//! Cores beyond the first: how they are started, and their way to the kernel. Assembly, for their first steps.
//!
//! A started core comes as the first one did: physical addresses, no caches, the loader's exception level. It takes
//! the first core's way through `start`, with the tables that are there, finds its place in [`PLACES`] by its
//! affinity, takes the kernel's own tables, and waits until the kernel is there. Then it is a core without a thread.
//!
//! ```text
//!  boot core: place ─► start (PSCI, spin table, pen) ─► waits for ARRIVED … ─► boot ─► `open` ─► first thread
//!  core n:                   comes ─► finds place ─► ARRIVED + 1 ─► waits for OPEN ─► idle, in the kernel's scheduler
//! ```
use crate::cores::{START_PEN, call, release};
use crate::{entry, psci, registers, tables};
use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use microkernel_core::cores::CORES_MAX;
use microkernel_core::fdt::StartMethod;
use microkernel_core::machine::to_physical;

/// Cores beyond the first.
const PLACES_MAX: usize = CORES_MAX - 1;
/// Bytes of a core's stack in the kernel, the word at its top included.
const STACK_SIZE: usize = 32 << 10;
/// How long a core may take from its start to its arrival.
const ARRIVAL_MS: u64 = 1000;
/// Aff3 and Aff2 to Aff0 of MPIDR_EL1.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// A core's stack. The guard page is not mapped, so that running over is an exception.
#[repr(C, align(4096))]
struct Stack {
    guard: UnsafeCell<[u8; 4096]>,
    space: UnsafeCell<[u8; STACK_SIZE - 16]>,
    /// The core's number: what `this_core` reads. The stack grows down from here.
    number: AtomicU64,
    padding: u64,
}

// SAFETY: the bytes are one core's stack, which no Rust value names; the number is atomic.
unsafe impl Sync for Stack {}

static STACKS: [Stack; PLACES_MAX] = [const {
    Stack {
        guard: UnsafeCell::new([0; 4096]),
        space: UnsafeCell::new([0; STACK_SIZE - 16]),
        number: AtomicU64::new(0),
        padding: 0,
    }
}; PLACES_MAX];

/// Where a core finds what is its own. `secondary_upper` reads it.
#[repr(C)]
struct Place {
    affinity: AtomicU64,
    stack_top: AtomicU64,
}

/// The affinity of a place that nobody has.
const NOBODY: u64 = u64::MAX;

#[unsafe(no_mangle)]
static SECONDARY_PLACES: [Place; PLACES_MAX] =
    [const { Place { affinity: AtomicU64::new(NOBODY), stack_top: AtomicU64::new(0) } }; PLACES_MAX];

/// Cores that have taken the kernel's tables.
static ARRIVED: AtomicU64 = AtomicU64::new(0);
/// Is there a kernel?
static OPEN: AtomicBool = AtomicBool::new(false);

global_asm!(
    r#"
    .section .text.start, "ax"
    .global secondary_start
secondary_start:
    msr     daifset, #0xf
    ldr     x20, =secondary_upper
    b       to_upper_half

secondary_upper:
    mrs     x0, mpidr_el1
    ldr     x1, ={affinity}
    and     x0, x0, x1
    ldr     x2, =SECONDARY_PLACES
    mov     x3, #{places}
1:  ldp     x4, x5, [x2], #16
    cmp     x4, x0
    b.eq    2f
    subs    x3, x3, #1
    b.ne    1b
3:  wfi
    b       3b
2:  mov     sp, x5
    msr     tpidr_el1, x5
    ldr     x1, =vectors
    msr     vbar_el1, x1
    isb
    mov     x29, xzr
    mov     x30, xzr
    bl      secondary_main
"#,
    affinity = const AFFINITY,
    places = const PLACES_MAX,
);

unsafe extern "C" {
    fn secondary_start();
}

/// Physical address where further cores start.
fn start_address() -> u64 {
    to_physical(secondary_start as *const () as u64)
}

/// Physical addresses of the guard pages below the stacks.
pub fn stack_guards() -> impl Iterator<Item = u64> {
    STACKS.iter().map(|stack| to_physical(stack.guard.get().addr() as u64))
}

/// Why a core does not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartError {
    /// The firmware refuses to start the core of this affinity.
    Refused(u64),
    /// The core of this affinity did not arrive.
    Late(u64),
}

/// Starts the cores of this one's cluster that have numbers (the last field of the affinity) from 1 on, up to the first
/// that `method` does not know or the kernel does not use. Returns how many there are then, with this one.
///
/// # Safety
/// Boot, once, on core 0, with the kernel's own tables; what `method` says about a core of this affinity holds: release
/// addresses are mapped as memory and the firmware's for this purpose, PSCI is there, and nobody has started the core.
pub unsafe fn start(method: impl Fn(u64) -> Option<StartMethod>) -> Result<usize, StartError> {
    let cluster = registers::mpidr_el1() & AFFINITY & !0xff;
    let mut count = 0;
    let pens = START_PEN.iter().skip(1);
    for ((place, stack), pen) in SECONDARY_PLACES.iter().zip(&STACKS).zip(pens) {
        let affinity = cluster | (count + 1);
        let Some(method) = method(affinity) else { break };
        count += 1;
        stack.number.store(count, Ordering::Relaxed);
        place.stack_top.store(core::ptr::from_ref(&stack.number).addr() as u64, Ordering::Relaxed);
        place.affinity.store(affinity, Ordering::Relaxed);
        // The core reads its place with caches on, so what it needs is order, not a clean: the stores are seen by it
        // before it runs at all (Arm ARM B2.3.7: DSB, before the call or the store that starts it).
        registers::dsb_ishst();
        match method {
            StartMethod::SpinTable { release: at } => {
                // SAFETY: the caller's promise.
                unsafe { release(at, start_address()) };
                // A loader that holds no core has let it come to the image's start.
                // SAFETY: `secondary_start` is for a core as the loader leaves it.
                unsafe { call(pen, start_address()) };
            }
            StartMethod::Psci { conduit, cpu_on } => {
                // SAFETY: the caller's promise: the firmware answers, and the core starts at our entry for that.
                if unsafe { psci::call(conduit, [cpu_on, affinity, start_address(), 0]) } != 0 {
                    return Err(StartError::Refused(affinity));
                }
            }
        }
        if !arrives(count) {
            return Err(StartError::Late(affinity));
        }
    }
    Ok(usize::try_from(count).unwrap_or(0) + 1)
}

/// Waits for the arrival of core number `count`.
fn arrives(count: u64) -> bool {
    let deadline = registers::cntpct_el0() + registers::cntfrq_el0() / 1000 * ARRIVAL_MS;
    while ARRIVED.load(Ordering::Acquire) < count {
        if registers::cntpct_el0() > deadline {
            return false;
        }
        registers::relax();
    }
    true
}

/// Lets the cores that have arrived into the kernel.
pub(crate) fn open() {
    // Release: the kernel is complete.
    OPEN.store(true, Ordering::Release);
}

/// A further core, on its own stack.
#[unsafe(no_mangle)]
extern "C" fn secondary_main() -> ! {
    // SAFETY: the kernel's tables map text, data and this stack where they are (the first core runs with them).
    unsafe { tables::take() };
    ARRIVED.fetch_add(1, Ordering::Release);
    // Acquire: with `open`.
    while !OPEN.load(Ordering::Acquire) {
        registers::relax();
    }
    entry::join()
}
