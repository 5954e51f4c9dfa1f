//! The exception-handling layer: a bus error becomes a value of all ones and a status, and the driver lives.
//!
//! While it is loaded the linker server resumes a faulting access at the accessor's fix-up. This layer repeats a faulting
//! single access a few times, keeps the error for each pair of thread and device (`xh_last_error`), and leaves a device
//! alone that has faulted too often. `peek` and `poke` answer truly on every bus. Above the debug layer the ring shows
//! each retry, below it only the result.
//!
//! [`accesses`] are the aliases; what is remembered is `bus_space::exceptions`, which is tested on the host.
#![no_std]
#![no_main]

mod accesses;
mod handler;

use bus_space::exceptions::control;
use kmod_api::module::{CommandArgs, Module, Outcome};
use kmod_api::symbols::{bus_space_device, bus_space_trace};
use kmod_api::{Errno, module};

use handler::HANDLER;

module! {
    name: "bus_space_xh", class: Bus, version: 1,
    commands: [Init, Start, Catch, Uncatch, Fini, Stat, Control],
    flags: kmod_api::kmod::records::MODULE_FIXUP_POLICY,
    type: ExceptionHandling,
}
kmod_api::import!(bus_space_device, bus_space_trace);

struct ExceptionHandling;

impl Module for ExceptionHandling {
    fn init(_args: &mut CommandArgs) -> Outcome {
        Ok(())
    }

    fn start(_args: &mut CommandArgs) -> Outcome {
        HANDLER.set_passing(false);
        Ok(())
    }

    fn catch(_args: &mut CommandArgs) -> Outcome {
        HANDLER.set_passing(true);
        Ok(())
    }

    fn uncatch(_args: &mut CommandArgs) -> Outcome {
        HANDLER.set_passing(false);
        Ok(())
    }

    fn fini(_args: &mut CommandArgs) -> Outcome {
        Ok(())
    }

    fn stat(args: &mut CommandArgs) -> Outcome {
        let counters = HANDLER.exceptions.counters();
        args.words[0] = HANDLER.calls();
        args.words[1] = counters.faults;
        args.words[2] = counters.retried;
        args.words[3] = counters.refused;
        args.words[4] = counters.quarantined.into();
        Ok(())
    }

    fn control(args: &mut CommandArgs) -> Outcome {
        let [what, value, ..] = args.words;
        let value = u32::try_from(value).map_err(|_| Errno::ERANGE)?;
        match what {
            control::RETRIES => HANDLER.exceptions.set_retries(value),
            control::QUARANTINE_AFTER => HANDLER.exceptions.set_quarantine_after(value),
            control::LIFT => HANDLER.exceptions.lift(value),
            control::SYNCHRONISE => HANDLER.set_synchronising(value != 0),
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }
}
