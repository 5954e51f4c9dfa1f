//! What the kernel's paths cost, in instructions from the vector's first to `eret`, inclusive.
//!
//! Under `-icount shift=0` the virtual counter goes with the instructions: a tick of it is a fixed number of them
//! (16 on the virt machine). A path is timed by reading the counter directly before the instruction that enters the
//! kernel and directly after the one that the kernel returns to, in whichever thread that is. One reading is only
//! exact to a tick; but when the rounds of a measurement all cost the same odd number of instructions, the readings
//! fall on each place of a tick equally often, and their sum is exact. So a round is repeated, with and without one
//! instruction more, and the batch that is regular and odd counts. A tick of the kernel's timer makes a batch
//! irregular: it is measured again.
//!
//! `ipc` has the rows with two threads, `objects` the invocations.

mod ipc;
mod objects;

use crate::env::Env;
use crate::{HOST, frame, say};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use sel4_sys::seL4_MessageInfo;
use strata_protocol::wire::Frame;

/// Rounds of a batch: each place of a tick comes up equally often.
const ROUNDS: u64 = 256;
/// Batches of which one must be regular.
const BATCHES_MAX: u64 = 40;
/// Instructions by which the length of a batch may differ from its rounds' own: the ends of the loop, and a tick.
const ENDS_MAX: u64 = 48;

/// Defines a measurement.
macro_rules! bench {
    ($(#[$doc:meta])* $name:ident, $env:ident => $body:block) => {
        crate::case! { $(#[$doc])* $name, $env, crate::BENCH => $body }
    };
}
use bench;

/// The virtual counter.
pub(crate) fn counter() -> u64 {
    let count: u64;
    // SAFETY: reads a counter.
    unsafe { asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack, preserves_flags)) };
    count
}

/// Instructions of a tick of the virtual counter: nanoseconds, one each.
pub(crate) fn tick() -> u64 {
    let frequency: u64;
    // SAFETY: reads the counter's frequency.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack, preserves_flags)) };
    1_000_000_000 / frequency
}

/// Ticks of paths through the kernel, one for each place where a path ends.
struct Leg(AtomicU64);

impl Leg {
    fn add(&self, ticks: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + ticks, Ordering::Relaxed);
    }
}

/// Paths that end in the measuring thread.
static HERE: Leg = Leg(AtomicU64::new(0));
/// Paths that end in the other thread.
static THERE: Leg = Leg(AtomicU64::new(0));

/// When a timed thread last went into the kernel. The path that a thread comes out of may be another's.
static ENTERED: AtomicU64 = AtomicU64::new(0);

/// What a timed instruction sequence does between the two readings of the counter.
macro_rules! timed {
    ($instruction:literal, $($operands:tt)*) => {{
        let ticks: u64;
        // SAFETY: a system call or another instruction that the caller vouches for; the kernel preserves every
        // register that is not an operand.
        unsafe {
            asm!(
                "mrs x9, cntvct_el0",
                "str x9, [x10]",
                $instruction,
                "mrs x9, cntvct_el0",
                "ldr x10, [x10]",
                "sub x9, x9, x10",
                inout("x10") ENTERED.as_ptr() => _,
                out("x9") ticks,
                $($operands)*
                options(nostack),
            );
        }
        ticks
    }};
}
use timed;

/// The registers of a system call.
#[derive(Clone, Copy, Default)]
struct Registers {
    capability: u64,
    info: u64,
    words: [u64; 4],
}

/// A timed system call: the ticks of the path that led back here. The registers of the answer stay there.
#[inline(always)]
fn system_call(number: i64, r: &Registers) -> u64 {
    timed!("svc #0",
        in("x7") number,
        inout("x0") r.capability => _, inout("x1") r.info => _,
        inout("x2") r.words[0] => _, inout("x3") r.words[1] => _,
        inout("x4") r.words[2] => _, inout("x5") r.words[3] => _,
    )
}

/// A prepared invocation of a kernel object: words and capabilities beyond the registers are in the IPC buffer.
#[derive(Clone, Copy)]
struct Invocation(Registers);

impl Invocation {
    fn new(env: &mut Env, object: u64, label: u64, words: &[u64], caps: &[u64]) -> Self {
        let mut registers = Registers {
            capability: object,
            info: seL4_MessageInfo::new(label, 0, caps.len() as u64, words.len() as u64).0.0,
            words: [0; 4],
        };
        for (i, &word) in words.iter().enumerate() {
            match registers.words.get_mut(i) {
                Some(register) => *register = word,
                None => env.ipc.msg[i] = word,
            }
        }
        for (i, &cap) in caps.iter().enumerate() {
            env.ipc.set_cap(i, cap);
        }
        Self(registers)
    }

    /// Calls, and counts the path.
    fn call(&self) {
        let label: u64;
        let r = &self.0;
        HERE.add(timed!("svc #0",
            in("x7") sel4_sys::abi::syscall::CALL,
            inout("x0") r.capability => _, inout("x1") r.info => label,
            inout("x2") r.words[0] => _, inout("x3") r.words[1] => _,
            inout("x4") r.words[2] => _, inout("x5") r.words[3] => _,
        ));
        assert_eq!(label >> 12, 0, "an invocation that is measured is refused");
    }
}

/// One instruction if `pad`, and one in any case.
#[inline(always)]
fn padding(pad: u64) {
    // SAFETY: nothing is touched.
    unsafe { asm!("cbz {}, 2f", "nop", "2:", in(reg) pad, options(nomem, nostack, preserves_flags)) };
}

/// Instructions of the paths of one round: here, there.
struct Cost {
    here: u64,
    there: u64,
}

/// Measures `round`; `before` prepares each batch.
fn measure_batches<T>(with: &mut T, mut before: impl FnMut(&mut T), mut round: impl FnMut(&mut T)) -> Cost {
    let tick = tick();
    for batch in 0..BATCHES_MAX {
        before(with);
        let pad = batch % 2;
        HERE.0.store(0, Ordering::Relaxed);
        THERE.0.store(0, Ordering::Relaxed);
        let start = counter();
        for _ in 0..ROUNDS {
            round(with);
            padding(pad);
        }
        let length = (counter() - start) * tick;
        let period = (length + ROUNDS / 2) / ROUNDS;
        if period % 2 == 1 && length.abs_diff(period * ROUNDS) <= ENDS_MAX {
            let mean = |leg: &Leg| {
                let sum = leg.0.load(Ordering::Relaxed) * tick;
                // Paths that were not counted cost nothing; of the others the readings themselves are taken away.
                (sum / ROUNDS).saturating_sub(READINGS)
            };
            return Cost { here: mean(&HERE), there: mean(&THERE) };
        }
    }
    panic!("no batch was regular")
}

/// Measures `round`, which needs nothing.
fn measure(env: &mut Env, round: impl FnMut(&mut Env)) -> Cost {
    measure_batches(env, |_| {}, round)
}

/// Instructions between the two readings that are not the kernel's: the store, the one that enters, and a reading.
/// `bench_method` holds it.
const READINGS: u64 = 3;

/// Reports a figure in instructions.
fn report(name: &str, value: u64) {
    if HOST.load(Ordering::Relaxed) {
        frame(&Frame::Figure { name, milli: value * 1000, unit: "instructions" });
    } else {
        say!("bench {name}: {value} instructions");
    }
}

/// Reports a figure whose name has a number in it.
fn report_words(row: &str, words: u64, value: u64) {
    let name = strata_protocol::Text::<64>::format(format_args!("kernel.{row}.{words}w"));
    report(&name, value);
}

/// Ticks of the counter when the root task began.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// Notes when the root task begins.
pub(crate) fn started() {
    STARTED.store(counter(), Ordering::Relaxed);
}

bench! {
    /// What is measured is what is there: a known number of instructions. And how long the boot took.
    bench_method, env => {
        let cost = measure(env, |_| HERE.add(timed!("nop",)));
        assert_eq!(cost.here, 0);
        let cost = measure(env, |_| HERE.add(timed!("nop\nnop\nnop\nnop\nnop\nnop\nnop\nnop",)));
        assert_eq!(cost.here, 7);
        report("kernel.boot", STARTED.load(Ordering::Relaxed) * tick());
    }
}
