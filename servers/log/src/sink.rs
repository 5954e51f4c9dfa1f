//! Where frames go.

use strata_protocol::ModuleName;
use strata_protocol::caps::slot;
use strata_protocol::linker::{Reply, Request};
use strata_protocol::start::StartInfo;
use strata_protocol::wire::{FRAME_MAX, Frame, encode};
use strata_runtime::Ipc;
use strata_runtime::debug::DebugOut;
use strata_runtime::ipc::call_for_capability;
use strata_runtime::slots::Slots;
use strata_runtime::uart::Uart;

/// Where frames go.
#[derive(Clone, Copy)]
pub(crate) enum Sink {
    /// Nowhere: nobody listens.
    Nobody,
    /// Through the UART driver.
    Uart(Uart),
    /// Through the kernel's debug output.
    Debug,
}

impl Sink {
    /// The sink that the start page names. Waits for the linker server, which knows the driver.
    pub(crate) fn open(start: &StartInfo, ipc: &mut Ipc, slots: &mut Slots) -> Self {
        if start.host == 0 {
            return Sink::Nobody;
        }
        if start.log_sink != 0 {
            return Sink::Debug;
        }
        let (Some(name), Some(at)) = (ModuleName::new("uart"), slots.take()) else { return Sink::Debug };
        match call_for_capability(ipc, slot::LINKER, &Request::OpenDevice { name }, at) {
            Ok((Reply::Capability { .. }, true)) => Sink::Uart(Uart::new(at)),
            _ => {
                defmt::warn!("no UART driver: frames go through the kernel");
                Sink::Debug
            }
        }
    }

    /// Writes one frame; it is contiguous on the line.
    pub(crate) fn write(self, ipc: &mut Ipc, frame: &Frame<'_>) {
        let mut buffer = [0; FRAME_MAX];
        // A record is never longer than a frame can carry (`wire::LOG_BYTES_MAX`).
        let Ok(bytes) = encode(frame, &mut buffer) else { return };
        match self {
            Sink::Nobody => {}
            Sink::Debug => DebugOut.write(bytes),
            Sink::Uart(uart) => {
                if uart.write(ipc, bytes).is_err() {
                    // The driver is beyond help: what is left of the log is still wanted.
                    DebugOut.write(bytes);
                }
            }
        }
    }
}
