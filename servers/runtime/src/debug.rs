//! Text through the kernel's debug call: works before there is a driver, and in a panic.

use core::fmt;

/// Writes characters with `seL4_DebugPutChar`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DebugOut;

impl DebugOut {
    /// Writes bytes as they are.
    pub fn write(self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| sel4_sys::seL4_DebugPutChar(*byte));
    }
}

impl fmt::Write for DebugOut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

/// Prints a line through the kernel.
#[macro_export]
macro_rules! debug_println {
    ($($argument:tt)*) => {{
        use ::core::fmt::Write as _;
        // The debug output never fails.
        let _ = ::core::write!($crate::debug::DebugOut, "{}\r\n", ::core::format_args!($($argument)*));
    }};
}
