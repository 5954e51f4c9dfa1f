//! What can be typed at the console.

use strata_protocol::capability::{CapObject, CapQuota, NO_QUOTA, PRESENTED_MAX, right};
use strata_protocol::linker::{DRAIN_MS_DEFAULT, DRAIN_MS_MAX};
use strata_protocol::{Errno, ModuleName, SymbolName, Text};

use bpf::Instruction;
use bpf::tap::direction;
use heapless::Vec;

use crate::failure::Failure;
use crate::tap::{self, Listen};

/// A word of a line, behind the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word<'a> {
    /// A plain word.
    Value(&'a str),
    /// A word that began with `--`, without the dashes.
    Option(&'a str),
}

/// A command line that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Lists the commands.
    Help,
    /// Loads a module into a link domain, empty for the first.
    ModLoad {
        /// Which.
        name: ModuleName,
        /// Where.
        domain: ModuleName,
        /// By which capabilities instead of the console's own.
        with: Vec<u32, WITH_MAX>,
    },
    /// Stops a driver server, starts it, or both.
    Driver {
        /// What to do.
        what: Driver,
        /// Which.
        name: ModuleName,
    },
    /// Lists the capabilities.
    Caps,
    /// Derives a capability from the console's own and keeps it.
    Grant {
        /// What it is about.
        object: CapObject,
        /// What it allows.
        rights: u16,
        /// How much.
        quota: CapQuota,
    },
    /// Takes rights away from a capability.
    Revoke {
        /// Its number.
        capability: u32,
        /// Which rights.
        rights: u16,
    },
    /// Shows by which capabilities a module is bound.
    Receipt {
        /// Which module.
        name: ModuleName,
    },
    /// Unloads a module.
    ModUnload {
        /// Which.
        name: ModuleName,
        /// How long to wait for threads inside.
        drain_ms: u32,
    },
    /// Lists the modules.
    ModStat,
    /// Shows a symbol's stack.
    Alias {
        /// Whose.
        symbol: SymbolName,
    },
    /// Lists the link domains.
    Domains,
    /// Lists the link-domain threads.
    Threads,
    /// Lists what modules have registered.
    Registrations,
    /// Reads a register.
    BusRead {
        /// Of this device.
        device: ModuleName,
        /// There.
        offset: u64,
    },
    /// Writes a register.
    BusWrite {
        /// Of this device.
        device: ModuleName,
        /// There.
        offset: u64,
        /// This.
        value: u32,
    },
    /// Records accesses, to one device or to all but the console's own.
    TraceOn {
        /// The device, empty for all.
        device: ModuleName,
    },
    /// Stops recording.
    TraceOff,
    /// Prints the last records.
    TraceDump {
        /// At most so many.
        count: usize,
    },
    /// Listens to the packets of an interface.
    TapOn(Listen),
    /// Listens no longer.
    TapOff,
    /// Prints the last packets that were captured.
    TapDump {
        /// At most so many.
        count: usize,
    },
    /// Shows what the linker server has in use.
    Ledger,
    /// Shows what the board's firmware tells.
    Firmware,
    /// Commands the demo server.
    Demo(Demo),
    /// Ends the machine.
    Quit {
        /// With this status: what a process can end with.
        status: i32,
    },
}

/// What is done with a driver server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// It leaves its device; a stand-in answers.
    Stop,
    /// It begins anew.
    Start,
    /// One after the other.
    Restart,
}

/// What the demo server can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demo {
    /// Call `demo_ping`.
    Ping(u64),
    /// Call `demo_ping` through a pointer that was taken at the start.
    Pointer(u64),
    /// Call `demo_wait`, after the answer.
    Wait(u64),
    /// Call the stub `demo_note`.
    Note(u64),
    /// Attach this interface to bpf(4).
    Attach(u64),
    /// Detach it.
    Detach(u64),
    /// Send some packets on it, which come back.
    Send(u64),
    /// Send as many and as large ones as one request can.
    Flood(u64),
    /// Release who waits inside a module.
    Release,
    /// Tell what has been called.
    Status,
}

/// Capabilities that a load can be told to go by: the one that asks, and those that are presented.
pub const WITH_MAX: usize = PRESENTED_MAX + 1;
/// Records that a dump prints when it is not told how many.
pub const DUMP_DEFAULT: usize = 32;
/// The most records of a dump.
pub const DUMP_MAX: usize = 128;

/// One line for each command.
pub const HELP: &[(&str, &str)] = &[
    ("help", "this list"),
    ("modload NAME [DOMAIN] [--with CAP,…]", "load a module into a link domain, by these capabilities"),
    ("modunload NAME [--deadline MS]", "unload it; wait so long for threads inside"),
    ("modstat", "the modules"),
    ("alias SYMBOL", "the symbol's stack, top first"),
    ("domains", "the link domains"),
    ("threads", "the link-domain threads, and who is inside which module"),
    ("registrations", "what modules have registered: callbacks, threads, devices, …"),
    ("bus read4 DEVICE OFFSET", "read a register through all layers"),
    ("bus write4 DEVICE OFFSET VALUE", "write a register through all layers"),
    ("trace on [DEVICE]", "record accesses (needs bus_space_debug)"),
    ("trace off", "stop recording"),
    ("trace dump [N]", "print the last records"),
    ("tap on IF [--in|--out] [--bytes N]", "listen to an interface's packets (needs bpf_tap)"),
    ("tap on IF --ethertype N", "listen to frames of one type"),
    ("tap on IF --filter CODE:JT:JF:K,…", "listen to what a program of bpf(4) wants"),
    ("tap off", "stop listening; how many packets came, were captured, were dropped"),
    ("tap dump [N]", "print the last packets captured"),
    ("driver stop|start|restart DEVICE", "take a driver server out of service; start it anew"),
    ("caps", "the capabilities, and what is in use of their quotas"),
    (
        "grant domain|interface PREFIX|module NAME RIGHTS",
        "derive a capability; --modules, --frames, --symbols, --ms N",
    ),
    ("revoke CAP [RIGHTS]", "take rights away; what they allowed is relinked at once"),
    ("receipt NAME", "by which capability each binding of a module is allowed"),
    ("ledger", "what the linker server has in use"),
    ("firmware", "what the board's firmware tells: revision, clocks, temperature, …"),
    ("demo ping|pointer|wait|note [N]", "make the demo server call a symbol"),
    ("demo attach|detach|send|flood [IF]", "packets on the demo server's interfaces, which lead back"),
    ("demo release|status", "release who waits inside a module; count calls"),
    ("quit [STATUS]", "power off"),
];

/// Reads the words of one line.
pub fn parse<'a>(name: &str, words: impl Iterator<Item = Word<'a>>) -> Result<Command, Failure> {
    let (what, line) = match name {
        "help" => ("help", Verb::Help),
        "modload" => ("modload", Verb::ModLoad),
        "modunload" => ("modunload", Verb::ModUnload),
        "modstat" => ("modstat", Verb::ModStat),
        "alias" => ("alias", Verb::Alias),
        "domains" => ("domains", Verb::Domains),
        "threads" => ("threads", Verb::Threads),
        "registrations" => ("registrations", Verb::Registrations),
        "bus" => ("bus", Verb::Bus),
        "trace" => ("trace", Verb::Trace),
        "tap" => ("tap", Verb::Tap),
        "ledger" => ("ledger", Verb::Ledger),
        "firmware" => ("firmware", Verb::Firmware),
        "driver" => ("driver", Verb::Driver),
        "caps" => ("caps", Verb::Caps),
        "grant" => ("grant", Verb::Grant),
        "revoke" => ("revoke", Verb::Revoke),
        "receipt" => ("receipt", Verb::Receipt),
        "demo" => ("demo", Verb::Demo),
        "quit" => ("quit", Verb::Quit),
        _ => return Err(Failure::new("command", name, Errno::ENOSYS, "unknown; `help` lists the commands")),
    };
    let mut rest = Rest { what, words };
    let command = rest.command(line)?;
    rest.end()?;
    Ok(command)
}

enum Verb {
    Help,
    ModLoad,
    ModUnload,
    ModStat,
    Alias,
    Domains,
    Threads,
    Registrations,
    Bus,
    Trace,
    Tap,
    Ledger,
    Firmware,
    Driver,
    Caps,
    Grant,
    Revoke,
    Receipt,
    Demo,
    Quit,
}

/// The words that have not been read.
struct Rest<I> {
    what: &'static str,
    words: I,
}

impl<'a, I: Iterator<Item = Word<'a>>> Rest<I> {
    fn command(&mut self, verb: Verb) -> Result<Command, Failure> {
        Ok(match verb {
            Verb::Help => Command::Help,
            Verb::ModLoad => self.load()?,
            Verb::Driver => {
                let what = match self.value("stop, start or restart")? {
                    "stop" => Driver::Stop,
                    "start" => Driver::Start,
                    "restart" => Driver::Restart,
                    word => return Err(self.fail(word, "stop, start or restart")),
                };
                Command::Driver { what, name: self.name("DEVICE")? }
            }
            Verb::Caps => Command::Caps,
            Verb::Grant => self.grant()?,
            Verb::Revoke => {
                let word = self.value("CAP")?;
                let capability = self.number_of(word)?;
                let rights = self.optional()?.map_or(Ok(right::ALL), |word| self.rights(word, right::ALL))?;
                Command::Revoke { capability, rights }
            }
            Verb::Receipt => Command::Receipt { name: self.name("NAME")? },
            Verb::ModUnload => self.unload()?,
            Verb::ModStat => Command::ModStat,
            Verb::Alias => Command::Alias { symbol: self.name("SYMBOL")? },
            Verb::Domains => Command::Domains,
            Verb::Threads => Command::Threads,
            Verb::Registrations => Command::Registrations,
            Verb::Bus => self.bus()?,
            Verb::Trace => self.trace()?,
            Verb::Tap => self.tap()?,
            Verb::Ledger => Command::Ledger,
            Verb::Firmware => Command::Firmware,
            Verb::Demo => Command::Demo(self.demo()?),
            Verb::Quit => {
                let word = self.optional()?.unwrap_or("0");
                let status = self.number_of::<u8>(word)?;
                Command::Quit { status: status.into() }
            }
        })
    }

    fn load(&mut self) -> Result<Command, Failure> {
        let name = self.name("NAME")?;
        let (mut domain, mut with) = (ModuleName::default(), Vec::new());
        while let Some(word) = self.words.next() {
            match word {
                Word::Value(word) if domain.is_empty() => domain = self.fit(word)?,
                Word::Option("with") if with.is_empty() => {
                    for word in self.value("--with CAP,…")?.split(',') {
                        let number = self.number_of(word)?;
                        with.push(number).map_err(|_| self.surplus(word))?;
                    }
                }
                Word::Value(word) | Word::Option(word) => return Err(self.surplus(word)),
            }
        }
        Ok(Command::ModLoad { name, domain, with })
    }

    fn grant(&mut self) -> Result<Command, Failure> {
        let (object, whole) = match self.value("domain, interface or module")? {
            "domain" => (CapObject::Domain, right::ALL),
            "interface" => (CapObject::Interface(self.name("PREFIX")?), right::LOAD - 1),
            "module" => {
                (CapObject::Module(self.name("NAME")?), right::STATUS | right::UNLOAD | right::CONTROL)
            }
            word => return Err(self.fail(word, "domain, interface or module")),
        };
        let word = self.value("RIGHTS")?;
        let rights = self.rights(word, whole)?;
        let mut quota = CapQuota::NONE;
        while let Some(word) = self.words.next() {
            let place = match word {
                Word::Option("modules") => &mut quota.modules,
                Word::Option("frames") => &mut quota.frames,
                Word::Option("symbols") => &mut quota.symbols,
                Word::Option("ms") => &mut quota.command_ms,
                Word::Value(word) | Word::Option(word) => return Err(self.surplus(word)),
            };
            let word = self.value("a number")?;
            let number = u32::try_from(self.number(word)?).ok().filter(|number| *number != NO_QUOTA);
            *place = number.ok_or_else(|| self.range(word))?;
        }
        Ok(Command::Grant { object, rights, quota })
    }

    /// Words of rights, separated by commas, or `all`.
    fn rights(&self, text: &str, whole: u16) -> Result<u16, Failure> {
        if text == "all" {
            return Ok(whole);
        }
        let bit = |word: &str| right::WORDS.iter().find(|(known, _)| *known == word).map(|(_, bit)| *bit);
        text.split(',').try_fold(0, |rights, word| {
            let unknown = || Failure::new(self.what, word, Errno::EINVAL, "no such right");
            bit(word).map(|bit| rights | bit).ok_or_else(unknown)
        })
    }

    fn unload(&mut self) -> Result<Command, Failure> {
        let name = self.name("NAME")?;
        let drain_ms = match self.words.next() {
            None => DRAIN_MS_DEFAULT,
            Some(Word::Option("deadline")) => {
                let word = self.value("--deadline MS")?;
                let limit = u64::from(DRAIN_MS_MAX);
                let ms = Some(self.number(word)?).filter(|ms| *ms <= limit);
                ms.and_then(|ms| u32::try_from(ms).ok()).ok_or_else(|| self.range(word))?
            }
            Some(Word::Value(word) | Word::Option(word)) => return Err(self.surplus(word)),
        };
        Ok(Command::ModUnload { name, drain_ms })
    }

    fn bus(&mut self) -> Result<Command, Failure> {
        let verb = self.value("read4 or write4")?;
        self.what = match verb {
            "read4" => "bus read4",
            "write4" => "bus write4",
            _ => return Err(self.fail(verb, "read4 or write4")),
        };
        let device = self.name("DEVICE")?;
        let offset = self.value("OFFSET").and_then(|word| self.number(word))?;
        if verb == "read4" {
            return Ok(Command::BusRead { device, offset });
        }
        let word = self.value("VALUE")?;
        let value = self.number_of(word)?;
        Ok(Command::BusWrite { device, offset, value })
    }

    fn trace(&mut self) -> Result<Command, Failure> {
        match self.value("on, off or dump")? {
            "on" => {
                let device = self.optional()?.map_or(Ok(ModuleName::default()), |word| self.fit(word))?;
                Ok(Command::TraceOn { device })
            }
            "off" => Ok(Command::TraceOff),
            "dump" => Ok(Command::TraceDump { count: self.count()? }),
            word => Err(self.fail(word, "on, off or dump")),
        }
    }

    /// How many lines a dump prints.
    fn count(&mut self) -> Result<usize, Failure> {
        let Some(word) = self.optional()? else { return Ok(DUMP_DEFAULT) };
        let count = usize::try_from(self.number(word)?).ok();
        count.filter(|count| (1..=DUMP_MAX).contains(count)).ok_or_else(|| self.range(word))
    }

    fn tap(&mut self) -> Result<Command, Failure> {
        match self.value("on, off or dump")? {
            "on" => Ok(Command::TapOn(self.listen()?)),
            "off" => Ok(Command::TapOff),
            "dump" => Ok(Command::TapDump { count: self.count()? }),
            word => Err(self.fail(word, "on, off or dump")),
        }
    }

    fn listen(&mut self) -> Result<Listen, Failure> {
        let word = self.value("IF")?;
        let mut listen = Listen::to(self.number_of(word)?);
        while let Some(word) = self.words.next() {
            match word {
                Word::Option("in") => listen.directions = direction::IN,
                Word::Option("out") => listen.directions = direction::OUT,
                Word::Option("bytes") => {
                    let word = self.value("--bytes N")?;
                    listen.snap = self.number_of(word)?;
                }
                Word::Option("ethertype") => {
                    let word = self.value("--ethertype N")?;
                    listen.program = tap::of_type(self.number_of(word)?);
                }
                Word::Option("filter") => listen.program = self.program()?,
                Word::Value(word) | Word::Option(word) => return Err(self.surplus(word)),
            }
        }
        Ok(listen)
    }

    /// A program of bpf(4): `CODE:JT:JF:K`, separated by commas.
    fn program(&mut self) -> Result<tap::Program, Failure> {
        let text = self.value("--filter CODE:JT:JF:K,…")?;
        let mut program = tap::Program::new();
        for word in text.split(',') {
            let mut fields = word.split(':');
            let mut field = || fields.next().ok_or_else(|| self.fail(word, "CODE:JT:JF:K"));
            let code = self.number_of(field()?)?;
            let (jt, jf) = (self.number_of(field()?)?, self.number_of(field()?)?);
            let instruction = Instruction { code, jt, jf, k: self.number_of(field()?)? };
            if fields.next().is_some() {
                return Err(self.fail(word, "CODE:JT:JF:K"));
            }
            program.push(instruction).map_err(|_| self.surplus(word))?;
        }
        Ok(program)
    }

    fn demo(&mut self) -> Result<Demo, Failure> {
        let expected = "ping, pointer, wait, note, attach, detach, send, flood, release or status";
        let verb = self.value(expected)?;
        let make: fn(u64) -> Demo = match verb {
            "ping" => Demo::Ping,
            "pointer" => Demo::Pointer,
            "wait" => Demo::Wait,
            "note" => Demo::Note,
            "attach" => Demo::Attach,
            "detach" => Demo::Detach,
            "send" => Demo::Send,
            "flood" => Demo::Flood,
            "release" => return Ok(Demo::Release),
            "status" => return Ok(Demo::Status),
            _ => return Err(self.fail(verb, expected)),
        };
        Ok(make(self.optional()?.map_or(Ok(0), |word| self.number(word))?))
    }

    /// The next word, which must be there.
    fn value(&mut self, expected: &'static str) -> Result<&'a str, Failure> {
        self.optional()?
            .ok_or_else(|| Failure::format(self.what, "", Errno::EINVAL, format_args!("needs {expected}")))
    }

    fn optional(&mut self) -> Result<Option<&'a str>, Failure> {
        match self.words.next() {
            None => Ok(None),
            Some(Word::Value(word)) => Ok(Some(word)),
            Some(Word::Option(word)) => Err(self.surplus(word)),
        }
    }

    fn name<const N: usize>(&mut self, expected: &'static str) -> Result<Text<N>, Failure> {
        let word = self.value(expected)?;
        self.fit(word)
    }

    fn fit<const N: usize>(&self, word: &str) -> Result<Text<N>, Failure> {
        Text::new(word).ok_or_else(|| {
            let why = format_args!("longer than {N} bytes");
            Failure::format(self.what, word, Errno::ENAMETOOLONG, why)
        })
    }

    /// Decimal, or hexadecimal behind `0x`.
    fn number(&self, word: &str) -> Result<u64, Failure> {
        let parsed = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        parsed.map_err(|_| self.fail(word, "a number"))
    }

    /// A number that fits.
    fn number_of<T: TryFrom<u64>>(&self, word: &str) -> Result<T, Failure> {
        T::try_from(self.number(word)?).map_err(|_| self.range(word))
    }

    fn end(&mut self) -> Result<(), Failure> {
        match self.words.next() {
            None => Ok(()),
            Some(Word::Value(word) | Word::Option(word)) => Err(self.surplus(word)),
        }
    }

    fn fail(&self, word: &str, expected: &str) -> Failure {
        Failure::format(self.what, word, Errno::EINVAL, format_args!("not {expected}"))
    }

    fn surplus(&self, word: &str) -> Failure {
        Failure::new(self.what, word, Errno::EINVAL, "not expected here")
    }

    fn range(&self, word: &str) -> Failure {
        Failure::new(self.what, word, Errno::ERANGE, "out of range")
    }
}

#[cfg(test)]
mod tests;
