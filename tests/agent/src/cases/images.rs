//! Bad images: an error or a correct load, never a crash, never a change of state.

use strata_protocol::linker::{Reply, Request};
use strata_protocol::store::{Area, ImageRef, UPLOAD_SIZE};
use strata_protocol::{Errno, Text};

use crate::agent::Agent;
use crate::case::{Outcome, case, ensure, ensure_eq, fail};
use crate::image::Upload;
use crate::names::{BASE, DEBUG, PING};
use crate::report::note;

/// Kinds of alias records (the format's numbers).
const REFINE: u8 = 3;

fn refused_as(agent: &mut Agent, upload: &Upload, module: &str, errno: Errno, what: &str) -> Outcome {
    match agent.load_upload(module, upload, upload.size)? {
        Err(refused) if refused.errno == errno => Ok(()),
        other => fail!("{what}: {other:?}, not {errno}"),
    }
}

case!(
    /// R4: a record says what it is, or the image is refused; nothing is guessed.
    30, fn r04_records_that_break_a_rule_are_refused_with_enoexec(agent) {
        let before = agent.snapshot()?;
        let good = agent.archived("pass_a")?;
        let upload = agent.copy_up("pass_a")?;
        let record = upload.alias_record(PING, REFINE)?;
        let damages: [(&str, &[(usize, u8)]); 6] = [
            ("a kind that does not exist", &[(0, 9)]),
            ("a fingerprint that differs from the symbol's", &[(16, 0x55)]),
            ("a hash that is not the name's", &[(8, 0x55)]),
            ("a reserved field that is used", &[(2, 1)]),
            // The super symbol of demo_ping is then one without a record.
            ("a super symbol without a refine record", &[(0, 1)]),
            ("an empty name", &[(40, 0)]),
        ];
        for (what, bytes) in damages {
            for (offset, value) in bytes {
                let at = record + offset;
                let changed = if *offset == 0 || *offset >= 40 { *value } else { upload.get(at) ^ value };
                upload.set(at, changed);
            }
            refused_as(agent, &upload, "pass_a", Errno::ENOEXEC, what)?;
            upload.restore(good);
        }
        // The name in the image is another one than the name that is asked for.
        let decision = agent.load_upload("pass_z", &upload, upload.size)?;
        ensure!(decision.is_err(), "an image was loaded under a name that it does not carry");
        agent.expect_as_before(&before, "images that break a rule")?;
        // The same bytes undamaged are a module.
        ensure_eq!(agent.load_upload("pass_a", &upload, upload.size)?, Ok(()), "the undamaged image");
        agent.unload("pass_a")?;
        agent.expect_as_before(&before, "the undamaged image")
    }
);

/// A generator of damages, seeded by the run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*, Marsaglia and Vigna.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap_or(0) % bound
    }
}

/// What a damaged image came to.
#[derive(Default)]
struct Tally {
    refused: u32,
    loaded: u32,
    wedged: u32,
}

fn tried(agent: &mut Agent, upload: &Upload, size: usize, tally: &mut Tally, what: &str) -> Outcome {
    match agent.load_upload("bus_space_debug", upload, size)? {
        Ok(()) => {
            tally.loaded += 1;
            // A damage that changes no rule's subject (a name in the string table, unused bytes) is a module.
            if let Err(refused) = agent.try_unload("bus_space_debug", 500)? {
                fail!("{what}: it loaded and does not unload: {refused:?}");
            }
        }
        Err(refused) if matches!(refused.errno, Errno::EFAULT | Errno::ETIMEDOUT) => tally.wedged += 1,
        Err(_) => tally.refused += 1,
    }
    Ok(())
}

case!(
    /// A few hundred damaged images: truncated at every place that matters, bits flipped, fields enlarged.
    120, fn damaged_images_are_refused_or_loaded_and_never_crash_the_linker(agent) {
        let before = agent.snapshot()?;
        let good = agent.archived("bus_space_debug")?;
        let upload = agent.copy_up("bus_space_debug")?;
        let mut tally = Tally::default();
        // Truncated: the header byte by byte, then in steps.
        let sizes = (0..66).chain((1..40).map(|step| good.len() * step / 40));
        let mut count = 0;
        for size in sizes {
            tried(agent, &upload, size, &mut tally, "truncated")?;
            count += 1;
        }
        ensure_eq!((tally.refused, tally.loaded), (count, 0), "truncated images refused, loaded");
        // Every byte of the ELF header, flipped whole and enlarged.
        for (at, byte) in good.iter().take(64).enumerate() {
            for value in [byte ^ 0xff, 0xff] {
                upload.set(at, value);
                tried(agent, &upload, upload.size, &mut tally, "header")?;
                upload.set(at, *byte);
                count += 1;
            }
        }
        // Section headers and tables, at random: records and headers, not code, so that a load is not a gamble.
        let table = usize::try_from(u64::from_le_bytes(good[40..48].try_into().unwrap_or_default())).unwrap_or(0);
        ensure!(table < good.len(), "the section table is not in the image");
        let mut random = Random(agent.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..200 {
            let at = table + random.below(good.len() - table);
            let bit = random.below(8);
            upload.set(at, good[at] ^ (1 << bit));
            let wedged = tally.wedged;
            tried(agent, &upload, upload.size, &mut tally, "section table")?;
            if tally.wedged > wedged {
                note!("bit {bit} of byte {} of section header {}", (at - table) % 64, (at - table) / 64);
            }
            upload.set(at, good[at]);
            count += 1;
        }
        note!(
            "{count} damaged images: {} refused, {} loaded and unloaded, {} wedged",
            tally.refused, tally.loaded, tally.wedged
        );
        ensure!(tally.refused > 200, "only {} were refused", tally.refused);
        ensure_eq!(tally.wedged, 0, "images with a damaged table that ran and went wrong");
        agent.expect_as_before(&before, "all damaged images")?;
        agent.audit()?;
        // And the linker still loads the good one.
        upload.restore(good);
        ensure_eq!(agent.load_upload("bus_space_debug", &upload, upload.size)?, Ok(()), "the undamaged image");
        agent.unload("bus_space_debug")?;
        agent.expect_as_before(&before, "the undamaged image")
    }
);

case!(
    /// R25: any error before START leaves everything as it was.
    30, fn r25_every_refused_load_leaves_everything_as_it_was(agent) {
        agent.load("pass_a")?;
        let before = agent.snapshot()?;
        let upload = agent.copy_up("pass_b")?;
        let places: [(Area, u64, u64); 6] = [
            (Area::Upload, UPLOAD_SIZE, 1),
            (Area::Upload, 0, u64::MAX),
            (Area::Upload, u64::MAX, 1),
            (Area::Archive, u64::MAX - 7, 16),
            (Area::Archive, 1 << 40, 4096),
            (Area::Upload, 0, 0),
        ];
        for (area, offset, size) in places {
            let decision = agent.try_load_image("pass_b", ImageRef { area, offset, size })?;
            ensure!(decision.is_err(), "an image at {offset:#x}, {size:#x} bytes, was loaded");
            agent.expect_as_before(&before, "a place outside of the store")?;
        }
        // One byte off: the image is not one.
        let decision = agent.try_load_image("pass_b", ImageRef { area: Area::Upload, offset: 1, size: upload.size as u64 - 1 })?;
        ensure!(decision.is_err(), "an image was loaded from one byte behind its start");
        agent.expect_as_before(&before, "a place one byte off")?;
        agent.load_refused("pass_a", Errno::EEXIST)?;
        agent.load_refused("dependent", Errno::ENOENT).or_else(|_| agent.load_refused("dependent", Errno::ENOEXEC))?;
        agent.load_refused("init_refuses", Errno::ENODEV)?;
        agent.expect_as_before(&before, "all refusals")?;
        agent.unload("pass_a")?;
        agent.expect_stack(PING, &[BASE])?;
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// An unload of what is not there, and a second unload of what was.
    15, fn unload_of_what_is_not_there_is_refused_with_enoent(agent) {
        agent.unload_refused("pass_a", 100, Errno::ENOENT)?;
        agent.load("pass_a")?;
        agent.unload("pass_a")?;
        agent.unload_refused("pass_a", 100, Errno::ENOENT)?;
        let before = agent.snapshot()?;
        let long = Text::<31>::cut("a_module_name_of_31_bytes_no_mo");
        agent.unload_refused(&long, 100, Errno::ENOENT)?;
        agent.expect_as_before(&before, "unloads of what is not there")
    }
);

/// Has each step of a load fail, one after another, until the load has none left; how many there were.
fn every_step_fails(agent: &mut Agent, module: &str) -> Outcome<u32> {
    let before = agent.snapshot()?;
    for steps in 0.. {
        ensure_eq!(
            agent.linker(&Request::FailAfter { steps: Some(steps) })?,
            Reply::Done,
            "having step {steps} fail"
        );
        let decision = agent.try_load(module)?;
        ensure_eq!(agent.linker(&Request::FailAfter { steps: None })?, Reply::Done, "having none fail");
        let Err(refused) = decision else {
            agent.unload(module)?;
            agent.expect_as_before(&before, "a load of which no step failed")?;
            return Ok(steps);
        };
        ensure_eq!(refused.errno, Errno::ENOMEM, "the reason when step {steps} of {module} fails");
        let what = Text::<60>::format(format_args!("a load of {module} whose step {steps} failed"));
        agent.expect_as_before(&before, &what)?;
    }
    fail!("a load of {module} without end")
}

case!(
    /// R25, S9: whichever step of making a module's memory fails (an account, slots, a Retype, a copy, a mapping, of its
    /// own pages or its shared ones): everything is as before, and a walk finds no capability that was left. A failure
    /// while the first one is undone is no case: undoing takes nothing.
    180, fn r25_every_step_of_making_memory_fails_and_is_undone(agent) {
        for (module, least) in [("pass_a", 8), (DEBUG, 40)] {
            let steps = every_step_fails(agent, module)?;
            note!("{module}: {steps} steps");
            ensure!(steps > least, "{module}: only {steps} steps");
            agent.audit()?;
        }
        agent.expect_empty()
    }
);
