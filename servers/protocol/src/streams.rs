//! Log streams: who wrote a line. The host picks the string table by this number.

/// The kernel (plain text through the debug system calls; no defmt table).
pub const KERNEL: u16 = 0;
/// The root task.
pub const ROOT_TASK: u16 = 1;
/// The timer server.
pub const TIMER: u16 = 2;
/// The module store.
pub const MODULE_STORE: u16 = 3;
/// The log server.
pub const LOG: u16 = 4;
/// The linker server.
pub const LINKER: u16 = 5;
/// The console.
pub const CONSOLE: u16 = 6;
/// The agent that runs on-target cases.
pub const TEST_AGENT: u16 = 7;
/// The first link domain; link domain `d` writes on `LINK_DOMAIN + d`. Modules share the stream of their link
/// domain, each with its own range of indices.
pub const LINK_DOMAIN: u16 = 16;

/// The image whose table decodes a server's stream, by the name it has in the boot archive.
#[must_use]
pub const fn image_of(stream: u16) -> Option<&'static str> {
    Some(match stream {
        ROOT_TASK => "root-task",
        TIMER => "timer-server",
        MODULE_STORE => "module-store",
        LOG => "log-server",
        LINKER => "linker-server",
        CONSOLE => "console",
        TEST_AGENT => "test-agent",
        LINK_DOMAIN.. => "base-image",
        _ => return None,
    })
}
