//! On-target cases of the kernel: a root task of its own.
//!
//! `case=NAME` in the boot arguments picks one case; without it all run. Each prints
//! `case NAME: ok` or `case NAME: FAILED at FILE:LINE: WHY`; the last line is `kernel-tests: N ok`, and
//! the emulator ends with status 0, or 1 after a failure. A case starts with all of its untyped memory
//! free, which is revoked again afterwards.
//!
//! `env` makes objects and threads, the other modules hold the cases by subject.
#![no_std]
#![no_main]

mod bench;
mod caps;
mod env;
mod faults;
mod ipc;
mod irq;
mod memory;
mod sched;
mod start;
mod threads;

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicPtr, Ordering};
use env::Env;
use sel4_sys::{seL4_BootInfo, seL4_DebugPutChar};

/// A case: a function and the name that picks it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Env),
}

/// Defines a case in the list that the linker gathers.
macro_rules! case {
    ($(#[$doc:meta])* $name:ident, $env:ident => $body:block) => {
        $(#[$doc])*
        fn $name($env: &mut crate::env::Env) $body

        const _: () = {
            #[used]
            #[unsafe(link_section = ".cases")]
            static CASE: crate::Case = crate::Case { name: stringify!($name), run: $name };
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

/// The debug console.
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(seL4_DebugPutChar);
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

/// The running case, for the panic message.
static RUNNING: AtomicPtr<Case> = AtomicPtr::new(core::ptr::null_mut());

/// Ends the emulator.
pub(crate) fn exit(status: u64) -> ! {
    let block = [0x20026, status];
    // SAFETY: semihosting SYS_EXIT_EXTENDED; the emulator reads the two words and ends.
    unsafe {
        core::arch::asm!("hlt #0xf000", in("x0") 0x20, in("x1") block.as_ptr(), options(noreturn));
    }
}

#[unsafe(no_mangle)]
extern "C" fn main(boot_info: &'static seL4_BootInfo) -> ! {
    // SAFETY: the kernel passes the address of the boot information, and the IPC buffer it names is this
    // thread's; both are taken here once.
    let mut env = unsafe { Env::new(boot_info) };
    let wanted = env.boot_argument("case=");
    let mut done = 0;
    for case in cases() {
        if wanted.is_some_and(|wanted| wanted != case.name.as_bytes()) {
            continue;
        }
        RUNNING.store(core::ptr::from_ref(case).cast_mut(), Ordering::Relaxed);
        (case.run)(&mut env);
        env.reset();
        say!("case {}: ok", case.name);
        done += 1;
    }
    say!("kernel-tests: {done} ok");
    exit(if done == 0 { 2 } else { 0 })
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let case = RUNNING.load(Ordering::Relaxed);
    // SAFETY: null, or one of the immutable list.
    let name = unsafe { case.as_ref() }.map_or("-", |case| case.name);
    let place = info.location().map_or(("-", 0), |place| (place.file(), place.line()));
    say!("case {name}: FAILED at {}:{}: {}", place.0, place.1, info.message());
    exit(1)
}
