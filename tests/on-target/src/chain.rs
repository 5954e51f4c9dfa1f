//! Goal: a system that is sent to a chainloader over a bad line starts as it was built, with its tree, and what is wrong
//! is said in one line and starts nothing.
//!
//! Method: QEMU with the chainloader in the place of a kernel, its line on a pty; between us and the pty bytes get lost
//! and changed by a seed. What is sent is a kernel of a few instructions, which says that it runs: QEMU's UART takes a
//! few bytes at a time, and a whole system would take minutes on a busy host.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use chain::GREETING;
use strata_host::chain::{System, boot};
use strata_host::link::Link;
use strata_host::model::Model;
use strata_host::noise::Noise;
use strata_host::qemu::{OnPty, Qemu};
use strata_host::serial::{BAUD, Line, Serial};
use strata_host::speed::OtherSpeed;

use crate::board::Bench;
use crate::entry::Story;
use crate::suite::{Entry, entries};
use crate::verdict::Verdict;

/// All stories, by name.
pub const STORIES: &[(&str, Story)] = &[
    ("chainloader_boots_what_comes_over_a_bad_line", boots_what_comes_over_a_bad_line),
    ("chainloader_refuses_what_is_wrong_in_one_line", refuses_what_is_wrong_in_one_line),
    ("board_runs_case_after_case_over_a_bad_line", case_after_case_over_a_bad_line),
    ("board_starts_again_when_its_time_is_over", starts_again_when_its_time_is_over),
];

/// How long a machine may take to say something.
const BOOT: Duration = Duration::from_secs(60);
/// One byte in so many is lost, and one in so many changed.
const BAD: u64 = 300;
/// The same for an image that is long.
const RATHER_BAD: u64 = 20_000;
/// Cases that say enough, and end soon.
const CASES: [&str; 3] = ["ipc_call_reply", "irq_timer", "fault_hole"];

/// The chainloader's image, beside the system's.
const CHAINLOADER: &str = "chainloader.bin";

/// Instructions: a branch to 0x80, where the header ends.
const BRANCH: u32 = 0x1400_0020;
/// At 0x80. Says the text at 0xd8 on the PL011 whose address is at 0xd0, and the one at 0xe0 if x0 leads to a device
/// tree; then sleeps.
#[rustfmt::skip]
const CODE: [u32; 20] = [
    0xaa00_03f3, //     mov x19, x0
    0x5800_0261, //     ldr x1, uart
    0x1000_0282, //     adr x2, runs
    0x9400_0009, //     bl say
    0xb940_0265, //     ldr w5, [x19]
    0x1800_01c6, //     ldr w6, magic
    0x6b06_00bf, //     cmp w5, w6
    0x5400_0061, //     b.ne 4f
    0x1000_0202, //     adr x2, tree
    0x9400_0003, //     bl say
    0xd503_205f, // 4:  wfe
    0x17ff_ffff, //     b 4b
    0x3840_1443, // say: ldrb w3, [x2], #1
    0x3400_00a3, //     cbz w3, 2f
    0xb940_1824, // 3:  ldr w4, [x1, #UARTFR]
    0x372f_ffe4, //     tbnz w4, #TXFF, 3b
    0xb900_0023, //     str w3, [x1]
    0x17ff_fffb, //     b say
    0xd65f_03c0, // 2:  ret
    0xedfe_0dd0, // magic: a device tree's first word, big endian
];
const RUNS: &[u8; 8] = b"it runs\0";
const TREE: &[u8; 19] = b", and has its tree\0";
const STARTED: &str = "it runs, and has its tree";

/// A kernel for a board, of a few frames' length.
fn kernel(model: Model) -> Vec<u8> {
    const SIZE: usize = 9000;
    let code = CODE.iter().flat_map(|word| word.to_le_bytes());
    let mut image: Vec<u8> = BRANCH.to_le_bytes().to_vec();
    image.resize(0x40, 0);
    image.extend(b"STRATAKI");
    image.resize(0x40 + 48, 0);
    image.extend(u64::try_from(SIZE).expect("a few thousand").to_le_bytes());
    image.resize(0x80, 0);
    image.extend(code);
    image.extend(model.board.console.registers.start.to_le_bytes());
    image.extend(RUNS);
    image.extend(TREE);
    image.resize_with(SIZE, || 0xa5);
    image
}

fn start(image: &Path, model: Model) -> Result<(OnPty, Serial)> {
    let qemu = Qemu {
        model,
        image: image.with_file_name(CHAINLOADER),
        bootargs: String::new(),
        icount: false,
        parallel: false,
        // The cores that wait in the firmware's loop are not to take the host's from the one that works.
        extra: ["-accel", "tcg,thread=single"].map(str::to_owned).to_vec(),
    };
    let machine = qemu.start_on_pty(true)?;
    let line = Serial::open(&machine.path, BAUD)?;
    Ok((machine, line))
}

/// Listens until this is said.
fn expect(line: &mut impl Line, wanted: &str) -> Result<()> {
    let end = Instant::now() + BOOT;
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains(wanted) {
        let bytes = line.receive(end)?;
        ensure!(!bytes.is_empty(), "`{wanted}` was not said: {}", String::from_utf8_lossy(&said));
        said.extend(bytes);
    }
    Ok(())
}

fn boots_what_comes_over_a_bad_line(image: &Path, model: Model) -> Result<()> {
    let (_machine, line) = start(image, model)?;
    let kernel = kernel(model);
    let system = System { model: &model, kernel: &kernel, arguments: "host=1" };
    let mut link = Link::new(Noise::new(line, 5, BAD), 1);
    boot(&mut link, &system, |_| ())?;
    ensure!(link.resent > 0, "the line spoilt nothing");
    let noise = link.into_line();
    ensure!(noise.hits > 10, "the line hit {} bytes only", noise.hits);
    expect(&mut noise.into_line(), STARTED)
}

fn refuses_what_is_wrong_in_one_line(image: &Path, model: Model) -> Result<()> {
    let (_machine, line) = start(image, model)?;
    let kernel = kernel(model);
    let system = System { model: &model, kernel: &kernel, arguments: "host=1" };
    let other = Model::new(if model.board.name == "raspi3" { "raspi4" } else { "raspi3" }, None, 1)?;
    let mut link = Link::new(line, 1);
    let refused = |link: &mut Link<Serial>, system: &System<'_>, wanted: &str| {
        let Err(error) = boot(link, system, |_| ()) else { bail!("it was started: not `{wanted}`") };
        let said = format!("{error:#}");
        ensure!(said.contains(wanted) && !said.contains('\n'), "`{said}` is not `{wanted}`");
        Ok(())
    };
    refused(&mut link, &System { model: &other, ..system }, "is --board right?")?;
    refused(&mut link, &System { kernel: &kernel[..kernel.len() - 1], ..system }, "cut short")?;
    refused(&mut link, &System { kernel: &kernel[..100], ..system }, "no kernel image")?;
    let mut link = Link::new(OtherSpeed::new(link.into_line(), BAUD, 2 * BAUD), 2);
    let error = link.carry_out("modstat", Duration::ZERO).err().context("it was understood")?;
    ensure!(format!("{error:#}").contains("makes no sense"), "{error:#}");
    // A module is for a system.
    let mut link = Link::new(link.into_line().into_line(), 1 << 16);
    let error = link.send_image("bus_space_xh", b"a module", |_| ()).err().context("it was taken")?;
    ensure!(format!("{error:#}").contains("a chainloader waits"), "{error:#}");
    // And now what is right. What is there already is not sent again.
    link.send_image(model.board.name, &kernel, |_| ())?;
    let mut steps = 0;
    boot(&mut link, &system, |_| steps += 1)?;
    ensure!(steps == 1, "what was there came again: {steps} steps");
    expect(&mut link.into_line(), STARTED)
}

/// The kernel's cases, whose image is the smallest.
fn kernel_cases() -> Result<Vec<Entry>> {
    let kernel = |entry: &Entry| entry.name.contains("::kernel::") && entry.case.flags == 0;
    let cases: Vec<_> = entries()?.into_iter().filter(kernel).collect();
    ensure!(!cases.is_empty(), "the kernel has no cases");
    Ok(cases)
}

/// As `./x test --serial`: each case has a boot, and the image comes once.
fn case_after_case_over_a_bad_line(image: &Path, model: Model) -> Result<()> {
    let (machine, line) = start(image, model)?;
    let cases = kernel_cases()?;
    let named = |name: &str| {
        let found = cases.iter().find(|entry| entry.case.name == name);
        found.with_context(|| format!("the kernel has no case {name}"))
    };
    let mut bench = Bench::new(Box::new(Noise::new(line, 7, RATHER_BAD)));
    for case in CASES {
        let report = bench.run(named(case)?, &mut |_| ())?;
        ensure!(report.verdict == Verdict::Pass, "{case}: {}\n{}", report.verdict, report.output.join("\n"));
    }
    let size = usize::try_from(std::fs::metadata(&cases[0].image)?.len())?;
    ensure!(bench.sent == size, "{} bytes were sent of an image of {size}", bench.sent);
    // There is no such case: the machine ends without a verdict, and is there again.
    let mut nobody = named(CASES[0])?.clone();
    nobody.case.name = "nobody".into();
    let report = bench.run(&nobody, &mut |_| ())?;
    ensure!(matches!(report.verdict, Verdict::Stopped(_)), "nobody's case: {}", report.verdict);
    let report = bench.run(named(CASES[0])?, &mut |_| ())?;
    ensure!(report.verdict == Verdict::Pass && bench.sent == size, "afterwards: {}", report.verdict);
    // The cable is pulled: one line, and at once for all that follow.
    drop(machine);
    for wanted in ["was the cable unplugged?", "the board is lost"] {
        let error = bench.run(named(CASES[0])?, &mut |_| ()).err().context("a case ran without a board")?;
        let said = format!("{error:#}");
        ensure!(said.contains(wanted) && !said.contains('\n'), "`{said}` is not `{wanted}`");
    }
    Ok(())
}

/// A case that nobody waits for any more is no reason to switch the board off and on.
fn starts_again_when_its_time_is_over(image: &Path, model: Model) -> Result<()> {
    let (_machine, line) = start(image, model)?;
    let kernel = std::fs::read(&kernel_cases()?[0].image)?;
    let mut link = Link::new(line, 1);
    // At the first tick, whatever it does then.
    let arguments = "reset=1 reset_after=0";
    boot(&mut link, &System { model: &model, kernel: &kernel, arguments }, |_| ())?;
    let mut line = link.into_line();
    expect(&mut line, "the time that reset_after gives is over")?;
    expect(&mut line, GREETING)
}
