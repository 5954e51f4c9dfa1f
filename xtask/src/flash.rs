//! `x flash`: makes a card, as an image or on a device, and says what is on one. `x image --out`: only our files.

use std::fs::File;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::card::{self, Files};
use crate::progress::{self, Bar};
use crate::workspace::Workspace;
use crate::{build, out_dir};

/// Arguments of `x flash`.
#[derive(Args, Debug)]
#[group(id = "target", required = true, multiple = false)]
pub(crate) struct Target {
    /// Write the card's image to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Erase this removable device and write the card to it.
    #[arg(long, value_name = "/dev/sdX")]
    device: Option<PathBuf>,
    /// Say what is on this card: an image or a device.
    #[arg(long, value_name = "CARD")]
    list: Option<PathBuf>,
}

/// Arguments of `x flash`.
#[derive(Args, Debug)]
pub(crate) struct FlashArgs {
    #[command(flatten)]
    target: Target,
    /// The folder with the Raspberry Pi's firmware; the default is where the package `raspi-firmware` puts it.
    #[arg(long, value_name = "DIR")]
    firmware_dir: Option<PathBuf>,
    /// Boot arguments for the system on the card.
    #[arg(long, value_name = "WORDS", default_value = "host=1")]
    boot_words: String,
    /// Put on the card what is built, without looking at the sources.
    #[arg(long)]
    no_build: bool,
    /// Put the chainloader on it: it takes a system over the serial line, and the card stays where it is.
    #[arg(long, conflicts_with = "no_build")]
    chainloader: bool,
}

/// `x flash`.
pub(crate) fn flash(workspace: &Workspace, args: &FlashArgs) -> Result<ExitCode> {
    if let Some(path) = &args.target.list {
        return list(path);
    }
    // What can be refused is refused before anything is built.
    let board = workspace.model.board;
    card::of(board)?;
    let device = args.target.device.as_deref().map(Device::inspect).transpose()?;
    args.target.out.as_deref().map(may_be_written).transpose()?;
    let firmware = card::firmware(board, args.firmware_dir.as_deref())?;
    if firmware.is_none() {
        let missing = "the card has no firmware, and a Raspberry Pi starts with that: install the package raspi-firmware or name a folder with --firmware-dir";
        ensure!(device.is_none(), "{missing}");
        progress::say(missing);
    }
    let images = match (args.chainloader, args.no_build) {
        (true, _) => build::chainloader(workspace),
        (false, true) => build::as_built(workspace),
        (false, false) => build::all(workspace),
    }?;
    let mut files = card::own_files(&workspace.model, &images.kernel_image, &args.boot_words)?;
    files.extend(firmware.unwrap_or_default());
    let image = card::make(&files)?;
    match (&device, &args.target.out) {
        (Some(device), _) => device.write(&image)?,
        (None, Some(out)) => {
            write_whole(out, &image)?;
            println!("{}: {} files for {}", out.display(), files.len(), board.name);
        }
        (None, None) => unreachable!("clap demands one of them"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses what is no file, and a device above all: that is erased by `--device` only, which asks.
fn may_be_written(out: &Path) -> Result<()> {
    let shown = out.display();
    match std::fs::metadata(out) {
        Ok(there) => {
            ensure!(there.is_file(), "{shown} is no file: --out makes one, --device writes to a card")
        }
        Err(_) => {
            let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
            ensure!(folder.is_none_or(Path::is_dir), "cannot write {shown}: there is no such folder");
        }
    }
    Ok(())
}

/// Writes a file, all of it or none: what was there before stays until the new one is whole.
fn write_whole(out: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, out));
    if written.is_err() {
        // What is left of it is of no use; there may be nothing.
        let _ = std::fs::remove_file(&part);
    }
    written.with_context(|| format!("cannot write {}", out.display()))
}

/// `x image --out DIR`: our files, for a card that is there already.
pub(crate) fn image(workspace: &Workspace, kernel_image: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, bytes) in card::own_files(&workspace.model, kernel_image, "host=1")? {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

/// Takes kernel and device tree of a card for QEMU, which knows nothing of the firmware's way to them.
pub(crate) fn unpack(workspace: &Workspace, path: &Path) -> Result<PathBuf> {
    let (_, files) = card::open(path)?;
    let board = workspace.model.board;
    card::check(&files, board).with_context(|| path.display().to_string())?;
    let folder = out_dir(workspace).join("card");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let kernel = folder.join(card::KERNEL);
    for (name, to) in
        [(card::KERNEL, kernel.clone()), (card::DEVICE_TREE, folder.join(strata_host::qemu::DEVICE_TREE))]
    {
        std::fs::write(&to, &files[name]).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(kernel)
}

fn list(path: &Path) -> Result<ExitCode> {
    let (partition, files) = card::open(path)?;
    println!("partition 1: FAT32, sector {}, {} MiB", partition.first, partition.sectors >> 11);
    print_files(&files);
    Ok(ExitCode::SUCCESS)
}

fn print_files(files: &Files) {
    for (name, bytes) in files {
        println!("{:>10}  {name}", bytes.len());
    }
}

/// A removable device that nothing uses.
#[derive(Debug)]
struct Device {
    path: PathBuf,
    /// What the user is shown: size, maker, model.
    description: String,
    bytes: u64,
}

impl Device {
    /// Looks at the device, and refuses what is no removable disk or is in use.
    fn inspect(path: &Path) -> Result<Self> {
        Self::inspect_in(path, Path::new("/sys/class/block"), &std::fs::read_to_string("/proc/mounts")?)
    }

    fn inspect_in(path: &Path, sys: &Path, mounts: &str) -> Result<Self> {
        let shown = path.display();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .with_context(|| format!("{shown} is no device"))?;
        ensure!(path.parent() == Some(Path::new("/dev")), "{shown} is no device in /dev");
        let about = sys.join(name);
        ensure!(about.is_dir(), "{shown} is no block device: is the card in the reader?");
        ensure!(!about.join("partition").exists(), "{shown} is a partition: name the whole device");
        let read = |file: &str| {
            std::fs::read_to_string(about.join(file)).map(|text| text.trim().to_owned()).unwrap_or_default()
        };
        // A card in a reader of the machine itself is an MMC device, and not called removable.
        let is_card = read("device/type") == "SD";
        ensure!(
            read("removable") == "1" || is_card,
            "{shown} is not removable, and only removable devices are erased"
        );
        let mounted = mounts
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .find(|used| used.starts_with(&*path.to_string_lossy()));
        if let Some(used) = mounted {
            bail!("{used} is mounted: unmount it first");
        }
        let bytes = read("size").parse::<u64>().unwrap_or(0) * 512;
        let what = [read("device/vendor"), read("device/model"), read("device/name")].join(" ");
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self { path: path.to_path_buf(), description: format!("{} MB, {what}", bytes / 1_000_000), bytes })
    }

    /// Shows what will be lost, asks, writes, and reads back.
    fn write(&self, image: &[u8]) -> Result<()> {
        let shown = self.path.display();
        ensure!(
            self.bytes >= image.len() as u64,
            "{shown} is too small: {} ({} needed)",
            self.description,
            image.len()
        );
        println!("{shown}: {}", self.description);
        match card::open(&self.path) {
            Ok((_, files)) => {
                println!("its first partition has {} files, which will be erased:", files.len());
                print_files(&files);
            }
            Err(error) => println!("its contents are not a card of ours ({error:#}), and will be erased"),
        }
        ensure!(std::io::stdin().is_terminal(), "erasing {shown} wants an answer from a terminal");
        print!("Type {shown} to erase it: ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        ensure!(Path::new(answer.trim()) == self.path, "nothing was erased");
        let mut file =
            File::options().write(true).open(&self.path).with_context(|| format!("cannot write {shown}"))?;
        let mut bar = Bar::new("writing", image.len());
        for piece in image.chunks(1 << 20) {
            file.write_all(piece)
                .with_context(|| format!("{shown}: the card is half-written now; flash it again"))?;
            bar.advance(piece.len());
        }
        file.sync_all()?;
        println!("{shown} is ready: put the card into the board");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder like /sys/class/block with one device.
    fn sys(files: &[(&str, &str)]) -> PathBuf {
        let all: String = files.iter().map(|(name, text)| format!("{name}{text}")).collect();
        let tag: u64 = all.bytes().fold(7, |sum, byte| sum * 31 % 1_000_000_007 + u64::from(byte));
        let root = std::env::temp_dir().join(format!("strata-flash-test-{}-{tag}", std::process::id()));
        for (name, text) in files {
            let path = root.join("sdx").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn inspect(path: &str, files: &[(&str, &str)], mounts: &str) -> Result<String, String> {
        let root = sys(files);
        let result = Device::inspect_in(Path::new(path), &root, mounts);
        std::fs::remove_dir_all(&root).unwrap();
        result.map(|device| device.description).map_err(|error| format!("{error:#}"))
    }

    const STICK: &[(&str, &str)] = &[
        ("removable", "1\n"),
        ("size", "62333952\n"),
        ("device/vendor", "Generic \n"),
        ("device/model", "SD Reader\n"),
    ];

    #[test]
    fn an_image_is_a_file_and_comes_whole_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("strata-flash-out-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let out = folder.join("sd.img");
        assert!(may_be_written(&out).is_ok());
        std::fs::write(&out, "before").unwrap();
        assert!(may_be_written(&out).is_ok());
        let no_file = |path: &Path| may_be_written(path).unwrap_err().to_string();
        assert!(no_file(Path::new("/dev/null")).starts_with("/dev/null is no file"));
        assert!(no_file(&folder).contains("is no file"));
        assert!(no_file(&folder.join("nowhere/sd.img")).contains("there is no such folder"));
        write_whole(&out, b"whole").unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), b"whole");
        // Where the parts cannot be written, what was there is there.
        std::fs::create_dir(folder.join("sd.img.part")).unwrap();
        assert!(write_whole(&out, b"other").is_err());
        assert_eq!(std::fs::read(&out).unwrap(), b"whole");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn only_an_unused_removable_device_is_erased() {
        assert_eq!(inspect("/dev/sdx", STICK, "").unwrap(), "31914 MB, Generic SD Reader");
        let card = [("removable", "0\n"), ("device/type", "SD\n"), ("size", "0\n")];
        assert!(inspect("/dev/sdx", &card, "").is_ok());
        let error = |path, files, mounts| inspect(path, files, mounts).unwrap_err();
        assert_eq!(
            error("/dev/sdx", &[("removable", "0\n")], ""),
            "/dev/sdx is not removable, and only removable devices are erased"
        );
        assert_eq!(
            error("/dev/sdx", STICK, "proc /proc proc rw 0 0\n/dev/sdx1 /media/card vfat rw 0 0\n"),
            "/dev/sdx1 is mounted: unmount it first"
        );
        assert_eq!(error("/dev/sdy", STICK, ""), "/dev/sdy is no block device: is the card in the reader?");
        assert_eq!(error("sd.img", STICK, ""), "sd.img is no device in /dev");
        assert!(
            error("/dev/sdx", &[("removable", "1"), ("partition", "1")], "")
                .contains("name the whole device")
        );
    }
}
