//! On-target cases of the kernel: a root task of its own.
#![no_std]
#![no_main]

mod start;

use core::panic::PanicInfo;
use sel4_sys::{seL4_DebugPutChar, seL4_Yield};

#[unsafe(no_mangle)]
extern "C" fn main(_boot_info: u64) -> ! {
    b"hello from EL0\n".iter().for_each(|&byte| seL4_DebugPutChar(byte));
    loop {
        seL4_Yield();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        seL4_Yield();
    }
}
