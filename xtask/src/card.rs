//! The card that a board boots from: what is on it, and reading it back.
//!
//! A card is a master boot record with one FAT32 partition ([`mbr`]), with the firmware's files, which the user brings,
//! and ours. Everything here works on an image of it, without root and without mounting.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use board::{Board, Card};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use strata_host::model::Model;

pub(crate) mod mbr;

use mbr::{Partition, SECTOR};

/// The kernel's image, as the firmware looks for it.
pub(crate) const KERNEL: &str = "kernel8.img";
/// The device tree that the firmware passes to the kernel.
pub(crate) const DEVICE_TREE: &str = "strata.dtb";
/// What the firmware is to do.
const CONFIG: &str = "config.txt";
/// What the firmware puts into the device tree as boot arguments.
const ARGUMENTS: &str = "cmdline.txt";

/// Where Debian's package `raspi-firmware` puts its files.
const FIRMWARE_OF_PACKAGE: &str = "/usr/lib/raspi-firmware";
/// Bytes of the card: a power of two, because QEMU's cards are; small, because it is written over USB.
const SIZE: u64 = 64 << 20;
/// Sectors in front of the partition, as partitioning tools leave them.
const FIRST_SECTOR: u32 = 2048;
/// The name of the volume.
const LABEL: [u8; 11] = *b"STRATA     ";

/// Files by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The card of a board.
pub(crate) fn of(board: &Board) -> Result<Card> {
    board.card.with_context(|| format!("{} boots from no card", board.name))
}

/// Our files of a board's card.
pub(crate) fn own_files(model: &Model, kernel_image: &Path, arguments: &str) -> Result<Files> {
    let board = model.board;
    let card = of(board)?;
    let kernel = std::fs::read(kernel_image)
        .with_context(|| format!("cannot read {}; `./x build` makes it", kernel_image.display()))?;
    let config = format!("# Strata for {}.\n{}", board.name, card.config);
    Ok(Files::from([
        (KERNEL.to_owned(), kernel),
        (CONFIG.to_owned(), config.into_bytes()),
        (ARGUMENTS.to_owned(), format!("{arguments}\n").into_bytes()),
        (DEVICE_TREE.to_owned(), strata_host::device_tree::make(model, arguments, &[])),
    ]))
}

/// The firmware's files, from the folder that the user names or where the system's package manager put them.
/// Nothing if there is no such folder to be found.
pub(crate) fn firmware(board: &Board, folder: Option<&Path>) -> Result<Option<Files>> {
    let folder = match folder {
        Some(folder) => folder.to_path_buf(),
        None => PathBuf::from(FIRMWARE_OF_PACKAGE),
    };
    if !folder.is_dir() {
        ensure!(folder == Path::new(FIRMWARE_OF_PACKAGE), "{} is no folder", folder.display());
        return Ok(None);
    }
    let mut files = Files::new();
    for name in of(board)?.firmware {
        let path = folder.join(name);
        let bytes = std::fs::read(&path).with_context(|| {
            format!("{} needs the firmware's {name}: cannot read {}", board.name, path.display())
        })?;
        files.insert((*name).to_owned(), bytes);
    }
    Ok(Some(files))
}

/// The image of a card with these files.
pub(crate) fn make(files: &Files) -> Result<Vec<u8>> {
    let mut image = vec![0; usize::try_from(SIZE)?];
    let sectors = u32::try_from(SIZE / SECTOR)? - FIRST_SECTOR;
    let partition = Partition { first: FIRST_SECTOR, sectors };
    mbr::write(&mut image, partition)?;
    let volume = partition.slice_mut(&mut image)?;
    let options =
        FormatVolumeOptions::new().fat_type(FatType::Fat32).bytes_per_cluster(512).volume_label(LABEL);
    fatfs::format_volume(Cursor::new(&mut *volume), options).context("cannot format the partition")?;
    let filesystem = FileSystem::new(Cursor::new(volume), FsOptions::new())?;
    for (name, bytes) in files {
        let mut file = filesystem.root_dir().create_file(name).with_context(|| name.clone())?;
        file.write_all(bytes).with_context(|| format!("{name} does not fit on the card"))?;
    }
    filesystem.unmount()?;
    Ok(image)
}

/// Reads the files of a card's image back.
pub(crate) fn read(image: &mut [u8]) -> Result<(Partition, Files)> {
    let partition = mbr::read(image)?;
    let volume = partition.slice_mut(image)?;
    let filesystem = FileSystem::new(Cursor::new(volume), FsOptions::new())
        .context("the partition holds no FAT file system")?;
    let mut files = Files::new();
    for entry in filesystem.root_dir().iter() {
        let entry = entry.context("the file system is damaged")?;
        if entry.is_file() {
            let mut bytes = Vec::new();
            entry
                .to_file()
                .read_to_end(&mut bytes)
                .with_context(|| format!("{} is damaged", entry.file_name()))?;
            files.insert(entry.file_name(), bytes);
        }
    }
    Ok((partition, files))
}

/// Reads a card from an image file or a device.
pub(crate) fn open(path: &Path) -> Result<(Partition, Files)> {
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let size = file.seek(SeekFrom::End(0))?.min(SIZE);
    file.rewind()?;
    let mut image = vec![0; usize::try_from(size)?];
    file.read_exact(&mut image).with_context(|| format!("cannot read {}", path.display()))?;
    read(&mut image).with_context(|| path.display().to_string())
}

/// Whether these files boot the board; the first thing that is missing or another board's.
pub(crate) fn check(files: &Files, board: &Board) -> Result<()> {
    let config = files.get(CONFIG).with_context(|| format!("the card has no {CONFIG}"))?;
    let first = String::from_utf8_lossy(config).lines().next().unwrap_or_default().to_owned();
    match first.strip_prefix("# Strata for ").and_then(|rest| rest.strip_suffix('.')) {
        Some(name) if name == board.name => {}
        Some(name) => bail!("the card is for {name}, not for {}", board.name),
        None => bail!("the card was not made by `./x flash`"),
    }
    for name in [KERNEL, DEVICE_TREE] {
        ensure!(files.contains_key(name), "the card has no {name}");
    }
    Ok(())
}

#[cfg(test)]
mod over_spi;
#[cfg(test)]
mod tests;
