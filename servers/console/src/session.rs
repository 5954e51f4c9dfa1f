//! What a command works with: the serial line, the servers, and slots for capabilities.

use core::fmt;

use console_shell::Failure;
use heapless::Vec;
use strata_protocol::capability::{CapObject, PRESENTED_MAX};
use strata_protocol::caps::slot;
use strata_protocol::driver::UART_BYTES_MAX;
use strata_protocol::linker::{Reply, Request};
use strata_protocol::message::MessageError;
use strata_protocol::start::{Region, StartInfo, region};
use strata_protocol::uplink::crc32_more;
use strata_protocol::wire::{FRAME_MAX, Frame, encode};
use strata_protocol::{Errno, ModuleName};
use strata_runtime::Ipc;
use strata_runtime::debug::DebugOut;
use strata_runtime::ipc::{call, call_for_capability, call_presenting};
use strata_runtime::slots::Slots;
use strata_runtime::uart::Uart;

/// Capabilities of the linker server that are kept.
const GRANTED_MAX: usize = 16;
/// Devices whose endpoints are kept.
const DEVICES_MAX: usize = 12;

/// The console's connections.
pub(crate) struct Session {
    pub(crate) ipc: &'static mut Ipc,
    pub(crate) slots: Slots,
    pub(crate) start: &'static StartInfo,
    uart: Option<Uart>,
    pending: Vec<u8, UART_BYTES_MAX>,
    /// CRC-32, not yet inverted, of the text since somebody set it.
    pub(crate) written: u32,
    devices: Vec<(ModuleName, u64), DEVICES_MAX>,
    /// Capabilities of the linker server: number, slot, whether it is about the link domain.
    granted: Vec<(u32, u64, bool), GRANTED_MAX>,
}

impl Session {
    /// Connects to the UART driver; without one the text goes out through the kernel.
    pub(crate) fn open(start: &'static StartInfo, ipc: &'static mut Ipc) -> Self {
        let slots = Slots::new(start);
        let mut session = Self {
            ipc,
            slots,
            start,
            uart: None,
            pending: Vec::new(),
            written: !0,
            devices: Vec::new(),
            granted: Vec::new(),
        };
        match session.device("console", &ModuleName::cut("uart")) {
            Ok(endpoint) => session.uart = Some(Uart::new(endpoint)),
            Err(failure) => session.line(format_args!("{failure}")),
        }
        session
    }

    /// Whether frames are wanted.
    pub(crate) fn has_host(&self) -> bool {
        self.start.host != 0
    }

    /// Sends what is pending.
    pub(crate) fn flush(&mut self) {
        let sent = self.uart.is_some_and(|uart| uart.write(self.ipc, &self.pending).is_ok());
        if !sent {
            DebugOut.write(&self.pending);
        }
        self.pending.clear();
    }

    /// Puts bytes of console text into the line. Zeros delimit frames, so they are no text.
    pub(crate) fn text(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().filter(|byte| **byte != 0) {
            self.written = crc32_more(self.written, &[*byte]);
            if self.pending.push(*byte).is_err() {
                self.flush();
                // The buffer has just been emptied.
                let _ = self.pending.push(*byte);
            }
        }
    }

    /// Writes a line of an answer.
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) {
        // Writing into the line never fails.
        let _ = fmt::Write::write_fmt(self, text);
        self.text(b"\r\n");
    }

    /// Sends a frame to the host tool, if there is one, behind all text so far.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) {
        if self.has_host() {
            self.reply(frame);
        } else {
            self.flush();
        }
    }

    /// Sends a frame behind all text so far to a host tool that has just sent one.
    pub(crate) fn reply(&mut self, frame: &Frame<'_>) {
        self.flush();
        let mut buffer = [0; FRAME_MAX];
        if let Ok(bytes) = encode(frame, &mut buffer) {
            match self.uart {
                Some(uart) if uart.write(self.ipc, bytes).is_ok() => {}
                _ => DebugOut.write(bytes),
            }
        }
    }

    /// Writes into the upload area; the caller has seen that the bytes lie inside.
    pub(crate) fn write_upload(&self, offset: u64, bytes: &[u8]) {
        let area = self.start.region(region::UPLOAD);
        let fits = |area: &Region| offset.checked_add(bytes.len() as u64).is_some_and(|end| end <= area.size);
        let area = area.filter(fits).expect("a place in the upload area was found before");
        let to = (area.address + offset) as *mut u8;
        // SAFETY: the root task maps the area read-write in this process for ever, and the bytes lie inside; others only
        // read it, and copy before they look. `bytes` lies in this process's own memory.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// What has been typed; waits until there is something.
    pub(crate) fn typed<'b>(&mut self, signal: u64, buffer: &'b mut [u8]) -> &'b [u8] {
        loop {
            match self.uart.map_or(Ok(0), |uart| uart.read(self.ipc, buffer)) {
                Ok(length @ 1..) => return &buffer[..length],
                // A driver that was restarted signals again when something comes.
                Ok(0) | Err(_) => {
                    self.ipc.seL4_Wait(signal);
                }
            }
        }
    }

    /// Asks the linker server.
    pub(crate) fn ask(&mut self, what: &'static str, request: &Request) -> Result<Reply, Failure> {
        match call(self.ipc, slot::LINKER, request).map_err(|error| garbled(what, error))? {
            Reply::Refused(refusal) => Err(Failure::refused(what, &refusal)),
            Reply::Blocked { refusal, blockers } => Err(Failure::blocked(what, &refusal, &blockers)),
            reply => Ok(reply),
        }
    }

    /// Asks the linker server by capabilities that it has handed out: the first that is about the link domain asks, the
    /// others are presented.
    pub(crate) fn ask_by(
        &mut self,
        what: &'static str,
        with: &[u32],
        request: &Request,
    ) -> Result<Reply, Failure> {
        let (mut service, mut presented) = (None, Vec::<u64, PRESENTED_MAX>::new());
        for number in with {
            let held = self.granted.iter().find(|(known, ..)| known == number);
            let Some((_, at, domain)) = held else {
                return Err(Failure::format(
                    what,
                    "",
                    Errno::ENOENT,
                    format_args!("no capability {number} is held"),
                ));
            };
            if *domain && service.is_none() {
                service = Some(*at);
            } else if presented.push(*at).is_err() {
                return Err(Failure::new(what, "", Errno::E2BIG, "a message carries no more capabilities"));
            }
        }
        let service = service.unwrap_or(slot::LINKER);
        match call_presenting(self.ipc, service, request, &presented).map_err(|error| garbled(what, error))? {
            Reply::Refused(refusal) => Err(Failure::refused(what, &refusal)),
            reply => Ok(reply),
        }
    }

    /// Asks for a capability of the linker server and keeps it; its number.
    pub(crate) fn grant(&mut self, request: &Request) -> Result<u32, Failure> {
        let what = "grant";
        let full = || Failure::new(what, "", Errno::ENOMEM, "the console holds as many as it can");
        if self.granted.is_full() {
            return Err(full());
        }
        let at = self.slots.take().ok_or_else(full)?;
        let failure = match call_for_capability(self.ipc, slot::LINKER, request, at) {
            Ok((Reply::Issued { capability }, true)) => {
                let domain = matches!(request, Request::Derive { object: CapObject::Domain, .. });
                return self.granted.push((capability, at, domain)).map(|()| capability).map_err(|_| full());
            }
            Ok((Reply::Refused(refusal), _)) => Failure::refused(what, &refusal),
            Ok(_) => Failure::new(what, "", Errno::EIO, "the linker server sent no capability"),
            Err(error) => garbled(what, error),
        };
        self.slots.give_back(at);
        Err(failure)
    }

    /// Asks the linker server for a capability; its slot.
    pub(crate) fn ask_for(&mut self, what: &'static str, request: &Request) -> Result<u64, Failure> {
        let full = || Failure::new(what, "", Errno::ENOMEM, "no slot is left");
        let at = self.slots.take().ok_or_else(full)?;
        let answer = call_for_capability(self.ipc, slot::LINKER, request, at);
        let failure = match answer {
            Ok((Reply::Capability { .. }, true)) => return Ok(at),
            Ok((Reply::Refused(refusal), _)) => Failure::refused(what, &refusal),
            Ok(_) => Failure::new(what, "", Errno::EIO, "the linker server sent no capability"),
            Err(error) => garbled(what, error),
        };
        self.slots.give_back(at);
        Err(failure)
    }

    /// The endpoint of a device's driver server.
    pub(crate) fn device(&mut self, what: &'static str, name: &ModuleName) -> Result<u64, Failure> {
        if let Some((_, endpoint)) = self.devices.iter().find(|(known, _)| known == name) {
            return Ok(*endpoint);
        }
        let endpoint = self.ask_for(what, &Request::OpenDevice { name: name.clone() })?;
        if self.devices.push((name.clone(), endpoint)).is_err() {
            defmt::warn!("too many devices are open");
        }
        Ok(endpoint)
    }
}

impl fmt::Write for Session {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text.as_bytes());
        Ok(())
    }
}

/// The answer was no message of this version.
pub(crate) fn garbled(what: &'static str, error: MessageError) -> Failure {
    match error {
        MessageError::Version(version) => {
            let why = format_args!("the server speaks version {version}");
            Failure::format(what, "", Errno::EPROGMISMATCH, why)
        }
        other => Failure::format(what, "", Errno::EIO, format_args!("the answer makes no sense: {other:?}")),
    }
}
