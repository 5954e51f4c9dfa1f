//! The words after `-append`: what this run of the machine is for.

use heapless::String;

/// Bytes of a test case's name.
pub const CASE_MAX: usize = 96;
/// Bytes of a driver server's name.
pub const SERVER_MAX: usize = strata_protocol::start::PLACE_NAME_SIZE;

/// Where the log server writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sink {
    /// Through the UART driver, as frames or as text.
    #[default]
    Uart,
    /// Character by character through the kernel: works before there is a driver.
    Debug,
}

/// The boot arguments, with defaults for what is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootArgs {
    /// A host tool listens on the serial line: frames are wanted.
    pub host: bool,
    /// Where the log goes.
    pub log: Sink,
    /// Start the test agent with this case instead of the console.
    pub case: Option<String<CASE_MAX>>,
    /// The seed of everything that is seeded.
    pub seed: u64,
    /// The machine starts again at its end instead of stopping. The kernel does that; `reset_after` is its alone.
    pub reset: bool,
    /// How often a case that can go on for ever does what it does; 0: as often as it likes.
    pub cycles: u32,
    /// The most driver servers that a link domain starts with; 0: all of its base image.
    pub servers: u32,
    /// A driver server that is not started: its device is free for modules.
    pub unserved: Option<String<SERVER_MAX>>,
}

/// A word that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootArgsError<'a> {
    /// This word is no `key=value`, or its key is unknown.
    Unknown(&'a str),
    /// The value of this word is not one of its key's.
    Value(&'a str),
}

impl BootArgs {
    /// Reads words separated by spaces. The words that make no sense are handed to `complain` and skipped:
    /// a machine that does not boot because of a typing error helps nobody.
    pub fn parse<'a>(text: &'a str, mut complain: impl FnMut(BootArgsError<'a>)) -> Self {
        let mut args = Self::default();
        for word in text.split_ascii_whitespace() {
            if let Err(error) = args.accept(word) {
                complain(error);
            }
        }
        args
    }

    fn accept<'a>(&mut self, word: &'a str) -> Result<(), BootArgsError<'a>> {
        let (key, value) = word.split_once('=').ok_or(BootArgsError::Unknown(word))?;
        match (key, value) {
            ("host", "0") => self.host = false,
            ("host", "1") => self.host = true,
            ("reset", "0") => self.reset = false,
            ("reset", "1") => self.reset = true,
            ("reset_after", _) => {}
            ("log", "uart") => self.log = Sink::Uart,
            ("log", "debug") => self.log = Sink::Debug,
            ("case", name) if !name.is_empty() => {
                self.case = Some(String::try_from(name).map_err(|_| BootArgsError::Value(word))?);
            }
            ("seed", number) => self.seed = number.parse().map_err(|_| BootArgsError::Value(word))?,
            ("cycles", number) => {
                self.cycles = number.parse().map_err(|_| BootArgsError::Value(word))?;
            }
            ("servers", number) => {
                self.servers = number.parse().map_err(|_| BootArgsError::Value(word))?;
            }
            ("unserved", name) if !name.is_empty() => {
                self.unserved = Some(String::try_from(name).map_err(|_| BootArgsError::Value(word))?);
            }
            ("host" | "log" | "case" | "reset" | "unserved", _) => return Err(BootArgsError::Value(word)),
            _ => return Err(BootArgsError::Unknown(word)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (BootArgs, usize) {
        let mut complaints = 0;
        let args = BootArgs::parse(text, |_| complaints += 1);
        (args, complaints)
    }

    #[test]
    fn all_words_are_understood() {
        let (args, complaints) = parse(
            " host=1  log=debug case=r06_middle_removal seed=42 cycles=7 servers=3 unserved=gpio reset=1 reset_after=9",
        );
        assert_eq!(complaints, 0);
        assert!(args.host && args.reset);
        assert_eq!(args.log, Sink::Debug);
        assert_eq!(args.case.as_deref(), Some("r06_middle_removal"));
        assert_eq!(args.unserved.as_deref(), Some("gpio"));
        assert_eq!((args.seed, args.cycles, args.servers), (42, 7, 3));
    }

    #[test]
    fn nonsense_is_skipped_and_reported() {
        let (args, complaints) = parse(
            "quiet host=2 log=tape case= seed=x cycles=-1 reset=x unserved= unserved=a-name-that-no-server-has host=1",
        );
        assert_eq!(complaints, 9);
        assert_eq!(args, BootArgs { host: true, ..BootArgs::default() });
        assert_eq!(parse(""), (BootArgs::default(), 0));
    }
}
