//! What is left to do when an image breaks its own rules: say so, and stop.

use core::arch::asm;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use strata_protocol::start::padded;

use crate::debug::DebugOut;
use crate::thread;

/// A panic inside a panic says nothing more.
static PANICKED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if !PANICKED.swap(true, Ordering::Relaxed) {
        let mut name = [0; 16];
        for (eight, word) in name.chunks_mut(8).zip(&thread::block().name) {
            eight.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        // The debug output never fails.
        let _ = write!(DebugOut, "\r\n{}: {info}\r\n", padded(&name));
    }
    stop()
}

/// Stops the thread for good: an undefined instruction, which its fault handler reports.
fn stop() -> ! {
    loop {
        // SAFETY: the instruction raises a fault and nothing else; should the handler resume the thread behind it,
        // the loop raises the next.
        unsafe { asm!("udf #0xdead", options(nomem, nostack)) };
    }
}
