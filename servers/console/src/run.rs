//! Carries out commands.

use console_shell::command::{Command, Driver, HELP};
use console_shell::table::Row;
use console_shell::{Failure, Word};
use strata_protocol::capability::{CapRow, ReceiptRow};
use strata_protocol::caps::slot;
use strata_protocol::linker::{
    AliasRow, DRAIN_MS_DEFAULT, DomainRow, LedgerRow, ModuleRow, Reply, Request, ThreadRow,
};
use strata_protocol::registration::RegistrationRow;
use strata_protocol::wire::Frame;
use strata_protocol::{Errno, ModuleName, root, store};
use strata_runtime::ipc::{call, put};

use crate::session::{Session, garbled};
use crate::tap::Tap;
use crate::trace::Trace;
use crate::{devices, firmware};

/// What goes on from one command to the next.
#[derive(Default)]
pub(crate) struct Watchers {
    /// Of accesses.
    pub(crate) trace: Trace,
    /// Of packets.
    pub(crate) tap: Tap,
}

/// Carries out one line, and tells a host tool how it went.
pub(crate) fn line<'a>(
    session: &mut Session,
    watchers: &mut Watchers,
    name: &str,
    words: impl Iterator<Item = Word<'a>>,
) {
    let result =
        console_shell::command::parse(name, words).and_then(|command| run(session, watchers, command));
    report(session, result);
}

/// Prints a failure, and tells a host tool how the line went.
pub(crate) fn report(session: &mut Session, result: Result<(), Failure>) {
    if let Err(failure) = &result {
        session.line(format_args!("{failure}"));
    }
    let status = result.map_or_else(|failure| failure.status(), |()| 0);
    session.frame(&Frame::CommandDone { status });
}

/// Carries out a command.
pub(crate) fn run(session: &mut Session, watchers: &mut Watchers, command: Command) -> Result<(), Failure> {
    match command {
        Command::Help => {
            HELP.iter().for_each(|(form, what)| session.line(format_args!("{form:34} {what}")));
            Ok(())
        }
        Command::ModLoad { name, domain, with } => load(session, name, domain, &with),
        Command::Driver { what, name } => {
            let (drain_ms, again) = (DRAIN_MS_DEFAULT, what == Driver::Restart);
            let (request, done) = match what {
                Driver::Start => (Request::StartDriver { name: name.clone() }, "started"),
                Driver::Stop => (Request::StopDriver { name: name.clone(), drain_ms, again }, "stopped"),
                Driver::Restart => (Request::StopDriver { name: name.clone(), drain_ms, again }, "restarted"),
            };
            session.ask("driver", &request)?;
            session.line(format_args!("{name}: {done}"));
            Ok(())
        }
        Command::Caps => {
            let row = |reply| if let Reply::CapabilityRow(row) = reply { Some(row) } else { None };
            list::<CapRow>(session, "caps", |index| Request::Capability { index }, row)
        }
        Command::Grant { object, rights, quota } => {
            let number = session.grant(&Request::Derive { object, rights, quota })?;
            session.line(format_args!("capability {number}"));
            Ok(())
        }
        Command::Revoke { capability, rights } => {
            let done = session.ask("revoke", &Request::Revoke { capability, rights })?;
            if let Reply::DoneWith { remark } = done {
                session.line(format_args!("{remark}"));
            }
            Ok(())
        }
        Command::Receipt { name } => {
            let row = |reply| if let Reply::Receipt(row) = reply { Some(row) } else { None };
            let request = |index| Request::Receipt { name: name.clone(), index };
            list::<ReceiptRow>(session, "receipt", request, row)
        }
        Command::ModUnload { name, drain_ms } => {
            let done = session.ask("modunload", &Request::Unload { name: name.clone(), drain_ms })?;
            say_done(session, &name, "unloaded", &done);
            Ok(())
        }
        Command::ModStat => {
            let row = |reply| if let Reply::Module(row) = reply { Some(row) } else { None };
            list::<ModuleRow>(session, "modstat", |index| Request::Module { index }, row)
        }
        Command::Alias { symbol } => {
            let row = |reply| if let Reply::Alias(row) = reply { Some(row) } else { None };
            let request = |index| Request::Alias { symbol: symbol.clone(), index };
            list::<AliasRow>(session, "alias", request, row)
        }
        Command::Domains => {
            let row = |reply| if let Reply::Domain(row) = reply { Some(row) } else { None };
            list::<DomainRow>(session, "domains", |index| Request::Domain { index }, row)
        }
        Command::Threads => {
            let row = |reply| if let Reply::Thread(row) = reply { Some(row) } else { None };
            list::<ThreadRow>(session, "threads", |index| Request::Thread { index }, row)
        }
        Command::Registrations => {
            let row = |reply| if let Reply::Registration(row) = reply { Some(row) } else { None };
            list::<RegistrationRow>(session, "registrations", |index| Request::Registration { index }, row)
        }
        Command::Ledger => ledger(session),
        Command::BusRead { device, offset } => devices::read(session, &device, offset),
        Command::BusWrite { device, offset, value } => devices::write(session, &device, offset, value),
        Command::Firmware => firmware::show(session),
        Command::Demo(demo) => devices::demo(session, demo),
        Command::TraceOn { device } => watchers.trace.on(session, &device),
        Command::TraceOff => watchers.trace.off(session),
        Command::TraceDump { count } => watchers.trace.dump(session, count),
        Command::TapOn(listen) => watchers.tap.on(session, &listen),
        Command::TapOff => watchers.tap.off(session),
        Command::TapDump { count } => watchers.tap.dump(session, count),
        Command::Quit { status } => quit(session, status),
    }
}

fn load(session: &mut Session, name: ModuleName, domain: ModuleName, with: &[u32]) -> Result<(), Failure> {
    let what = "modload";
    let find = store::Request::Find { name: name.clone() };
    let image = match call(session.ipc, slot::STORE, &find).map_err(|error| garbled(what, error))? {
        store::Reply::Image { image, .. } => image,
        store::Reply::Refused(refusal) => return Err(Failure::refused(what, &refusal)),
        store::Reply::Done => {
            return Err(Failure::new(what, &name, Errno::ENOENT, "the store has no such image"));
        }
    };
    let done = session.ask_by(what, with, &Request::Load { name: name.clone(), domain, image })?;
    say_done(session, &name, "loaded", &done);
    Ok(())
}

fn say_done(session: &mut Session, name: &ModuleName, verb: &str, reply: &Reply) {
    match reply {
        Reply::DoneWith { remark } => session.line(format_args!("{name}: {verb}; {remark}")),
        _ => session.line(format_args!("{name}: {verb}")),
    }
}

/// Prints a list of the linker server's, row by row.
fn list<R: Row>(
    session: &mut Session,
    what: &'static str,
    request: impl Fn(u32) -> Request,
    row: impl Fn(Reply) -> Option<R>,
) -> Result<(), Failure> {
    for index in 0.. {
        let answer = session.ask(what, &request(index))?;
        if index == 0 {
            // Writing into the line never fails.
            let _ = R::header(session);
            session.text(b"\r\n");
        }
        let Some(found) = row(answer) else { break };
        let _ = found.row(index, session);
        session.text(b"\r\n");
    }
    Ok(())
}

/// The ledger, and whether it agrees with what lies in the linker server's capability space.
fn ledger(session: &mut Session) -> Result<(), Failure> {
    let row = |reply| if let Reply::Ledger(row) = reply { Some(row) } else { None };
    list::<LedgerRow>(session, "ledger", |index| Request::Ledger { index }, row)?;
    match session.ask("ledger", &Request::Audit)? {
        Reply::Audit { ledger, found } if ledger == found => {
            session.line(format_args!("audit: {found} capabilities found, as many as in the ledger"));
            Ok(())
        }
        Reply::Audit { ledger, found } => {
            let why = format_args!("{found} capabilities found, {ledger} in the ledger");
            Err(Failure::format("ledger", "audit", Errno::EIO, why))
        }
        _ => Err(Failure::new("ledger", "audit", Errno::EIO, "the linker server did not count")),
    }
}

fn quit(session: &mut Session, status: i32) -> Result<(), Failure> {
    session.flush();
    let request = root::Request::PowerOff { status };
    let tag = put(session.ipc, &request, 0).map_err(|error| garbled("quit", error))?;
    session.ipc.seL4_Call(slot::ROOT, tag);
    Err(Failure::new("quit", "", Errno::EIO, "the root task came back"))
}
