//! Commands that go to driver servers: registers through all layers, and the demo server.

use bpf::capture::LINK_ETHERNET;
use console_shell::Failure;
use console_shell::command::Demo;
use sel4_sys::seL4_MessageInfo;
use strata_protocol::driver::{
    BUS_READ, BUS_WRITE, DEMO_NOTE, DEMO_PING, DEMO_PING_POINTER, DEMO_RELEASE, DEMO_STATUS, DEMO_WAIT,
    NET_ATTACH, NET_DETACH, NET_SEND,
};
use strata_protocol::{Errno, ModuleName};

use crate::session::Session;

/// Bytes of an Ethernet header.
const ETHERNET_HEADER: u64 = 14;
/// What `demo send` sends: packets, and the bytes that each carries.
const SOME: (u64, u64) = (8, 40);
/// What `demo flood` sends: the most of one request.
const MANY: (u64, u64) = (256, 256);

/// Words of an answer that are looked at.
pub(crate) type Answer = [u64; 3];

/// `bus read4`.
pub(crate) fn read(session: &mut Session, device: &ModuleName, offset: u64) -> Result<(), Failure> {
    let what = "bus read4";
    let [value, status, _] = exchange(session, what, device, BUS_READ, &[4, offset])?;
    session.line(format_args!("{device}+{offset:#x} = {value:#010x}{}", Status(status)));
    Ok(())
}

/// `bus write4`.
pub(crate) fn write(
    session: &mut Session,
    device: &ModuleName,
    offset: u64,
    value: u32,
) -> Result<(), Failure> {
    let what = "bus write4";
    let [status, ..] = exchange(session, what, device, BUS_WRITE, &[4, offset, value.into()])?;
    session.line(format_args!("{device}+{offset:#x} := {value:#010x}{}", Status(status)));
    Ok(())
}

/// `demo`.
pub(crate) fn demo(session: &mut Session, demo: Demo) -> Result<(), Failure> {
    // Two servers run the same code: one may be blocked inside a module, the other always answers.
    let device = ModuleName::cut(if matches!(demo, Demo::Wait(_)) { "demo" } else { "demo2" });
    let mut ask = |label, words: &[u64]| exchange(session, "demo", &device, label, words);
    match demo {
        Demo::Ping(value) => {
            let [answer, ..] = ask(DEMO_PING, &[value])?;
            session.line(format_args!("demo_ping({value}) = {answer}"));
        }
        Demo::Pointer(value) => {
            let [answer, ..] = ask(DEMO_PING_POINTER, &[value])?;
            session.line(format_args!("(*demo_ping)({value}) = {answer}"));
        }
        Demo::Note(value) => {
            let [answer, ..] = ask(DEMO_NOTE, &[value])?;
            session.line(format_args!("demo_note({value}) = {answer}"));
        }
        Demo::Wait(value) => {
            ask(DEMO_WAIT, &[value])?;
            session.line(format_args!("demo_wait({value}) has been told to begin"));
        }
        Demo::Attach(interface) => {
            ask(NET_ATTACH, &[interface, LINK_ETHERNET.into(), ETHERNET_HEADER])?;
            session.line(format_args!("interface {interface} is attached"));
        }
        Demo::Detach(interface) => {
            ask(NET_DETACH, &[interface])?;
            session.line(format_args!("interface {interface} is detached"));
        }
        Demo::Send(interface) | Demo::Flood(interface) => {
            let (count, size) = if matches!(demo, Demo::Send(_)) { SOME } else { MANY };
            let [back, ..] = ask(NET_SEND, &[interface, count, size, 0])?;
            session.line(format_args!("{count} packets sent; {back} have come back since the boot"));
        }
        Demo::Release => {
            ask(DEMO_RELEASE, &[])?;
            session.line(format_args!("released"));
        }
        Demo::Status => {
            let [begun, ended, last] = ask(DEMO_STATUS, &[])?;
            session.line(format_args!("demo_wait: {begun} begun, {ended} ended, last answer {last}"));
        }
    }
    Ok(())
}

/// Asks a driver server; the first words of its answer.
pub(crate) fn exchange(
    session: &mut Session,
    what: &'static str,
    device: &ModuleName,
    label: u64,
    words: &[u64],
) -> Result<Answer, Failure> {
    let endpoint = session.device(what, device)?;
    session.ipc.msg[..3].fill(0);
    session.ipc.msg[..words.len()].copy_from_slice(words);
    let tag = seL4_MessageInfo::new(label, 0, 0, words.len() as u64);
    let error = session.ipc.seL4_Call(endpoint, tag).get_label();
    let [first, second, third, ..] = session.ipc.msg;
    if error == 0 {
        return Ok([first, second, third]);
    }
    let errno = i32::try_from(error).ok().and_then(Errno::from_number).unwrap_or(Errno::EIO);
    Err(match errno {
        Errno::EFAULT => {
            let why =
                format_args!("fault at {first:#x}, pc {second:#x}, status {third:#x}; the driver goes on");
            Failure::format(what, device, errno, why)
        }
        Errno::ERANGE => Failure::new(what, device, errno, "the device has no register there"),
        Errno::ENXIO => Failure::new(
            what,
            device,
            errno,
            "the driver server has faulted too often; `driver start` starts it",
        ),
        Errno::EAGAIN => Failure::new(what, device, errno, "the driver server is restarting; ask again"),
        Errno::ENODEV => Failure::new(what, device, errno, "the driver has found no device"),
        Errno::ETIMEDOUT => Failure::new(what, device, errno, "the device has not answered in time"),
        Errno::ENOSYS => Failure::new(what, device, errno, "the device's driver does not know this request"),
        _ => Failure::new(what, device, errno, "the driver refused"),
    })
}

/// The status of a bus access: nothing to say when all went well.
struct Status(u64);

impl core::fmt::Display for Status {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (self.0, i32::try_from(self.0).ok().and_then(Errno::from_number)) {
            (0, _) => Ok(()),
            (_, Some(errno)) => write!(out, " status {errno}"),
            (number, None) => write!(out, " status {number}"),
        }
    }
}
