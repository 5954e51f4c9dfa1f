//! bpf(4) as a module: listeners over the attachments that the base image has recorded.
//!
//! Without it drivers attach all the same, and nobody listens. With it, whoever has the module's capability opens
//! listeners with filters, and finds what they captured in the module's shared pages, as a file that tcpdump reads. It
//! *provides* what packets go through, and *refines* attaching, so that the base image's record is always the whole
//! truth (`docs/adr/0023`).
//!
//! [`aliases`] are the symbols, [`state`] what they share, [`outlet`] the file. What is decided is in the crate `bpf`, which
//! is tested on the host.
#![no_std]
#![no_main]

mod aliases;
mod outlet;
mod state;

use bpf::Instruction;
use bpf::tap::control;
use kmod_api::module::{CommandArgs, Module, Outcome};
use kmod_api::symbols::bpf_attachments;
use kmod_api::symbols::{strata_event_signal, strata_event_wait};
use kmod_api::{Errno, module};

use state::{State, with};

module! {
    name: "bpf_tap", class: Misc, version: 1,
    commands: [Query, Init, Start, Catch, Uncatch, Fini, Stat, Control],
    shared_pages: bpf::tap::REGION_PAGES,
    type: BpfTap,
}
kmod_api::import!(bpf_attachments, strata_event_wait, strata_event_signal);

struct BpfTap;

impl Module for BpfTap {
    /// Not while somebody listens.
    fn query(_args: &mut CommandArgs) -> Outcome {
        with(State::closable)
    }

    fn init(args: &mut CommandArgs) -> Outcome {
        let (address, size) = (args.shared_address, args.shared_size);
        with(|state| state.begin(address, size))
    }

    fn start(_args: &mut CommandArgs) -> Outcome {
        with(|state| {
            state.start();
            Ok(())
        })
    }

    fn catch(_args: &mut CommandArgs) -> Outcome {
        with(|state| {
            state.pass_through();
            Ok(())
        })
    }

    fn uncatch(_args: &mut CommandArgs) -> Outcome {
        with(|state| {
            state.resume();
            Ok(())
        })
    }

    fn fini(_args: &mut CommandArgs) -> Outcome {
        with(State::closable)
    }

    fn stat(args: &mut CommandArgs) -> Outcome {
        with(|state| {
            args.words = state.stat();
            Ok(())
        })
    }

    fn control(args: &mut CommandArgs) -> Outcome {
        let [what, a, b, c, ..] = args.words;
        with(|state| {
            match what {
                control::PROGRAM => state.set_instruction(a, Instruction::from_bits(b))?,
                control::OPEN => args.words[0] = state.open(a, b, c)?,
                control::CLOSE => args.words[..3].copy_from_slice(&state.close(a)?),
                _ => return Err(Errno::EINVAL),
            }
            Ok(())
        })
    }
}
