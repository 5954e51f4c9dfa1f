//! Goal: the kernel starts however the loader leaves the machine: at EL3, EL2 or EL1, with a device tree or without, and
//! says in one line when the tree is another board's.
//!
//! Method: QEMU's usual command line for the machine with one thing changed; then the console's first prompt, or the line.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
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
            ("refuses_the_tree_of_another_board", refuses_the_tree_of_another_board),
        ],
        // It is entered at EL1 by all other cases.
        _ => vec![("boots_from_el2", from_el2)],
    }
}

/// How long a machine may take to say something.
const BOOT: Duration = Duration::from_secs(60);
const PROMPT: &str = "strata> ";

fn words(image: &Path, model: Model) -> Vec<OsString> {
    let (image, bootargs, extra) = (image.to_path_buf(), String::new(), Vec::new());
    let qemu = Qemu { model, image, bootargs, icount: false, parallel: false, extra };
    qemu.command().get_args().map(OsString::from).collect()
}

/// Runs QEMU until its machine has said `wanted`.
fn expect(words: &[OsString], wanted: &str) -> Result<()> {
    let mut child = Command::new("qemu-system-aarch64")
        .args(words)
        .stdin(Stdio::null())
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
    let end = Instant::now() + BOOT;
    let mut said = Vec::new();
    let found = loop {
        match heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(bytes) => said.extend(bytes),
            Err(_) => break false,
        }
        if String::from_utf8_lossy(&said).contains(wanted) {
            break true;
        }
    };
    // Already gone is as good as killed.
    let _ = child.kill();
    child.wait()?;
    ensure!(found, "the machine did not say `{wanted}`: {}", String::from_utf8_lossy(&said));
    Ok(())
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
    expect(&words, PROMPT)
}

/// As an ELF file or bare metal would: nobody sets anything up, all cores start at the image.
fn from_el3(image: &Path, model: Model) -> Result<()> {
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
    expect(&words, PROMPT)
}

fn from_el2(image: &Path, model: Model) -> Result<()> {
    let mut words = words(image, model);
    let machine = value_of(&words, "-M")?;
    words[machine].push(",virtualization=on");
    expect(&words, PROMPT)
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
    let result =
        expect(&words, &format!("kernel panic: the device tree is not that of {}", model.board.name));
    std::fs::remove_file(&file)?;
    result
}
