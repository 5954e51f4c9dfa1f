//! The command line over the PL011 driver.
//!
//! Reading order: here (bytes to lines), [`run`] (lines to answers), [`session`] (the line and the servers),
//! [`devices`], [`trace`] and [`tap`] over [`shared`], [`uplink`] (what a host tool sends). What commands mean and how answers look is `console-shell`'s.
#![no_std]
#![no_main]
#![expect(
    clippy::result_large_err,
    reason = "without a heap an error carries its text; commands are typed by people"
)]

mod devices;
mod firmware;
mod run;
mod session;
mod shared;
mod tap;
mod trace;
mod uplink;

use core::cell::RefCell;
use core::convert::Infallible;

use console_shell::{Failure, Word};
use embedded_cli::arguments::{Arg, ArgError};
use embedded_cli::cli::{CliBuilder, CliHandle};
use embedded_cli::command::RawCommand;
use embedded_cli::service::{Autocomplete, CommandProcessor, Help, ProcessError};
use embedded_io_06::{ErrorType, Write};
use heapless::Vec;
use strata_protocol::linker::Request;
use strata_protocol::start::StartInfo;
use strata_protocol::uplink::{Split, Splitter};
use strata_protocol::wire::Frame;
use strata_protocol::{Errno, ModuleName};
use strata_runtime::{Ipc, entry};

use crate::run::Watchers;
use crate::session::Session;
use crate::uplink::Inbox;

entry!(main);

/// Bytes of a line.
const LINE_MAX: usize = 160;
/// Bytes of lines to go back to.
const HISTORY_MAX: usize = 512;
/// Words behind a command's name.
const WORDS_MAX: usize = 8;
const PROMPT: &str = "strata> ";

fn main(start: &'static StartInfo, ipc: &'static mut Ipc) -> ! {
    let mut session = Session::open(start, ipc);
    let uart = ModuleName::cut("uart");
    let signal = session.ask_for("console", &Request::DeviceSignal { name: uart });
    session.line(format_args!("Strata {}; `help` lists the commands", env!("CARGO_PKG_VERSION")));
    let signal = signal.unwrap_or_else(|failure| panic!("{failure}"));

    let session = RefCell::new(session);
    let mut processor = Processor { session: &session, watchers: Watchers::default(), length: 0 };
    let mut cli = CliBuilder::default()
        .writer(Terminal(&session))
        .command_buffer([0; LINE_MAX])
        .history_buffer([0; HISTORY_MAX])
        .prompt(PROMPT)
        .build()
        .unwrap_or_else(|never| match never {});
    session.borrow_mut().frame(&Frame::Prompt);

    let mut buffer = [0; 64];
    let mut last = 0;
    let mut splitter = Splitter::default();
    let mut inbox = Inbox::default();
    loop {
        // The borrow ends before the bytes are looked at.
        let typed = session.borrow_mut().typed(signal, &mut buffer);
        for byte in typed.iter().copied() {
            let byte = match splitter.feed(byte) {
                Split::Typed(byte) => byte,
                Split::Frame(bytes) => {
                    uplink::serve(&mut session.borrow_mut(), &mut processor.watchers, &mut inbox, bytes);
                    continue;
                }
                Split::Nothing => continue,
            };
            let ends = byte == b'\r' || byte == b'\n' && last != b'\r';
            last = byte;
            // Terminals send DEL for the backspace key.
            let byte = if byte == 0x7f { 0x08 } else { byte };
            processor.length = if ends { processor.length } else { processor.length + 1 };
            cli.process_byte::<Plain, _>(byte, &mut processor).unwrap_or_else(|never| match never {});
            if ends {
                processor.length = 0;
                session.borrow_mut().frame(&Frame::Prompt);
            }
        }
        session.borrow_mut().flush();
    }
}

/// The editor's way to the serial line.
struct Terminal<'a>(&'a RefCell<Session>);

impl ErrorType for Terminal<'_> {
    type Error = Infallible;
}

impl Write for Terminal<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0.borrow_mut().text(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        // The line is sent when the bytes that have arrived are dealt with: fewer messages to the driver.
        Ok(())
    }
}

/// Commands are parsed by `console-shell`; the editor only edits.
struct Plain;
impl Autocomplete for Plain {}
impl Help for Plain {}

/// Takes whole lines from the editor.
struct Processor<'a> {
    session: &'a RefCell<Session>,
    watchers: Watchers,
    /// Bytes typed since the line began.
    length: usize,
}

impl CommandProcessor<Terminal<'_>, Infallible> for Processor<'_> {
    fn process<'a>(
        &mut self,
        _cli: &mut CliHandle<'_, Terminal<'_>, Infallible>,
        raw: RawCommand<'a>,
    ) -> Result<(), ProcessError<'a, Infallible>> {
        let session = &mut *self.session.borrow_mut();
        let mut words: Vec<Word<'_>, WORDS_MAX> = Vec::new();
        let fits = self.length <= LINE_MAX
            && raw.args().args().filter_map(word_of).all(|word| words.push(word).is_ok());
        if fits {
            run::line(session, &mut self.watchers, raw.name(), words.into_iter());
        } else {
            // The editor drops what does not fit; half a command must not be carried out.
            let why = format_args!("longer than {LINE_MAX} bytes or {WORDS_MAX} words");
            run::report(session, Err(Failure::format("command", raw.name(), Errno::E2BIG, why)));
        }
        Ok(())
    }
}

fn word_of(argument: Result<Arg<'_>, ArgError>) -> Option<Word<'_>> {
    match argument {
        Ok(Arg::Value(word)) => Some(Word::Value(word)),
        Ok(Arg::LongOption(word)) => Some(Word::Option(word)),
        // No command has short options: refused under a name that is none.
        Ok(Arg::ShortOption(_)) | Err(ArgError::NonAsciiShortOption) => Some(Word::Option("-")),
        Ok(Arg::DoubleDash) => None,
    }
}
