//! Commands: how the linker server talks to a module.
//!
//! ```text
//!            1 INIT          2 START         3 CATCH         5 FINI
//!   mapped ─────────► quiet ─────────► live ─────────► caught ─────────► gone
//!                                        ▲   4 UNCATCH   │
//!                                        └───────────────┘
//! ```
//! A module that is quiet or caught passes every call through. Commands run one at a time on a worker thread with a
//! deadline; a command that faults or overruns leaves the module wedged.

use strata_protocol::Errno;
pub use strata_protocol::domain::CommandArgs;

use kmod::records::{
    CLASS_BUS, CLASS_DRIVER, CLASS_MISC, COMMAND_CATCH, COMMAND_CONTROL, COMMAND_FINI, COMMAND_INIT,
    COMMAND_QUERY, COMMAND_START, COMMAND_STAT, COMMAND_UNCATCH, command_bit,
};

/// What `modstat` shows as class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ModuleClass {
    /// Neither of the others.
    Misc = CLASS_MISC,
    /// Layers of `bus_space`.
    Bus = CLASS_BUS,
    /// Drivers.
    Driver = CLASS_DRIVER,
}

/// A module command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Command {
    /// Says whether the module can be unloaded now; nothing has changed yet.
    Query = COMMAND_QUERY,
    /// Allocates and stays in pass-through. May refuse: the load is undone.
    Init = COMMAND_INIT,
    /// Leaves pass-through. Does not refuse.
    Start = COMMAND_START,
    /// Goes to pass-through, drains what is buffered, wakes sleepers. May refuse.
    Catch = COMMAND_CATCH,
    /// Resumes as before CATCH. Does not refuse and allocates nothing.
    Uncatch = COMMAND_UNCATCH,
    /// Releases everything; nobody is inside. May refuse: all is put back.
    Fini = COMMAND_FINI,
    /// Gives the module's counters.
    Stat = COMMAND_STAT,
    /// What the module itself defines: filters, seeds, switches.
    Control = COMMAND_CONTROL,
}

/// The commands that a module answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandSet(u32);

impl CommandSet {
    /// The set of `commands`.
    #[must_use]
    pub const fn of(commands: &[Command]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < commands.len() {
            bits |= command_bit(commands[i] as u32);
            i += 1;
        }
        Self(bits)
    }

    /// The word of the module's record.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// What a command answers: done, or why not.
pub type Outcome = Result<(), Errno>;

/// What a module does on each command. An absent one is left out of `module!`'s list and answers ENOTTY.
///
/// Arguments are borrowed for the call only: a module keeps copies, never references into them.
pub trait Module {
    /// See [`Command::Query`].
    fn query(_args: &mut CommandArgs) -> Outcome {
        Err(Errno::ENOTTY)
    }
    /// See [`Command::Init`].
    fn init(args: &mut CommandArgs) -> Outcome;
    /// See [`Command::Start`].
    fn start(_args: &mut CommandArgs) -> Outcome {
        Err(Errno::ENOTTY)
    }
    /// See [`Command::Catch`].
    fn catch(_args: &mut CommandArgs) -> Outcome {
        Err(Errno::ENOTTY)
    }
    /// See [`Command::Uncatch`].
    fn uncatch(_args: &mut CommandArgs) -> Outcome {
        Err(Errno::ENOTTY)
    }
    /// See [`Command::Fini`].
    fn fini(args: &mut CommandArgs) -> Outcome;
    /// See [`Command::Stat`].
    fn stat(_args: &mut CommandArgs) -> Outcome {
        Err(Errno::ENOTTY)
    }
    /// See [`Command::Control`].
    fn control(_args: &mut CommandArgs) -> Outcome {
        Err(Errno::ENOTTY)
    }
}

/// The body of a module's command entry: finds the command and makes its outcome a number.
///
/// # Safety
/// `args` points to arguments that nobody else uses during the call.
pub unsafe fn dispatch<M: Module>(command: u32, args: *mut CommandArgs) -> i32 {
    // SAFETY: the caller passes arguments that are this call's own.
    let args = unsafe { &mut *args };
    let outcome = match command {
        COMMAND_QUERY => M::query(args),
        COMMAND_INIT => M::init(args),
        COMMAND_START => M::start(args),
        COMMAND_CATCH => M::catch(args),
        COMMAND_UNCATCH => M::uncatch(args),
        COMMAND_FINI => M::fini(args),
        COMMAND_STAT => M::stat(args),
        COMMAND_CONTROL => M::control(args),
        _ => Err(Errno::ENOTTY),
    };
    match outcome {
        Ok(()) => 0,
        Err(errno) => errno.number(),
    }
}

/// Where a panicking module ends: an undefined instruction in the module's own text.
///
/// The linker server takes the fault as the module's, returns the alias's fault value to the caller at the gate, and
/// pops the module. Nothing is unwound and nothing is printed here: a module that has panicked is not trusted with more.
#[inline(always)]
pub fn stop() -> ! {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the instruction faults and is never left; no memory is touched.
    unsafe {
        core::arch::asm!("udf #0x5a", options(noreturn, nomem, nostack))
    }
    #[cfg(not(target_arch = "aarch64"))]
    loop {
        core::hint::spin_loop();
    }
}
