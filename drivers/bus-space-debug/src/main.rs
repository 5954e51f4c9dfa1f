//! The debug layer: each access through `bus_space` leaves a record in a ring that clients map read-only.
//!
//! It overrides the complete family, so nothing is missing from the ring but what the filter leaves out. Each thread of
//! the link domain writes its own ring: no lock, and a client that reads cannot stall a driver. The layer also provides
//! `bus_space_trace`, so that other layers appear in the ring as marks.
//!
//! [`recorder`] puts records into the region, [`accesses`] are the aliases.
#![no_std]
#![no_main]

mod accesses;
mod recorder;

use bus_space::Op;
use bus_space::ring::{State, control};
use kmod_api::Errno;
use kmod_api::module;
use kmod_api::module::{CommandArgs, Module, Outcome};

use recorder::RECORDER;

module! {
    name: "bus_space_debug", class: Bus, version: 1,
    commands: [Init, Start, Catch, Uncatch, Fini, Stat, Control],
    shared_pages: bus_space::ring::REGION_PAGES,
    type: Debug,
}
kmod_api::import!(bus_space_address);
use kmod_api::symbols::bus_space_address;

struct Debug;

impl Module for Debug {
    fn init(args: &mut CommandArgs) -> Outcome {
        RECORDER.attach(args.shared_address, args.shared_size, args.words[0])
    }

    fn start(_args: &mut CommandArgs) -> Outcome {
        RECORDER.set_passing(false);
        Ok(())
    }

    fn catch(_args: &mut CommandArgs) -> Outcome {
        RECORDER.set_passing(true);
        Ok(())
    }

    fn uncatch(_args: &mut CommandArgs) -> Outcome {
        RECORDER.set_passing(false);
        Ok(())
    }

    fn fini(_args: &mut CommandArgs) -> Outcome {
        if let Some(writer) = RECORDER.writer() {
            writer.set_state(State::Closed);
        }
        RECORDER.detach();
        Ok(())
    }

    fn stat(args: &mut CommandArgs) -> Outcome {
        args.words[0] = RECORDER.calls();
        args.words[1] = RECORDER.writer().and_then(|writer| writer.state()).map_or(0, |state| state as u64);
        Ok(())
    }

    fn control(args: &mut CommandArgs) -> Outcome {
        let writer = RECORDER.writer().ok_or(Errno::ENODEV)?;
        let [what, a, b, c, ..] = args.words;
        match what {
            control::FILTER => writer.set_filter(a, b, c),
            control::TRIGGER => writer.set_trigger(a, b, c),
            control::FREEZE => writer.set_state(State::Frozen),
            control::RUN => writer.set_state(State::Run),
            control::DATA => writer.set_data(a != 0),
            control::MARK => RECORDER.mark(Op::Mark, 0, a),
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }
}
