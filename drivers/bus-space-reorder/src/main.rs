//! The reorder layer: writes are held and carried out later, in another order wherever the rules of bus_space(9) allow it.
//!
//! A driver that works under this layer has its barriers and read-backs where they belong. The choices come from a seeded
//! generator, so a failure replays. CATCH drains what is held and then passes through, both under one lock, so no write
//! can slip in behind. Nobody waits for the error of a posted write, so the module asks for the fix-up policy.
//!
//! Which moves are legal is `bus_space::reorder`, tested on the host over every choice; [`holder`] keeps the buffer and
//! carries writes out, [`accesses`] are the aliases. There is no timer yet: what is too old goes with the next access.
#![no_std]
#![no_main]

mod accesses;
mod holder;

use bus_space::reorder::{Profile, control};
use kmod_api::module::{CommandArgs, Module, Outcome};
use kmod_api::symbols::{bus_space_device, bus_space_trace, strata_event_signal, strata_event_wait};
use kmod_api::{Errno, module};

use holder::HOLDER;

module! {
    name: "bus_space_reorder", class: Bus, version: 1,
    commands: [Init, Start, Catch, Uncatch, Fini, Stat, Control],
    flags: kmod_api::kmod::records::MODULE_FIXUP_POLICY,
    type: Reorder,
}
kmod_api::import!(bus_space_device, bus_space_trace, strata_event_signal, strata_event_wait);

struct Reorder;

impl Module for Reorder {
    fn init(_args: &mut CommandArgs) -> Outcome {
        HOLDER.prepare();
        Ok(())
    }

    fn start(_args: &mut CommandArgs) -> Outcome {
        HOLDER.resume();
        Ok(())
    }

    fn catch(_args: &mut CommandArgs) -> Outcome {
        HOLDER.drain_and_pass();
        Ok(())
    }

    fn uncatch(_args: &mut CommandArgs) -> Outcome {
        HOLDER.resume();
        Ok(())
    }

    fn fini(_args: &mut CommandArgs) -> Outcome {
        // CATCH has drained; a write that is held now would be lost with the module.
        if HOLDER.counters().held == 0 { Ok(()) } else { Err(Errno::EBUSY) }
    }

    fn stat(args: &mut CommandArgs) -> Outcome {
        let counters = HOLDER.counters();
        args.words[0] = counters.calls;
        args.words[1] = counters.held;
        args.words[2] = counters.posted;
        args.words[3] = counters.inverted;
        args.words[4] = counters.drained_by_catch;
        args.words[5] = counters.seed;
        Ok(())
    }

    fn control(args: &mut CommandArgs) -> Outcome {
        let [what, value, ..] = args.words;
        match what {
            control::SEED => HOLDER.set_seed(value),
            control::PROFILE if value == 0 => HOLDER.set_profile(Profile::Strict),
            control::PROFILE if value == 1 => HOLDER.set_profile(Profile::Legacy),
            control::DELAY => HOLDER.set_delay(value),
            control::DRAIN => HOLDER.drain(),
            control::MIX if value <= 16 => HOLDER.set_mix(value),
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }
}
