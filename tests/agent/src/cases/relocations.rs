//! What a load makes of an image's relocations, sections and symbols: applied, or refused by the rule (S28, S29).

use strata_protocol::Errno;

use crate::agent::Agent;
use crate::case::{Outcome, case, ensure, ensure_eq, fail};
use crate::image::Upload;
use crate::sections::{ALIGN, FLAGS, OFFSET};

const MODULE: &str = "every_class";
/// The types that the format has, by their numbers in AAELF64, in the order of its table.
const TYPES: [u32; 17] =
    [257, 258, 260, 261, 274, 275, 276, 277, 278, 279, 280, 282, 283, 284, 285, 286, 299];
/// What the pieces of code in `every_class` find: eight bytes, the sixteen bytes' other half, what a branch leads to.
const FOUND: u64 = 0x1122_3344_5566_7788;
const OTHER_HALF: u64 = 0x99aa_bbcc_ddee_ff00;
const THERE: u64 = 0x7e;
/// The answers, by number.
const ANSWERS: [u64; 16] = [
    FOUND,
    FOUND,
    FOUND,
    FOUND,
    FOUND,
    FOUND,
    FOUND,
    FOUND & 0xff,
    FOUND & 0xffff,
    FOUND & 0xffff_ffff,
    FOUND,
    OTHER_HALF,
    THERE,
    THERE,
    THERE,
    THERE + 1,
];

/// Asks for each answer, and for one that the layer below gives.
fn expect_answers(agent: &mut Agent) -> Outcome {
    let demo = agent.open("demo")?;
    for (number, answer) in (0..).zip(ANSWERS) {
        ensure_eq!(demo.ping(agent.ipc, number)?, answer, "what piece {number} finds");
    }
    ensure_eq!(demo.ping(agent.ipc, 99)?, 100, "what the layer below answers");
    agent.close(demo)
}

case!(
    /// S28: code for each class of relocations finds what it refers to, at whatever address the module is.
    30, fn s28_each_class_of_relocations_leads_to_what_it_names(agent) {
        let upload = agent.copy_up(MODULE)?;
        for number in TYPES {
            ensure!(upload.relocation(number).is_some(), "the module has no relocation of type {number}");
        }
        let mut seen = heapless::Vec::<u64, 4>::new();
        for neighbour in ["pass_b", "strong_note", "introducer"] {
            agent.load(MODULE)?;
            let Some(row) = agent.module(MODULE)? else { fail!("the module is not listed") };
            let _ = seen.push(row.address);
            expect_answers(agent)?;
            agent.unload(MODULE)?;
            agent.load(neighbour)?;
            agent.unload(neighbour)?;
        }
        ensure!(seen.iter().any(|address| *address != seen[0]), "the module was at {:#x} each time", seen[0]);
        agent.audit()?;
        agent.expect_empty()
    }
);

/// Types that the format does not have: none, `LD_PREL_LO19`, the `MOVW` groups, everything of GOT, PLT, thread-local storage,
/// indirect functions, and what only a static linker or a dynamic loader knows.
const FOREIGN: [u32; 28] = [
    0, 256, 259, 262, 263, 264, 265, 266, 267, 268, 269, 270, 271, 272, 273, 287, 300, 307, 309, 311, 312,
    313, 512, 541, 549, 560, 1026, 1032,
];

/// Fails unless what is uploaded is refused, and nothing has changed.
fn refused(agent: &mut Agent, upload: &Upload, what: core::fmt::Arguments<'_>) -> Outcome {
    match agent.load_upload(MODULE, upload, upload.size)? {
        Err(refused) if refused.errno == Errno::ENOEXEC => Ok(()),
        other => fail!("{what}: {other:?}, not ENOEXEC"),
    }
}

case!(
    /// S28: a type that the format does not have is refused, whatever it would have been applied to.
    60, fn s28_other_types_of_relocations_are_refused(agent) {
        let before = agent.snapshot()?;
        let good = agent.archived(MODULE)?;
        let upload = agent.copy_up(MODULE)?;
        for foreign in FOREIGN {
            // One on an instruction, one on data.
            for own in [283, 257] {
                let Some(at) = upload.relocation(own) else { fail!("no relocation of type {own}") };
                upload.set_relocation(at, foreign);
                refused(agent, &upload, format_args!("type {foreign} in the place of {own}"))?;
                upload.restore(good);
            }
        }
        agent.expect_as_before(&before, "foreign relocations")?;
        agent.audit()?;
        agent.expect_empty()
    }
);

case!(
    /// S29: odd alignments are kept; sections that overlap, alignments that are none, thread-local sections and weak symbols
    /// without a record are refused.
    40, fn s29_odd_alignments_are_kept_and_broken_layouts_are_refused(agent) {
        let good = agent.archived(MODULE)?;
        let upload = agent.copy_up(MODULE)?;
        for align in [32, 256, 2048, 4096] {
            for section in [".rodata", ".data", ".text"] {
                upload.set_section(section, ALIGN, align)?;
            }
            ensure_eq!(agent.load_upload(MODULE, &upload, upload.size)?, Ok(()), "the module aligned to {align}");
            let Some(row) = agent.module(MODULE)? else { fail!("the module is not listed") };
            ensure!(row.address.is_multiple_of(align), "aligned to {align}, it is at {:#x}", row.address);
            expect_answers(agent)?;
            agent.unload(MODULE)?;
        }
        upload.restore(good);
        let before = agent.snapshot()?;
        for align in [3, 24, 8192, 1 << 63] {
            upload.set_section(".rodata", ALIGN, align)?;
            refused(agent, &upload, format_args!("an alignment of {align}"))?;
            upload.restore(good);
        }
        let rodata = upload.section(".rodata", OFFSET)?;
        for shift in [0, 8, 64] {
            upload.set_section(".data", OFFSET, rodata + shift)?;
            refused(agent, &upload, format_args!(".data {shift} bytes behind the start of .rodata"))?;
            upload.restore(good);
        }
        let flags = upload.section(".data", FLAGS)?;
        upload.set_section(".data", FLAGS, flags | 1 << 10)?;
        refused(agent, &upload, format_args!("a thread-local section"))?;
        upload.restore(good);
        upload.make_weak("every_class_there")?;
        refused(agent, &upload, format_args!("a weak symbol without a record"))?;
        upload.restore(good);
        agent.expect_as_before(&before, "broken layouts")?;
        ensure_eq!(agent.load_upload(MODULE, &upload, upload.size)?, Ok(()), "the undamaged image");
        expect_answers(agent)?;
        agent.unload(MODULE)?;
        agent.audit()?;
        agent.expect_empty()
    }
);
