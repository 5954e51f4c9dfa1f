//! Calls to the firmware: Arm DEN 0022 (PSCI), SMC calling convention.
use core::arch::asm;
use microkernel_core::fdt::Conduit;

/// SYSTEM_RESET (PSCI 0.2).
pub(crate) const SYSTEM_RESET: u64 = 0x8400_0009;

/// A call to the firmware.
///
/// # Safety
/// Firmware with PSCI answers to this conduit, and what the call does breaks nothing.
pub(crate) unsafe fn call(conduit: Conduit, arguments: [u64; 4]) -> i64 {
    let [mut result, a, b, c] = arguments;
    macro_rules! call {
        ($instruction:literal) => {
            // SAFETY: the caller's promise. The convention preserves everything but x0 to x17.
            unsafe {
                asm!($instruction, inout("x0") result, inout("x1") a => _, inout("x2") b => _, inout("x3") c => _,
                    out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
                    out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
                    options(nostack))
            }
        };
    }
    match conduit {
        Conduit::Hvc => call!("hvc #0"),
        Conduit::Smc => call!("smc #0"),
    }
    result.cast_signed()
}
