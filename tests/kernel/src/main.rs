//! On-target cases of the kernel: a root task of its own.
//!
//! `case=NAME` in the boot arguments picks one case; without it all run that are no measurements. Each prints
//! `case NAME: ok` or `case NAME: FAILED at FILE:LINE: WHY`; the last line is `kernel-tests: N ok`, and
//! the emulator ends with status 0, or 1 after a failure. With `uart=1` they write to the UART themselves: a release kernel
//! has no debug calls. With `host=1` frames say the same to the on-target
//! runner, which finds the cases' records in the section `.strata.cases`. A case starts with all of its untyped memory
//! free, which is revoked again afterwards.
//!
//! `env` makes objects and threads, the other modules hold the cases by subject.
#![no_std]
#![no_main]

#[cfg(not(feature = "smp"))]
mod answers;
mod bench;
mod boot;
mod cache;
mod caps;
mod env;
mod faults;
mod ipc;
mod irq;
mod memory;
mod sched;
#[cfg(feature = "smp")]
mod smp;
mod start;
mod stress;
mod threads;

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use env::Env;
use sel4_sys::{seL4_BootInfo, seL4_DebugHalt, seL4_DebugPutChar};
use selected_board::BOARD;
use strata_protocol::Text;
use strata_protocol::case::Record;
pub(crate) use strata_protocol::case::flag::{BENCH, CHECKED, UNMAINTAINED};
use strata_protocol::wire::{FRAME_MAX, Frame, encode};

/// A case of this image.
pub(crate) type Case = Record<fn(&mut Env)>;

/// How long a case of the kernel may take, in seconds.
pub(crate) const SECONDS: u32 = 30;

/// Defines a case in the list that the linker gathers.
macro_rules! case {
    ($(#[$doc:meta])* $name:ident, $env:ident => $body:block) => {
        crate::case! { $(#[$doc])* $name, $env, 0 => $body }
    };
    ($(#[$doc:meta])* $name:ident, $env:ident, $flags:expr => $body:block) => {
        $(#[$doc])*
        fn $name($env: &mut crate::env::Env) $body

        const _: () = {
            #[used]
            #[unsafe(link_section = ".strata.cases")]
            static CASE: crate::Case = crate::Case {
                name: strata_protocol::case::name(stringify!($name)),
                seconds: crate::SECONDS,
                flags: $flags,
                run: $name,
            };
        };
    };
}
pub(crate) use case;

unsafe extern "C" {
    static __cases_start: u8;
    static __cases_end: u8;
}

fn cases() -> &'static [Case] {
    let (start, end) = ((&raw const __cases_start).cast::<Case>(), &raw const __cases_end);
    let count = (end.addr() - start.addr()) / size_of::<Case>();
    // SAFETY: the linker script puts nothing but `Case` values between the two symbols.
    unsafe { core::slice::from_raw_parts(start, count) }
}

/// Where the console's UART is mapped; 0: characters go through the kernel.
static UART: AtomicU64 = AtomicU64::new(0);

/// Puts a character on the console.
fn put(byte: u8) {
    match usize::try_from(UART.load(Ordering::Relaxed)) {
        // SAFETY: `own_console` has mapped the UART there; the data register is its first, and the emulator's takes
        // every byte at once.
        Ok(at) if at != 0 => unsafe {
            core::ptr::with_exposed_provenance_mut::<u32>(at).write_volatile(byte.into());
        },
        _ => seL4_DebugPutChar(byte),
    }
}

/// The console.
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(put);
        Ok(())
    }
}

/// Prints a line.
macro_rules! say {
    ($($arg:tt)*) => {{
        use core::fmt::Write;
        // The console never fails.
        let _ = writeln!(crate::Console, $($arg)*);
    }};
}
pub(crate) use say;

/// Prints a part of a line.
macro_rules! say_part {
    ($($arg:tt)*) => {{
        use core::fmt::Write;
        // The console never fails.
        let _ = write!(crate::Console, $($arg)*);
    }};
}
pub(crate) use say_part;

/// A host tool listens.
static HOST: AtomicBool = AtomicBool::new(false);

/// The machine starts again at its end.
static RESETS: AtomicBool = AtomicBool::new(false);

/// Tells the host tool, if there is one.
fn frame(frame: &Frame<'_>) {
    let mut buffer = [0; FRAME_MAX];
    if HOST.load(Ordering::Relaxed)
        && let Ok(bytes) = encode(frame, &mut buffer)
    {
        bytes.iter().copied().for_each(put);
    }
}

/// The running case, for the panic message.
static RUNNING: AtomicPtr<Case> = AtomicPtr::new(core::ptr::null_mut());

/// Ends the machine: an emulator by itself, hardware by telling the host tool that nothing more comes.
pub(crate) fn exit(status: i32) -> ! {
    if BOARD.semihosting && !RESETS.load(Ordering::Relaxed) {
        let block = [0x20026, i64::from(status).cast_unsigned()];
        // SAFETY: semihosting SYS_EXIT_EXTENDED; the emulator reads the two words and ends.
        unsafe {
            core::arch::asm!("hlt #0xf000", in("x0") 0x20, in("x1") block.as_ptr(), options(noreturn));
        }
    }
    frame(&Frame::PoweredOff { status });
    loop {
        seL4_DebugHalt();
    }
}

#[unsafe(no_mangle)]
extern "C" fn main(boot_info: &'static seL4_BootInfo) -> ! {
    bench::started();
    // SAFETY: the kernel passes the address of the boot information, and the IPC buffer it names is this
    // thread's; both are taken here once.
    let mut env = unsafe { Env::new(boot_info) };
    let wanted = env.boot_argument("case=");
    if env.boot_argument("uart=1").is_some() {
        // A release kernel has no debug calls.
        UART.store(env.own_console(BOARD.console.registers), Ordering::Relaxed);
    }
    HOST.store(env.boot_argument("host=1").is_some(), Ordering::Relaxed);
    RESETS.store(env.boot_argument("reset=1").is_some(), Ordering::Relaxed);
    let mut done = 0;
    for case in cases() {
        if wanted.map_or(case.flags & (BENCH | CHECKED) != 0, |wanted| wanted != case.name().as_bytes()) {
            continue;
        }
        RUNNING.store(core::ptr::from_ref(case).cast_mut(), Ordering::Relaxed);
        frame(&Frame::CaseBegin { name: case.name() });
        (case.run)(&mut env);
        env.reset();
        say!("case {}: ok", case.name());
        frame(&Frame::CaseEnd { name: case.name(), passed: true, message: "" });
        done += 1;
    }
    say!("kernel-tests: {done} ok");
    exit(if done == 0 { 2 } else { 0 })
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let case = RUNNING.load(Ordering::Relaxed);
    // SAFETY: null, or one of the immutable list.
    let name = unsafe { case.as_ref() }.map_or("-", Record::name);
    let place = info.location().map_or(("-", 0), |place| (place.file(), place.line()));
    say!("case {name}: FAILED at {}:{}: {}", place.0, place.1, info.message());
    let message = Text::<300>::format(format_args!("{}:{}: {}", place.0, place.1, info.message()));
    frame(&Frame::CaseEnd { name, passed: false, message: &message });
    exit(1)
}
