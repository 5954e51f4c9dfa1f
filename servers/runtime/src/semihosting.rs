//! Leaving the emulator: only on boards whose description says that a debugger or emulator listens.

use core::arch::asm;

/// `SYS_EXIT_EXTENDED` of the semihosting specification.
const EXIT_EXTENDED: u64 = 0x20;
/// `ADP_Stopped_ApplicationExit`: the block's second word is the exit status.
const APPLICATION_EXIT: u64 = 0x2_0026;

/// Ends the emulator with this status. Returns where nobody listens to the instruction.
pub fn exit(status: i32) {
    let block = [APPLICATION_EXIT, i64::from(status).cast_unsigned()];
    // SAFETY: the semihosting call reads the two words of `block`, which outlives it, and ends the emulator.
    unsafe {
        asm!("hlt #0xf000", inlateout("x0") EXIT_EXTENDED => _, in("x1") &raw const block, options(nostack, readonly));
    }
}
