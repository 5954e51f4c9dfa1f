//! Goal: the kernel starts however the loader leaves the machine: at EL3, EL2 or EL1, with a device tree or without, and
//! says in one line when the tree is another board's.
//!
//! Method: QEMU's usual command line for the machine with one thing changed; then a command at the console, which takes the
//! UART's interrupts and the servers of all cores, or the line.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use strata_host::model::Model;
use strata_host::qemu::Qemu;

/// A story, told with the system's image on a machine.
pub type Story = fn(&Path, Model) -> Result<()>;

/// The stories that a machine can play.
#[must_use]
pub fn stories(model: Model) -> Vec<(&'static str, Story)> {
    match model.board.name {
        "raspi3" => vec![
            ("boots_without_a_device_tree", without_a_device_tree),
            ("boots_from_el3", from_el3),
            ("refuses_the_tree_of_another_board", refuses_the_tree_of_another_board),
        ],
        "raspi4" => vec![
            ("boots_without_a_device_tree", without_a_device_tree),
            ("boots_from_el3", from_el3),
            ("boots_from_el3_with_a_secure_gic", from_el3_with_a_secure_gic),
            ("refuses_the_tree_of_another_board", refuses_the_tree_of_another_board),
        ],
        // It is entered at EL1 by all other cases.
        _ => vec![("boots_from_el2", from_el2)],
    }
}

/// How long a machine may take to say something.
const BOOT: Duration = Duration::from_secs(60);
const PROMPT: &str = "strata> ";
/// What is typed then, and what is said to that.
const COMMAND: (&str, &str) = ("modload bus_space_debug\r", "bus_space_debug: loaded");

fn words(image: &Path, model: Model) -> Vec<OsString> {
    let (image, bootargs, extra) = (image.to_path_buf(), String::new(), Vec::new());
    let qemu = Qemu { model, image, bootargs, icount: false, parallel: false, extra };
    qemu.command().get_args().map(OsString::from).collect()
}

/// Runs QEMU until its console has carried out a command.
fn serves(words: &[OsString]) -> Result<()> {
    expect(words, &[(PROMPT, COMMAND.0), (COMMAND.1, "")])
}

/// Runs QEMU until its machine has said all this, one after the other; after each it is told something.
fn expect(words: &[OsString], talk: &[(&str, &str)]) -> Result<()> {
    let mut child = Command::new("qemu-system-aarch64")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let (sender, heard) = channel();
    let stdout = child.stdout.take();
    std::thread::spawn(move || {
        let Some(mut stdout) = stdout else { return };
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    let mut to = child.stdin.take();
    let end = Instant::now() + BOOT;
    let (mut said, mut talk) = (Vec::new(), talk.iter().peekable());
    while let Some(&&(wanted, answer)) = talk.peek() {
        if let Some(at) = said.windows(wanted.len()).position(|window| window == wanted.as_bytes()) {
            said.drain(..at + wanted.len());
            to.as_mut().map(|to| to.write_all(answer.as_bytes())).transpose()?;
            talk.next();
            continue;
        }
        match heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(bytes) => said.extend(bytes),
            Err(_) => break,
        }
    }
    // Already gone is as good as killed.
    let _ = child.kill();
    child.wait()?;
    match talk.next() {
        None => Ok(()),
        Some((wanted, _)) => bail!("the machine did not say `{wanted}`: {}", String::from_utf8_lossy(&said)),
    }
}

/// Where the value of an option stands.
fn value_of(words: &[OsString], option: &str) -> Result<usize> {
    match words.iter().position(|word| word == option) {
        Some(at) if at + 1 < words.len() => Ok(at + 1),
        _ => bail!("QEMU is not given {option}"),
    }
}

fn without_a_device_tree(image: &Path, model: Model) -> Result<()> {
    let mut words = words(image, model);
    let tree = value_of(&words, "-dtb")?;
    words.drain(tree - 1..=tree);
    serves(&words)
}

fn from_el3(image: &Path, model: Model) -> Result<()> {
    serves(&bare(image, model)?)
}

/// As the board's GIC-400 is: its groups are EL3's to set. QEMU's has no security extensions unless it is asked for them.
fn from_el3_with_a_secure_gic(image: &Path, model: Model) -> Result<()> {
    let mut words = bare(image, model)?;
    words.extend(["-global", "arm_gic.has-security-extensions=on"].map(OsString::from));
    serves(&words)
}

/// As an ELF file or bare metal would: nobody sets anything up, all cores start at the image.
fn bare(image: &Path, model: Model) -> Result<Vec<OsString>> {
    let mut words = words(image, model);
    let kernel = value_of(&words, "-kernel")?;
    words.drain(kernel - 1..=kernel);
    for option in ["-dtb", "-append"] {
        let at = value_of(&words, option)?;
        words.drain(at - 1..=at);
    }
    let load = model.board.load_address;
    words.push("-device".into());
    words.push(format!("loader,file={},addr={load:#x},force-raw=on", image.display()).into());
    for core in 0..4 {
        words.push("-device".into());
        words.push(format!("loader,addr={load:#x},cpu-num={core}").into());
    }
    Ok(words)
}

fn from_el2(image: &Path, model: Model) -> Result<()> {
    let mut words = words(image, model);
    let machine = value_of(&words, "-M")?;
    words[machine].push(",virtualization=on");
    serves(&words)
}

fn refuses_the_tree_of_another_board(image: &Path, model: Model) -> Result<()> {
    let other = if model.board.name == "raspi3" { "raspi4" } else { "raspi3" };
    let other = Model::new(other, None, 1)?;
    let file =
        std::env::temp_dir().join(format!("strata-tree-of-{}-{}.dtb", other.board.name, std::process::id()));
    std::fs::write(&file, strata_host::device_tree::make(&other, "", &[]))?;
    let mut words = words(image, model);
    let tree = value_of(&words, "-dtb")?;
    words[tree] = file.clone().into_os_string();
    let wanted = format!("kernel panic: the device tree is not that of {}", model.board.name);
    let result = expect(&words, &[(&wanted, "")]);
    std::fs::remove_file(&file)?;
    result
}
